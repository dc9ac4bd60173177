"""Softmax attention of a tile of queries to columns that stand for many keys."""

import torch


def attend_columns(q, keys, values, log_counts, later, *, blind):
    """Attention to pools as if every open member had the pool's key and value.

    Parameters
    ----------
    q : (head, row, d) tensor
        Times the scale. Products are computed in its dtype, the softmax in that of
        `log_counts`.
    keys, values : (head, column, d), (head, column, value) tensors
    log_counts : (head, column) tensor
        log of how many keys a column stands for.
    later : (row, last) tensor or None
        -inf where a row may not see one of the last columns, else 0.
    blind : bool
        Whether there may be rows that see nothing.

    Returns
    -------
    output : (head, row, value) tensor
        0 for a row that sees nothing.
    weights : (head, row, column) tensor
        Likewise.
    """
    logits = torch.bmm(q, keys.mT).to(log_counts.dtype)  # (head, row, column)
    logits.add_(log_counts[:, None])
    if later is not None:
        logits.narrow(2, logits.shape[2] - len(later[0]), len(later[0])).add_(later)
    if blind:
        nothing = (logits == -torch.inf).all(-1, keepdim=True)
        logits = logits.masked_fill(nothing, 0)
    weights = logits.softmax(-1)
    if blind:
        weights = weights.masked_fill(nothing, 0)
    return torch.bmm(weights.to(q.dtype), values), weights


def spread(weights, parts, length):
    """Weights of single keys: a pool's weight in equal parts to its open members.

    Parameters
    ----------
    weights : (head, row, column) tensor
    parts : sequence of (Pools, first, count)
        Runs of pools that these columns are, one after the other.
    length : int
        Of the key axis.

    Returns
    -------
    (head, row, key) tensor
    """
    keys = weights.new_zeros(*weights.shape[:2], length)
    widths = [count for _, _, count in parts]
    for part, (pools, *run) in zip(weights.split(widths, -1), parts, strict=True):
        shares = pools.shares.narrow(1, *run)[:, None]  # (head, 1, pool, size)
        shared = part[..., None] * shares  # (head, row, pool, size)
        places = pools.members.narrow(1, *run).flatten(1)[:, None]
        places = places.expand(-1, weights.shape[1], -1)
        keys = keys.scatter_add(2, places, shared.flatten(2))  # (head, row, key)
    return keys
