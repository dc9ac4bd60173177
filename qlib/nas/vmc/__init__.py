"""Variational Monte Carlo: sampling, local energies, optimisation, error bars."""

from qlib.nas.vmc.derivatives import log_derivatives, step_along
from qlib.nas.vmc.estimates import blocked, v_score
from qlib.nas.vmc.exact_samples import Exact, draw_exactly
from qlib.nas.vmc.ground_state import VMCResult, ground_state
from qlib.nas.vmc.local_energy import LocalEnergy
from qlib.nas.vmc.metropolis import Metropolis
from qlib.nas.vmc.reconfiguration import natural_gradient
from qlib.nas.vmc.renyi import swap_renyi2

__all__ = [
    "Exact",
    "LocalEnergy",
    "Metropolis",
    "VMCResult",
    "blocked",
    "draw_exactly",
    "ground_state",
    "log_derivatives",
    "natural_gradient",
    "step_along",
    "swap_renyi2",
    "v_score",
]
