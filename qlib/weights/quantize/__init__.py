"""Heads of few-bit weights: the codes, and the methods that choose them."""

from qlib.weights.quantize.accuracy import AccuracyAnneal, anneal_accuracy
from qlib.weights.quantize.annealing import (
    replica_exchange_codes,
    simulated_annealing_codes,
)
from qlib.weights.quantize.code_moves import AnnealedCodes, WalkState
from qlib.weights.quantize.codes import (
    BITS,
    QuantizedHead,
    fit_scale,
    levels,
    nearest,
)
from qlib.weights.quantize.coordinate_descent import coordinate_descent
from qlib.weights.quantize.path_integral import path_integral_codes
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.second_order import second_order_rounding
from qlib.weights.quantize.straight_through import straight_through

__all__ = [
    "BITS",
    "AccuracyAnneal",
    "AnnealedCodes",
    "QuantizedHead",
    "WalkState",
    "anneal_accuracy",
    "coordinate_descent",
    "fit_scale",
    "levels",
    "nearest",
    "path_integral_codes",
    "refit",
    "replica_exchange_codes",
    "round_to_nearest",
    "second_order_rounding",
    "simulated_annealing_codes",
    "straight_through",
]
