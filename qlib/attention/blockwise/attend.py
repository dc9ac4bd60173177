"""Attention to clusters of keys, with a query's own surroundings exact."""

import torch
from torch.nn.functional import pad

from qlib.arguments import positive_integer
from qlib.attention.backend import AttentionResult, Backend, Info
from qlib.attention.blockwise.pools import leaves_of, wide_dtype
from qlib.attention.blockwise.segments import all_keys, past_segments
from qlib.attention.blockwise.tile import attend_columns, spread

LOGITS = 2**18  # in one product: 1 MiB in float32, a processor core's own cache
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def attend(
    q,
    k,
    v,
    mask,
    *,
    scale,
    dropout_p,
    generator,
    need_weights,
    pool=16,
    pools=256,
    heavy=64,
    tile=256,
    dtype=None,
):
    """Softmax attention in which near keys share one weight.

    Keys are put into small clusters, tight in the metric of the logits; a cluster
    enters as its mean key and mean value with the log of its count. Under causality
    a query sees the keys of its own tile exactly, and its past as clusters of
    segments of 1, 2, 4, ... tiles, none of which holds a later key. It is the
    coarse part of multiresolution analysis attention (arXiv 2207.10284), over
    clusters instead of neighbours in the text, in the off-diagonal blocks of a
    hierarchical matrix as in H-Transformer-1D (arXiv 2107.11906). The error is of
    first order in the spread of the logits within clusters.

    In every segment the keys of largest weight, judged by a few queries, stand by
    themselves. Exact attention on the best blocks of keys gained less, on a language
    model over bytes, than as many more pools. Finding the clusters takes as long as
    attending to them at 2048 keys, where it pays without causality only.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As in `Backend`; `dropout_p` and `generator` are not used.
    pool : int
        Most keys in a cluster, reached from ``pool * pools`` keys on; 1 is exact.
    pools : int
        Clusters that a segment has at least. A segment of fewer than ``2 * pools``
        keys (512 by default) is not pooled, and attention to it is exact. With the
        defaults heads of a language model over bytes err by 2 to 20 %, 6 to 12 % in
        the mean, at 2048 and 8192 keys, causal or not.
    heavy : int
        Keys of each segment that carry the largest weights and are not pooled.
    tile : int
        A power of two, of queries at a time; under causality also the length of what
        is exact.
    dtype : torch.dtype or None
        Of the products of matrices; None is that of q.

    Returns
    -------
    AttentionResult
    """
    pool = positive_integer("pool", pool)
    pools = positive_integer("pools", pools)
    heavy = positive_integer("heavy", heavy)
    tile = power_of_two("tile", tile)
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype: got {dtype!r}; allowed: None or one of {DTYPES}")
    dtype = dtype or q.dtype
    tile = min(tile, leaves_of(q.shape[2], 1))

    def size_of(length):
        return max(1, min(pool, length // pools))

    length = padded_length(q.shape[2], k.shape[2], mask.is_causal, tile, size_of)
    heads = flat_heads(q, k, v, mask, length)
    if mask.is_causal:
        seen = past_segments(
            *heads, scale, dtype, tile=tile, size_of=size_of, heavy=heavy
        )
    else:
        runs = all_keys(*heads, scale, dtype, size=size_of(k.shape[2]), heavy=heavy)
        columns = sum(count for _, _, count in runs)
        tile = max(tile, LOGITS // (len(heads[0]) * columns))
        seen = [runs] * -(-q.shape[2] // tile)
    scaled = (heads[0] * scale).to(dtype)
    blind = mask.keys is not None
    output, weights, columns = attend_tiles(
        scaled, seen, tile, length, mask.is_causal, blind, need_weights
    )
    pooled = any(run.members.shape[-1] > 1 for parts in seen for run, *_ in parts)
    kernel = "pooled keys" if pooled else "single keys"
    info = Info("blockwise", kernel, dtype, columns, columns)
    shape = q.shape[:3]
    output = output.to(q.dtype).view(*shape, -1)
    if need_weights:
        weights = pad(weights.to(q.dtype).view(*shape, -1), (0, k.shape[2] - length))
    return AttentionResult(output, weights, info)


def power_of_two(name, value):
    """`value` as an int, refused by `name` unless it is a power of two."""
    number = positive_integer(name, value)
    if number & (number - 1):
        raise ValueError(f"{name}: got {value!r}; allowed: a power of two")
    return number


def padded_length(queries, keys, is_causal, tile, size_of):
    """Keys that tiles or pools of equal size need, at least as many as there are."""
    if is_causal:
        return -(-queries // tile) * tile
    size = size_of(keys)
    if size == 1:
        return keys
    leaves = leaves_of(keys, size)
    return -(-keys // leaves) * leaves


def flat_heads(q, k, v, mask, length):
    """q, k and v as (batch * head, ..., dim), and which keys are open.

    Keys are cut or padded to `length`; those that are cut are seen by no query.
    """
    valid = torch.ones(k.shape[0], k.shape[2], dtype=torch.bool, device=k.device)
    if mask.keys is not None:
        valid = mask.keys
    more = length - k.shape[2]
    if more:
        valid = pad(valid, (0, more))
        k, v = (pad(x, (0, 0, 0, more)) for x in (k, v))
    valid = valid[:, None].expand(-1, k.shape[1], -1)
    return *(x.flatten(0, 1) for x in (q, k, v)), valid.flatten(0, 1)


def attend_tiles(q, seen, tile, length, is_causal, blind, need_weights):
    """Output, weights or None, and mean columns seen, over tiles of queries."""
    outputs, kept, columns = [], [], 0
    later = None
    if is_causal:
        wide = wide_dtype(q.dtype)
        later = torch.full((tile, tile), -torch.inf, dtype=wide, device=q.device)
        later = later.triu_(1)
    for rows, parts in zip(q.split(tile, 1), seen, strict=True):
        keys, values, counts = (
            torch.cat([getattr(x, name).narrow(1, *run) for x, *run in parts], 1)
            for name in ("keys", "values", "log_counts")
        )
        shut = None if later is None else later[: rows.shape[1]]
        columns += keys.shape[1] * rows.shape[1] / q.shape[1]
        group = max(1, LOGITS // (rows.shape[1] * keys.shape[1]))
        groups = (x.split(group) for x in (rows, keys, values, counts))
        found = [
            attend_columns(*some, shut, blind=blind)
            for some in zip(*groups, strict=True)
        ]
        outputs.append(torch.cat([output for output, _ in found]))
        if need_weights:
            kept.append(spread(torch.cat([each for _, each in found]), parts, length))
    weights = torch.cat(kept, 1) if need_weights else None
    return torch.cat(outputs, 1), weights, columns


BLOCKWISE = Backend(
    name="blockwise",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=frozenset({"causal", "padding"}),
    dropout=False,
    differentiable=True,
    cost="2 n (n / pool + heavy) (d + dv) + 64 n d + O(n log n); causal: half of "
    "n^2 / pool, the rest log2(n / tile) / 2 times, + 2 n tile (d + dv)",
    says="tight clusters of keys in place of keys; a causal query's own tile exact",
)
