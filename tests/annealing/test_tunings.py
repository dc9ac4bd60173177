"""Tunings find what a method's known running time says they must."""

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from qlib.annealing import landscapes, quantum_inspired_annealing, trials, tunings

FLAT = landscapes.rastrigin(1)
TUNING = {"gap": 0.1, "count": 4, "runs": 5, "fresh_runs": 7}


class Scripted:
    """A method whose every run succeeds after `cost` × ``step`` evaluations."""

    def __init__(self, cost):
        self.cost, self.steps, self.runs, self.drawn = cost, [], [], []

    def __call__(self, func, bounds, *, runs, step, maxfun, target, **settings):
        self.steps.append(step)
        self.runs.append(runs)
        self.drawn.append(settings.keys() - {"vectorized", "rng"})
        nfev = np.full(runs, self.cost(settings) * step)
        return OptimizeResult(nfev=nfev, success=np.ones(runs, dtype=bool))


def compared(repeats, step):
    methods = {"one": Scripted(lambda _: 100), "other": Scripted(lambda _: 300)}
    ranges = {name: {"step": step, "maxfun": (10, 20)} for name in methods}
    options = TUNING | {"repeats": repeats, "rng": np.random.default_rng(0)}
    found = tunings.compare(methods, FLAT, baseline="one", ranges=ranges, **options)
    return methods, found


def test_ratio_of_methods_without_luck_is_that_of_their_costs():
    _, found = compared(repeats=3, step=(0.5, 0.5))
    assert found.ratios.keys() == {"other"}
    assert found.ratios["other"] == pytest.approx((3, 3, 3))


def test_best_settings_are_those_of_least_running_time_over_all_tunings():
    methods, found = compared(repeats=3, step=(0.01, 1.0))
    for name, method in methods.items():
        assert found.settings[name]["step"] == min(method.steps)
        assert found.times[name].nfev == pytest.approx(
            np.full(7, method.cost({}) * min(method.steps))
        )


def test_every_tuning_and_the_best_of_all_are_measured_by_fresh_runs():
    methods, _ = compared(repeats=3, step=(0.01, 1.0))
    for method in methods.values():
        assert method.runs == 3 * [5, 5, 5, 5, 7] + [7]


def test_ratio_is_the_geometric_mean_over_tunings_measured_afresh():
    methods, found = compared(repeats=3, step=(0.01, 1.0))
    fresh = {
        name: [step for step, runs in zip(m.steps, m.runs, strict=True) if runs == 7]
        for name, m in methods.items()
    }
    logs = np.log(fresh["other"][:3]) - np.log(fresh["one"][:3]) + np.log(3)
    assert found.ratios["other"].value == pytest.approx(np.exp(logs.mean()))


def test_a_method_that_never_succeeds_has_no_ratio():
    def lost(func, bounds, *, runs, **ignored):
        return OptimizeResult(nfev=np.full(runs, 9), success=np.zeros(runs, bool))

    methods = {"one": Scripted(lambda _: 1), "lost": lost}
    ranges = {name: {"step": (1.0, 1.0), "maxfun": (9, 9)} for name in methods}
    options = TUNING | {"repeats": 2, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match="ratios: got"):
        tunings.compare(methods, FLAT, baseline="one", ranges=ranges, **options)


def test_widening_moves_widths_alone_and_factors_multiply():
    settings = {"step": 0.5, "tunnelling": 0.25, "pull": 0.3, "maxfun": 70}
    wide = tunings.widened(settings, 4)
    assert wide == {"step": 2.0, "tunnelling": 1.0, "pull": 0.3, "maxfun": 70}
    assert tunings.widened(wide, 0.25) == tunings.widened(settings, 1) == settings
    assert tunings.widened({"step": 0.5}, 2) == {"step": 1.0}


def test_tunnelling_is_a_wider_step_where_the_step_narrows():
    """One number by two routes: equal draws reach the minimum at equal evaluations."""
    settings = {"step": 0.3, "tunnelling": 0.4, "pull": 0.2, "maxfun": 500}
    variants = tunings.without_forces(settings)
    assert variants["no tunnelling"]["step"] == pytest.approx(0.5)
    fresh = {"gap": 0.01, "runs": 50, "rng": 0}
    times = tunings.expected_times(
        quantum_inspired_annealing, landscapes.double_rastrigin(), variants, **fresh
    )
    assert times["no tunnelling"] == times["all forces"]
    assert len(set(times.values())) == 3


def test_each_force_switched_off_leaves_the_others():
    settings = {"step": 0.3, "tunnelling": 0.4, "pull": 0.2, "maxfun": 500}
    variants = tunings.without_forces(settings)
    changed = {
        name: {key for key, value in one.items() if settings.get(key) != value}
        for name, one in variants.items()
    }
    assert changed == {
        "all forces": set(),
        "no tunnelling": {"tunnelling", "step"},
        "no pull": {"pull"},
        "one particle": {"particles"},
    }


def test_expected_times_are_those_of_the_runs_themselves():
    settings = {"maxfun": 200, "gap": 0.1, "runs": 20, "rng": 3}
    wavy, method = landscapes.double_rastrigin(), quantum_inspired_annealing
    times = tunings.expected_times(method, wavy, {"plain": {}}, **settings)
    nfev, success = trials.running_times(method, wavy, **settings)
    assert times["plain"].value == pytest.approx(nfev.sum() / success.sum())


def test_springs_are_compared_at_the_settings_of_each():
    ring = Scripted(lambda settings: 500 if settings["coupling"] else 200)
    ratio = tunings.springs(
        ring,
        FLAT,
        ranges={"step": (0.5, 0.5), "maxfun": (10, 20)},
        wavelengths={"wavelength": (0.1, 1.0)},
        confidence=0.99,
        rng=np.random.default_rng(0),
        **TUNING,
    )
    assert ratio == pytest.approx((2.5, 2.5, 2.5))
    assert ring.runs == 2 * [5, 5, 5, 5, 7]
    assert ring.drawn == 5 * [{"coupling", "wavelength"}] + 5 * [{"coupling"}]


def test_the_rival_is_the_fastest_of_the_others():
    times = {
        "ours": np.array([[1.0, 10.0], [1.0, 30.0]]),
        "slow early, fast late": np.array([[9.0, 9.0], [8.0, 8.0]]),
        "fast early, never late": np.array([[1.0, np.inf], [1.0, np.inf]]),
        "half": np.array([[2.0, 4.0], [2.0, np.inf]]),
    }
    ert, rival, ratio = tunings.lead(times, "ours", 100)
    assert [ert[name].value for name in times] == [20, 8.5, np.inf, 104]
    assert rival == "slow early, fast late"
    assert ratio.value == pytest.approx(20 / 8.5)
    assert tunings.lead(times, rival, 100).rival == "ours"


def test_of_equal_rivals_the_first_by_name_is_taken():
    lost = np.full((3, 1), np.inf)
    found = tunings.lead({"c": np.ones((3, 1)), "b": lost, "a": lost}, "c", 50)
    assert found.rival == "a"
    assert (found.ratio.value, found.ratio.low) == (0, 0)
