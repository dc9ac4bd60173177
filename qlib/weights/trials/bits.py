"""Methods that choose codes, each with the same start, the same loss, the same refit.

A method is ``method(study, bits, start, rng, **settings) -> QuantizedHead``, the start
being what second-order rounding gives. Whatever it does, scale and bias are refitted to
its codes in the end, so that methods differ by their codes alone.
"""

from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from qlib.weights.quantize.annealing import (
    replica_exchange_codes,
    simulated_annealing_codes,
)
from qlib.weights.quantize.codes import levels
from qlib.weights.quantize.coordinate_descent import coordinate_descent
from qlib.weights.quantize.path_integral import path_integral_codes
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.second_order import second_order_rounding
from qlib.weights.quantize.straight_through import straight_through


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


def real_outcome(studies):
    """The `Outcome` of (studies,) arrays that real weights reach: the optimum's."""
    heads = [(study, study.optimum.weights, study.optimum.bias) for study in studies]
    rows = [
        (s.loss(*head), s.training_accuracy(*head), s.accuracy(*head))
        for s, *head in heads
    ]
    return Outcome(*np.transpose(rows))


def fitted(study, head):
    """A head with scale and bias of least loss for its codes."""
    return refit(head, study.features, study.labels, l2=study.l2)


def rounded(study, bits, start=None, rng=None):
    """The real optimum rounded to nearest."""
    optimum = study.optimum
    return fitted(study, round_to_nearest(optimum.weights, optimum.bias, bits))


@lru_cache(maxsize=64)
def second_order(study, bits):
    """Rounding weight by weight, the rest compensating: where every search starts.

    It is the costliest step of a comparison, has no randomness, and is kept.
    """
    return second_order_rounding(
        study.features,
        study.labels,
        study.optimum.weights,
        study.optimum.bias,
        bits,
        l2=study.l2,
    )


def unchanged(study, bits, start, rng):
    """The start itself."""
    return start


def descended(study, bits, start, rng):
    """Coordinate descent on the loss."""
    head = coordinate_descent(start, study.features, study.labels, l2=study.l2, rng=rng)
    return fitted(study, head)


def trained(study, bits, start, rng, *, rounded_first, **ways):
    """Gradient training through the rounding, from the start or the real optimum."""
    real = start if rounded_first else study.optimum
    (head,) = straight_through(
        study.features,
        study.labels,
        real.weights,
        real.bias,
        bits,
        seeds=(int(rng.integers(2**31)),),
        l2=study.l2,
        **ways,
    )
    return fitted(study, head)


def annealed(
    study,
    bits,
    start,
    rng,
    *,
    search=simulated_annealing_codes,
    rounds=4,
    sweeps=200,
    **ranges,
):
    """A search over codes.

    Scale and bias are refitted between `rounds` equal parts of the search, each with
    its share of the sweeps and of the schedule: `temperature_range` or `field_range`
    falls geometrically through all of them. The best head met is returned.
    """
    head = best = start
    rounds = min(rounds, sweeps)
    edges = np.linspace(0, sweeps, rounds + 1).round().astype(int)
    for part in range(rounds):
        found = search(
            study.features,
            study.labels,
            head,
            sweeps=int(edges[part + 1] - edges[part]),
            l2=study.l2,
            rng=rng,
            **_part_of_ranges(search, ranges, part, rounds),
        )
        head = fitted(study, replace(head, codes=found.codes[-1]))
        heads = best, head, fitted(study, found.head)
        best = min(heads, key=lambda one: outcome(study, one).loss)
    return best


def kicked(study, bits, start, rng, *, share, kicks):
    """Iterated local search: coordinate descent, then kicks, each descended again.

    A kick gives a `share` of the codes, drawn at random, levels at random; the result
    is the next start if its loss is not higher.
    """
    best = descended(study, bits, start, rng)
    lowest = outcome(study, best).loss
    for _ in range(kicks):
        codes = best.codes.copy()
        places = rng.random(codes.shape) < share
        codes[places] = rng.choice(levels(bits), size=places.sum())
        head = descended(study, bits, replace(best, codes=codes), rng)
        loss = outcome(study, head).loss
        if loss <= lowest:
            best, lowest = head, loss
    return best


def drawn(study, bits, start, rng, *, tries):
    """Random search: the best of several heads of random codes."""
    heads = [
        fitted(study, replace(start, codes=rng.choice(levels(bits), start.codes.shape)))
        for _ in range(tries)
    ]
    return min(heads, key=lambda one: outcome(study, one).loss)


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


def trained_then_annealed(study, bits, start, rng, *, training, **ways):
    """Simulated annealing from where straight-through training ends."""
    trained_head = trained(study, bits, start, rng, **training)
    return annealed(study, bits, trained_head, rng, **ways)


METHODS = {
    "random search": drawn,
    "rounding": rounded,
    "second-order rounding": unchanged,
    "coordinate descent": descended,
    "iterated descent": kicked,
    "straight-through": trained,
    "SA": annealed,
    "replica exchange": partial(annealed, search=replica_exchange_codes),
    "path integral": partial(annealed, search=path_integral_codes),
    "straight-through, then SA": trained_then_annealed,
}


def settings(name, study):
    """Settings tried for a method: four for a search or a training, one for rounding.

    Temperatures are an acceptable excess loss, in nats, over the number of weights; the
    default of the annealers is 0.5 of these.
    """
    hottest = [excess / study.optimum.weights.size for excess in (0.03, 0.1, 0.3, 1.0)]
    if name == "straight-through":
        return [
            dict(learning_rate=rate, rounded_first=rounded_first)
            for rate in (0.003, 0.01)
            for rounded_first in (False, True)
        ]
    if name == "path integral":  # a lone slice sees the temperature times the slices
        return [
            dict(slices=4, temperature=hot / 4, field_range=(hot, hot / 1000))
            for hot in hottest
        ]
    if name == "iterated descent":
        return [dict(share=share) for share in (0.003, 0.01, 0.03, 0.1)]
    if name in ("SA", "replica exchange", "straight-through, then SA"):
        return [dict(temperature_range=(hot, hot / 100)) for hot in hottest]
    return [{}]


def tuned(study, bits, rng, *, sweeps):
    """Settings of every method by which it reaches the lowest loss on one study.

    Parameters
    ----------
    study : Study
        Not one of those on which methods are compared.
    bits : {1, 1.58, 2, 3, 4}
    rng : `numpy.random.Generator`
    sweeps : int
        Of annealing: evaluations are the same for every search; see `with_budget`.

    Returns
    -------
    dict
        Method to settings.
    """
    best, start = {}, second_order(study, bits)
    for name, method in METHODS.items():
        tried = [with_budget(name, one, sweeps, bits) for one in settings(name, study)]
        if name == "straight-through, then SA":
            training = best["straight-through"]
            tried = [one | dict(training=training) for one in tried]
        heads = tried[1:] and [method(study, bits, start, rng, **one) for one in tried]
        losses = [outcome(study, head).loss for head in heads]
        best[name] = tried[int(np.argmin(losses)) if losses else 0]
    return best


def with_budget(name, chosen, sweeps, bits):
    """Settings with what spends about as much as `sweeps` of SA.

    Searches by Metropolis get equal evaluations. A kick with its descent, which tries
    all levels, and refits takes about as long as twenty sweeps a level; a random head
    with its refit as ten.
    """
    if name == "iterated descent":
        return chosen | dict(kicks=max(1, sweeps // (20 * levels(bits).size)))
    if name == "random search":
        return dict(tries=max(1, sweeps // 10))
    share = {
        "SA": 1,
        "straight-through, then SA": 1,
        "replica exchange": chosen.get("replicas", 8),
        "path integral": 2 * chosen.get("slices", 8),
    }
    if name not in share:
        return chosen
    return chosen | dict(sweeps=max(1, sweeps // share[name]))


def compare(studies, chosen, bits, *, clock, rng):
    """Every method at its settings on every study.

    Parameters
    ----------
    studies : sequence of Study
    chosen : dict
        Method to settings, as `tuned` returns them.
    bits : {1, 1.58, 2, 3, 4}
    clock : callable
        Seconds, monotonic.
    rng : `numpy.random.Generator`

    Returns
    -------
    outcomes : dict
        Method to an `Outcome` of (studies,) arrays.
    seconds : dict
        Method to seconds a study, its start not counted.
    """
    found = {name: [] for name in chosen}
    seconds = dict.fromkeys(chosen, 0.0)
    for study in studies:
        start = second_order(study, bits)
        for name, ways in chosen.items():
            began = clock()
            head = METHODS[name](study, bits, start, rng, **ways)
            seconds[name] += (clock() - began) / len(studies)
            found[name].append(outcome(study, head))
    outcomes = {name: Outcome(*np.transpose(rows)) for name, rows in found.items()}
    return outcomes, seconds


def across(found):
    """Outcomes by bits, then method, as method to `Outcome` of (bits, studies)."""
    names = next(iter(found.values()))
    return {
        name: Outcome(*np.stack([one[name] for one in found.values()], axis=1))
        for name in names
    }


def by_budget(studies, chosen, bits, budgets, *, clock, rng):
    """Losses and seconds of SA and path integral at several budgets, as tuned.

    Parameters
    ----------
    studies, chosen, bits, rng
        As for `compare`.
    budgets : sequence of int
        Sweeps of SA; path integral spends as many evaluations.
    clock : callable
        Seconds, monotonic.

    Returns
    -------
    losses : dict
        Method to a (studies, budgets) array.
    seconds : dict
        Method to a (budgets,) array, of all studies together.
    """
    losses, seconds = {}, {}
    starts = [second_order(study, bits) for study in studies]
    for name in ("SA", "path integral"):
        rows, marks = [], [clock()]
        for sweeps in budgets:
            ways = with_budget(name, chosen[name], sweeps, bits)
            heads = [
                METHODS[name](study, bits, start, rng, **ways)
                for study, start in zip(studies, starts, strict=True)
            ]
            marks.append(clock())
            pairs = zip(studies, heads, strict=True)
            rows.append([outcome(*pair).loss for pair in pairs])
        losses[name], seconds[name] = np.transpose(rows), np.diff(marks)
    return losses, seconds
