"""Every method spends its budget, no more, and all are tuned by one protocol."""

import numpy as np
import pytest
import torch

from qlib import intervals
from qlib.optim import QIMAD
from qlib.optim.trials import descents, problems, swarms, tuning

METHODS = swarms.METHOD | descents.METHODS
BUDGET = 200


def drawn(name, rng=0):
    _, ranges, usual = METHODS[name]
    generator = np.random.default_rng(rng)
    (settings,) = tuning.draw_settings(ranges, 1, generator, usual[:1] * (not ranges))
    return settings


@pytest.fixture
def problem():
    return problems.draw_problem("Rastrigin", runs=3, d=3, rng=np.random.default_rng(5))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_asks_for_its_budget_and_no_more(name, problem, monkeypatch):
    meters = []

    class Watched(problems.Meter):
        def __init__(self, *args):
            super().__init__(*args)
            meters.append(self)

    for module in (descents, swarms):
        monkeypatch.setattr(module, "Meter", Watched)
    method, *_ = METHODS[name]
    trace = method(problem, drawn(name), budget=BUDGET, rng=np.random.default_rng(0))
    assert trace.shape == (3, len(problems.checkpoints(BUDGET)))
    most = max(64, 1)
    for meter in meters:
        assert BUDGET - most < meter.spent <= BUDGET
    assert sum(meter.problem.runs for meter in meters) == 3


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_gives_one_trace(name, problem):
    method, *_ = METHODS[name]
    one, other = (
        method(problem, drawn(name), budget=BUDGET, rng=np.random.default_rng(7))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["Adam", "multi-start Adam", "multi-start RMSprop"])
def test_moving_all_runs_at_once_changes_none(name, problem):
    method, *_ = METHODS[name]
    together = method(problem, drawn(name), budget=BUDGET)
    apart = [method(problem.one(run), drawn(name), budget=BUDGET) for run in range(3)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-9)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_swarm_of_one_is_rmsprop(cosine, problem):
    settings = {"lr": 0.02, "cosine": cosine, "alpha": 0.9}
    alone = settings | {"num_agents": 1, "spread": 0.5, "gamma": 0.1, "pull": 0.3}
    ours = swarms.qimad(problem, alone, budget=BUDGET, rng=np.random.default_rng(0))
    theirs = descents.rmsprop(problem, settings, budget=BUDGET)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_evaluating_agents_at_once_or_in_turn_is_the_same(problem, monkeypatch):
    settings = drawn("QIMAD") | {"num_agents": 4, "lr": 1e-3, "alpha": 0.99}
    effort = {"budget": BUDGET}
    at_once = swarms.qimad(problem, settings, rng=np.random.default_rng(2), **effort)

    class InTurn(QIMAD):
        def step(self, closure):
            return super().step(lambda: closure())

    monkeypatch.setattr(swarms, "QIMAD", InTurn)
    in_turn = swarms.qimad(problem, settings, rng=np.random.default_rng(2), **effort)
    np.testing.assert_allclose(at_once[:, -1], in_turn[:, -1], rtol=1e-9)


def test_lbfgs_with_restarts_finds_the_minimum_of_one_dimension():
    problem = problems.draw_problem(
        "Rastrigin", runs=4, d=1, rng=np.random.default_rng(0)
    )
    settings = {"maxfun": 50.0, "maxcor": 10, "ftol": 1e-12}
    trace = descents.lbfgs(problem, settings, budget=2000, rng=np.random.default_rng(1))
    assert trace[:, -1].max() < 1e-9


def test_random_search_is_uniform_in_the_box():
    """False alarms: 6e-5 (four standard errors, two sides)."""
    problem = problems.draw_problem("Ackley", runs=1, d=2, rng=np.random.default_rng(0))
    points = problem.uniform(20_000, np.random.default_rng(1))[0]
    error = 2 * 32.768 / np.sqrt(12) / np.sqrt(len(points))
    assert np.abs(points.mean(axis=0)).max() < 4 * error
    assert np.abs(points).max() <= 32.768


def test_settings_are_drawn_from_their_ranges():
    ranges = {"rate": (1e-4, 1.0), "kind": ("a", "b", "c"), "flag": (True, False)}
    found = tuning.draw_settings(ranges, 2000, np.random.default_rng(0))
    rates = np.log10([one["rate"] for one in found])
    assert rates.min() >= -4
    assert rates.max() <= 0
    assert abs(rates.mean() + 2) < 4 * 4 / np.sqrt(12 * 2000)
    assert {one["kind"] for one in found} == {"a", "b", "c"}
    assert {one["flag"] for one in found} == {True, False}


def test_few_settings_cover_every_range():
    ranges = {"rate": (1e-4, 1e-1), "kind": (1, 2, 3, 4)}
    for seed in range(20):
        found = tuning.draw_settings(ranges, 3, np.random.default_rng(seed))
        decades = np.floor(np.log10([one["rate"] for one in found]))
        assert sorted(decades) == [-4, -3, -2]
        assert len({one["kind"] for one in found}) == 3


def test_tuning_takes_the_setting_of_least_geometric_mean(problem):
    def method(problem, settings, *, budget, rng):
        return np.tile([[np.inf], [settings["level"]], [1.0]], (1, 1))

    def scored(levels):
        return tuning.tune(
            method,
            {"level": levels},
            problem,
            tries=40,
            budget=BUDGET,
            rng=np.random.default_rng(0),
        )

    best, _ = scored((5.0, 2.0, 3.0))
    assert best == {"level": 2.0}


def test_a_ratio_of_equal_traces_is_1_and_values_under_the_floor_are_equal():
    trace = np.random.default_rng(0).random((6, 4)) + 0.1
    assert tuple(tuning.ratio(trace, trace)) == (1, 1, 1)
    worse = trace * np.geomspace(1, 9, 6)[:, None]
    assert tuning.ratio(worse, trace).value == pytest.approx(3)
    tiny = np.full((6, 4), problems.FLOOR / 10)
    assert tuple(tuning.ratio(tiny, tiny / 100)) == (1, 1, 1)


def test_the_rival_is_who_did_best_in_practice():
    practice = {"QIMAD": 1.0, "Adam": 3.0, "SGD": 2.0}
    traces = {
        name: np.full((4, 2), value) for name, value in (("SGD", 4.0), ("QIMAD", 1.0))
    }
    practice |= {"QIMAD as published": 0.5}
    one = tuning.Contest("Ackley", np.array([1, 2]), traces, {}, practice, 3.0, 2)
    assert one.rival("QIMAD") == "SGD"
    assert one.against_rival("QIMAD").value == pytest.approx(0.25)
    assert one.lower("QIMAD") == 1
    assert one.decides()
    assert not one._replace(start=1.9).decides()


def test_usual_settings_are_tried_first():
    usual, ranges = [{"rate": 1.0}, {"rate": 2.0}], {"rate": (1e-3, 1e-2)}
    found = tuning.draw_settings(ranges, 5, np.random.default_rng(0), usual)
    assert found[:2] == usual
    assert all(1e-3 <= one["rate"] <= 1e-2 for one in found[2:])
    assert len(found) == 5
    rng = np.random.default_rng(0)
    assert tuning.draw_settings(ranges, 1, rng, usual) == usual[:1]
    assert tuning.draw_settings({}, 5, rng, usual) == usual
    assert tuning.draw_settings({}, 5, rng) == [{}]


def test_an_interval_over_replicates_counts_each_once():
    first = np.repeat([1.0, 2.0, 4.0], 5)[:, None]
    second = np.ones_like(first)
    grouped = tuning.ratio(first, second, groups=3)
    logs = intervals.student_mean(np.log([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(grouped, np.exp(logs))
    assert grouped.high > tuning.ratio(first, second).high


def test_a_ratio_beyond_the_most_counts_as_the_most():
    large = np.array([[1e9], [1e3], [20.0]])
    one = np.ones((3, 1))
    assert tuning.ratio(large, one).value == pytest.approx(tuning.MOST)
    assert tuning.ratio(one, large).value == pytest.approx(1 / tuning.MOST)


def test_a_contest_draws_practice_and_tests_anew_in_each_replicate():
    seen = []

    def method(problem, settings, *, budget, rng):
        seen.append(problem.minima)
        return np.full((problem.runs, 2), 2.0)

    one = tuning.contest(
        {"flat": (method, {}, [])},
        "Rastrigin",
        d=2,
        tries=2,
        practice_runs=1,
        runs=3,
        replicates=4,
        budget=70,
        rng=np.random.default_rng(0),
    )
    assert len(np.unique(np.concatenate(seen))) == 4 * (1 + 3) * 2
    assert one.traces["flat"].shape == (12, 2)
    assert len(one.settings["flat"]) == 4


def test_variants_without_exchange_or_jumps_that_start_together_are_one_agent():
    found = swarms.ablation(
        "Rastrigin", d=3, runs=4, budget=BUDGET, rng=np.random.default_rng(0)
    )
    still = [found[one] for one in found if not (one.tunnelling or one.spread)]
    for trace in still[1:]:
        np.testing.assert_allclose(trace, still[0], rtol=1e-9)
    none = swarms.Variant("none", False, True)
    assert not np.allclose(found[none], found[none._replace(weights="uniform")])


def test_basin_hopping_starts_near_its_best_minimum():
    problem = problems.draw_problem(
        "Rastrigin", runs=6, d=6, rng=np.random.default_rng(0)
    )
    settings = {"maxfun": 500.0, "maxcor": 10, "ftol": 1e-9}
    anew, near = (
        descents.lbfgs(problem, one, budget=2000, rng=np.random.default_rng(1))
        for one in (settings, settings | {"near": 0.1})
    )
    assert np.median(near[:, -1]) < np.median(anew[:, -1])


def test_a_gain_compares_variants_that_differ_in_one_part():
    found = {}
    for variant in swarms.VARIANTS:
        level = 4.0
        level *= 0.5 if variant.tunnelling else 1
        level *= {"none": 1, "uniform": 0.25, "fidelity": 0.2}[variant.weights]
        own = np.random.default_rng(len(found)).permutation([0.8, 0.9, 1, 1.1, 1.2])
        found[variant] = np.tile(own[:, None], 3) * (level if variant.spread else 1)
    gain = {
        name: swarms.gain([found, found], *part).value
        for name, part in swarms.PARTS.items()
    }
    expected = {"tunnelling": 0.5, "communication": 0.2, "fidelity": 0.8}
    expected["spread"] = (0.5**3 * 0.25**2 * 0.2**2) ** (1 / 6) * 4
    assert gain == pytest.approx(expected)


def test_the_global_generator_is_left_alone(problem):
    before = torch.random.get_rng_state()
    for name, (method, *_) in METHODS.items():
        method(problem, drawn(name), budget=BUDGET, rng=np.random.default_rng(0))
    assert torch.equal(before, torch.random.get_rng_state())
