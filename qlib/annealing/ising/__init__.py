"""Annealing of Ising models and QUBOs: the models, the instances, the samplers.

A sampler is a `dimod.Sampler`, ``sampler.sample(bqm, num_reads=..., ...)``, with
D-Wave's parameter names: a hardware sampler drops into the same call.
"""

from qlib.annealing.ising.instances import (
    max_cut,
    random_pm_j,
    read_gset,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.model import IsingModel

__all__ = [
    "IsingModel",
    "max_cut",
    "random_pm_j",
    "read_gset",
    "sherrington_kirkpatrick",
]
