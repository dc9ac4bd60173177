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
    tiny = torch.finfo(scores.dtype).tiny
    total = scores.sum(-1, keepdim=True)  # (batch, head, query, 1)
    threshold, sure = total / samples, torch.zeros_like(total)
    while True:
        above = scores > threshold
        found = above.sum(-1, keepdim=True).to(scores.dtype)
        if torch.equal(found, sure):
            break
        sure = found
        rest = scores.masked_fill(above, 0).sum(-1, keepdim=True)
        left = (samples - sure).clamp(min=tiny)
        threshold = threshold.minimum(rest / left)  # rounding cannot turn it back
    return (scores / threshold.clamp(min=tiny)).clamp(max=1)


def least_samples(weights, allowed):
    """Sum of `fitted_counts` at which Σ_j a_j² (1 - m_j) / m_j falls to `allowed`.

    That sum is the squared error of the design for values of spread 1. In terms of
    the threshold t it is Σ_j a_j (t - a_j)₊, convex and linear by pieces, and
    Newton's method ends after finitely many steps. The first step is 1 / samples =
    allowed + 1 / participation, the participation being 1 / Σ_j a_j².

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
        Rows that sum to 1, or to 0.
    allowed : (batch, head, query, 1) tensor
        >= 0.

    Returns
    -------
    (batch, head, query, 1) tensor
        Not whole numbers. Cost: O(key) a step, about 5 steps.
    """
    tiny = torch.finfo(weights.dtype).tiny
    squares = weights.square()
    threshold = allowed + squares.sum(-1, keepdim=True)
    drawn = torch.zeros_like(threshold)
    while True:
        below = weights < threshold
        found = below.sum(-1, keepdim=True).to(weights.dtype)
        if torch.equal(found, drawn):
            break
        drawn = found
        mass = torch.where(below, weights, 0).sum(-1, keepdim=True)
        over = torch.where(below, squares, 0).sum(-1, keepdim=True)
        threshold = threshold.minimum((allowed + over) / mass.clamp(min=tiny))
    return (weights / threshold.clamp(min=tiny)).clamp(max=1).sum(-1, keepdim=True)


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
