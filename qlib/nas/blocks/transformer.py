"""Layers of multi-head attention, and the checks and draws of their weights."""

import math

import torch
from torch import nn
from torch.nn import functional

from qlib.arguments import integer_between, number_between


def drawn(*shape, spread, generator):
    """A parameter of normal numbers with standard deviation `spread`."""
    values = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return nn.Parameter(spread * values)


def normalised(tokens):
    """Each token with mean 0 and variance 1; the next matrix holds the gains."""
    return functional.layer_norm(tokens, tokens.shape[-1:])


class Layer(nn.Module):
    """A layer of attention and of a perceptron, each on normalised tokens and added.

    Parameters
    ----------
    dim : int
        Length of a token.
    heads : int
        Of attention, each of length dim / heads.
    width : int
        Hidden units of the perceptron.
    scale : float
        The standard deviation of a weight is this over the root of its inputs' number.
    generator : torch.Generator

    Notes
    -----
    Vaswani et al., NeurIPS 2017, with the norms first (Xiong et al., ICML 2020). Cost
    O(N dim (N + dim + width)) a configuration of N tokens.
    """

    def __init__(self, dim, heads, width, *, scale, generator):
        super().__init__()
        self.heads = heads
        spread = scale / math.sqrt(dim)
        self.queries_keys_values = drawn(
            dim, 3 * dim, spread=spread, generator=generator
        )
        self.joined = drawn(dim, dim, spread=spread, generator=generator)
        self.hidden = drawn(dim, width, spread=spread, generator=generator)
        self.hidden_bias = nn.Parameter(torch.zeros(width, dtype=torch.float64))
        self.back = drawn(
            width, dim, spread=scale / math.sqrt(width), generator=generator
        )

    def forward(self, tokens, mask=None):
        """(configs, N, dim) -> the same; `mask` (N, N) is added to the scores."""
        queries, keys, values = self.split(tokens)
        return self.mixed(tokens, queries, keys, values, mask)

    def step(self, token, past):
        """The next token (configs, 1, dim) alone, with the `past` keys and values.

        Returns
        -------
        token : (configs, 1, dim) tensor
        past : pair of (configs, heads, sites, dim / heads) tensors
        """
        queries, keys, values = self.split(token)
        if past is not None:
            keys, values = (
                torch.cat([old, new], dim=-2)
                for old, new in zip(past, (keys, values), strict=True)
            )
        return self.mixed(token, queries, keys, values, None), (keys, values)

    def split(self, tokens):
        """Queries, keys and values, each (configs, heads, N, dim / heads)."""
        configs, sites, dim = tokens.shape
        rows = normalised(tokens).reshape(-1, dim) @ self.queries_keys_values
        parts = rows.view(configs, sites, 3, self.heads, dim // self.heads)
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def mixed(self, tokens, queries, keys, values, mask):
        """The tokens with what they attend to and the perceptron of that."""
        configs, sites, dim = tokens.shape
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = scores + mask
        # (configs, heads, query, [key]), (configs, heads, [key], part)
        found = torch.softmax(scores, -1) @ values
        rows = found.transpose(1, 2).reshape(-1, dim) @ self.joined
        rows = tokens.reshape(-1, dim) + rows
        hidden = functional.gelu(normalised(rows) @ self.hidden + self.hidden_bias)
        return (rows + hidden @ self.back).view(configs, sites, dim)


def layers(dim, heads, depth, width, *, scale, generator):
    """`depth` layers; width None is 2 dim."""
    dim = integer_between("dim", dim, 2, 4096)
    heads = integer_between("heads", heads, 1, dim)
    if dim % heads:
        raise ValueError(f"heads: got {heads}; allowed: a divisor of dim, {dim}")
    depth = integer_between("depth", depth, 1, 64)
    width = 2 * dim if width is None else integer_between("width", width, 1, 2**16)
    scale = number_between("scale", scale, 0, math.inf)
    return nn.ModuleList(
        Layer(dim, heads, width, scale=scale, generator=generator) for _ in range(depth)
    )
