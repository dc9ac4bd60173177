"""Layers of multi-head attention."""

import math

import torch
from torch import nn
from torch.nn import functional

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import normal

CAP = 50.0  # of a score: weights between exp(±50) and their sums keep their digits
SEVERAL = 4  # configurations from which on the table of 2 N queries and keys pays


def normalised(tokens):
    """Tokens (dim, …) of mean square 1; the next matrix holds the gains."""
    return tokens * torch.rsqrt((tokens * tokens).mean(0) + 1e-5)


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
    Vaswani et al., NeurIPS 2017, with norms first (Xiong et al., ICML 2020) that divide
    by the root mean square (Zhang and Sennrich, NeurIPS 2019), scores that level off at
    `CAP` (Gemma Team, arXiv:2408.00118), and the sigmoid-weighted unit (Elfwing, Uchibe
    and Doya, Neural Networks 107, 3, 2018): as good as GELU here in less than half its
    time. Cost O(N dim (N + dim + width)) a configuration of N tokens.
    """

    def __init__(self, dim, heads, width, *, scale, generator):
        super().__init__()
        self.heads = heads
        drawn = {"real": True, "generator": generator}
        spread = scale / math.sqrt(dim)
        self.queries_keys_values = normal(3 * dim, dim, scale=spread, **drawn)
        self.joined = normal(dim, dim, scale=spread, **drawn)
        self.hidden = normal(width, dim, scale=spread, **drawn)
        self.hidden_bias = normal(width, scale=0.0, **drawn)
        self.back = normal(dim, width, scale=scale / math.sqrt(width), **drawn)

    def forward(self, tokens, mask=None):
        """(dim, N, configs) -> the same; queries see the keys where `mask` (N, N)."""
        queries, keys, values = self.split(tokens)
        return self.added(tokens, self.found(queries, keys, values, mask))

    def of_spins(self, pairs, spins, mask=None):
        """`forward` where each token is one of two, with few exponentials.

        Parameters
        ----------
        pairs : (dim, 2, N) tensor
            The tokens of spin up and of spin down.
        spins : (N, configs) tensor of ±1
        mask : (N, N) bool tensor, optional
            Which keys a query sees.

        Returns
        -------
        (dim, N, configs) tensor

        Notes
        -----
        There are 2 N queries and keys in all, hence 4 N^2 scores whatever the number of
        configurations. Sums over keys are one product of matrices, of terms that are
        not negative in the denominator: no digits are lost.
        """
        N = len(spins)
        queries, keys, values = (t.flatten(2) for t in self.split(pairs))
        weights = torch.exp(scores(queries.mT, keys))  # (heads, 2 query, 2 key)
        if mask is not None:
            weights = weights * mask.repeat(2, 2)
        terms = weights[:, None] * values[:, :, None]  # (heads, part, 2 query, 2 key)
        chosen = (torch.stack([spins, -spins]) > 0).double()  # (2, N, configs)
        above, below = (
            (x.flatten(0, -2) @ chosen.flatten(0, 1)).unflatten(0, (len(x), -1, 2, N))
            for x in (terms, weights)
        )  # (heads, parts or 1, 2, query, configs)
        found = (above * chosen).sum(2) / (below * chosen).sum(2)
        mean, half = pairs.mean(1), (pairs[:, 0] - pairs[:, 1]) / 2
        tokens = mean[..., None] + half[..., None] * spins
        return self.added(tokens, found.flatten(0, 1))

    def step(self, token, past):
        """The next token (dim, 1, configs) alone, with the `past` keys and values.

        Returns
        -------
        token : (dim, 1, configs) tensor
        past : pair of (heads, dim / heads, sites, configs) tensors
        """
        queries, keys, values = self.split(token)
        if past is not None:
            keys, values = (
                torch.cat([old, new], dim=2)
                for old, new in zip(past, (keys, values), strict=True)
            )
        found = self.found(queries, keys, values, None)
        return self.added(token, found), (keys, values)

    def split(self, tokens):
        """(dim, …) -> queries, keys and values, each (heads, dim / heads, …)."""
        rows = self.queries_keys_values @ normalised(tokens).flatten(1)
        rows = rows.unflatten(0, (3, self.heads, -1)).unflatten(3, tokens.shape[1:])
        return rows.unbind(0)

    def found(self, queries, keys, values, mask):
        """What the queries attend to, heads part N configs -> dim N configs."""
        queries, keys, values = (t.permute(0, 3, 1, 2) for t in (queries, keys, values))
        logs = scores(queries.mT, keys)  # (heads, configs, query, key)
        if mask is not None:
            logs = torch.where(mask, logs, -torch.inf)
        # (heads, configs, part, [key]) (heads, configs, query, [key])
        found = values @ torch.softmax(logs, -1).mT
        return found.permute(0, 2, 3, 1).flatten(0, 1)

    def added(self, tokens, found):
        """The tokens with what they attend to, and with the perceptron of that."""
        rows = tokens.flatten(1) + self.joined @ found.flatten(1)
        hidden = self.hidden @ normalised(rows) + self.hidden_bias[:, None]
        return (rows + self.back @ functional.silu(hidden)).view(tokens.shape)


def scores(queries, keys):
    """Logarithms of weights, (…, query, part) (…, part, key) -> (…, query, key)."""
    return CAP * torch.tanh(queries @ keys / (CAP * math.sqrt(keys.shape[-2])))


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
    """Tokens after all layers, (N, configs) spins -> (dim, N, configs).

    Parameters
    ----------
    layers : sequence of Layer
    pairs : (dim, 2, N) tensor
        The tokens of spin up and of spin down.
    spins : (N, configs) tensor of ±1
    mask : (N, N) bool tensor, optional
        Which keys a query sees.

    Notes
    -----
    Configurations come last: tokens are short, and what is done to one number of each
    is one loop over all configurations.
    """
    if spins.shape[1] < SEVERAL:
        up, down = pairs[..., None].unbind(1)
        tokens = layers[0](torch.where(spins > 0, up, down), mask)
    else:
        tokens = layers[0].of_spins(pairs, spins, mask)
    for layer in layers[1:]:
        tokens = layer(tokens, mask)
    return tokens
