"""Ground states of qubit systems, their entanglement, and its prediction.

The problem: `hamiltonians`, sums of Pauli strings (`PauliSum`). Exact answers: `exact`
(diagonalisation), `freefermions` (chains of hundreds of sites), `closed_forms`. Beyond
them: `dmrg`. Measures: `spectrum` (Schmidt values, cumulants), `scaling` (central
charge). Learning: `dataset`, `predictor`, `rbm`. All are modules, loaded when first
named: the function of DMRG is ``dmrg.dmrg``.

Site 0 is the leftmost tensor factor; index 0 is spin up, Z = +1. A cut l separates the
sites 0 … l−1 from the rest. Entropies are in nats.
"""

from importlib import import_module

from qlib.entanglement import hamiltonians
from qlib.entanglement.pauli import PauliSum

__all__ = ["PauliSum", "hamiltonians"]

MODULES = (
    "closed_forms",
    "dataset",
    "dmrg",
    "exact",
    "freefermions",
    "predictor",
    "rbm",
    "scaling",
    "spectrum",
)


def __getattr__(name):
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *MODULES})
