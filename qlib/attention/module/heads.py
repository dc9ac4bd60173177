"""Heads of an nn.MultiheadAttention: projected from its inputs, and joined."""

import torch
from torch.nn.functional import linear, pad


def project(attention, query, key, value):
    """Queries, keys and values of every head, as the attention sees them.

    Parameters
    ----------
    attention : torch.nn.MultiheadAttention
        Of any configuration; `add_bias_kv` and `add_zero_attn` append their keys.
    query, key, value : tensor
        (length, batch, dim), (batch, length, dim) under `batch_first`, or unbatched
        (length, dim).

    Returns
    -------
    tuple of three (batch, head, length, head dim) tensors
        Views of one product for self-attention; unbatched input is a batch of one.
    """
    shape = (attention.num_heads, attention.head_dim)
    q, k, v = (
        heads_second(each.unflatten(-1, shape), attention.batch_first)
        for each in projected(attention, query, key, value)
    )  # (batch, head, length, head dim)
    if attention.bias_k is not None:
        k = with_last_key(k, attention.bias_k)
        v = with_last_key(v, attention.bias_v)
    if attention.add_zero_attn:
        k, v = pad(k, (0, 0, 0, 1)), pad(v, (0, 0, 0, 1))
    return q, k, v


def projected(attention, query, key, value):
    """The three linear maps, one product where the three inputs are one tensor."""
    packed, bias = attention.in_proj_weight, attention.in_proj_bias
    if packed is not None and query is key and key is value:
        return linear(query, packed, bias).chunk(3, dim=-1)  # (..., length, dim)
    if packed is not None:
        maps = packed.chunk(3)
    else:
        maps = (attention.q_proj_weight, attention.k_proj_weight)
        maps = (*maps, attention.v_proj_weight)
    shifts = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(
        linear(each, weight, shift)
        for each, weight, shift in zip((query, key, value), maps, shifts, strict=True)
    )


def heads_second(split, batch_first):
    """(..., head, dim) in the layout of the input as (batch, head, length, dim)."""
    if split.dim() == 3:
        return split.transpose(0, 1)[None]
    return split.transpose(1, 2) if batch_first else split.permute(1, 2, 0, 3)


def with_last_key(keys, learned):
    """`keys` and after them a learned one, the same in every batch element."""
    batch, heads, _, dim = keys.shape
    learned = learned.to(keys.dtype).view(1, heads, 1, dim)
    return torch.cat((keys, learned.expand(batch, -1, -1, -1)), dim=2)


def join(output, *, batched, batch_first):
    """(batch, head, query, head dim) with its heads side by side, in input layout."""
    if not batched:
        return output[0].transpose(0, 1).flatten(1)  # (query, dim)
    if batch_first:
        return output.transpose(1, 2).flatten(2)  # (batch, query, dim)
    return output.permute(2, 0, 1, 3).flatten(2)  # (query, batch, dim)
