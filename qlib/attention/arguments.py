"""What `quantum_attention` refuses, argument by argument, before any work."""

from numbers import Real

import torch

from qlib.arguments import number_between
from qlib.attention.backends import BACKENDS, options_of, suggestion

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
RECEIVED = {  # what sets each kind of mask
    "causal": "is_causal: got True, or an attn_mask that is the causal one",
    "padding": "key_padding_mask: got one",
    "general": "attn_mask, or a float key_padding_mask: got one",
}


def check_tensors(q, k, v):
    """Refuse tensors that do not fit together, by name."""
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        check_tensor(name, tensor)
    for name, tensor in (("k", k), ("v", v)):
        check_like_q(name, tensor, q)
    if k.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"k: got dimension {k.shape[-1]}; allowed: that of q, {q.shape[-1]}"
        )
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(
            f"v: got length {v.shape[-2]}; allowed: that of k, {k.shape[-2]}"
        )


def check_tensor(name, tensor):
    """Refuse what is no floating tensor (batch, [head,] length, dim)."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}; allowed: a tensor")
    if tensor.is_nested or tensor.layout != torch.strided:
        kind = "nested" if tensor.is_nested else tensor.layout
        raise TypeError(f"{name}: got a {kind} tensor; allowed: a dense one")
    if tensor.dtype not in DTYPES:
        allowed = ", ".join(str(dtype) for dtype in DTYPES)
        raise TypeError(f"{name}: got dtype {tensor.dtype}; allowed: {allowed}")
    if tensor.dim() not in (3, 4) or 0 in tensor.shape:
        raise ValueError(
            f"{name}: got shape {tuple(tensor.shape)}; allowed: (batch, head, length, "
            "dim) or (batch, length, dim), each >= 1"
        )


def check_like_q(name, tensor, q):
    """Refuse a tensor whose dtype, device, batch or heads are not those of `q`."""
    if tensor.dtype != q.dtype:
        raise TypeError(
            f"{name}: got dtype {tensor.dtype}; allowed: that of q, {q.dtype}"
        )
    check_device(name, tensor, q)
    if tensor.dim() != q.dim() or tensor.shape[:-2] != q.shape[:-2]:
        raise ValueError(
            f"{name}: got shape {tuple(tensor.shape)}; allowed: "
            f"({', '.join(str(size) for size in q.shape[:-2])}, length, dim) as in q"
        )


def check_device(name, tensor, q):
    """Refuse a tensor or generator that is not where `q` is."""
    if tensor.device.type != q.device.type or (
        None not in (tensor.device.index, q.device.index)
        and tensor.device.index != q.device.index
    ):
        raise ValueError(
            f"{name}: got device {tensor.device}; allowed: that of q, {q.device}"
        )


def check_masks(attn_mask, key_padding_mask, is_causal, q, k):
    """Refuse masks of a wrong type, shape or device, by name."""
    check_flag("is_causal", is_causal)
    shape = (*q.shape[:-1], k.shape[-2])
    if attn_mask is not None:
        if not isinstance(attn_mask, torch.Tensor) or not (
            attn_mask.dtype == torch.bool or attn_mask.dtype in DTYPES
        ):
            kind = getattr(attn_mask, "dtype", type(attn_mask).__name__)
            raise TypeError(f"attn_mask: got {kind}; allowed: a bool or float tensor")
        check_device("attn_mask", attn_mask, q)
        if not broadcasts(attn_mask.shape, shape):
            raise ValueError(
                f"attn_mask: got shape {tuple(attn_mask.shape)}; allowed: what "
                f"broadcasts to {shape}"
            )
    if key_padding_mask is not None:
        check_padding(key_padding_mask, q, (q.shape[0], k.shape[-2]))


def check_flag(name, value):
    """Refuse what is no bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {value!r}; allowed: True, False")


def broadcasts(shape, target):
    """Whether a tensor of one shape can be expanded to another."""
    tail = target[len(target) - len(shape) :]
    return len(shape) <= len(target) and all(
        size in (1, wanted) for size, wanted in zip(shape, tail, strict=True)
    )


def check_padding(key_padding_mask, q, shape):
    """Refuse a padding mask that is no bool tensor of that shape."""
    if (
        not isinstance(key_padding_mask, torch.Tensor)
        or key_padding_mask.dtype != torch.bool
    ):
        kind = getattr(key_padding_mask, "dtype", type(key_padding_mask).__name__)
        raise TypeError(f"key_padding_mask: got {kind}; allowed: a bool tensor")
    check_device("key_padding_mask", key_padding_mask, q)
    if key_padding_mask.shape != shape:
        raise ValueError(
            f"key_padding_mask: got shape {tuple(key_padding_mask.shape)}; allowed: "
            f"(batch, key) = {shape}"
        )


def check_scale(scale, dim):
    """`scale` as a finite float, 1 / sqrt(dim) where it is None."""
    if scale is None:
        return dim**-0.5
    return number_between("scale", scale, -torch.inf, torch.inf, open_low=True)


def check_dropout(dropout_p, backend):
    """`dropout_p` as a float in [0, 1); above 0 only where the backend supports it."""
    if not (isinstance(dropout_p, Real) and 0 <= dropout_p < 1):
        raise ValueError(f"dropout_p: got {dropout_p!r}; allowed: [0, 1)")
    p = float(dropout_p)
    if p and not backend.dropout:
        able = ", ".join(each.name for each in BACKENDS.values() if each.dropout)
        raise ValueError(
            f"dropout_p: got {p}; backend {backend.name!r} takes no dropout; allowed: "
            f"0 (in a model, set dropout = 0.0 on its attentions), or backends {able}"
        )
    return p


def check_generator_type(generator):
    """Refuse what is no generator."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator: got {type(generator).__name__}; allowed: a torch.Generator or "
            "None"
        )


def check_generator(generator, q):
    """Refuse what is no generator on the device of `q`."""
    check_generator_type(generator)
    if generator is not None:
        check_device("generator", generator, q)


def check_options(options, backend):
    """Refuse options that a backend does not take, with the nearest that it does."""
    if not options:
        return
    known = options_of(backend)
    for name, value in options.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise TypeError(
                f"{name}: got {value!r}{suggestion(name, known)}; allowed with backend "
                f"{backend.name!r}: {allowed}"
            )


def check_mask_kinds(mask, backend):
    """Refuse a kind of mask that a backend cannot honour, naming those that can."""
    for kind in sorted(mask.kinds - backend.masks):
        able = ", ".join(each.name for each in BACKENDS.values() if kind in each.masks)
        raise ValueError(
            f"{RECEIVED[kind]}; backend {backend.name!r} takes no {kind} mask; allowed "
            f"with backends {able}"
        )
