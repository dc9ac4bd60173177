"""Random Fourier features: the classical stand-in for a quantum feature map."""

import math

import torch
from torch import nn

from qlib.arguments import number_between, positive_integer


class Fourier(nn.Module):
    """x -> cosines and sines of random projections, of norm 1.

    The kernel is the inner product; its mean is exp(-|x - y|^2 / (2 spread^2)), its
    error falls as frequencies^-1/2 (Rahimi and Recht, NIPS 2007). Nothing in it is
    trained, as nothing is in the quantum maps.

    Parameters
    ----------
    width : int
        Numbers encoded.
    frequencies : int
        Random directions; a state has twice as many numbers.
    spread : float, optional
        By default (2 width)^1/2, the root mean square distance of vectors of unit
        variance, near their median distance (the usual choice, arXiv 1707.07269).
    generator : torch.Generator, optional
        On the CPU; by default torch's own.

    Attributes
    ----------
    size : int
        Real numbers in a state, 2 frequencies.
    """

    def __init__(self, width, frequencies, *, spread=None, generator=None):
        super().__init__()
        self.width = positive_integer("width", width)
        count = positive_integer("frequencies", frequencies)
        spread = math.sqrt(2 * width) if spread is None else spread
        self.spread = number_between("spread", spread, 0, math.inf, open_low=True)
        self.size = 2 * count
        drawn = torch.randn(self.width, count, generator=generator)
        self.register_buffer("frequencies", drawn / self.spread)

    def forward(self, x):
        """Unit vectors, (..., width) -> (..., 2 frequencies)."""
        angles = x @ self.frequencies.to(x.dtype)  # (..., frequencies)
        waves = torch.cat((angles.cos(), angles.sin()), -1)
        return waves * (2 / self.size) ** 0.5

    def kernel(self, bra, ket):
        """Inner products, (..., query, size) and (..., key, size)."""
        return bra @ ket.mT  # (..., query, key)
