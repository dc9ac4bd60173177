"""Exact ground states of chains that are free fermions, to hundreds of sites.

`ground_state(H)` takes the same Pauli sums as exact diagonalisation: inhomogeneous
Ising, XY, XX, SSH, rainbow, random-singlet and cluster chains, open or periodic. What
it returns has energies, gap, and at every cut the entanglement spectrum, from the
covariance matrix of the Majorana operators alone (Peschel, J. Phys. A 36, L205, 2003).
"""

from qlib.entanglement.freefermions.gaussian_state import GaussianState
from qlib.entanglement.freefermions.ground_state import ground_state

__all__ = ["GaussianState", "ground_state"]
