"""Seconds are the clock's, losses are above the optimum, costs are a proposal's."""

from itertools import count

import numpy as np
import pytest

from qlib.weights.quantize.annealing import simulated_annealing_codes
from qlib.weights.trials import race
from qlib.weights.trials.bits import rounded
from qlib.weights.trials.studies import Study
from qlib.weights.trials.toy import draw_toy

SIZE = 120  # weights of the fixture's head


class Clock:
    """A clock that moves only when told to."""

    now = 50.0

    def __call__(self):
        return self.now


def test_time_spent_on_a_loss_that_is_asked_for_is_taken_off():
    clock = Clock()
    watch = race.Stopwatch(clock)

    def slow(loss, seconds):
        clock.now += seconds
        return loss

    clock.now += 1
    watch.note(3.0)
    clock.now += 2
    watch.note(lambda: slow(1.0, 1000))
    clock.now += 4
    watch.note(lambda: slow(2.0, 500))
    clock.now += 8
    watch.note(0.5)
    assert watch.seconds == [1, 3, 7, 15]
    seconds, excess = watch.above(0.25)
    assert seconds.tolist() == [1, 3, 7, 15]
    assert excess.tolist() == [2.75, 0.75, 0.75, 0.25]


def test_no_method_gets_below_the_convex_optimum(study):
    tick = count()
    found = race.race(
        study,
        lr=0.01,
        epochs=20,
        iterations=[1, 4, 16, 400],
        sweeps=30,
        proposals=200,
        temperatures=(1 / SIZE, 1e-3 / SIZE),
        clock=lambda: float(next(tick)),
        rng=np.random.default_rng(0),
    )
    lengths = {"SGD": 20, "L-BFGS": 4, "SA": 30, "naive SA": 200}
    assert {name: len(seconds) for name, (seconds, _) in found.items()} == lengths
    for seconds, excess in found.values():
        assert (seconds > 0).all()
        assert (excess > -1e-9).all()
        assert (np.diff(excess) <= 0).all()
        assert excess[-1] < excess[0]
    assert found["L-BFGS"][1][-1] < 1e-9
    for name in ("SGD", "SA", "naive SA"):
        assert (np.diff(found[name][0]) > 0).all()


@pytest.mark.parametrize("rates", [(1e-7, 0.01), (0.01, 1e-7), (1e-8, 1e-7, 0.01)])
def test_a_rate_that_learns_is_taken_before_one_that_does_not(rates, study):
    rng = np.random.default_rng(1)
    assert race.tuned_rate(study, rates, epochs=5, rng=rng) == 0.01


def test_costs_are_ticks_over_proposals(study):
    """A clock of a tick a call, so that between two notes of a sweep lies one tick.

    A weight at an end of the grid proposes to leave it with probability 1/4, which is
    not evaluated: a sweep has between 3/4 and all of d C evaluations, up to five
    standard deviations of a binomial number.
    """
    tick = count()
    exact, naive = race.proposal_costs(
        study,
        proposals=50,
        repeats=3,
        temperatures=(1 / SIZE, 1e-3 / SIZE),
        clock=lambda: float(next(tick)),
        rng=np.random.default_rng(2),
    )
    assert naive.tolist() == [1, 1, 1]
    least = 0.75 * SIZE - 5 * np.sqrt(SIZE * 3 / 16)
    assert ((least <= 1 / exact) & (1 / exact <= SIZE)).all()


def test_both_annealers_only_descend_when_cold(study):
    """Forward passes and exact changes: neither accepts what raises the loss."""
    start, cold = rounded(study, race.BITS), (1e-15, 1e-15)
    above = study.loss(start.weights, start.bias)
    watch = race.Stopwatch(Clock())
    race._naive(study, start, 400, cold, watch, np.random.default_rng(3))
    exact = simulated_annealing_codes(
        study.features,
        study.labels,
        start,
        sweeps=5,
        temperature_range=cold,
        l2=study.l2,
        rng=3,
    )
    for losses in (watch.losses, exact.losses[0]):
        assert (np.diff([above, *losses]) <= 1e-12).all()
        assert losses[-1] < above


@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_forward_passes_sample_boltzmanns_distribution(temperature):
    """Mean loss at one temperature against the list of all 64 codes of six weights.

    Within four standard errors of 20 walks: Student's t with 19 degrees of freedom
    exceeds 4 with probability 8e-4, the false alarm of each case at its fixed seed.
    """
    rng = np.random.default_rng(4)
    labels = rng.integers(2, size=50)
    toy = draw_toy(rng.normal(size=(50, 3)) + labels[:, None], labels, size=3)
    data = toy.features, toy.labels
    study = Study(np.arange(50), *data, *data, l2=0.0, optimum=None)
    means = []
    for _ in range(20):
        watch = race.Stopwatch(Clock())
        race._naive(study, toy.start, 1500, (temperature, temperature), watch, rng)
        means.append(np.mean(watch.losses[150:]))
    error = np.std(means, ddof=1) / np.sqrt(20)
    assert abs(np.mean(means) - toy.thermal_loss(temperature)) < 4 * error
