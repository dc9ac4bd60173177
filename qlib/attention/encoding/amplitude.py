"""Amplitude encoding: a vector as the amplitudes of a register of qubits."""

from torch import nn
from torch.nn.functional import pad


class Amplitude(nn.Module):
    """x -> x / |x| as the real amplitudes of ceil(log2 width) qubits.

    The kernel is the real overlap <x|y>, what a Hadamard test measures (Cleve et al.,
    quant-ph/9708016). Classically it is the cosine of an angle, and attention with it
    is that of normalised queries and keys (arXiv 2010.04245).

    Parameters
    ----------
    width : int
        Numbers encoded; the register's other amplitudes are 0.

    Attributes
    ----------
    qubits : int
        At least 1.
    size : int
        Real numbers in a state, 2^qubits.
    """

    def __init__(self, width):
        super().__init__()
        self.width = width
        self.qubits = qubits_for(width)
        self.size = 2**self.qubits

    def forward(self, x):
        """Unit vectors, (..., width) -> (..., 2^qubits).

        Parameters
        ----------
        x : (..., width) tensor
            A zero vector has no direction; its state is 0, its overlaps are 0, and
            gradients through it are finite.
        """
        largest = x.detach().abs().amax(-1, keepdim=True)
        x = x / largest.masked_fill(largest == 0, 1)  # no square under- or overflows
        norm = x.norm(dim=-1, keepdim=True)
        x = x / norm.masked_fill(norm == 0, 1)
        return pad(x, (0, self.size - self.width))

    def kernel(self, bra, ket):
        """<bra|ket>, (..., query, size) and (..., key, size) -> (..., query, key)."""
        return bra @ ket.mT  # (..., query, key)


def qubits_for(width):
    """The fewest qubits, at least 1, whose register holds that many amplitudes."""
    return max(1, (width - 1).bit_length())
