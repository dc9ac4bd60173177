"""Masks of a head's features by every selection method, before and after refitting."""

from typing import NamedTuple

import numpy as np

from qlib.weights import pruning
from qlib.weights.pruning.refit import softmax_refit
from qlib.weights.trials.studies import Study


class Pruned(NamedTuple):
    """One mask of a study's features.

    Attributes
    ----------
    error : float
        Mean squared change of the logits, only the bias refitted, over the variance of
        the logits: what the QUBO minimises.
    refitted_error : float
        The same after the least-squares refit of the kept weights.
    accuracy, refitted_accuracy : float
        On the test samples: weights as they were, and the softmax head refitted to the
        kept features.
    """

    error: float
    refitted_error: float
    accuracy: float
    refitted_accuracy: float


def masks(model, moments, weights, keep, *, kicks, reads, sweeps, clock, rng):
    """Kept features by method, `keep` of them each, and the seconds that each took.

    Parameters
    ----------
    model : IsingModel
        The error of a mask, one spin a feature.
    moments : InputMoments
    weights : (d, outputs) array
    keep : int
    kicks : int
        Of the iterated local search after greedy elimination.
    reads, sweeps : int
        Of annealing with swap moves; random search takes the best of `reads` masks.
    clock : callable
        Seconds, monotonic.
    rng : `numpy.random.Generator`

    Returns
    -------
    kept : dict
        Method to (d,) bool array.
    seconds : dict
    """
    d = model.num_spins
    norms = pruning.weight_norms(weights, weights.shape[0] // d)
    anneal = dict(num_reads=reads, num_sweeps=sweeps, seed=rng)
    ways = {
        "random search": lambda: min(
            (pruning.random_mask(d, keep, rng) for _ in range(reads)),
            key=lambda mask: pruning.selection(model, mask).energy,
        ),
        "magnitude": lambda: pruning.largest(norms, keep),
        "greedy": lambda: pruning.backward_elimination(model, keep).kept,
        "greedy and swap": lambda: (
            pruning.greedy_swap(model, keep, kicks=kicks, rng=rng).kept
        ),
        "SA": lambda: pruning.anneal(model, keep, **anneal).kept,
        "brain surgeon": lambda: pruning.refitted_elimination(moments, weights, keep),
    }
    kept, seconds = {}, {}
    for name, select in ways.items():
        began = clock()
        kept[name] = select()
        seconds[name] = clock() - began
    return kept, seconds


def fisher_model(study: Study):
    """The QUBO of a study's loss itself, to second order in gates on its features."""
    gradients = pruning.head_gate_gradients(
        study.features, study.labels, study.optimum.weights, study.optimum.bias
    )
    return pruning.fisher_qubo(gradients)


def pruned(study, moments, kept):
    """The `Pruned` of one mask of a study's features."""
    weights, bias = study.optimum.weights, study.optimum.bias
    plain = pruning.prune_weights(moments, weights, kept)
    refit = pruning.least_squares_refit(moments, weights, kept)
    power = pruning.output_power(moments, weights)
    fitted = softmax_refit(
        study.features,
        study.labels,
        kept,
        start=(weights, bias),
        l2=study.l2,
        tolerance=1e-5,
    )
    return Pruned(
        pruning.output_error(moments, weights, plain) / power,
        pruning.output_error(moments, weights, refit) / power,
        study.accuracy(plain.weights, bias + plain.bias),
        study.accuracy(fitted.weights, fitted.bias),
    )


def compare_masks(studies, shares, *, reads, sweeps, rng, **effort):
    """Every method on every study at every share of features kept.

    Parameters
    ----------
    studies : sequence of Study
    shares : sequence of float
        Of the d features, each in (0, 1).
    reads, sweeps, rng, **effort
        As for `masks`.

    Returns
    -------
    outcomes : dict
        Method to a `Pruned` of (shares, studies) arrays; "Fisher SA" anneals the
        second-order change of the loss, all others go by the output error.
    seconds : dict
        Method to the sum over studies and shares.
    """
    found, spent = {}, {}
    anneal = dict(num_reads=reads, num_sweeps=sweeps, seed=rng)
    for study in studies:
        weights = study.optimum.weights
        moments = pruning.feature_moments(study.features)
        model = pruning.reconstruction_qubo(study.features, weights)
        fisher = fisher_model(study)
        for share in shares:
            keep = max(1, round(share * model.num_spins))
            ways = dict(reads=reads, sweeps=sweeps, rng=rng, **effort)
            kept, seconds = masks(model, moments, weights, keep, **ways)
            for name, one in seconds.items():
                spent[name] = spent.get(name, 0.0) + one
            kept["Fisher SA"] = pruning.anneal(fisher, keep, **anneal).kept
            for name, mask in kept.items():
                found.setdefault(name, []).append(pruned(study, moments, mask))
    shape = len(studies), len(shares)
    outcomes = {
        name: Pruned(*(np.reshape(part, shape).T for part in np.transpose(rows)))
        for name, rows in found.items()
    }
    return outcomes, spent
