"""An order of the keys in which neighbours have similar values."""

import torch

BITS = 8  # axes; more did not lower errors at 8 to 128 samples of 512 keys
ITERATIONS = 3  # of the subspace; a rough axis is as unbiased as the exact one


def value_order(v, common):
    """Keys in Gray order of the signs of their values' principal coordinates.

    A serpentine ordering of survey sampling: keys are split by the sign of the first
    principal coordinate, each half by that of the second, and so on, every other time
    in reverse, so that systematic places fall into all regions of the values.

    Parameters
    ----------
    v : (batch, head, key, value) tensor
    common : (batch, 1 or head, key) bool tensor
        Keys that every query of the chunk sees. Only they fix the axes and only they
        are ordered; the others follow in their own order, so that what a query does
        not see cannot change its draws.

    Returns
    -------
    (batch, head, 1, key) integer tensor
        O(key · value · BITS) operations.
    """
    common = common.expand(v.shape[:3])
    shown = v.masked_fill(~common[..., None], 0)  # (batch, head, key, value)
    count = common.sum(-1).clamp(min=1)[..., None, None]
    mean = shown.sum(2, keepdim=True) / count
    centred = (shown - mean).masked_fill(~common[..., None], 0)
    axes = torch.eye(
        v.shape[-1], min(BITS, v.shape[-1]), dtype=v.dtype, device=v.device
    )
    for _ in range(ITERATIONS):
        axes = torch.linalg.qr(centred.mT @ (centred @ axes)).Q  # (b, h, value, axis)
    code = _gray_rank(centred @ axes > 0)  # (batch, head, key)
    last = torch.iinfo(code.dtype).max
    return code.masked_fill(~common, last).argsort(dim=-1, stable=True)[:, :, None]


def _gray_rank(bits):
    """Place of a word of bits (..., axis) in the reflected binary order."""
    parity = bits.cumsum(-1) % 2  # (..., axis)
    powers = 2 ** torch.arange(bits.shape[-1] - 1, -1, -1, device=bits.device)
    return (parity * powers).sum(-1)


def sorting(sort_values):
    """`sort_values`, refused unless it is a bool."""
    if not isinstance(sort_values, bool):
        raise ValueError(f"sort_values: got {sort_values!r}; allowed: True, False")
    return sort_values


def order_of(chunk):
    """`value_order` of the keys that every query of a `Chunk` sees."""
    common = seen_by_all(chunk.mask, chunk.start, chunk.stop, chunk.v)
    return value_order(chunk.v.detach(), common)


def split_order(order, first):
    """`order` with some keys of each query moved to the front, both parts as ordered.

    Parameters
    ----------
    order : (batch, head, 1, key) integer tensor
    first : (batch, head, query, key) bool tensor

    Returns
    -------
    (batch, head, query, key) integer tensor
    """
    order = order.expand(first.shape)
    ahead = first.gather(-1, order)
    front = ahead.cumsum(-1)  # (batch, head, query, key)
    back = front[..., -1:] + (~ahead).cumsum(-1)
    return torch.empty_like(order).scatter_(
        -1, torch.where(ahead, front, back) - 1, order
    )


def seen_by_all(mask, start, stop, v):
    """Keys that every query from `start` to `stop` - 1 sees.

    Parameters
    ----------
    mask : Mask
    start, stop : int
    v : (batch, head, key, value) tensor

    Returns
    -------
    (batch, 1 or head, key) bool tensor
    """
    batch, _, keys, _ = v.shape
    if mask.general is not None:
        tile = mask.rows(start, stop, keys, like=v)
        return (tile > -torch.inf).all(2).expand(batch, -1, -1)
    seen = torch.ones(batch, 1, keys, dtype=torch.bool, device=v.device)
    if mask.keys is not None:
        seen = seen & mask.keys[:, None]
    if mask.is_causal:
        seen = seen & (torch.arange(keys, device=v.device) <= start)
    return seen
