"""Softmax attention of a tile of queries to columns that stand for many keys."""

import torch


def attend_columns(q, keys, values, log_counts, later):
    """Attention to pools as if every open member had the pool's key and value.

    Parameters
    ----------
    q : (head, row, d) tensor
        Times scale * log2(e). Products are computed in its dtype, sums and
        exponentials in that of `log_counts`.
    keys, values : (head, column, d), (head, column, value) tensors
    log_counts : (head, column) tensor
        log2 of how many keys a column stands for.
    later : (row, last) bool tensor or None
        True where a row may not see one of the last columns.

    Returns
    -------
    output : (head, row, value) tensor
        0 for a row that sees nothing.
    weights : (head, row, column) tensor
        Before they are divided by their total.
    total : (head, row, 1) tensor
        Sum of the weights; 1 for a row that sees nothing.
    """
    wide = log_counts.dtype
    logits = (q @ keys.mT).to(wide)  # (head, row, column)
    logits = logits.add_(log_counts[:, None])
    if later is not None:
        logits[..., -later.shape[1] :].masked_fill_(later, -torch.inf)
    level = logits.detach().amax(-1, keepdim=True)
    weights = logits.sub_(level.clamp_min(torch.finfo(wide).min)).exp2_()
    total = weights.sum(-1, keepdim=True)
    total = total.masked_fill(total == 0, 1)
    output = (weights.to(q.dtype) @ values).to(wide) / total  # (head, row, value)
    return output, weights, total


def spread(weights, parts, length):
    """Weights of single keys: a pool's weight in equal parts to its open members.

    Parameters
    ----------
    weights : (head, row, column) tensor
    parts : sequence of Pools
        Whose columns these are, one after the other.
    length : int
        Of the key axis.

    Returns
    -------
    (head, row, key) tensor
    """
    keys = weights.new_zeros(*weights.shape[:2], length)
    widths = [pools.keys.shape[1] for pools in parts]
    for part, pools in zip(weights.split(widths, -1), parts, strict=True):
        shared = part[..., None] * pools.shares[:, None]  # (head, row, pool, size)
        places = pools.members.flatten(1)[:, None].expand(-1, weights.shape[1], -1)
        keys = keys.scatter_add(2, places, shared.flatten(2))  # (head, row, key)
    return keys
