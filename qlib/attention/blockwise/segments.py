"""Which columns a tile of queries attends to: pools of the past, and itself."""

import torch

from qlib.attention.blockwise.features import coordinates
from qlib.attention.blockwise.pools import clustered, pooled


def all_keys(q, k, v, valid, scale, dtype, *, pool):
    """The pools of all keys, which every query sees.

    Parameters
    ----------
    q, k, v : (head, query, d), (head, key, d), (head, key, value) tensors
        k and v are 0 where a key is shut.
    valid : (head, key) bool tensor
    scale : float
    dtype : torch.dtype
        Of the pooled keys and values.
    pool : int
        Most keys in a pool.

    Returns
    -------
    list of Pools
        One.
    """
    points = coordinates(*narrow(q, k, v), valid, scale, prefix=k.shape[1])
    start = torch.zeros(1, dtype=torch.long, device=k.device)
    return clustered(
        points, k, v, valid, dtype, starts=start, length=k.shape[1], size=pool
    )


def past_segments(q, k, v, valid, scale, dtype, *, pool, tile):
    """Pools of the segments that the past of a tile of queries is made of.

    Level l has segments of 2**l tiles, of which every second is pooled, the first
    included. A segment is pooled by its own keys and by the metric of the first
    2**l tiles, both of which lie before every query that sees it.

    Parameters
    ----------
    q, k, v, valid, scale, dtype, pool
        As in `all_keys`; the number of keys is a multiple of `tile`.
    tile : int
        A power of two.

    Returns
    -------
    list over levels of lists over segments of Pools
    """
    length, levels = tile, []
    while length < k.shape[1]:
        starts = torch.arange(0, k.shape[1] - length, 2 * length, device=k.device)
        points = coordinates(*narrow(q, k, v), valid, scale, prefix=length)
        pools = clustered(
            points, k, v, valid, dtype, starts=starts, length=length, size=pool
        )
        levels.append(pools.split(len(starts)))
        length *= 2
    return levels


def single_keys(k, v, valid, dtype, *, tile):
    """Every key by itself, a list over tiles of Pools."""
    places = torch.arange(k.shape[1], device=k.device)
    members = places.expand(len(k), -1)[..., None]  # (head, key, 1)
    return pooled(k, v, valid, members, dtype).split(k.shape[1] // tile)


def seen_by(tile, levels, near):
    """The Pools that a tile of queries sees under causality, in a list.

    Digit l of the tile's number is one where a segment of 2**l whole tiles belongs to
    its past, of even number among those of its length. So every past key is seen
    once, in the longest such segment, and the tile's own keys come last.

    Parameters
    ----------
    tile : int
        Its number.
    levels : list of lists of Pools
        From `past_segments`.
    near : list of Pools
        From `single_keys`.
    """
    digits = [level for level in range(len(levels)) if tile >> level & 1]
    past = [levels[level][(tile >> level) // 2] for level in digits]
    return [*past, near[tile]]


def narrow(*tensors):
    """Without gradients, in float32: what an order of keys is found from."""
    return (x.detach().float() for x in tensors)
