"""The one entry point to every attention."""

from contextlib import nullcontext
from dataclasses import replace

import torch

from qlib.attention import arguments
from qlib.attention.backends import backend_named
from qlib.attention.exact.math import accumulation_dtype
from qlib.attention.mask import make_mask, without_padding


def quantum_attention(
    q,
    k,
    v,
    *,
    backend="auto",
    attn_mask=None,
    key_padding_mask=None,
    is_causal=False,
    scale=None,
    dropout_p=0.0,
    generator=None,
    need_weights=False,
    **options,
):
    """Attention by the named backend.

    Parameters
    ----------
    q : (batch, head, query, d) or (batch, query, d) tensor
        float16, bfloat16, float32 or float64. A 3-D input is one head; so are `k` and
        `v` then, and the result is 3-D.
    k : (batch, head, key, d) tensor
    v : (batch, head, key, value dim) tensor
    backend : str
        A name in `qlib.attention.backends.BACKENDS`, or ``"auto"``: the best exact
        kernel, ``"sdpa"``, or ``"math"`` where weights are asked for. Nothing
        approximates unless it is named.
    attn_mask : bool or float tensor, or None
        Broadcasts to (batch, head, query, key), for 3-D inputs to (batch, query, key).
        As in `scaled_dot_product_attention`: True where a pair takes part; a float is
        added to the logits.
    key_padding_mask : (batch, key) bool tensor, or None
        As in `torch.nn.MultiheadAttention`, the other way round: True where a key is
        padding.
    is_causal : bool
        Query i sees keys j <= i, beside the other masks.
    scale : float, optional
        Factor of the logits; by default d**-0.5.
    dropout_p : float
        In [0, 1): probability that a weight is zeroed.
    generator : torch.Generator, optional
        Of every draw; by default torch's own.
    need_weights : bool
        Return the weights that were used.
    **options
        Of the backend. ``options_of(name)`` of `qlib.attention.backends` gives names
        and defaults, ``help(BACKENDS[name].attend)`` what they mean,
        ``BACKENDS[name].says`` the method in one line.

    Returns
    -------
    AttentionResult
        A query that sees no key, because all are masked, has output and weights 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was received and what is allowed: tensors that do
        not fit, an unknown backend or option, a mask the backend cannot honour.

    Notes
    -----
    The dtype of `q` decides: inside, autocast is off. Padding may hold anything, NaN
    included. Keys and values that causality or a general mask hides must be finite:
    their weight is 0, and 0 times NaN or infinity is NaN.
    """
    arguments.check_flag("need_weights", need_weights)
    chosen = backend_named(backend_for(backend, need_weights))
    arguments.check_options(options, chosen)
    arguments.check_tensors(q, k, v)
    arguments.check_masks(attn_mask, key_padding_mask, is_causal, q, k)
    arguments.check_generator(generator, q)
    settings = {
        "scale": arguments.check_scale(scale, q.shape[-1]),
        "dropout_p": arguments.check_dropout(dropout_p, chosen),
        "generator": generator,
        "need_weights": need_weights,
    }
    attn_mask = per_head(attn_mask, q, k.shape[-2])
    dtype = accumulation_dtype(q.dtype)
    mask = make_mask(attn_mask, key_padding_mask, is_causal, dtype)
    arguments.check_mask_kinds(mask, chosen)
    queries, *sides = (lift(each, q.dim()) for each in (q, k, v))
    sides = (without_padding(each, mask) for each in sides)
    with without_autocast(q.device.type):
        result = chosen.attend(queries, *sides, mask, **settings, **options)
    return result if q.dim() == 4 else without_head(result)


def backend_for(name, need_weights):
    """`name`, or what ``"auto"`` stands for."""
    if not isinstance(name, str) or name != "auto":
        return name
    return "math" if need_weights else "sdpa"


def lift(tensor, dim):
    """A 3-D input as one head."""
    return tensor if dim == 4 else tensor[:, None]


def per_head(attn_mask, q, key_length):
    """A mask with its axis of keys whole and, for 3-D inputs, one head."""
    if attn_mask is None:
        return None
    attn_mask = attn_mask.expand(torch.broadcast_shapes(attn_mask.shape, (key_length,)))
    return attn_mask[:, None] if q.dim() == 3 and attn_mask.dim() == 3 else attn_mask


def without_autocast(device):
    """A context in which autocast does not touch what a backend computes."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def without_head(result):
    """A result of one head with 3-D tensors."""
    info = result.info
    info = replace(
        info,
        samples=squeezed(info.samples),
        standard_error=squeezed(info.standard_error),
    )
    return replace(
        result,
        output=squeezed(result.output),
        weights=squeezed(result.weights),
        info=info,
    )


def squeezed(tensor):
    """`tensor` without its axis of heads."""
    return None if tensor is None else tensor[:, 0]
