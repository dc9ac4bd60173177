"""Methods that choose codes, each with the same start, the same loss, the same refit.

A method is ``method(study, bits, rng, **settings) -> QuantizedHead``. Whatever it does,
scale and bias are refitted to its codes in the end, so that methods differ by their
codes alone.
"""

from dataclasses import replace
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
    (head,) = straight_through(
        study.features,
        study.labels,
        optimum.weights,
        optimum.bias,
        bits,
        seeds=(int(rng.integers(2**31)),),
        l2=study.l2,
        **settings,
    )
    return fitted(study, head)


def annealed(
    study,
    bits,
    rng,
    *,
    search=simulated_annealing_codes,
    start=None,
    rounds=4,
    sweeps=400,
    **ranges,
):
    """A search over codes from the rounded head, or from `start`.

    Scale and bias are refitted between `rounds` equal parts of the search, each with
    its share of the sweeps and of the schedule: `temperature_range` or `field_range`
    falls geometrically through all of them. The best head met is returned.
    """
    head = best = rounded(study, bits) if start is None else start
    for part in range(rounds):
        found = search(
            study.features,
            study.labels,
            head,
            sweeps=max(1, sweeps // rounds),
            l2=study.l2,
            rng=rng,
            **_part_of_ranges(search, ranges, part, rounds),
        )
        head = fitted(study, replace(head, codes=found.codes[-1]))
        heads = best, head, fitted(study, found.head)
        best = min(heads, key=lambda one: outcome(study, one).loss)
    return best


def _part_of_ranges(search, ranges, part, rounds):
    """Settings of one part: schedules cut into geometric pieces, all else as it is."""
    falling = {
        simulated_annealing_codes: "temperature_range",
        path_integral_codes: "field_range",
    }.get(search)
    if falling not in ranges:
        return ranges
    edges = np.geomspace(*ranges[falling], rounds + 1)
    return ranges | {falling: (edges[part], edges[part + 1])}


def trained_then_annealed(study, bits, rng, *, training, **ways):
    """Simulated annealing from where straight-through training ends."""
    start = trained(study, bits, rng, **training)
    return annealed(study, bits, rng, start=start, **ways)


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
