"""Every way to choose keeps the count, and none beats enumeration."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest

from qlib.weights import pruning
from qlib.weights.pruning.qubo import removal_model
from qlib.weights.pruning.select import counted


def random_cost(channels, seed):
    """A correlated, positive semidefinite cost as reconstruction errors have."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(channels, channels + 2)) + rng.normal(size=channels + 2)
    return mixed @ mixed.T / channels


def by_score(model, keep):
    return pruning.selection(model, pruning.largest(pruning.removal_costs(model), keep))


def by_chance(model, keep):
    return pruning.selection(model, pruning.random_mask(model.num_spins, keep, 0))


METHODS = {
    "removal cost": by_score,
    "random": by_chance,
    "backward": pruning.backward_elimination,
    "forward": pruning.forward_selection,
    "greedy and swaps": pruning.greedy_swap,
    "with kicks": partial(pruning.greedy_swap, kicks=20, rng=0),
    "annealing": partial(pruning.anneal, num_reads=10, num_sweeps=100, seed=0),
    "enumeration": pruning.enumerate_masks,
}


@pytest.fixture(params=METHODS.values(), ids=METHODS.keys())
def method(request):
    return request.param


@pytest.mark.parametrize("keep", [0, 1, 5, 9, 10])
def test_every_method_keeps_exactly_the_count_and_states_its_energy(method, keep):
    cost = random_cost(10, 0)
    model = removal_model(cost)
    found = method(model, keep)
    assert found.kept.dtype == bool
    assert found.kept.sum() == keep
    removed = (~found.kept).astype(float)
    assert found.energy == pytest.approx(removed @ cost @ removed, abs=1e-9)
    assert found.energy >= pruning.enumerate_masks(model, keep).energy - 1e-9


@pytest.mark.parametrize("keep", [-1, 11, 2.0, True, None])
def test_impossible_counts_are_refused_by_name(method, keep):
    with pytest.raises(ValueError, match=r"^keep: got"):
        method(removal_model(random_cost(10, 0)), keep)


def test_all_equal_channels_leave_nothing_to_choose(method):
    for cost in (np.ones((6, 6)), np.eye(6), np.zeros((6, 6))):
        model = removal_model(cost)
        found = method(model, 2)
        assert found.kept.sum() == 2
        removed = (~found.kept).astype(float)
        assert found.energy == pytest.approx(removed @ cost @ removed, abs=1e-12)


def test_one_channel_is_kept_or_not(method):
    model = removal_model([[3.0]])
    assert method(model, 1).energy == 0
    assert method(model, 0).energy == 3


@pytest.mark.parametrize("keep", [0, 3, 7])
def test_enumeration_is_the_minimum_over_all_combinations(keep):
    cost = random_cost(7, 1)
    costs = []
    for kept in combinations(range(7), keep):
        removed = np.isin(np.arange(7), kept, invert=True).astype(float)
        costs.append(removed @ cost @ removed)
    found = pruning.enumerate_masks(removal_model(cost), keep)
    assert found.energy == pytest.approx(min(costs), abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_annealing_and_kicks_reach_the_optimum_of_sixteen_channels(seed):
    """A single read reached the optimum of each instance in 300 of 300 trials.

    So it misses with probability below 1 % (at 95 % confidence), and all 20 reads below
    1e-40. Of 100 runs with kicks none missed: below 3 % another seed. Seeds are fixed.
    """
    model = removal_model(random_cost(16, 10 + seed))
    lowest = pruning.enumerate_masks(model, 8).energy
    annealed = pruning.anneal(model, 8, num_reads=20, num_sweeps=200, seed=seed)
    assert annealed.energy == pytest.approx(lowest, rel=1e-9)
    kicked = pruning.greedy_swap(model, 8, kicks=100, rng=seed)
    assert kicked.energy == pytest.approx(lowest, rel=1e-9)


@pytest.mark.parametrize("keep", [3, 15, 27])
def test_no_single_swap_improves_the_end_of_swap_descent(keep):
    cost = random_cost(30, 2)
    model = removal_model(cost)
    starts = [pruning.random_mask(30, keep, seed) for seed in range(3)]
    ends = [pruning.swap_descent(model, start) for start in starts]
    ends += [pruning.greedy_swap(model, keep)]
    ends += [pruning.greedy_swap(model, keep, kicks=30, rng=0)]
    for end in ends:
        removed = (~end.kept).astype(float)
        for i in np.flatnonzero(end.kept):
            for j in np.flatnonzero(~end.kept):
                swapped = removed.copy()
                swapped[i], swapped[j] = 1, 0
                assert swapped @ cost @ swapped >= end.energy - 1e-9


def test_greedy_steps_are_the_cheapest_by_brute_force():
    cost = random_cost(9, 3)
    model = removal_model(cost)
    for keep in range(9, 0, -1):
        removed = (~pruning.backward_elimination(model, keep).kept).astype(float)
        trials = [removed + np.eye(9)[j] for j in np.flatnonzero(removed == 0)]
        following = pruning.backward_elimination(model, keep - 1).energy
        assert following == pytest.approx(min(t @ cost @ t for t in trials), abs=1e-9)
    for keep in range(9):
        removed = (~pruning.forward_selection(model, keep).kept).astype(float)
        trials = [removed - np.eye(9)[j] for j in np.flatnonzero(removed)]
        following = pruning.forward_selection(model, keep + 1).energy
        assert following == pytest.approx(min(t @ cost @ t for t in trials), abs=1e-9)


def test_kicks_never_raise_the_energy_and_repeat_under_one_seed():
    model = removal_model(random_cost(40, 4))
    plain = pruning.greedy_swap(model, 20)
    ends = min(
        pruning.swap_descent(model, start(model, 20).kept).energy
        for start in (pruning.backward_elimination, pruning.forward_selection)
    )
    assert plain.energy == ends
    first, again = (pruning.greedy_swap(model, 20, kicks=50, rng=7) for _ in range(2))
    assert first.energy <= plain.energy + 1e-9
    np.testing.assert_array_equal(first.kept, again.kept)


def test_a_penalty_leaves_masks_of_the_right_count_alone():
    model = removal_model(random_cost(6, 5))
    soft = counted(model, 2, 3.5)
    states = 2 * ((np.arange(64)[:, None] >> np.arange(6)) & 1) - 1
    excess = (states > 0).sum(axis=1) - 2
    expected = model.energy(states) + 3.5 * excess**2
    np.testing.assert_allclose(soft.energy(states), expected, atol=1e-10)


def test_an_unconstrained_sampler_drops_into_the_same_call():
    """The exact solver stands for hardware: it knows of no count but the penalty."""
    import dimod

    model = removal_model(random_cost(10, 6))
    penalty = 2 * np.abs(model.h).sum()
    found = pruning.anneal(model, 4, sampler=dimod.ExactSolver(), penalty=penalty)
    lowest = pruning.enumerate_masks(model, 4)
    assert found.energy == pytest.approx(lowest.energy)
    np.testing.assert_array_equal(found.kept, lowest.kept)


def test_reads_that_all_miss_the_count_are_refused():
    """One read of the unconstrained minimum: all channels kept."""
    import dimod

    class Lowest(dimod.Sampler):
        parameters, properties = {}, {}

        def sample(self, bqm):
            return dimod.ExactSolver().sample(bqm).truncate(1)

    with pytest.raises(RuntimeError, match=r"^penalty: got 1e-09"):
        pruning.anneal(removal_model(np.eye(5)), 2, sampler=Lowest(), penalty=1e-9)


def test_scores_break_ties_by_the_first_and_refuse_nan():
    assert pruning.largest([1.0, 2, 2, 2], 2).tolist() == [False, True, True, False]
    with pytest.raises(ValueError, match=r"^scores: got nan"):
        pruning.largest([1.0, np.nan], 1)


def test_random_masks_are_uniform():
    """χ² over the 6 masks of 2 among 4, 5 degrees: above 25.7 with probability 1e-4."""
    rng = np.random.default_rng(8)
    drawn = [tuple(pruning.random_mask(4, 2, rng)) for _ in range(1200)]
    counts = np.array([drawn.count(mask) for mask in set(drawn)])
    assert counts.size == 6
    assert np.sum((counts - 200) ** 2) / 200 < 25.7


def test_enumeration_refuses_more_than_twenty_channels():
    with pytest.raises(ValueError, match=r"^model: got 21 channels"):
        pruning.enumerate_masks(removal_model(np.eye(21)), 3)


@pytest.mark.parametrize("penalty", [0, -1.0, np.nan, np.inf, 2.0])
def test_bad_penalties_are_refused_by_name(penalty):
    """A good one too where no sampler needs it."""
    with pytest.raises(ValueError, match=r"^penalty: got"):
        pruning.anneal(removal_model(np.eye(4)), 2, penalty=penalty)


@pytest.mark.parametrize(
    ("name", "value"), [("kicks", -1), ("kicks", 1.5), ("kick", 0)]
)
def test_bad_kicks_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        pruning.greedy_swap(removal_model(np.eye(4)), 2, **{name: value})
