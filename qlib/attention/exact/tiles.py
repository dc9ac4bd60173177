"""Attention as product, softmax, product on tiles of logits that stay in cache."""

from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import pad

from qlib.attention.backend import AttentionResult, Info
from qlib.attention.exact.level import pilot_level
from qlib.attention.exact.math import dropped, open_rows
from qlib.attention.mask import Mask

ROWS = 256  # queries in a tile: fewer slow the products, more waste causal tiles
TILE = 2**19  # logits in a tile: 1 MiB in bfloat16


@dataclass(frozen=True, eq=False)
class Space:
    """What all tiles use in turn.

    Attributes
    ----------
    logits, weights : 1-D tensors or None
        Room for those of one tile; None where gradients keep every tile.
    square : (rows, rows) tensor
        0 where key <= query, else -inf, both counted from the same place.
    """

    logits: torch.Tensor | None
    weights: torch.Tensor | None
    square: torch.Tensor

    def views(self, pairs, rows, seen):
        """Logits and weights of a tile as (pairs, rows, seen), or None and None."""
        if self.logits is None:
            return None, None
        size = pairs * rows * seen
        return (
            self.logits[:size].view(pairs, rows, seen),
            self.weights[:size].view(pairs, rows, seen),
        )


def tiled(q, k, v, mask, half, *, scale, dropout_p, generator, need_weights):
    """softmax(scale q k^T + mask) v with products in the dtype `half`.

    Logits and weights are rounded to `half`; products and the softmax accumulate in
    float32. `pilot_level` is subtracted from the logits before they are rounded, as
    one more dimension of q and k, which costs nothing in the product; padding is one
    more of the same. A causal mask is applied to the tiles on the diagonal, and tiles
    above it are skipped.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        See `qlib.attention.exact.math.attend`.
    half : torch.dtype

    Returns
    -------
    AttentionResult
        In the dtype of `q`. Without gradients and weights the memory beside it is
        that of q, k, v in `half` and of two tiles.
    """
    left, right = (q * scale).to(half), k.to(half)
    level = pilot_level(left, right, mask)
    ones = torch.ones_like
    left = torch.cat((left, -level, ones(level)), -1)  # (batch, head, query, d + 2)
    right = torch.cat((right, ones(right[..., :1]), hidden(mask, right)), -1)
    values = v.to(half).contiguous()
    space = make_space(left, right, graded(left, right, values, mask.general))
    drop = partial(dropped, p=dropout_p, generator=generator)
    outputs, kept = [], []
    for lot in lots(q.shape, k.shape[2]):
        sides = (each[lot] for each in (left, right, values))
        output, weights = lot_attention(
            *sides, of_lot(mask, lot), drop, space, need_weights
        )
        outputs.append(output.to(q.dtype).flatten(0, 1))
        kept.append(weights.to(q.dtype).flatten(0, 1) if need_weights else None)
    shape = q.shape[:2]
    weights = torch.cat(kept).unflatten(0, shape) if need_weights else None
    keys = formed_keys(mask, q.shape[2], k.shape[2])
    info = Info("mixed", f"tiles of {half} products, float32 softmax", half, keys, keys)
    return AttentionResult(torch.cat(outputs).unflatten(0, shape), weights, info)


def graded(*tensors):
    """Whether gradients are to flow through any of them."""
    return torch.is_grad_enabled() and any(
        each is not None and each.requires_grad for each in tensors
    )


def lots(shape, key_length):
    """Slices of (batch, head), each a tile's worth of heads."""
    batch, heads, queries, _ = shape
    size = max(1, TILE // (min(ROWS, queries) * key_length))
    if heads <= size:
        step = size // heads
        return [(slice(b, b + step), slice(None)) for b in range(0, batch, step)]
    return [
        (slice(b, b + 1), slice(h, h + size))
        for b in range(batch)
        for h in range(0, heads, size)
    ]


def hidden(mask, right):
    """What padding adds to the logits of each key: 0, or enough to leave no weight."""
    column = torch.zeros_like(right[..., :1])  # (batch, head, key, 1)
    if mask.keys is None:
        return column
    none = torch.finfo(right.dtype).min / 2  # finite, so that no row is NaN
    return column.masked_fill(~mask.keys[:, None, :, None], none)


def make_space(left, right, graded):
    """A `Space` for the tiles of these tensors."""
    batch, heads, queries, _ = left.shape
    rows, keys = min(ROWS, queries), right.shape[2]
    size = min(max(TILE, rows * keys), batch * heads * rows * keys)
    square = torch.full((rows, rows), -torch.inf, dtype=left.dtype, device=left.device)
    square.triu_(1)
    if graded:
        return Space(None, None, square)
    return Space(left.new_empty(size), left.new_empty(size), square)


def of_lot(mask, lot):
    """The part of a mask that concerns some of (batch, head)."""
    batch, heads = lot
    keys, general = mask.keys, mask.general
    if keys is not None:
        keys = keys[batch]
    if general is not None:
        general = general if general.shape[0] == 1 else general[batch]
        general = general if general.shape[1] == 1 else general[:, heads]
    return Mask(mask.is_causal, keys, general)


def lot_attention(left, right, values, mask, drop, space, need_weights):
    """Output and, where asked for, weights of some heads, a tile at a time."""
    key_length = right.shape[2]
    outputs, kept = [], []
    for start in range(0, left.shape[2], ROWS):
        weights, blind = tile_weights(left, right, mask, start, space)
        weights = drop(weights).to(values.dtype)  # (batch, head, rows, seen)
        seen = weights.shape[3]
        output = torch.bmm(
            weights.flatten(0, 1), values[:, :, :seen].flatten(0, 1)
        ).unflatten(0, values.shape[:2])  # (batch, head, rows, value)
        outputs.append(output if blind is None else output.masked_fill(blind, 0))
        if need_weights:
            weights = weights if blind is None else weights.masked_fill(blind, 0)
            kept.append(pad(weights, (0, key_length - seen)))
    return torch.cat(outputs, 2), torch.cat(kept, 2) if need_weights else None


def tile_weights(left, right, mask, start, space):
    """Softmax weights of `ROWS` queries from `start` on, and which rows are blind."""
    queries, key_length = left.shape[2], right.shape[2]
    stop = min(start + ROWS, queries)
    seen = min(stop, key_length) if mask.is_causal else key_length
    queried = left[:, :, start:stop].flatten(0, 1)
    keyed = right[:, :, :seen].flatten(0, 1).transpose(1, 2)
    logits, weights = space.views(len(queried), stop - start, seen)
    logits = torch.bmm(queried, keyed, out=logits)  # (pairs, rows, seen)
    if mask.general is not None:
        tile, blind = open_rows(mask, start, stop, key_length, like=left.float())
        logits.unflatten(0, left.shape[:2]).add_(tile[..., :seen])
    else:
        blind = blind_rows(mask, start, stop)
        if mask.is_causal:
            corner = logits[..., start:]
            corner += space.square[: corner.shape[1], : corner.shape[2]]
    weights = torch.softmax(logits, -1, out=weights)
    return weights.unflatten(0, left.shape[:2]), blind


def blind_rows(mask, start, stop):
    """The rows in which padding, and causality if set, leave no key; None if none."""
    if mask.keys is None:
        return None
    if not mask.is_causal:
        return ~mask.keys.any(1)[:, None, None, None]  # (batch, 1, 1, 1)
    last = torch.arange(start, stop, device=mask.keys.device)
    last = last.clamp(max=mask.keys.shape[1] - 1)
    return (mask.keys.cumsum(1)[:, last] == 0)[:, None, :, None]  # (batch, 1, row, 1)


def formed_keys(mask, query_length, key_length):
    """Keys whose logit is formed, mean over queries."""
    if not mask.is_causal:
        return float(key_length)
    stops = [min(s + ROWS, query_length) for s in range(0, query_length, ROWS)]
    rows = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    total = sum(n * min(stop, key_length) for n, stop in zip(rows, stops, strict=True))
    return total / query_length
