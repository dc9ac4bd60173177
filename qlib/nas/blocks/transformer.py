"""Layers of multi-head attention."""

import math

import torch
from torch import nn
from torch.nn import functional

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import normal

CAP = 50.0  # of a score: weights between exp(±50) and their sums keep their digits


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
    Vaswani et al., NeurIPS 2017, with the norms first (Xiong et al., ICML 2020) and
    scores that level off at `CAP` (Gemma Team, arXiv:2408.00118). Cost
    O(N dim (N + dim + width)) a configuration of N tokens.
    """

    def __init__(self, dim, heads, width, *, scale, generator):
        super().__init__()
        self.heads = heads
        drawn = {"real": True, "generator": generator}
        spread = scale / math.sqrt(dim)
        self.queries_keys_values = normal(dim, 3 * dim, scale=spread, **drawn)
        self.joined = normal(dim, dim, scale=spread, **drawn)
        self.hidden = normal(dim, width, scale=spread, **drawn)
        self.hidden_bias = normal(width, scale=0.0, **drawn)
        self.back = normal(width, dim, scale=scale / math.sqrt(width), **drawn)

    def forward(self, tokens, mask=None):
        """(configs, N, dim) -> the same; queries see the keys where `mask` (N, N)."""
        queries, keys, values = self.split(tokens)
        return self.added(tokens, self.found(queries, keys, values, mask))

    def of_spins(self, pairs, chosen, mask=None):
        """`forward` where each token is one of two, with few exponentials.

        Parameters
        ----------
        pairs : (2, N, dim) tensor
            The tokens of spin up and of spin down.
        chosen : (configs, 2, N) tensor
            1 for the one of the two that is there, 0 for the other.
        mask : (N, N) bool tensor, optional
            Which keys a query sees.

        Returns
        -------
        (configs, N, dim) tensor

        Notes
        -----
        There are 2 N queries and keys in all, hence 4 N^2 scores whatever the number of
        configurations. Sums over keys are one product of matrices, of terms that are
        not negative in the denominator: no digits are lost.
        """
        queries, keys, values = self.split(pairs)  # (2, heads, N, part)
        weights = torch.exp(self.scores(queries[:, None], keys[None]))
        if mask is not None:
            weights = weights * mask
        # (query spin, key spin, heads, query, key) -> key first, query, heads
        weights = weights.permute(1, 4, 0, 3, 2)[..., None]
        values = values.transpose(1, 2)[:, :, None, None]  # (2, key, 1, 1, heads, part)
        above, below = (
            (chosen.flatten(1) @ terms.flatten(0, 1).flatten(1)).view(
                -1, *terms.shape[2:]
            )  # (configs, query spin, query, heads, part)
            for terms in (weights * values, weights)
        )
        chosen = chosen[..., None, None]
        found = (above * chosen).sum(1) / (below * chosen).sum(1)
        tokens = (pairs * chosen[..., 0]).sum(1)
        return self.added(tokens, found.flatten(2))

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
        found = self.found(queries, keys, values, None)
        return self.added(token, found), (keys, values)

    def split(self, tokens):
        """Queries, keys and values, each (configs, heads, N, dim / heads)."""
        configs, sites, dim = tokens.shape
        rows = normalised(tokens).reshape(-1, dim) @ self.queries_keys_values
        parts = rows.view(configs, sites, 3, self.heads, dim // self.heads)
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def scores(self, queries, keys):
        """Logarithms of weights, (..., query, part) (..., key, part) -> (..., key)."""
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        return CAP * torch.tanh(scores / CAP)

    def found(self, queries, keys, values, mask):
        """What the queries attend to, (configs, query, dim)."""
        scores = self.scores(queries, keys)
        if mask is not None:
            scores = torch.where(mask, scores, -torch.inf)
        # (configs, heads, query, [key]) (configs, heads, [key], part)
        return (torch.softmax(scores, -1) @ values).transpose(1, 2).flatten(2)

    def added(self, tokens, found):
        """The tokens with what they attend to, and with the perceptron of that."""
        dim = tokens.shape[-1]
        rows = tokens.reshape(-1, dim) + found.reshape(-1, dim) @ self.joined
        hidden = functional.gelu(normalised(rows) @ self.hidden + self.hidden_bias)
        return (rows + hidden @ self.back).view(tokens.shape)


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


def through(layers, pairs, spins, mask=None):
    """Tokens after all layers, (configs, N) spins -> (configs, N, dim).

    Parameters
    ----------
    layers : sequence of Layer
    pairs : (2, N, dim) tensor
        The tokens of spin up and of spin down.
    spins : (configs, N) tensor of ±1
    mask : (N, N) bool tensor, optional
        Which keys a query sees.
    """
    chosen = (torch.stack([spins, -spins], dim=1) > 0).double()
    tokens = layers[0].of_spins(pairs, chosen, mask)
    for layer in layers[1:]:
        tokens = layer(tokens, mask)
    return tokens
