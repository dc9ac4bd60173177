"""A level near the largest logits of each query, from a few keys."""

import torch

from qlib.attention.mask import Mask

PILOTS = 16  # keys; 32 leave 5 % less error on a language model at twice the cost


def pilot_level(q, k, mask):
    """The largest logit of each query among `PILOTS` evenly spaced keys it may see.

    Softmax does not change when a number is subtracted from all logits of a query.
    Logits near 0 lose less when they are rounded to 8 bits, so this level is
    subtracted before. Masked and later keys have no part in it.

    Parameters
    ----------
    q : (batch, head, query, d) tensor
        Times the scale.
    k : (batch, head, key, d) tensor
    mask : Mask

    Returns
    -------
    (batch, head, query, 1) tensor
        Without gradient; 0 where a query sees none of those keys.
    """
    q, k = q.detach(), k.detach()
    step = -(-k.shape[2] // PILOTS)
    logits = k[:, :, ::step] @ q.transpose(2, 3)  # (batch, head, pilot, query)
    tile = at_keys(mask, step).full(q.shape[2], logits.shape[2], like=logits)
    if tile is not None:
        logits += tile.transpose(2, 3)
    if mask.is_causal:
        places = torch.arange(0, k.shape[2], step, device=q.device)[:, None]
        later = places > torch.arange(q.shape[2], device=q.device)
        logits.masked_fill_(later, -torch.inf)
    level = logits.amax(2)[..., None]  # (batch, head, query, 1)
    return level.masked_fill_(level == -torch.inf, 0)


def at_keys(mask, step):
    """Padding and general part of a mask at every `step`-th key."""
    keys = None if mask.keys is None else mask.keys[:, ::step]
    general = None if mask.general is None else mask.general.detach()[..., ::step]
    return Mask(False, keys, general)
