"""Local window: exact attention to the keys near each query.

Query i sees keys i - w to i + w, or to i under causality. Beltagy et al. (Longformer),
arXiv 2004.05150, without its global tokens. Memory is linear in the length.
"""

import torch
from torch.nn.functional import pad

from qlib.arguments import positive_integer
from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info
from qlib.attention.baselines.rows import (
    BITS,
    columns,
    softmax,
)
from qlib.attention.exact.math import accumulation_dtype, dropped


def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights, window=256):
    """Attention within a window.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As `Backend` says. A query gives 0, and its weights sum to 0, where its whole
        window is masked or past the last key.
    window : int
        Keys further than this from the query are not seen. 256 on either side is the
        paper's window of 512.

    Returns
    -------
    AttentionResult

    Raises
    ------
    ValueError
        If `window` is not a positive integer.
    """
    positive_integer("window", window)
    dtype = accumulation_dtype(q.dtype)
    queries, keys, values = q.to(dtype) * (scale * BITS), k.to(dtype), v.to(dtype)
    ahead = 0 if mask.is_causal else window
    outputs, weights, touched = [], [], 0
    chunk = min(max(window, 32), 128)  # a tile of logits stays in the cache
    for start in range(0, q.shape[2], chunk):
        stop = min(start + chunk, q.shape[2])
        high = min(stop + ahead, k.shape[2])
        low = min(max(start - window, 0), high - 1)
        read = queries[:, :, start:stop] @ keys[:, :, low:high].mT  # logits, in bits
        bias = columns(mask, low, high).rows(start, stop, high - low, like=read)
        if bias is not None:
            read = read + bias * BITS
        places = torch.arange(start, stop, device=q.device)[:, None]
        away = torch.arange(low, high, device=q.device) - places
        seen = (away >= -window) & (away <= ahead)  # (query, key)
        read = softmax(read.masked_fill(~seen, -torch.inf))
        read = dropped(read, dropout_p, generator)  # (batch, head, query, key)
        outputs.append(read @ values[:, :, low:high])
        touched += int(seen.sum())
        if need_weights:
            padding = (low, k.shape[2] - high)
            weights.append(pad(read.to(q.dtype), padding))
    weights = torch.cat(weights, dim=2) if need_weights else None
    output = torch.cat(outputs, dim=2).to(q.dtype)
    touched /= q.shape[2]
    info = Info("local_window", "tiles of a band", dtype, touched, touched)
    return AttentionResult(output, weights, info)


LOCAL_WINDOW = Backend(
    name="local_window",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="8 n window d, half of it when causal",
    says="Exact attention to the keys near each query (Longformer's band).",
)
