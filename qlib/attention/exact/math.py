"""Softmax attention by its definition, the reference of every other backend."""

import torch

from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info

TILE = 2**21  # logits at a time: 8 MiB in float32, less than a shared cache


def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights):
    """softmax(scale q k^T + mask) v, a chunk of queries at a time.

    Parameters
    ----------
    q, k, v : (batch, head, query, d), (batch, head, key, d), (batch, head, key, value)
        float16 and bfloat16 are widened to float32 for products and softmax; float32
        and float64 are computed as they are.
    mask : Mask
    scale : float
    dropout_p : float
        Weights are zeroed with this probability, the others divided by 1 - dropout_p.
    generator : torch.Generator or None
        Of the dropout; None is torch's own.
    need_weights : bool
        Keep the weights. Without them, dropout and gradients the memory is that of
        three tensors of about `TILE` logits, five under a mask; with weights or
        dropout all queries are one chunk.

    Returns
    -------
    AttentionResult
    """
    wide = accumulation_dtype(q.dtype)
    wide_k, wide_v = k.to(wide), v.to(wide)
    whole = [(0, q.shape[2])]  # no copy of the weights, and one order of the draws
    chunks = query_chunks(q, k.shape[2], TILE)
    outputs = []
    for start, stop in whole if need_weights or dropout_p else chunks:
        part = q[:, :, start:stop].to(wide)
        weights = softmax_rows(part, wide_k, mask, start, stop, scale)
        weights = dropped(weights, dropout_p, generator)
        outputs.append((weights @ wide_v).to(q.dtype))  # (batch, head, rows, value)
    keys = float(k.shape[2])
    info = Info("math", "materialised softmax", wide, keys, keys)
    kept = weights.to(q.dtype) if need_weights else None
    return AttentionResult(torch.cat(outputs, 2), kept, info)


def accumulation_dtype(dtype):
    """float32 for the half precisions, else the dtype itself."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def query_chunks(q, key_length, logits):
    """(start, stop) of chunks of 16 queries or more, about that many logits each."""
    batch, heads, queries, _ = q.shape
    rows = max(16, logits // (batch * heads * key_length))
    return [(start, min(start + rows, queries)) for start in range(0, queries, rows)]


def softmax_rows(q, k, mask, start, stop, scale):
    """Softmax weights of a chunk of queries; 0 in the rows that see no key.

    Parameters
    ----------
    q : (batch, head, stop - start, d) tensor
    k : (batch, head, key, d) tensor
    mask : Mask
    start, stop : int
        Place of the chunk among all queries.
    scale : float

    Returns
    -------
    (batch, head, stop - start, key) tensor
        Gradients are finite, 0 through rows without keys.
    """
    logits = (q * scale) @ k.transpose(-2, -1)  # (batch, head, rows, key)
    tile, blind = open_rows(mask, start, stop, k.shape[2], like=q)
    if tile is None:
        return logits.softmax(-1)
    weights = (logits + tile).softmax(-1)
    return weights if blind is None else weights.masked_fill(blind, 0)


def open_rows(mask, start, stop, key_length, *, like):
    """A chunk of the mask in which no row is shut, and which rows were.

    Parameters
    ----------
    mask : Mask
    start, stop, key_length : int
    like : tensor
        Of the dtype and device wanted.

    Returns
    -------
    tile : (1 or batch, 1 or head, 1 or rows, key) tensor or None
        `Mask.rows` with 0 in place of rows of -inf only, so that no softmax is NaN.
    blind : (1 or batch, 1 or head, 1 or rows, 1) bool tensor or None
        The rows that see no key; None where there can be none.
    """
    tile = mask.rows(start, stop, key_length, like=like)
    if mask.kinds <= {"causal"}:  # the first key is seen by all
        return tile, None
    blind = (tile == -torch.inf).all(-1, keepdim=True)
    return tile.masked_fill(blind, 0), blind


def dropped(weights, p, generator):
    """`weights` with entries zeroed with probability `p`, the others over 1 - p."""
    if not p:
        return weights
    draw = torch.rand(
        weights.shape, generator=generator, device=weights.device, dtype=torch.float32
    )
    return weights * (draw >= p) / (1 - p)


MATH = Backend(
    name="math",
    attend=attend,
    exact=True,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="4 n² d",
    says="softmax attention by its definition, in chunks of queries",
)
