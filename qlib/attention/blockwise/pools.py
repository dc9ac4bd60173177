"""Clusters of keys that stand in one column of logits: mean key, mean value, count."""

from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag

from qlib.attention.blockwise.tree import cluster_order


@dataclass(frozen=True, eq=False)
class Pools:
    """Columns that queries attend to; a single key is a pool of one.

    Attributes
    ----------
    keys : (head, pool, d) tensor
        Means over the open keys of each pool.
    values : (head, pool, value) tensor
        Likewise.
    log_counts : (head, pool) tensor
        log2 of the number of open keys; -inf where there is none.
    members : (head, pool, size) integer tensor
        Positions of the keys.
    shares : (head, pool, size) tensor
        What part of a pool's weight a member has: 1 / count, 0 where it is shut.
    """

    keys: torch.Tensor
    values: torch.Tensor
    log_counts: torch.Tensor
    members: torch.Tensor
    shares: torch.Tensor

    def narrow(self, start, length):
        """Some of the pools, in a row."""
        tensors = (self.keys, self.values, self.log_counts, self.members, self.shares)
        return Pools(*(x.narrow(1, start, length) for x in tensors))


def pooled(k, v, valid, members, dtype):
    """Pools of given members.

    Parameters
    ----------
    k, v : (head, key, d), (head, key, value) tensors
        0 where a key is shut.
    valid : (head, key) bool tensor
    members : (head, pool, size) integer tensor
        Positions along the key axis.
    dtype : torch.dtype
        Of the pooled keys and values; counts and shares are in `wide_dtype` of it.

    Returns
    -------
    Pools
    """
    heads, length, _ = k.shape
    first = torch.arange(0, heads * length, length, device=k.device)[:, None, None]
    rows = (members + first).flatten(0, 1)  # (head * pool, size)
    wide = wide_dtype(dtype)
    shares = valid.flatten()[rows].to(wide)
    count = shares.sum(-1, keepdim=True)  # (head * pool, 1)
    shares = shares / count.clamp_min(1)
    keys, values = (
        embedding_bag(
            rows, x.flatten(0, 1).to(wide), mode="sum", per_sample_weights=shares
        )
        .view(heads, -1, x.shape[-1])
        .to(dtype)
        for x in (k, v)
    )
    log_counts = count.log2().view(heads, -1)
    return Pools(keys, values, log_counts, members, shares.view(members.shape))


def single_keys(k, v, valid, dtype):
    """Every key a pool by itself, at the place it has.

    Parameters
    ----------
    k, v, valid, dtype
        As in `pooled`.

    Returns
    -------
    Pools
    """
    shares = valid.to(wide_dtype(dtype))
    places = torch.arange(k.shape[1], device=k.device).expand(len(k), -1)
    log_counts = shares.log2()
    return Pools(
        k.to(dtype), v.to(dtype), log_counts, places[..., None], shares[..., None]
    )


def wide_dtype(dtype):
    """Of sums and exponentials: float32 for the half precisions, else the dtype."""
    return torch.promote_types(dtype, torch.float32)


def clustered(points, k, v, valid, dtype, *, starts, length, size):
    """Pools of about `size` keys near each other within each of some segments.

    Parameters
    ----------
    points : (head, key, axis) tensor
        Where each key lies.
    k, v, valid, dtype
        As in `pooled`.
    starts : (segment,) integer tensor
        First key of each segment.
    length : int
        Of a segment; a multiple of the number of its pools.
    size : int
        Pools hold at most so many keys: there are 2**ceil(log2(length / size)) of
        them in a segment.

    Returns
    -------
    list over segments of Pools
    """
    places = starts[:, None] + torch.arange(length, device=k.device)
    inside = points[:, places].flatten(0, 1)  # (head * segment, length, axis)
    leaves = leaves_of(length, size)
    order = cluster_order(inside, leaves).view(len(points), len(starts), length)
    members = (order + starts[:, None]).reshape(len(points), -1, length // leaves)
    pools = pooled(k, v, valid, members, dtype)
    return [pools.narrow(first, leaves) for first in range(0, members.shape[1], leaves)]


def leaves_of(length, size):
    """The least power of two of pools that hold at most `size` of `length` keys."""
    return 1 << max(0, -(-length // size) - 1).bit_length()
