"""A constant attention that is known exactly, and draws from what it leaves over."""

import torch

from qlib.arguments import positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import systematic_places
from qlib.attention.sampling.estimator import Design, sampled_attention
from qlib.attention.sampling.order import order_of, sorting, split_order
from qlib.attention.sampling.thresholds import fitted_counts


def attend(q, k, v, mask, *, samples=32, sort_values=True, **call):
    """Mean of the visible values plus draws from |a_j - c| ‖v_j - v̄‖.

    As Σ_j (v_j - v̄) = 0, o = v̄ + Σ_j (a_j - c) (v_j - v̄) for every constant c. The
    terms are smaller than those of Σ_j a_j v_j when c is near most weights: c is their
    geometric mean, the weight of a key at the mean of the keys, which is the median
    of weights whose logits are Gaussian. Centring values alone, c = 0, leaves the
    error of draws in proportion to a_j as it was.

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them; no dropout.
    samples : int
        Values read for each query, the mean counted as one; at least 2, 32 by default.
    sort_values : bool
        As in `stratified`; the terms of weights above c and below it apart, since
        their signs differ.

    Returns
    -------
    AttentionResult
        Weights may be negative; their rows sum to 1. A general mask costs 2 n² d more
        operations for its means.
    """
    samples, sort_values = positive_integer("samples", samples), sorting(sort_values)
    if samples < 2:
        raise ValueError(f"samples: got {samples}; allowed: an integer >= 2")

    def design(chunk):
        visible = visible_keys(chunk)
        centre = mean_visible(chunk, visible)  # (batch, head, 1 or query, value)
        coarse = geometric_mean(chunk.weights, visible)
        counts = fitted_counts(residuals(chunk, visible, centre, coarse), samples - 1)
        places = systematic_places(
            chunk.rows, samples - 1, like=counts, generator=chunk.generator
        )
        order = None
        if sort_values:
            order = split_order(order_of(chunk), chunk.weights > coarse)
        return Design(
            counts,
            places,
            order=order,
            coarse=coarse,
            centre=centre,
            visible=visible,
            further=1,
        )

    return sampled_attention(design, q, k, v, mask, name="control_variate", **call)


def visible_keys(chunk):
    """Pairs that the mask leaves, (1 or b, 1 or h, 1 or query, key) of bool."""
    keys = chunk.v.shape[2]
    tile = chunk.mask.rows(chunk.start, chunk.stop, keys, like=chunk.v)
    if tile is None:
        return torch.ones(1, 1, 1, keys, dtype=torch.bool, device=chunk.v.device)
    return tile > -torch.inf


def mean_visible(chunk, visible):
    """Mean of the values that each query sees, 0 where it sees none.

    Parameters
    ----------
    chunk : Chunk
    visible : bool tensor
        As `visible_keys` gives it.

    Returns
    -------
    (batch, head, 1 or query, value) tensor
        By sums over prefixes under causality, by a product only for a general mask.
    """
    v, mask = chunk.v, chunk.mask
    count = visible.sum(-1, keepdim=True).clamp(min=1)
    if mask.general is not None:
        return visible.to(v.dtype) @ v / count
    if not mask.is_causal:
        return v.sum(2, keepdim=True) / count
    places = torch.arange(chunk.start, chunk.stop, device=v.device)
    return v.cumsum(2)[:, :, places.clamp(max=v.shape[2] - 1)] / count


def geometric_mean(weights, visible):
    """exp of the mean logarithm of the visible weights of each query."""
    tiny = torch.finfo(weights.dtype).tiny
    logs = weights.clamp(min=tiny).log().masked_fill(~visible, 0)
    count = visible.sum(-1, keepdim=True).clamp(min=1)
    return (logs.sum(-1, keepdim=True) / count).exp()  # (batch, head, query, 1)


def residuals(chunk, visible, centre, coarse):
    """|a - c| √(‖v‖² + ‖v̄‖²), which is 0 only where the term itself is.

    The root is the distance ‖v - v̄‖ for values that are orthogonal to their mean, at
    the cost of n lengths in place of n² distances.
    """
    squares = chunk.v.detach().square().sum(-1)[:, :, None]  # (batch, head, 1, key)
    size = (squares + centre.detach().square().sum(-1, keepdim=True)).sqrt()
    left = (chunk.weights - coarse).abs() * size  # (batch, head, query, key)
    return left.masked_fill(~visible, 0)


CONTROL_VARIATE = Backend(
    name="control_variate",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=True,
    masks=ANY_MASK,
    dropout=False,
    differentiable=True,
    cost="2 n² d + 2 n samples d, 4 n² d + … with a general mask",
    says="a constant attention known exactly, draws from what it leaves over",
)
