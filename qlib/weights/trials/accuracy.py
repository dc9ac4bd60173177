"""Annealing of a head's accuracy, with its temperatures chosen as for the others."""

import numpy as np

from qlib.weights.quantize.accuracy import anneal_accuracy
from qlib.weights.trials import bits

TEMPERATURES = tuple((hot, hot / 100) for hot in (1e-4, 3e-4, 1e-3, 3e-3))


def annealed(study, start, *, sweeps, temperature_range, rng):
    """The `QuantizedHead` that anneals accuracy from a start, its bias as it was."""
    return anneal_accuracy(
        start,
        study.features,
        study.labels,
        sweeps=sweeps,
        temperature_range=temperature_range,
        rng=rng,
    ).head


def tuned(study, start, *, sweeps, rng):
    """Temperatures with which the training accuracy of one study ends highest."""
    ways = dict(sweeps=sweeps, rng=rng)

    def reached(one):
        head = annealed(study, start, temperature_range=one, **ways)
        return bits.outcome(study, head).training_accuracy

    return max(TEMPERATURES, key=reached)


def compare(studies, settings, *, sweeps, temperature_range, rng):
    """Accuracies at one bit when the loss is annealed, and when accuracy is.

    Parameters
    ----------
    studies : sequence of Study
    settings : dict
        Of `bits.METHODS["SA"]`, which anneals the loss.
    sweeps, temperature_range
        Of annealing accuracy.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to a (2, studies) array: training accuracies, test accuracies.
    """
    pairs = {"SA": [], "accuracy SA": []}
    melt = dict(sweeps=sweeps, temperature_range=temperature_range, rng=rng)
    for study in studies:
        start = bits.second_order(study, 1)
        by_loss = bits.METHODS["SA"](study, 1, start, rng, **settings)
        direct = annealed(study, start, **melt)
        for name, head in (("SA", by_loss), ("accuracy SA", direct)):
            reached = bits.outcome(study, head)
            pairs[name].append((reached.training_accuracy, reached.accuracy))
    return {name: np.transpose(pair) for name, pair in pairs.items()}
