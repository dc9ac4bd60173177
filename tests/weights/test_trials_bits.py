"""Methods that choose codes: what each guarantees, tuning, and equal evaluations."""

from dataclasses import replace
from functools import partial, wraps
from itertools import count

import numpy as np
import pytest

from qlib.weights.quantize.annealing import (
    replica_exchange_codes,
    simulated_annealing_codes,
)
from qlib.weights.quantize.codes import levels
from qlib.weights.quantize.path_integral import path_integral_codes
from qlib.weights.trials import bits

SEARCHES = {
    "SA": simulated_annealing_codes,
    "replica exchange": replica_exchange_codes,
    "path integral": path_integral_codes,
}
NEVER_ABOVE_START = {
    "second-order rounding",
    "coordinate descent",
    "iterated descent",
    *SEARCHES,
}
ROUNDING = 1e-9  # nats: kernels, refits and the optimum's tolerance together


def ways(name, study, sweeps=16):
    """The first settings of a method, with few sweeps or steps."""
    chosen = bits.with_budget(name, bits.settings(name, study)[0], sweeps, 1)
    if name == "straight-through":
        chosen |= dict(steps=40)
    if name == "straight-through, then SA":
        chosen |= dict(training=ways("straight-through", study))
    return chosen


def loss(study, head):
    return bits.outcome(study, head).loss


@pytest.mark.parametrize("width", [1, 1.58, 3])
@pytest.mark.parametrize("name", bits.METHODS)
def test_every_method_gives_codes_with_the_best_scale_and_bias(name, width, study):
    start = bits.second_order(study, width)
    method = partial(bits.METHODS[name], study, width, start, **ways(name, study))
    head, again = (
        method(rng=np.random.default_rng(1)),
        method(rng=np.random.default_rng(1)),
    )
    assert head.bits == width
    assert np.isin(head.codes, levels(width)).all()
    np.testing.assert_array_equal(head.codes, again.codes)
    found = loss(study, head)
    assert found >= study.optimum.loss
    assert loss(study, bits.fitted(study, head)) == pytest.approx(found, abs=1e-7)
    if name in NEVER_ABOVE_START:
        assert found <= loss(study, start) + ROUNDING


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_melts_returns_no_more_than_its_start(name, study):
    """At 10 nats every proposal is accepted, and random codes are far above."""
    start = bits.second_order(study, 1)
    hot = dict(temperature_range=(10.0, 10.0))
    if name == "path integral":
        hot = dict(temperature=10.0, field_range=(100.0, 100.0))
    search = partial(bits.METHODS[name], study, 1, start, np.random.default_rng(8))
    assert loss(study, search(sweeps=16, **hot)) <= loss(study, start) + ROUNDING


def test_more_random_heads_are_never_worse(study):
    """With one seed the first tries are the same, and the best of all is returned."""
    start, losses = bits.second_order(study, 2), []
    for tries in (1, 4, 16):
        head = bits.drawn(study, 2, start, np.random.default_rng(9), tries=tries)
        losses.append(loss(study, head))
    assert losses[0] >= losses[1] >= losses[2] > study.optimum.loss
    assert losses[2] < losses[0]


@pytest.mark.parametrize("share", [0.03, 0.5])
def test_kicks_never_end_above_descent(share, study):
    """The seed descends alike first; at half of the codes a kick mostly leads up."""
    start = bits.second_order(study, 1)
    ways = dict(share=share, kicks=10, rng=np.random.default_rng(10))
    kicked = loss(study, bits.kicked(study, 1, start, **ways))
    first = bits.descended(study, 1, start, np.random.default_rng(10))
    assert kicked <= loss(study, first)


def test_descent_leaves_no_single_code_to_improve(study):
    start = bits.second_order(study, 1)
    head = bits.descended(study, 1, start, np.random.default_rng(2))
    lowest = loss(study, head)
    for place in np.ndindex(*head.codes.shape):
        codes = head.codes.copy()
        codes[place] *= -1
        assert loss(study, replace(head, codes=codes)) > lowest - 1e-7


def test_annealing_a_trained_head_never_loses_what_training_gained(study):
    start, name = bits.second_order(study, 1), "straight-through, then SA"
    chosen = ways(name, study)
    trained = bits.trained(
        study, 1, start, np.random.default_rng(3), **chosen["training"]
    )
    both = bits.METHODS[name](study, 1, start, np.random.default_rng(3), **chosen)
    assert loss(study, both) <= loss(study, trained) + ROUNDING


@pytest.mark.parametrize(
    ("search", "falling"),
    [
        (simulated_annealing_codes, "temperature_range"),
        (path_integral_codes, "field_range"),
    ],
)
@pytest.mark.parametrize("rounds", [1, 4, 7])
def test_schedules_are_cut_geometrically_and_join_up(search, falling, rounds):
    whole = {falling: (3e-2, 5e-6), "other": 1}
    parts = [bits._part_of_ranges(search, whole, k, rounds) for k in range(rounds)]
    first, last = np.transpose([part[falling] for part in parts])
    np.testing.assert_array_equal(first[1:], last[:-1])
    np.testing.assert_allclose([first[0], last[-1]], whole[falling], rtol=1e-12)
    np.testing.assert_allclose(first / last, 6000 ** (1 / rounds), rtol=1e-12)
    assert all(part["other"] == 1 for part in parts)


def test_a_ladder_of_fixed_temperatures_is_not_cut():
    ladder = dict(temperature_range=(1.0, 0.1))
    assert bits._part_of_ranges(replica_exchange_codes, ladder, 2, 4) == ladder


@pytest.mark.parametrize("sweeps", [20, 128, 150])
@pytest.mark.parametrize("name", SEARCHES)
def test_searches_spend_the_evaluations_of_as_many_sweeps_of_annealing(
    name, sweeps, study
):
    """At one bit no proposal leaves the grid, so a sweep is d C evaluations a copy.

    Sweeps are divided by the copies moved (8) downwards: fewer than 8 are lost. Rounds
    share them without loss.
    """
    spent = []

    @wraps(SEARCHES[name])
    def counting(*args, **settings):
        found = SEARCHES[name](*args, **settings)
        spent.append(found.proposals)
        return found

    start = bits.second_order(study, 1)
    chosen = bits.with_budget(name, bits.settings(name, study)[1], sweeps, 1)
    bits.annealed(study, 1, start, np.random.default_rng(4), search=counting, **chosen)
    share = {"SA": 1}.get(name, 8)
    assert len(spent) == min(4, sweeps // share)
    assert sum(spent) / start.codes.size == sweeps - sweeps % share


def test_rounding_and_training_have_no_sweeps_to_divide():
    for name in ("rounding", "straight-through"):
        assert bits.with_budget(name, dict(a=1), 100, 1) == dict(a=1)


@pytest.mark.parametrize("shifts", [(0.5, 0.0, -0.2), (0.0, 0.1, 0.2), (3.0, 1.0, 0.0)])
def test_tuning_takes_the_settings_of_least_loss(shifts, study, monkeypatch):
    """The start's bias is the best for its codes, so any shift of one entry costs."""

    def shifted(study, width, start, rng, *, shift):
        return replace(start, bias=start.bias + shift * np.eye(10)[0])

    tried = [dict(shift=shift) for shift in shifts]
    monkeypatch.setattr(bits, "METHODS", {"a": shifted, "b": shifted})
    monkeypatch.setattr(
        bits, "settings", lambda name, study: tried if name == "a" else tried[:1]
    )
    best = bits.tuned(study, 1, np.random.default_rng(5), sweeps=10)
    assert best == {"a": dict(shift=0.0), "b": tried[0]}


def test_real_weights_bound_every_method_on_every_study(studies):
    rng, names = np.random.default_rng(6), ("rounding", "second-order rounding", "SA")
    chosen = {name: ways(name, studies[0]) for name in names}
    found = {}
    for width in (1, 4):
        tick = count()
        found[width], seconds = bits.compare(
            studies, chosen, width, clock=lambda tick=tick: float(next(tick)), rng=rng
        )
        assert seconds == dict.fromkeys(names, 1.0)  # a tick a study
    real = bits.real_outcome(studies)
    np.testing.assert_allclose(real.loss, [one.optimum.loss for one in studies])
    together = bits.across(found)
    for name in names:
        assert together[name].accuracy.shape == (2, len(studies))
        np.testing.assert_array_equal(together[name].loss[1], found[4][name].loss)
        assert (together[name].loss >= real.loss).all()
    starts = [bits.outcome(one, bits.second_order(one, 4)) for one in studies]
    kept = found[4]["second-order rounding"]
    np.testing.assert_array_equal(np.transpose(kept), starts)


def test_budgets_never_end_above_the_start_and_split_the_clock(studies):
    chosen = {name: ways(name, studies[0]) for name in SEARCHES}
    ticks, rng = iter([10, 11, 13, 17, 100, 101, 103, 107]), np.random.default_rng(7)
    losses, seconds = bits.by_budget(
        studies, chosen, 1, [8, 32, 64], clock=lambda: next(ticks), rng=rng
    )
    starts = [loss(one, bits.second_order(one, 1)) for one in studies]
    assert set(losses) == set(seconds) == {"SA", "path integral"}
    for name, found in losses.items():
        assert found.shape == (len(studies), 3)
        assert (found <= np.array(starts)[:, None] + ROUNDING).all()
        assert seconds[name].tolist() == [1, 2, 4]
