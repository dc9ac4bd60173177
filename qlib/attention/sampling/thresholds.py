"""Expected counts that read no key twice: the heavy ones surely, the rest by chance."""

import torch


def fitted_counts(scores, samples):
    """min(1, score / t) with t such that every row sums to `samples`.

    Among designs that read a key at most once, drawing it with a probability in
    proportion to the size of its term has the least variance; those that would be
    drawn more than once are read surely. How many keys are sure is thus settled row by
    row (Fearnhead and Clifford 2003, J. R. Stat. Soc. B 65, 887, give the rule as
    optimal resampling). 1 / t is found by Newton's method on a concave function that
    is linear by pieces, from below, which ends after finitely many steps.

    Parameters
    ----------
    scores : (batch, head, query, key) tensor
        Sizes of the terms, >= 0; 0 for a key that must not be drawn.
    samples : int or (batch, head, query, 1) tensor
        Values that a row may read.

    Returns
    -------
    (batch, head, query, key) tensor
        Exactly 1 for the sure keys. Rows with at most `samples` keys of positive
        score are all sure. Cost: O(key) a step, about 5 steps.
    """
    total = scores.sum(-1, keepdim=True)  # (batch, head, query, 1)
    threshold, sure = total / samples, torch.zeros_like(total)
    while True:
        above = scores > threshold
        found = above.sum(-1, keepdim=True).to(scores.dtype)
        if torch.equal(found, sure):
            break
        sure = found
        rest = scores.masked_fill(above, 0).sum(-1, keepdim=True)
        threshold = rest / (samples - sure)
    tiny = torch.finfo(scores.dtype).tiny
    return (scores / threshold.clamp(min=tiny)).clamp(max=1)


def chosen_counts(weights, samples, k):
    """1 for the `k` largest weights, the rest in proportion to `samples` - k.

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
    samples, k : int
        k < samples.

    Returns
    -------
    (batch, head, query, key) tensor
        Rows whose rest weighs nothing sum to the number of their positive weights.
    """
    top = weights.topk(min(k, weights.shape[-1]), -1).indices
    sure = torch.zeros_like(weights, dtype=torch.bool).scatter_(-1, top, True)
    rest = weights.masked_fill(sure, 0)
    mass = rest.sum(-1, keepdim=True)  # (batch, head, query, 1)
    counts = (samples - k) * (rest / mass.clamp(min=torch.finfo(mass.dtype).tiny))
    return torch.where(sure & (weights > 0), 1.0, counts)
