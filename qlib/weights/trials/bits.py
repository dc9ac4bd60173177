"""Methods that choose codes, each with the same start, the same loss, the same refit.

A method is ``method(study, bits, rng, **settings) -> QuantizedHead``. Whatever it does,
scale and bias are refitted to its codes in the end, so that methods differ by their
codes alone.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from qlib.weights.quantize.annealing import (
    replica_exchange_codes,
    simulated_annealing_codes,
)
from qlib.weights.quantize.coordinate_descent import coordinate_descent
from qlib.weights.quantize.path_integral import path_integral_codes
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.second_order import second_order_rounding
from qlib.weights.quantize.straight_through import straight_through
from qlib.weights.trials.studies import Study


class Outcome(NamedTuple):
    """Loss in nats a sample, penalty included, and accuracies of one method's head."""

    loss: float
    training_accuracy: float
    accuracy: float


def outcome(study, head):
    """The `Outcome` of a `QuantizedHead`."""
    weights, bias = head.weights, head.bias
    return Outcome(
        study.loss(weights, bias),
        study.training_accuracy(weights, bias),
        study.accuracy(weights, bias),
    )


def rounded(study, bits, rng=None):
    """The real optimum rounded to nearest, refitted: where every search starts."""
    optimum = study.optimum
    return fitted(study, round_to_nearest(optimum.weights, optimum.bias, bits))


def fitted(study, head):
    """A head with scale and bias of least loss for its codes."""
    return refit(head, study.features, study.labels, l2=study.l2)


def second_order(study, bits, rng=None):
    """Rounding one feature at a time, the rest compensating for its error."""
    optimum = study.optimum
    head = second_order_rounding(
        study.features,
        study.labels,
        optimum.weights,
        optimum.bias,
        bits,
        l2=study.l2,
    )
    return fitted(study, head)


def descended(study, bits, rng):
    """Coordinate descent on the loss."""
    head = coordinate_descent(
        rounded(study, bits), study.features, study.labels, l2=study.l2, rng=rng
    )
    return fitted(study, head)


def trained(study, bits, rng, **settings):
    """Gradient training through the rounding."""
    optimum = study.optimum
    head = straight_through(
        optimum.weights,
        optimum.bias,
        bits,
        study.features,
        study.labels,
        l2=study.l2,
        rng=rng,
        **settings,
    )
    return fitted(study, head)


def annealed(study, bits, rng, *, search=simulated_annealing_codes, start=None, **ways):
    """A search over codes from the rounded head, or from `start`."""
    start = rounded(study, bits) if start is None else start
    found = search(study.features, study.labels, start, l2=study.l2, rng=rng, **ways)
    return fitted(study, found.head)


def trained_then_annealed(study, bits, rng, *, training, **ways):
    """Simulated annealing from where straight-through training ends."""
    return annealed(study, bits, rng, start=trained(study, bits, rng, **training), **ways)


METHODS = {
    "rounding": rounded,
    "second-order rounding": second_order,
    "coordinate descent": descended,
    "straight-through": trained,
    "SA": annealed,
    "replica exchange": partial(annealed, search=replica_exchange_codes),
    "path integral": partial(annealed, search=path_integral_codes),
    "straight-through, then SA": trained_then_annealed,
}


def tune(method, study, bits, settings, rng):
    """Losses that a method reaches on one study, setting by setting.

    Parameters
    ----------
    method : callable
    study : Study
        Not one of those on which methods are compared.
    bits : {1, 1.58, 2, 3, 4}
    settings : sequence of dict
    rng : `numpy.random.Generator`

    Returns
    -------
    list of (dict, float)
        Best first.
    """
    tried = [(s, outcome(study, method(study, bits, rng, **s)).loss) for s in settings]
    return sorted(tried, key=lambda pair: pair[1])
