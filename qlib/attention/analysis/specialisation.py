"""What single heads do, and how much two heads differ."""

import torch
from torch.special import entr

from qlib.attention.analysis.entropy import distributions

TILE = 2**21  # probabilities of mixtures held at a time


def head_distances(weights):
    """Jensen-Shannon divergence of every two heads, in nats.

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
        Rows are divided by their sum first.

    Returns
    -------
    (head, head) tensor
        Mean over batch and queries: 0 for equal heads, ln 2 for heads that never read
        the same key. Symmetric; its root is a metric (Endres and Schindelin, IEEE
        Trans. Inf. Theory 49, 2003). O(head^2 query key), in chunks of queries.
    """
    rows = distributions(weights)
    batch, heads, queries, keys = rows.shape
    step = max(1, TILE // (batch * heads**2 * keys))
    total = rows.new_zeros(heads, heads)
    for part in rows.split(step, dim=2):
        mixed = (part[:, :, None] + part[:, None]) / 2
        joint = entr(mixed).sum(-1)  # (batch, head, head, rows)
        alone = entr(part).sum(-1)  # (batch, head, rows)
        mean = (alone[:, :, None] + alone[:, None]) / 2
        total += (joint - mean).sum((0, 3))
    return (total / (batch * queries)).clamp(min=0)


def previous_token_score(weights):
    """Weight of the token just before the query, mean over queries from the second.

    Parameters
    ----------
    weights : (batch, head, length, length) tensor

    Returns
    -------
    (head,) tensor
        In [0, 1]; NaN for length 1.
    """
    return weights.diagonal(-1, 2, 3).mean((0, 2))


def first_token_score(weights):
    """Weight of the first token, mean over queries from the second.

    Heads leave there what they do not use ("attention sinks", arXiv 2309.17453).

    Parameters
    ----------
    weights : (batch, head, query, key) tensor

    Returns
    -------
    (head,) tensor
        In [0, 1]; NaN for a single query.
    """
    return weights[:, :, 1:, 0].mean((0, 2))


def induction_score(weights, tokens):
    """Weight of those tokens that followed the present token when it was seen before.

    A head that completes ... A B ... A by reading B scores 1 (Olsson et al., arXiv
    2209.11895). On a random sequence that is repeated once it is their prefix-matching
    score.

    Parameters
    ----------
    weights : (batch, head, length, length) tensor
        Of a causal attention.
    tokens : (batch, length) integer tensor

    Returns
    -------
    (head,) tensor
        Mean over the queries whose token was seen before; NaN where there is none.
        Compare with that of uniform causal weights, which is above 0.

    Raises
    ------
    ValueError
        If the tokens are not those of the weights.
    """
    batch, _, queries, length = weights.shape
    if tokens.shape != (batch, length) or queries != length:
        raise ValueError(
            f"tokens: got shape {tuple(tokens.shape)} with weights of shape "
            f"{tuple(weights.shape)}; allowed: (batch, length) with (batch, head, "
            "length, length)"
        )
    before = tokens[:, None, :-1]
    follows = tokens.new_zeros(len(tokens), length, length, dtype=torch.bool)
    follows[:, :, 1:] = (tokens[:, :, None] == before).tril(-1)
    repeated = follows.any(-1)[:, None]  # (batch, 1, query)
    read = (weights * follows[:, None]).sum(-1)  # (batch, head, query)
    return (read * repeated).sum((0, 2)) / repeated.sum()
