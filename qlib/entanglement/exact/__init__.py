"""Exact diagonalisation: lowest levels, ground states and dense spectra.

Matrix-free up to what a few vectors of 2^N numbers allow, with NumPy or torch.
"""

from qlib.entanglement.exact.ground_state import GroundState, ground_state, spectrum
from qlib.entanglement.exact.sectors import Sector

__all__ = ["GroundState", "Sector", "ground_state", "spectrum"]
