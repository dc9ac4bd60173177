"""Softmax attention over the kernel of encoded queries and keys."""

import torch
from torch.nn.functional import pad

from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info
from qlib.attention.encoding.encoding import ENCODINGS, Encoding, make_encoding
from qlib.attention.exact.math import dropped, open_rows, query_chunks

TILE = 2**19  # logits at a time: 2 MiB in float32, fastest at 2048 keys


def attend(
    q,
    k,
    v,
    mask,
    *,
    scale,
    dropout_p,
    generator,
    need_weights,
    encoding="amplitude",
):
    """softmax(logits of the encoding + mask) v, a chunk of queries at a time.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        See `qlib.attention.exact.math.attend`. Without weights and gradients no more
        than about `TILE` logits are held; under causality the keys after a chunk of
        queries cost nothing.
    encoding : Encoding or {"amplitude", "multiscale", "iqp"}
        An instance is trained by whoever holds its parameters. A name is that
        encoding at its start, one for all heads, which nothing trains.

    Returns
    -------
    AttentionResult
        Exact for the kernel of the encoding, which is another than that of softmax
        attention.
    """
    encoding = encoding_for(encoding, q)
    bra, ket = encoding.states(q), encoding.states(k)
    values = v.to(bra.real.dtype)
    length = k.shape[2]
    outputs, kept, formed = [], [], 0
    for start, stop in query_chunks(q, length, TILE):
        end = min(stop, length) if mask.is_causal else length
        kernel = encoding.kernel(bra[:, :, start:stop], ket[:, :, :end])
        logits = encoding.scaled(kernel, scale=scale)  # (batch, head, rows, end)
        tile, blind = open_rows(mask, start, stop, length, like=logits)
        weights = dropped(softmax(logits, tile, blind), dropout_p, generator)
        output = weights @ values[:, :, :end]  # (batch, head, rows, value)
        outputs.append(output.to(q.dtype))
        formed += (stop - start) * end
        if need_weights:
            kept.append(pad(weights, (0, length - end)).to(q.dtype))
    keys = formed / q.shape[2]
    name = type(encoding.feature_map).__name__
    info = Info("encoded", f"{name} kernel, softmax", values.dtype, keys, keys)
    weights = torch.cat(kept, 2) if need_weights else None
    return AttentionResult(torch.cat(outputs, 2), weights, info)


def softmax(logits, tile, blind):
    """Weights of a chunk of queries; 0, with gradient 0, where a row sees no key."""
    if tile is None:
        return logits.softmax(-1)
    weights = (logits + tile[..., : logits.shape[-1]]).softmax(-1)
    return weights if blind is None else weights.masked_fill(blind, 0)


def encoding_for(encoding, q):
    """The encoding asked for, refused by name unless it fits the queries."""
    heads, dim = q.shape[1], q.shape[-1]
    if isinstance(encoding, str) and encoding in ENCODINGS:
        return make_encoding(encoding, 1, dim).requires_grad_(False).to(q.device)
    if not isinstance(encoding, Encoding):
        names = ", ".join(ENCODINGS)
        raise ValueError(f"encoding: got {encoding!r}; allowed: an Encoding, {names}")
    if encoding.dim != dim or encoding.heads not in (1, heads):
        several = "" if heads == 1 else f" or {counted(heads)}"
        raise ValueError(
            f"encoding: got one for {counted(encoding.heads)} of {encoding.dim}; "
            f"allowed: for {counted(1)}{several} of {dim} (of the heads that attend by "
            "'encoded')"
        )
    if encoding.log_sharpness.device != q.device:
        raise ValueError(
            f"encoding: got one on {encoding.log_sharpness.device}; allowed: on "
            f"{q.device}"
        )
    return encoding


def counted(heads):
    """Heads by number, in words."""
    return "1 head" if heads == 1 else f"{heads} heads"


ENCODED = Backend(
    name="encoded",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² (s + d) with s real numbers in a state, 2 n² (2 s + d) for IQP",
    says="softmax over the kernel of encoded queries and keys",
)
