"""Clusters of keys that stand in one column of logits: mean key, mean value, count."""

from dataclasses import dataclass

import torch

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

    def split(self, parts):
        """A list of that many Pools, with equal numbers of pools in their order."""
        tensors = (self.keys, self.values, self.log_counts, self.members, self.shares)
        return [
            Pools(*pieces)
            for pieces in zip(*(x.chunk(parts, 1) for x in tensors), strict=True)
        ]


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
    rows = (members + first).flatten()
    wide = wide_dtype(dtype)
    shares = valid.flatten()[rows].view(members.shape).to(wide)  # (head, pool, size)
    count = shares.sum(-1, keepdim=True)  # (head, pool, 1)
    keys, values = (
        x.reshape(-1, x.shape[-1])
        .index_select(0, rows)
        .view(*members.shape, x.shape[-1])
        .sum(2, dtype=wide)
        .div(count.clamp_min(1))
        .to(dtype)
        for x in (k, v)
    )
    shares = shares / count.clamp_min(1)
    return Pools(keys, values, count[..., 0].log2(), members, shares)


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
    Pools
        In the order of the segments.
    """
    places = starts[:, None] + torch.arange(length, device=k.device)
    inside = points[:, places].flatten(0, 1)  # (head * segment, length, axis)
    leaves = leaves_of(length, size)
    order = cluster_order(inside, leaves).view(len(points), len(starts), length)
    members = (order + starts[:, None]).reshape(len(points), -1, length // leaves)
    return pooled(k, v, valid, members, dtype)


def leaves_of(length, size):
    """The least power of two of pools that hold at most `size` of `length` keys."""
    return 1 << max(0, -(-length // size) - 1).bit_length()
