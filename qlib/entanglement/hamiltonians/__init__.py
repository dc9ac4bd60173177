"""Hamiltonians of qubit chains as Pauli sums, with their phases.

Every coupling is a number, or an array with one entry per bond (N − 1 on an open chain,
N on a ring, bond i joining the sites i and i + 1), per site, or per what its docstring
says. Energies are in the units of the couplings. Rings have at least 3 sites.
"""

from qlib.entanglement.hamiltonians.ising import (
    cluster,
    lmg,
    long_range_ising,
    tfim,
    toric_code,
    xy,
)
from qlib.entanglement.hamiltonians.spins import (
    heisenberg,
    j1j2,
    rainbow_xx,
    random_singlet,
    ssh,
    xxz,
)

__all__ = [
    "cluster",
    "heisenberg",
    "j1j2",
    "lmg",
    "long_range_ising",
    "rainbow_xx",
    "random_singlet",
    "ssh",
    "tfim",
    "toric_code",
    "xxz",
    "xy",
]
