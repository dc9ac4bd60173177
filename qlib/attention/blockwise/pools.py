"""Clusters of keys that stand in one column of logits: mean key, mean value, count."""

from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag


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
        log of the number of open keys; -inf where there is none.
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


def pooled(k, v, valid, rows, dtype):
    """Pools of given members.

    Parameters
    ----------
    k, v : (head, key, d), (head, key, value) tensors
        0 where a key is shut.
    valid : (head, key) bool tensor
    rows : (head, pool, size) integer tensor
        Members: head * keys + position.
    dtype : torch.dtype
        Of the pooled keys and values; counts and shares are in `wide_dtype` of it.

    Returns
    -------
    Pools
    """
    heads, length, _ = k.shape
    wide = wide_dtype(dtype)
    flat = rows.flatten(0, 1)  # (head * pool, size)
    shares = valid.flatten()[flat].to(wide)
    count = shares.sum(-1, keepdim=True)  # (head * pool, 1)
    shares = shares / count.clamp_min(1)
    keys, values = (
        embedding_bag(
            flat, x.flatten(0, 1).to(wide), mode="sum", per_sample_weights=shares
        )
        .view(heads, -1, x.shape[-1])
        .to(dtype)
        for x in (k, v)
    )
    log_counts = count.log().view(heads, -1)
    return Pools(keys, values, log_counts, rows % length, shares.view(rows.shape))


def wide_dtype(dtype):
    """Of sums and exponentials: float32 for the half precisions, else the dtype."""
    return torch.promote_types(dtype, torch.float32)


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
    log_counts = shares.log()
    return Pools(
        k.to(dtype), v.to(dtype), log_counts, places[..., None], shares[..., None]
    )


def leaves_of(length, size):
    """The least power of two of pools that hold at most `size` of `length` keys."""
    return 1 << max(0, -(-length // size) - 1).bit_length()
