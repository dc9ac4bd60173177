"""No map at all: what remains of an encoding when its quantum part is removed."""

from torch import nn


class Linear(nn.Module):
    """x -> x / dim^1/2, whose inner products give the logits of plain attention.

    Parameters
    ----------
    width : int
        Numbers in a vector.
    dim : int
        Of queries and keys before their projection, so that vectors of unit variance
        have norm 1 in the mean where nothing was left out.

    Attributes
    ----------
    size : int
        Numbers in a state, `width`.
    """

    def __init__(self, width, dim):
        super().__init__()
        self.width = self.size = width
        self.dim = dim

    def forward(self, x):
        """(..., width) -> (..., width)."""
        return x * self.dim**-0.5

    def kernel(self, bra, ket):
        """Inner products, (..., query, width) and (..., key, width)."""
        return bra @ ket.mT  # (..., query, key)
