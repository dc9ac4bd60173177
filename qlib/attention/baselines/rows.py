"""What the baselines share: safe rows of weights, segment means."""

import torch

from qlib.attention.mask import Mask

BITS = 1.4426950408889634  # of a nat; logits are held in bits, for exp2 is the faster


def columns(mask, low, high):
    """The padding and general parts of a mask for the keys `low` to `high` - 1."""
    keys = None if mask.keys is None else mask.keys[:, low:high]
    general = None if mask.general is None else mask.general[..., low:high]
    return Mask(False, keys, general)


def unnormalised(logits):
    """Softmax before its division, safe for rows that are -inf throughout.

    Parameters
    ----------
    logits : (..., query, key) tensor
        In bits: 2 to their power are the weights.

    Returns
    -------
    weights : (..., query, key) tensor
        At most 1, the largest of a row being 1; 0 in a row of -inf.
    top : (..., query, 1) tensor
        What was taken off each row, in bits, without gradient; 0 in a row of -inf.
    """
    top = logits.detach().amax(-1, keepdim=True)
    top = torch.where(top == -torch.inf, 0.0, top)
    return torch.exp2(logits - top), top


def divided(sums, total):
    """`sums` over `total`, and 0 where the total is 0, with finite gradients."""
    return sums / torch.where(total == 0.0, 1.0, total)


def softmax(logits):
    """Softmax over keys of logits in bits; rows of -inf become 0."""
    weights, _ = unnormalised(logits)
    return divided(weights, weights.sum(-1, keepdim=True))


def segment_means(x, count, mask=None):
    """Means over `count` consecutive segments whose sizes differ by at most one.

    Parameters
    ----------
    x : (batch, head, length, dim) tensor
        0 at padding, see `qlib.attention.backend.Backend`.
    count : int
        At most the length.
    mask : Mask, optional
        Its padding is left out of the means.

    Returns
    -------
    means : (batch, head, count, dim) tensor
        0 for a segment of padding only.
    there : (batch, 1, 1, count) bool tensor, or None
        Whether a segment has a key; None without padding.
    """
    if mask is None or mask.keys is None:
        sizes = _segment_sums(x.new_ones(1, 1, x.shape[2], 1), count)
        return _segment_sums(x, count) / sizes, None
    sizes = _segment_sums(mask.keys[:, None, :, None].to(x.dtype), count)
    means = _segment_sums(x, count) / sizes.clamp_min(1.0)
    return means, (sizes > 0).transpose(2, 3)


def _segment_sums(x, count):
    size, longer = divmod(x.shape[2], count)
    border = (count - longer) * size
    parts = [x[:, :, :border].unflatten(2, (count - longer, size)).sum(3)]
    if longer:
        parts.append(x[:, :, border:].unflatten(2, (longer, size + 1)).sum(3))
    return torch.cat(parts, dim=2)
