"""Which columns a tile of queries attends to: pools of the past, and itself."""

import torch

from qlib.attention.blockwise.features import coordinates
from qlib.attention.blockwise.pools import leaves_of, pooled, single_keys
from qlib.attention.blockwise.tree import cluster_orders


def all_keys(q, k, v, valid, scale, dtype, *, size):
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

    Returns
    -------
    Pools
    """
    if size == 1:
        return single_keys(k, v, valid, dtype)
    points = coordinates(*plain(q, k, v), valid, scale, prefix=k.shape[1])
    whole = [(0, k.shape[1], size)]
    return clustered(points, k, v, valid, dtype, [whole])[0][0][0]


def past_segments(q, k, v, valid, scale, dtype, *, tile, size_of):
    """For each tile of queries, its past in pools and its own keys one by one.

    Level l has segments of 2**l tiles, of which every second is pooled, the first
    included. Where digit l of a tile's number is one, one of them is a part of its
    past: so every past key is seen once, in the longest such segment. A segment is
    pooled by its own keys and by the metric of the first tile, which lie before every
    query that sees it.

    Parameters
    ----------
    q, k, v, valid, scale, dtype
        As in `all_keys`; the number of keys is a multiple of `tile`.
    tile : int
        A power of two.
    size_of : callable
        Most keys in a pool of a segment of a given length.

    Returns
    -------
    list over tiles of lists of (Pools, first, count)
        Runs of pools; the tile's own keys last.
    """
    length = k.shape[1]
    single = single_keys(k, v, valid, dtype)
    exact, rough, span = [], [], tile
    while span < length:
        size = size_of(span)
        starts = range(0, length - span, 2 * span)
        if size == 1:
            exact.append([(single, start, span) for start in starts])
        else:
            rough.append([(start, span, size) for start in starts])
        span *= 2
    if rough:
        points = coordinates(*plain(q, k, v), valid, scale, prefix=tile)
        exact += clustered(points, k, v, valid, dtype, rough[::-1])[::-1]
    seen = []
    for number in range(length // tile):
        digits = [level for level in range(len(exact)) if number >> level & 1]
        past = [exact[level][number >> level + 1] for level in digits]
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
    levels : list of lists of (start, length, size)
        Segments of one length, with the most keys in a pool; from the longest.

    Returns
    -------
    list over levels of lists over segments of (Pools, first, count)
        Runs of the pools of a level.
    """
    heads, keys, _ = points.shape
    first = torch.arange(0, heads * keys, keys, device=k.device)[:, None, None]
    segments = []
    for level in levels:
        _, length, size = level[0]
        starts = torch.tensor([start for start, _, _ in level], device=k.device)
        rows = first + starts[:, None] + torch.arange(length, device=k.device)
        segments.append((rows.flatten(0, 1), length // leaves_of(length, size)))
    found = []
    orders = cluster_orders(points.flatten(0, 1), segments)
    for order, (_, size) in zip(orders, segments, strict=True):
        pools = pooled(k, v, valid, order.view(heads, -1, size), dtype)
        leaves = order.shape[1] // size
        count = pools.keys.shape[1]
        found.append([(pools, at, leaves) for at in range(0, count, leaves)])
    return found


def plain(*tensors):
    """Without gradients, in float32: what an order of keys is found from."""
    return (x.detach().float() for x in tensors)
