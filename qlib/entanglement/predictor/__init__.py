"""Predicting half-chain entropies of chains too long to diagonalise, in nats.

Everything learns from the same `Doublings`, features at sizes 4, 8, 16, and answers for
32, 64, … with values, intervals and whether it was asked something it was trained on:
`PlainNetwork` and `BoostedTrees` from the Hamiltonian's parameters alone, the baselines
`SameAsLargest`, `LinearInLogSize`, `CalabreseCardy` and `ExponentialIncrements` from
the point's own diagonalised sizes, `SizeFlow` and `IncrementTrees` from those and what
doublings of other chains taught them.
"""

from qlib.entanglement.predictor.baselines import (
    CalabreseCardy,
    ExponentialIncrements,
    LinearInLogSize,
    SameAsLargest,
)
from qlib.entanglement.predictor.calibration import Prediction
from qlib.entanglement.predictor.doublings import Doublings
from qlib.entanglement.predictor.increment_trees import IncrementTrees
from qlib.entanglement.predictor.plain import BoostedTrees, PlainNetwork
from qlib.entanglement.predictor.size_flow import SizeFlow

__all__ = [
    "BoostedTrees",
    "CalabreseCardy",
    "Doublings",
    "ExponentialIncrements",
    "IncrementTrees",
    "LinearInLogSize",
    "PlainNetwork",
    "Prediction",
    "SameAsLargest",
    "SizeFlow",
]
