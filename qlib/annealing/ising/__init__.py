"""Annealing of Ising models and QUBOs: the models, the instances, the samplers.

A sampler is a `dimod.Sampler`, ``sampler.sample(bqm, num_reads=..., ...)``, with
D-Wave's parameter names: a hardware sampler drops into the same call. The one to try
first is `ReplicaExchangeSampler`.
"""

from qlib.annealing.ising.fixed_cardinality import FixedCardinalitySampler
from qlib.annealing.ising.instances import (
    max_cut,
    random_pm_j,
    read_gset,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.model import IsingModel
from qlib.annealing.ising.path_integral import PathIntegralSampler
from qlib.annealing.ising.replica_exchange import ReplicaExchangeSampler
from qlib.annealing.ising.simulated_annealing import SimulatedAnnealingSampler
from qlib.annealing.ising.simulated_bifurcation import SimulatedBifurcationSampler
from qlib.annealing.ising.time_to_target import time_to_target

__all__ = [
    "FixedCardinalitySampler",
    "IsingModel",
    "PathIntegralSampler",
    "ReplicaExchangeSampler",
    "SimulatedAnnealingSampler",
    "SimulatedBifurcationSampler",
    "max_cut",
    "random_pm_j",
    "read_gset",
    "sherrington_kirkpatrick",
    "time_to_target",
]
