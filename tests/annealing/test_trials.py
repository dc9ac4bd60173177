"""Trials count what was evaluated, and know a right sampler from a wrong one."""

import numpy as np
import pytest
from scipy.optimize import OptimizeResult
from scipy.stats import kstest

from qlib.annealing import landscapes, random_search, simulated_annealing, trials

SEEDED = {"runs": 20, "rng": 0}


class CountingLandscape(landscapes.Landscape):
    def __call__(self, x):
        points = 1 if np.ndim(x) == 1 else x.shape[1]
        object.__setattr__(self, "points", getattr(self, "points", 0) + points)
        return self.function(x)


def counting(landscape):
    fields = ("name", "function", "bounds", "x_min", "f_min")
    return CountingLandscape(*(getattr(landscape, name) for name in fields))


def test_polish_counts_every_evaluation_and_stops_at_the_gap():
    bowl = counting(landscapes.rosenbrock(2))
    times = trials.polished_times(random_search, bowl, gap=1e-6, maxfun=3, **SEEDED)
    assert times.success.all()
    assert bowl.points == times.nfev.sum()


def test_polish_is_not_begun_where_the_gap_is_reached_before():
    easy = landscapes.rastrigin(1)
    times = trials.polished_times(random_search, easy, gap=1e3, maxfun=3, **SEEDED)
    assert times.nfev.tolist() == [1] * 20


def test_tuning_draws_within_its_ranges_and_sorts_by_running_time():
    ranges = {"maxfun": (50, 500), "step": (0.01, 1.0), "replicas": (1, 4)}
    tried = trials.tune(
        simulated_annealing,
        landscapes.double_rastrigin(),
        ranges=ranges,
        count=8,
        gap=0.1,
        runs=10,
        rng=np.random.default_rng(0),
    )
    assert len(tried) == 8
    assert [pair[1] for pair in tried] == sorted(pair[1] for pair in tried)
    for settings, _ in tried:
        for name, (low, high) in ranges.items():
            assert low <= settings[name] <= high
        assert isinstance(settings["maxfun"], int)
        assert isinstance(settings["step"], float)


def test_restarts_add_the_evaluations_of_the_runs_that_failed():
    """Three runs of two restarts each: solved at once, after a restart, never."""
    times = [5, 9, np.inf, 7, np.inf, np.inf]

    def scripted(func, bounds, *, runs, maxfun, **ignored):
        assert (runs, maxfun) == (6, 10)
        nfev = np.arange(1, 11)
        fun = np.where(nfev >= np.array(times)[:, None], 0.0, 1.0)
        history = {"nfev": np.tile(nfev, (6, 1)), "fun": fun}
        return OptimizeResult(history=history)

    found = trials.restarted_times(
        scripted,
        landscapes.rastrigin(1),
        gaps=[0.5],
        maxfun=10,
        budget=20,
        runs=3,
        rng=0,
    )
    assert found.ravel().tolist() == [5, 17, np.inf]


def test_last_times_cut_failures_at_the_budget():
    times = trials.last_times(np.array([[1, 5], [2, np.inf]]), budget=9)
    assert times.nfev.tolist() == [5, 9]
    assert times.success.tolist() == [True, False]


@pytest.mark.parametrize("temperature", [1.0, 5.0, 30.0])
def test_walks_at_fixed_temperature_follow_exp_minus_f_over_t(temperature):
    """False alarm 1e-4 each; a density of twice the temperature is told apart."""
    hilly = landscapes.double_rastrigin(1.0)
    settings = {"walkers": 20_000, "rng": np.random.default_rng(4)}
    sample = trials.boltzmann_sample(hilly, temperature, **settings)
    assert sample.pvalue > 1e-4
    hotter = trials.boltzmann_sample(hilly, 2 * temperature, **settings)
    cumulative = np.cumsum(hotter.density) / hotter.density.sum()
    wrong = kstest(sample.places, lambda y: np.interp(y, hotter.x, cumulative))
    assert wrong.pvalue < 1e-4


def test_stagnation_of_a_walk_that_takes_every_step_is_zero():
    hot = {"cooling": lambda progress: 1e300, "step": 1.0, "maxfun": 3000}
    stuck, breadth = trials.stagnation(
        simulated_annealing, landscapes.double_rastrigin(), **hot, **SEEDED
    )
    assert (stuck == 0).all()
    assert (breadth == 1).all()


def test_stagnation_difference_is_that_of_middle_thirds_and_of_breadths():
    rng = np.random.default_rng(0)
    first, second = ((rng.random((9, 3)), rng.random(9)) for _ in range(2))
    stuck, breadth = trials.stagnation_difference(first, second)
    assert stuck.value == pytest.approx((first[0] - second[0])[:, 1].mean())
    assert breadth.value == pytest.approx((first[1] - second[1]).mean())
    turned = trials.stagnation_difference(second, first)
    assert [one.value for one in turned] == [-stuck.value, -breadth.value]


class Clock:
    """Half a second a run; the first call of all takes a minute more."""

    def __init__(self):
        self.seconds, self.calls = 60.0, 0

    def __call__(self):
        return self.seconds

    def method(self, func, bounds, *, runs, **ignored):
        self.seconds += 0.5 * runs + (60 if self.calls == 0 else 0)
        self.calls += 1


def test_throughput_leaves_the_first_call_of_each_size_out():
    clock = Clock()
    sizes = {"sizes": [1, 8], "repeats": 3, "maxfun": 10, "rng": 0}
    rates = trials.throughput(
        clock.method, landscapes.rastrigin(1), clock=clock, **sizes
    )
    assert {size: rate.tolist() for size, rate in rates.items()} == {
        1: [2, 2, 2],
        8: [2, 2, 2],
    }
    assert clock.calls == 2 * (3 + 1)


def test_speedup_is_over_the_faster_of_the_other_devices():
    cpu = {"a": {5: np.array([1.0, 2.0, 9.0])}, "b": {5: np.array([4.0, 4.0, 4.0])}}
    assert trials.speedup(cpu, 5) is None
    fast = cpu | {"GPU": {5: np.array([8.0, 8.0, 8.0])}}
    assert trials.speedup(fast, 5) == (2, 2, 2)
