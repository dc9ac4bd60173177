"""Haar wavelets: a vector as sums over scales that can be weighted apart."""

import torch
from torch import nn
from torch.nn.functional import pad

from qlib.attention.encoding.amplitude import qubits_for


def haar(x):
    """Orthonormal Haar transform along the last axis.

    Parameters
    ----------
    x : (..., 2^m) tensor

    Returns
    -------
    (..., 2^m) tensor
        From coarse to fine: the sum of all components over 2^(m/2), then 1, 2, 4, ...
        2^(m-1) differences of neighbouring pooled sums. Norms and inner products are
        those of `x` (Parseval). O(2^m).
    """
    details, coarse = [], x
    while coarse.shape[-1] > 1:
        even, odd = coarse[..., 0::2], coarse[..., 1::2]
        details.append((even - odd) * 0.5**0.5)
        coarse = (even + odd) * 0.5**0.5
    return torch.cat((coarse, *reversed(details)), -1)


def levels(qubits):
    """The level of each Haar coefficient: 0, 1, 2, 2, 3, 3, 3, 3, ...

    Returns
    -------
    (2^qubits,) integer tensor
        0 for the sum, then 1 (coarsest) to `qubits` (finest) for the differences.
    """
    sizes = torch.tensor([1, *(2**level for level in range(qubits))])
    return torch.repeat_interleave(torch.arange(qubits + 1), sizes)


class MultiScale(nn.Module):
    """A projection followed by a Haar transform with a trainable weight a level.

    Classically the transform is a fixed rotation and the weights are a learned
    diagonal metric that ties the coefficients of one scale. With all weights equal, as
    at the start, every overlap of normalised vectors is that without it.

    Parameters
    ----------
    projection : Projection
    """

    def __init__(self, projection):
        super().__init__()
        self.projection = projection
        self.heads, self.dim = projection.heads, projection.dim
        qubits = qubits_for(projection.width)
        self.width = 2**qubits
        self.log_weights = nn.Parameter(torch.zeros(self.heads, 1, qubits + 1))
        self.register_buffer("levels", levels(qubits), persistent=False)

    def forward(self, x):
        """(batch, head, length, dim) -> (batch, head, length, 2^qubits)."""
        x = self.projection(x)
        x = haar(pad(x, (0, self.width - x.shape[-1])))
        weights = self.log_weights.exp().to(x.dtype)[..., self.levels]
        return x * weights  # (batch, head, length, 2^qubits)
