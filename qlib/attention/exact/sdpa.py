"""Softmax attention by PyTorch's fused kernel."""

from dataclasses import replace

import torch
from torch.nn.functional import scaled_dot_product_attention

from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info
from qlib.attention.exact import math

ROWS = 256  # queries at a time: fewer slow the kernel, more waste causal tiles


def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights):
    """softmax(scale q k^T + mask) v by `scaled_dot_product_attention`.

    A causal mask alone goes to the kernel as such. Others are handed over as tensors;
    padding alone at once, as one row of keys, the rest in chunks of `ROWS` queries,
    with the keys up to the last of them where causality is one of the parts, so that
    neither the whole mask nor the later keys cost anything.

    The kernel returns no weights and draws its dropout from torch's own generator
    only, for which it materialises the weights on a CPU. So with `need_weights` or
    `dropout_p` > 0 the result is that of `math`, as its `info` says.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        See `qlib.attention.exact.math.attend`.

    Returns
    -------
    AttentionResult
    """
    if need_weights or dropout_p:
        result = math.attend(
            q,
            k,
            v,
            mask,
            scale=scale,
            dropout_p=dropout_p,
            generator=generator,
            need_weights=need_weights,
        )
        return replace(result, info=replace(result.info, backend="sdpa"))
    if scale <= 0:  # the kernel multiplies its causal mask, -inf, by the scale
        q, scale = q * scale, 1.0
    keys = seen_keys(q.shape[2], k.shape[2]) if mask.is_causal else float(k.shape[2])
    info = Info("sdpa", f"SDPA, {q.device.type}", q.dtype, keys, keys)
    if mask.kinds <= {"causal"}:
        output = scaled_dot_product_attention(
            q, k, v, is_causal=mask.is_causal, scale=scale
        )
    else:
        output = masked(q, k, v, mask, scale)
    return AttentionResult(output, None, info)


def masked(q, k, v, mask, scale):
    """The kernel under a mask that has more parts than causality."""
    queries = q.shape[2]
    rows = queries if mask.kinds == {"padding"} else ROWS
    outputs = []
    for start in range(0, queries, rows):
        stop = min(start + rows, queries)
        end = min(stop, k.shape[2]) if mask.is_causal else k.shape[2]
        tile, blind = math.open_rows(mask, start, stop, k.shape[2], like=q)
        part = scaled_dot_product_attention(
            q[:, :, start:stop],
            k[:, :, :end],
            v[:, :, :end],
            attn_mask=tile[..., :end],
            scale=scale,
        )
        outputs.append(part.masked_fill(blind, 0))  # (batch, head, rows, value)
    return torch.cat(outputs, 2)


def seen_keys(query_length, key_length):
    """Keys that a causal mask lets a query see, mean over queries."""
    rising = min(query_length, key_length)
    total = rising * (rising + 1) / 2 + (query_length - rising) * key_length
    return total / query_length


SDPA = Backend(
    name="sdpa",
    attend=attend,
    exact=True,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="4 n² d, half of it when causal",
    says="softmax attention by PyTorch's fused kernel",
)
