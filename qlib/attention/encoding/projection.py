"""The trainable linear map in front of every encoding, one a head."""

import torch
from torch import nn

from qlib.arguments import integer_between, positive_integer


class Projection(nn.Module):
    """x -> x W of queries and keys alike, so that their kernel is a kernel.

    Parameters
    ----------
    heads : int
        Maps of their own; 1 is shared by all heads.
    dim : int
        Of queries and keys.
    width : int, optional
        Numbers kept, at most `dim`, the default.

    Notes
    -----
    It starts by pooling: each number kept is the sum of neighbouring components over
    the root of their count. The columns of W are then orthonormal, W is the identity
    where `width` is `dim`, and nothing is drawn; the random start of a layer is that
    of its queries and keys.
    """

    def __init__(self, heads, dim, width=None):
        super().__init__()
        self.heads = positive_integer("heads", heads)
        self.dim = positive_integer("dim", dim)
        self.width = integer_between("width", dim if width is None else width, 1, dim)
        start = pooling(self.dim, self.width)
        self.weight = nn.Parameter(start.repeat(self.heads, 1, 1))

    def forward(self, x):
        """(batch, head, length, dim) -> (batch, head, length, width)."""
        return x @ self.weight.to(x.dtype)  # (batch, head, length, width)


def pooling(dim, width):
    """Sums over `width` runs of components of nearly equal length, as a matrix.

    Returns
    -------
    (dim, width) tensor
        Its columns orthonormal.
    """
    run = torch.arange(dim) * width // dim
    chosen = (run[:, None] == torch.arange(width)).to(torch.get_default_dtype())
    return chosen / chosen.sum(0).sqrt()
