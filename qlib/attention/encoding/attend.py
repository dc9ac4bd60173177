"""Softmax attention over the kernel of encoded queries and keys."""

import torch

from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info
from qlib.attention.encoding.encoding import ENCODINGS, Encoding, make_encoding
from qlib.attention.exact.math import dropped, open_rows, query_chunks

TILE = 2**21  # logits at a time: 8 MiB in float32


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
        than about `TILE` logits are held.
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
    outputs, kept = [], []
    for start, stop in query_chunks(q, k.shape[2], TILE):
        kernel = encoding.kernel(bra[:, :, start:stop], ket)
        logits = encoding.scaled(kernel, scale=scale)  # (batch, head, rows, key)
        weights = dropped(softmax(logits, mask, start, stop), dropout_p, generator)
        outputs.append((weights @ values).to(q.dtype))  # (batch, head, rows, value)
        if need_weights:
            kept.append(weights.to(q.dtype))
    keys = float(k.shape[2])
    name = type(encoding.feature_map).__name__
    info = Info("encoded", f"{name} kernel, softmax", values.dtype, keys, keys)
    weights = torch.cat(kept, 2) if need_weights else None
    return AttentionResult(torch.cat(outputs, 2), weights, info)


def softmax(logits, mask, start, stop):
    """Weights of a chunk of queries; 0, with gradient 0, where a row sees no key."""
    tile, blind = open_rows(mask, start, stop, logits.shape[-1], like=logits)
    if tile is None:
        return logits.softmax(-1)
    weights = (logits + tile).softmax(-1)
    return weights if blind is None else weights.masked_fill(blind, 0)


def encoding_for(encoding, q):
    """The encoding asked for, refused by name unless it fits the queries."""
    heads, dim = q.shape[1], q.shape[-1]
    if isinstance(encoding, str) and encoding in ENCODINGS:
        return make_encoding(encoding, 1, dim).to(q.device)
    if not isinstance(encoding, Encoding):
        names = ", ".join(ENCODINGS)
        raise ValueError(f"encoding: got {encoding!r}; allowed: an Encoding, {names}")
    if encoding.dim != dim or encoding.heads not in (1, heads):
        raise ValueError(
            f"encoding: got one for {encoding.heads} heads of {encoding.dim}; allowed: "
            f"for {heads} or 1 heads of {dim}"
        )
    if encoding.log_sharpness.device != q.device:
        raise ValueError(
            f"encoding: got one on {encoding.log_sharpness.device}; allowed: on "
            f"{q.device}"
        )
    return encoding


ENCODED = Backend(
    name="encoded",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² (s + d), twice the first for IQP, with s real numbers in a state",
    says="softmax over the kernel of encoded queries and keys",
)
