"""Keys that carry so much weight that they are not pooled with others."""

import torch

LANDMARKS = 32  # queries that a key's weight is judged by


def heavy_keys(q, k, valid, starts, length, scale, *, count, own):
    """Positions of the keys of largest root mean square weight in each segment.

    Weights are those of a softmax over the segment, of evenly spaced queries.

    Parameters
    ----------
    q, k : (head, query, d), (head, key, d) tensors
    valid : (head, key) bool tensor
    starts : (segment,) integer tensor
    length : int
        Of a segment.
    scale : float
    count : int
        How many, at most `length`.
    own : bool
        Whether a segment's keys are judged by its own queries only, else by all.

    Returns
    -------
    (head, segment, count) integer tensor
        Cost O(key * d * LANDMARKS).
    """
    across = length if own else q.shape[1]
    steps = torch.arange(0, across, -(-across // LANDMARKS), device=q.device)
    asked = q[:, starts[:, None] + steps]  # (head, segment, landmark, d)
    places = starts[:, None] + torch.arange(length, device=q.device)
    logits = asked @ k[:, places].mT * scale  # (head, segment, landmark, key)
    shut = ~valid[:, places][:, :, None]
    weights = logits.masked_fill(shut, torch.finfo(logits.dtype).min).softmax(-1)
    best = weights.square().mean(2).topk(count).indices  # (head, segment, count)
    return best + starts[:, None]
