"""Masks of nn.MultiheadAttention, turned into those of `quantum_attention`."""

import torch
from torch.nn.functional import pad


def attention_masks(attn_mask, key_padding_mask, is_causal, **shape):
    """Masks under the convention of `quantum_attention`.

    Parameters
    ----------
    attn_mask : (query, key) or (batch * head, query, key) tensor, or None
        True where a pair is shut, or a float added to the logits.
    key_padding_mask : (batch, key) or (key,) tensor, or None
        True where a key is padding, or a float added to the logits.
    is_causal : bool
        `attn_mask` is the causal one, so that it is not read.
    **shape
        `queries`, `keys`, `batch`, `heads` and `device` of the call; `added`, keys
        that the module appends; `need_weights`; `look`, whether the content of masks
        may be looked at to find them causal or plain padding.

    Returns
    -------
    attn_mask : tensor or None
        (query, key) or four axes, True where a pair takes part, or a float.
    key_padding_mask : (batch, key) bool tensor or None
    is_causal : bool

    Notes
    -----
    Appended keys (`add_bias_kv`, `add_zero_attn`) are open to every query, except,
    as in PyTorch, under `is_causal` with neither padding nor weights asked for: its
    fused kernel is causal over all keys, the appended ones included.
    """
    attn_mask, is_causal = causal_or_general(
        attn_mask, key_padding_mask is not None, is_causal, **shape
    )
    if attn_mask is not None:
        attn_mask = pad(attn_mask, (0, shape["added"]))
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.unflatten(0, (shape["batch"], shape["heads"]))
        if attn_mask.dtype == torch.bool:
            attn_mask = ~attn_mask
    if key_padding_mask is None:
        return attn_mask, None, is_causal
    key_padding_mask = key_padding_mask.view(shape["batch"], -1)
    key_padding_mask = pad(key_padding_mask, (0, shape["added"]))
    if shape["look"] and is_plain(key_padding_mask):
        key_padding_mask = key_padding_mask == -torch.inf
    if key_padding_mask.dtype == torch.bool:
        return attn_mask, key_padding_mask, is_causal
    bias = key_padding_mask[:, None, None]  # (batch, 1, 1, key)
    return merged(attn_mask, bias), None, is_causal


def causal_or_general(
    attn_mask,
    padded,
    is_causal,
    *,
    queries,
    keys,
    device,
    added,
    need_weights,
    look,
    **_,
):
    """The mask to read, if any, and whether the attention is causal."""
    if not is_causal:
        causal = look and not added and is_square_causal(attn_mask)
        return (None, True) if causal else (attn_mask, False)
    if not (added and (padded or need_weights)):
        return None, True
    if attn_mask is None:
        later = torch.ones(queries, keys, dtype=torch.bool, device=device)
        attn_mask = later.triu(1)
    return attn_mask, False


def merged(attn_mask, bias):
    """A mask and a bias of the keys as one."""
    if attn_mask is None:
        return bias
    if attn_mask.dtype == torch.bool:
        return bias.masked_fill(~attn_mask, -torch.inf)  # (batch, 1|head, query, key)
    return attn_mask + bias


def is_plain(key_padding_mask):
    """Whether a float mask of keys only opens (0) and shuts (-inf)."""
    if key_padding_mask.dtype == torch.bool:
        return False
    shut = key_padding_mask == -torch.inf
    return bool((shut | (key_padding_mask == 0)).all())


def is_square_causal(attn_mask):
    """Whether a (query, key) mask shuts the keys after each query and does no more."""
    if attn_mask is None or attn_mask.dim() != 2:
        return False
    later = torch.ones(attn_mask.shape, dtype=torch.bool, device=attn_mask.device)
    later = later.triu(1)
    if attn_mask.dtype == torch.bool:
        return torch.equal(attn_mask, later)
    bias = torch.zeros_like(attn_mask).masked_fill_(later, -torch.inf)
    return torch.equal(attn_mask, bias)
