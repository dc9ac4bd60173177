"""Which columns a tile of queries attends to: pools of the past, and itself."""

import torch

from qlib.attention.blockwise.features import coordinates
from qlib.attention.blockwise.pools import clustered, single_keys


def pool_size(length, most, least_pools):
    """Keys in a pool of a segment: `most`, less where pools would be too few."""
    return max(1, min(most, length // least_pools))


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
    list of Pools
        One.
    """
    if size == 1:
        return [single_keys(k, v, valid, dtype)]
    points = coordinates(*plain(q, k, v), valid, scale, prefix=k.shape[1])
    start = torch.zeros(1, dtype=torch.long, device=k.device)
    return clustered(
        points, k, v, valid, dtype, starts=start, length=k.shape[1], size=size
    )


def past_segments(q, k, v, valid, scale, dtype, *, tile, size_of):
    """For each tile of queries, its past in pools and its own keys one by one.

    Level l has segments of 2**l tiles, of which every second is pooled, the first
    included. Digit l of the tile's number is one where such a segment ends with its
    past or with a longer segment's start: so every past key is seen once, in the
    longest such segment. A segment is pooled by its own keys and by the metric of the
    first tile, which lie before every query that sees it.

    Parameters
    ----------
    q, k, v, valid, scale, dtype
        As in `all_keys`; the number of keys is a multiple of `tile`.
    tile : int
        A power of two.
    size_of : callable
        Keys in a pool of a segment of a given length.

    Returns
    -------
    list over tiles of lists of Pools
        The tile's own keys last.
    """
    single = single_keys(k, v, valid, dtype)
    points = coordinates(*plain(q, k, v), valid, scale, prefix=tile)
    levels, length = [], tile
    while length < k.shape[1]:
        starts = range(0, k.shape[1] - length, 2 * length)
        size = size_of(length)
        if size == 1:
            levels.append([single.narrow(start, length) for start in starts])
        else:
            starts = torch.tensor(starts, device=k.device)
            levels.append(
                clustered(
                    points, k, v, valid, dtype, starts=starts, length=length, size=size
                )
            )
        length *= 2
    seen = []
    for number in range(k.shape[1] // tile):
        digits = [level for level in range(len(levels)) if number >> level & 1]
        past = [levels[level][number >> level + 1] for level in digits]
        seen.append([*past, single.narrow(number * tile, tile)])
    return seen


def plain(*tensors):
    """Without gradients, in float32: what an order of keys is found from."""
    return (x.detach().float() for x in tensors)
