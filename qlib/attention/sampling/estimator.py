"""From expected counts to an output, its weights and its standard error."""

from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag, pad

from qlib.attention.backend import AttentionResult, Info
from qlib.attention.exact.math import (
    TILE,
    accumulation_dtype,
    dropped,
    query_chunks,
    softmax_rows,
)
from qlib.attention.mask import Mask
from qlib.attention.sampling.draws import inverse_cdf


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a design may look at: a chunk of queries, and all values.

    Attributes
    ----------
    weights : (batch, head, query, key) tensor
        Softmax weights, without gradients.
    v : (batch, head, key, value) tensor
        With gradients.
    mask : Mask
    start, stop : int
        Place of the chunk among all queries.
    generator : torch.Generator or None
    """

    weights: torch.Tensor
    v: torch.Tensor
    mask: Mask
    start: int
    stop: int
    generator: torch.Generator | None

    @property
    def rows(self):
        """(batch, head, query)."""
        return self.weights.shape[:-1]


@dataclass(frozen=True, eq=False)
class Design:
    """How a chunk of queries is to draw.

    Attributes
    ----------
    counts : (batch, head, query, key) tensor
        Expected draws of each key, without gradients.
    places : (batch, head, query, sample) tensor
        Of the draws on the cumulated counts.
    independent : bool
        Whether the places are independent of one another, not systematic.
    order : (batch, head, 1, key) integer tensor or None
        In which keys are cumulated.
    coarse : (batch, head, query, 1) tensor or None
        A constant weight that is taken from every visible key before drawing.
    centre : (1 or batch, 1 or head, 1 or query, value) tensor or None
        Mean of the visible values, which is read in place of what `coarse` took.
    visible : (1 or batch, 1 or head, 1 or query, key) bool tensor or None
        Keys of that mean; given with it.
    further : int
        Values that a query reads besides its draws.
    """

    counts: torch.Tensor
    places: torch.Tensor
    independent: bool = False
    order: torch.Tensor | None = None
    coarse: torch.Tensor | None = None
    centre: torch.Tensor | None = None
    visible: torch.Tensor | None = None
    further: int = 0


def sampled_attention(
    design, q, k, v, mask, *, name, scale, dropout_p, generator, need_weights
):
    """Attention by the draws of a design, a chunk of queries at a time.

    A draw of key j, expected m_j times, carries the weight a_j / m_j, in which m_j is
    a constant: the sum over draws of weight times value is unbiased, and so is its
    gradient for every key whose m_j is not 0.

    Parameters
    ----------
    design : callable
        ``design(chunk) -> Design``; gradients reach its centre only.
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As every backend takes them. Half precisions are computed in float32. Dropout
        acts on draws.
    name : str
        Of the backend.

    Returns
    -------
    AttentionResult
        The standard error is that of the draws before dropout. In float32 it is
        resolved to about 3e-4 of the size of the values.
    """
    wide = accumulation_dtype(q.dtype)
    length = k.shape[2]
    parts, formed, read = [], 0, 0.0
    for start, stop in query_chunks(q, length, tile(q, length, mask)):
        seen = min(stop, length) if mask.is_causal else length
        part, wide_k, wide_v = (
            each.to(wide)
            for each in (q[:, :, start:stop], k[:, :, :seen], v[:, :, :seen])
        )
        cut = first_keys(mask, seen)
        weights = softmax_rows(part, wide_k, cut, start, stop, scale)
        chunk = Chunk(weights.detach(), wide_v, cut, start, stop, generator)
        plan = design(chunk)
        output, drawn, made, error = _estimate(
            weights, wide_v, plan, dropout_p, generator, need_weights
        )
        if need_weights:
            made = pad(made, (0, length - seen)).to(q.dtype)
        parts.append((output.to(q.dtype), drawn, made, error.to(q.dtype)))
        formed += seen * (stop - start)
        read += drawn.sum().item() + plan.further * drawn.numel()
    output, drawn, made, error = (
        torch.cat(each, 2) if each[0] is not None else None
        for each in zip(*parts, strict=True)
    )
    info = Info(
        name,
        "materialised logits, weighted gather",
        wide,
        formed / q.shape[2],
        read / drawn.numel(),
        drawn,
        error,
    )
    return AttentionResult(output, made, info)


def tile(q, keys, mask):
    """Logits in a chunk; under causality at most an eighth of the queries.

    Only keys that all queries of a chunk see can be sorted, and those after its last
    query are left out, so that smaller chunks pay there.
    """
    if not mask.is_causal:
        return TILE
    batch, heads, queries, _ = q.shape
    return min(TILE, batch * heads * keys * max(64, queries // 8))


def first_keys(mask, stop):
    """The mask of the keys before `stop`."""
    keys = None if mask.keys is None else mask.keys[:, :stop]
    general = None if mask.general is None else mask.general[..., :stop]
    return Mask(mask.is_causal, keys, general)


def _estimate(weights, v, plan, dropout_p, generator, need_weights):
    """Output, draws, weights and standard error of a chunk of queries."""
    keys, void = inverse_cdf(plan.counts, plan.places, plan.order)
    count = plan.counts.gather(-1, keys).masked_fill(void, 1)  # (b, h, query, sample)
    share = weights.gather(-1, keys)
    if plan.coarse is not None:
        share = share - plan.coarse
    exact = (share / count).masked_fill(void, 0)
    error = standard_error(keys, exact.detach(), count, void, v.detach(), plan)
    drawn = dropped(exact, dropout_p, generator)
    output = weighted_sum(keys, drawn, v)  # (batch, head, query, value)
    left = 1 - drawn.sum(-1, keepdim=True)
    if plan.centre is not None:
        output = output + left * plan.centre
    blind = weights.detach().amax(-1, keepdim=True) == 0  # no key was seen
    made = None
    if need_weights:
        made = torch.zeros_like(weights).scatter_add(-1, keys, drawn)
        if plan.centre is not None:
            seen = plan.visible.to(v.dtype)
            made = made + left * seen / seen.sum(-1, keepdim=True).clamp(min=1)
        made = made.masked_fill(blind, 0)
    samples = (~void).sum(-1)
    return output.masked_fill(blind, 0), samples, made, error


def weighted_sum(keys, weights, v):
    """Sum over draws of weight times value, without a copy of the values drawn.

    Parameters
    ----------
    keys : (batch, head, query, sample) integer tensor
    weights : (batch, head, query, sample) tensor
    v : (batch, head, key, value) tensor

    Returns
    -------
    (batch, head, query, value) tensor
    """
    batch, heads, length, value = v.shape
    first = torch.arange(batch * heads, device=v.device).mul_(length)
    rows = keys + first.view(batch, heads, 1, 1)  # (batch, head, query, sample)
    total = embedding_bag(
        rows.flatten(0, 2),
        v.reshape(-1, value),
        mode="sum",
        per_sample_weights=weights.flatten(0, 2),
    )
    return total.view(*keys.shape[:-1], value)


def standard_error(keys, drawn, count, void, v, plan):
    """Root of the estimated variance of every component of the output.

    With x a draw's contribution and r the draws that chance could have placed
    elsewhere, the variance is r / (r - 1) Σ ω (x - mean x)² over them. ω is 1 for
    independent draws and f (1 - f) / m for systematic ones, f being the fractional
    part of the expected count m (a key is drawn floor(m) or ceil(m) times), the rule
    of Hájek (1964) for samples without replacement. Where r is 1 the square itself
    is taken, which is too large on average.

    Parameters
    ----------
    keys : (batch, head, query, sample) integer tensor
    drawn, count : (batch, head, query, sample) tensor
        Weight and expected count of each draw.
    void : (batch, head, query, sample) bool tensor
    v : (batch, head, key, value) tensor
    plan : Design

    Returns
    -------
    (batch, head, query, value) tensor
    """
    fraction = count - count.floor()
    noise = torch.ones_like(count)
    if not plan.independent:
        noise = fraction * (1 - fraction) / count
    noise = noise.masked_fill(void, 0)
    chance = (noise > 0).to(v.dtype)
    r = chance.sum(-1, keepdim=True)  # (batch, head, query, 1)
    alone = r < 2
    centring = (chance / r.clamp(min=1)).masked_fill(alone, 0)
    square = weighted_sum(keys, noise * drawn**2, v**2)
    linear = weighted_sum(keys, noise * drawn, v)
    mean = weighted_sum(keys, centring * drawn, v)
    if plan.centre is not None:
        z = plan.centre.detach()
        cross = weighted_sum(keys, noise * drawn**2, v)
        square = square - 2 * z * cross + z**2 * _total(noise * drawn**2)
        linear = linear - z * _total(noise * drawn)
        mean = mean - z * _total(centring * drawn)
    spread = square - 2 * mean * linear + mean**2 * _total(noise)
    variance = spread.clamp(min=0) * torch.where(alone, 1.0, r / (r - 1))
    return variance.sqrt()


def _total(draws):
    return draws.sum(-1, keepdim=True)
