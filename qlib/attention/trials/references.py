"""What needs no sampler: few keys, taken by weight or by chance, or all alike."""

import numpy as np
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.trials.inputs import relative_errors


def heaviest(weights, budget, generator):
    """The `budget` keys of largest weight of each query, with their weights."""
    least = weights.topk(min(budget, weights.shape[-1])).values[..., -1:]
    return weights * (weights >= least)


def by_chance(weights, budget, generator):
    """As many keys, each of those that the query sees as likely, with their weights."""
    chance = torch.rand(weights.shape, generator=generator)
    chance[weights == 0] = 2.0
    last = min(budget, weights.shape[-1])
    return weights * (chance <= chance.sort().values[..., last - 1 : last])


def all_alike(weights, budget, generator):
    """Every key that the query sees, with the same weight."""
    return (weights > 0).to(weights.dtype)


REFERENCES = {
    # name in `qlib.workbook.plotting.METHODS`: what is kept of the exact weights
    "largest weights": heaviest,
    "random keys": by_chance,
    "mean of values": all_alike,
}


def reference_errors(inputs, exact, name, budget, *, seed):
    """Relative error of each head by a reference.

    The largest weights are taken as they are or made to sum to 1, whichever errs less
    on a head: their exact sum is known to whoever has found them.

    Parameters
    ----------
    inputs, name, budget, seed
        As in `reference_output`.
    exact : (layer, head, query, value) tensor

    Returns
    -------
    (layer · head,) array
    """
    if name != "largest weights":
        output = reference_output(inputs, name, budget, seed=seed)
        return relative_errors(output, exact)
    forms = (
        reference_output(inputs, name, budget, seed=seed, normalised=normalised)
        for normalised in (True, False)
    )
    return np.minimum(*(relative_errors(output, exact) for output in forms))


def reference_output(inputs, name, budget, *, seed, normalised=True):
    """Attention to what a reference keeps.

    Parameters
    ----------
    inputs : Inputs
    name : str
        Of `REFERENCES`.
    budget : int
        Keys of a query.
    seed : int
    normalised : bool
        Whether the weights that are kept are made to sum to 1.

    Returns
    -------
    (layer, head, query, value) tensor
    """
    exact = quantum_attention(
        inputs.q,
        inputs.k,
        inputs.v,
        backend="math",
        is_causal=inputs.is_causal,
        need_weights=True,
    ).weights
    generator = torch.Generator().manual_seed(seed)
    kept = REFERENCES[name](exact, budget, generator)
    if normalised:
        kept = kept / kept.sum(-1, keepdim=True)
    return kept @ inputs.v
