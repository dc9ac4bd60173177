"""Annealing of a head's accuracy, with its temperatures chosen as for the others."""

from qlib.weights.quantize.accuracy import anneal_accuracy
from qlib.weights.trials.bits import outcome

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
        return outcome(study, head).training_accuracy

    return max(TEMPERATURES, key=reached)
