"""Which columns a tile of queries attends to: pools of the past, and itself."""

import torch

from qlib.attention.blockwise.features import coordinates
from qlib.attention.blockwise.heavy import heavy_keys
from qlib.attention.blockwise.pools import leaves_of, pooled, single_keys
from qlib.attention.blockwise.tree import cluster_orders


def all_keys(q, k, v, valid, scale, dtype, *, size, heavy):
    """The pools of all keys, which every query sees.

    Parameters
    ----------
    q, k, v : (head, query, d), (head, key, d), (head, key, value) tensors
        k and v are 0 where a key is shut.
    valid : (head, key) bool tensor
    scale : float
    dtype : torch.dtype
        Of the pooled keys and values.
    size : int
        Most keys in a pool.
    heavy : int
        Keys of largest weight that stand by themselves.

    Returns
    -------
    list of (Pools, first, count)
        Runs of pools.
    """
    if size == 1:
        return [(single_keys(k, v, valid, dtype), 0, k.shape[1])]
    sides = tuple(plain(q, k, v))
    points = coordinates(*sides, valid, scale, prefix=k.shape[1])
    start = torch.zeros(1, dtype=torch.long, device=k.device)
    count = min(heavy, k.shape[1])
    chosen = heavy_keys(
        *sides[:2], valid, start, k.shape[1], scale, count=count, own=False
    )
    level = (start, k.shape[1], size, chosen)
    return clustered(points, k, v, valid, dtype, [level])[0][0]


def past_segments(q, k, v, valid, scale, dtype, *, tile, size_of, heavy):
    """For each tile of queries, its past in pools and its own keys one by one.

    Level l has segments of 2**l tiles, of which every second is pooled, the first
    included. Where digit l of a tile's number is one, one of them is a part of its
    past: so every past key is seen once, in the longest such segment. A segment is
    pooled by its own keys and by the metric of the first tile, which lie before every
    query that sees it.

    Parameters
    ----------
    q, k, v, valid, scale, dtype, heavy
        As in `all_keys`, `heavy` for each segment; the number of keys is a multiple
        of `tile`.
    tile : int
        A power of two.
    size_of : callable
        Most keys in a pool of a segment of a given length.

    Returns
    -------
    list over tiles of lists of (Pools, first, count)
        Runs of pools; the tile's own keys last.
    """
    length, sides = k.shape[1], tuple(plain(q, k, v))
    single = single_keys(k, v, valid, dtype)
    exact, rough, span = [], [], tile
    while span < length:
        size = size_of(span)
        starts = torch.arange(0, length - span, 2 * span, device=k.device)
        if size == 1:
            exact.append([[(single, start, span)] for start in starts.tolist()])
        else:
            chosen = heavy_keys(
                *sides[:2], valid, starts, span, scale, count=min(heavy, span), own=True
            )
            rough.append((starts, span, size, chosen))
        span *= 2
    if rough:
        points = coordinates(*sides, valid, scale, prefix=tile)
        exact += clustered(points, k, v, valid, dtype, rough[::-1])[::-1]
    seen = []
    for number in range(length // tile):
        digits = [level for level in range(len(exact)) if number >> level & 1]
        past = [run for level in digits for run in exact[level][number >> level + 1]]
        seen.append([*past, (single, number * tile, tile)])
    return seen


def clustered(points, k, v, valid, dtype, levels):
    """Pools of keys near each other within each of some segments.

    Parameters
    ----------
    points : (head, key, axis) tensor
        Where each key lies.
    k, v, valid, dtype
        As in `all_keys`.
    levels : list of (starts, length, size, heavy)
        Segments of one length, with the most keys in a pool and the positions
        (head, segment, count) of keys that are not pooled; from the longest.

    Returns
    -------
    list over levels of lists over segments of lists of (Pools, first, count)
        Runs of pools: those of the clusters, then single keys.
    """
    heads, keys, _ = points.shape
    first = torch.arange(0, heads * keys, keys, device=k.device)[:, None, None]
    segments = []
    for starts, length, size, _ in levels:
        rows = first + starts[:, None] + torch.arange(length, device=k.device)
        segments.append((rows.flatten(0, 1), length // leaves_of(length, size)))
    found = []
    orders = cluster_orders(points.flatten(0, 1), segments)
    for order, (_, size), level in zip(orders, segments, levels, strict=True):
        heavy = level[3]
        light = valid.scatter(1, heavy.flatten(1), False)
        pools = pooled(k, v, light, order.view(heads, -1, size), dtype)
        alone = pooled(k, v, valid, (heavy + first).view(heads, -1, 1), dtype)
        sizes = (order.shape[1] // size, heavy.shape[2])
        found.append(
            [
                [(x, at * n, n) for x, n in zip((pools, alone), sizes, strict=True)]
                for at in range(heavy.shape[1])
            ]
        )
    return found


def plain(*tensors):
    """Without gradients, in float32: what an order of keys is found from."""
    return (x.detach().float() for x in tensors)
