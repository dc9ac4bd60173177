"""What the drop-in module refuses, argument by argument, before any work."""

import torch


def check_inputs(attention, query, key, value, attn_mask, key_padding_mask):
    """Refuse tensors that an nn.MultiheadAttention of this kind cannot take, by name.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was received and what is allowed.
    """
    if not isinstance(query, torch.Tensor) or query.dim() not in (2, 3):
        got = tuple(query.shape) if isinstance(query, torch.Tensor) else query
        raise ValueError(
            f"query: got {got!r}; allowed: a tensor (length, dim) or batched with "
            "three axes"
        )
    inputs = {"query": query, "key": key, "value": value}
    sizes = ("embed_dim", "kdim", "vdim")
    for (name, tensor), size in zip(inputs.items(), sizes, strict=True):
        check_like_weights(name, tensor, attention)
        dim = getattr(attention, size)
        if tensor.dim() != query.dim() or tensor.shape[-1] != dim:
            axes = "" if name == "query" else f"{query.dim()} axes as query has, "
            raise ValueError(
                f"{name}: got shape {tuple(tensor.shape)}; allowed: {axes}the last "
                f"axis of {dim}, {size}"
            )
    batch = 1 - int(attention.batch_first)
    if query.dim() == 3 and query.shape[batch] != key.shape[batch]:
        raise ValueError(
            f"key: got batch {key.shape[batch]}; allowed: that of query, "
            f"{query.shape[batch]}"
        )
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(
            f"value: got shape {tuple(value.shape)}; allowed: "
            f"{(*key.shape[:-1], attention.vdim)} as key"
        )
    check_masks(attention, query, key, attn_mask, key_padding_mask)


def check_like_weights(name, tensor, attention):
    """Refuse a tensor whose device or, without autocast, dtype the weights lack."""
    weight = attention.out_proj.weight
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}; allowed: a tensor")
    if tensor.device != weight.device:
        raise ValueError(
            f"{name}: got device {tensor.device}; allowed: that of the weights, "
            f"{weight.device}"
        )
    if tensor.dtype != weight.dtype and not torch.is_autocast_enabled(
        weight.device.type
    ):
        raise TypeError(
            f"{name}: got dtype {tensor.dtype}; allowed: that of the weights, "
            f"{weight.dtype}"
        )


def check_masks(attention, query, key, attn_mask, key_padding_mask):
    """Refuse masks of a wrong type or shape."""
    length = 0 if query.dim() == 2 else int(attention.batch_first)
    batch = 1 if query.dim() == 2 else query.shape[1 - length]
    queries, keys = query.shape[length], key.shape[length]
    pairs = ((queries, keys), (batch * attention.num_heads, queries, keys))
    places = ((keys,),) if query.dim() == 2 else ((batch, keys),)
    check_mask("attn_mask", attn_mask, pairs, query)
    check_mask("key_padding_mask", key_padding_mask, places, query)


def check_mask(name, mask, shapes, query):
    """Refuse a mask that is neither bool nor float, or of none of the shapes."""
    if mask is None:
        return
    if not isinstance(mask, torch.Tensor) or not (
        mask.dtype == torch.bool or mask.is_floating_point()
    ):
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"{name}: got {got}; allowed: a bool or float tensor")
    if mask.device != query.device:
        raise ValueError(
            f"{name}: got device {mask.device}; allowed: that of query, {query.device}"
        )
    if mask.shape not in shapes:
        allowed = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"{name}: got shape {tuple(mask.shape)}; allowed: {allowed}")
