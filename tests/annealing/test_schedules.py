"""Cooling schedules: ends, shape, refusals; the temperatures that runs record."""

import numpy as np
import pytest

from qlib.annealing import schedules, simulated_annealing


def test_linear_falls_by_equal_steps_and_geometric_by_equal_factors():
    progress = np.linspace(0, 1, 11)
    linear, geometric = (
        schedule(progress, 0.01) for schedule in (schedules.linear, schedules.geometric)
    )
    for values in (linear, geometric):
        assert values[0] == 1.0
        assert values[-1] == pytest.approx(0.01)
    np.testing.assert_allclose(np.diff(linear), -0.099)
    np.testing.assert_allclose(geometric[1:] / geometric[:-1], 0.01**0.1)


def test_a_linear_schedule_may_end_at_zero():
    values = schedules.schedule("cooling", "linear", 5, 0.0)
    np.testing.assert_allclose(values, [1, 0.75, 0.5, 0.25, 0])


def test_a_callable_is_asked_over_the_whole_schedule():
    asked = []

    def cooling(progress):
        asked.append(progress)
        return 3.0

    values = schedules.schedule("cooling", cooling, 5, 0.1)
    np.testing.assert_array_equal(values, [3.0] * 5)
    np.testing.assert_array_equal(asked, [0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_one_bad_value_at_the_end_is_refused_with_its_place(value):
    with pytest.raises(ValueError, match=r"^cooling: got .* at progress 1; allowed"):
        schedules.schedule("cooling", lambda s: value if s == 1 else 1.0, 9, 0.1)


@pytest.mark.parametrize("cooling", ["linear", "geometric"])
def test_runs_record_the_schedule_from_first_to_last_temperature(cooling):
    result = simulated_annealing(
        lambda x: x[0] ** 2,
        [(-1.0, 1.0)],
        maxfun=101,
        cooling=cooling,
        temperature=2.0,
        temperature_ratio=0.05,
        rng=0,
    )
    temperature = result.history["temperature"][1:]  # without the start
    expected = 2 * getattr(schedules, cooling)(np.linspace(0, 1, 100), 0.05)
    np.testing.assert_allclose(temperature, expected)


def test_the_calibrated_temperature_scales_with_the_objective_and_not_its_offset():
    def first(factor, offset):
        result = simulated_annealing(
            lambda x: factor * x[0] ** 2 + offset, [(-3.0, 3.0)], maxfun=200, rng=0
        )
        return result.history["temperature"][0]

    assert first(7.0, 0.0) == pytest.approx(7 * first(1.0, 0.0))
    assert first(1.0, 50.0) == pytest.approx(first(1.0, 0.0))


def test_the_calibrated_temperature_is_the_mean_absolute_deviation_of_f():
    """Uniform x on [0, 1]: E|x − 1/2| = 1/4, to 4 σ over 2000 samples of 20.

    The sample's own mean shrinks it by √(1 − 1/20), to first order.
    """
    result = simulated_annealing(
        lambda x: x[0], [(0.0, 1.0)], maxfun=200, vectorized=True, runs=2000, rng=0
    )
    temperature = result.history["temperature"][:, 0]
    error = temperature.std() / np.sqrt(2000)
    assert abs(temperature.mean() - 0.25 * np.sqrt(19 / 20)) < 4 * error + 5e-4


@pytest.mark.parametrize(
    ("maxfun", "sample"), [(1, 1), (7, 2), (100, 10), (200, 20), (5000, 20)]
)
def test_calibration_costs_20_evaluations_or_a_tenth_of_the_budget(maxfun, sample):
    result = simulated_annealing(lambda x: x[0], [(0.0, 1.0)], maxfun=maxfun, rng=0)
    assert result.history["nfev"][0] == sample
    given = simulated_annealing(
        lambda x: x[0], [(0.0, 1.0)], maxfun=maxfun, temperature=1.0, rng=0
    )
    assert given.history["nfev"][0] == 1


def test_calibration_ignores_infinite_values_and_keeps_the_budget():
    result = simulated_annealing(
        lambda x: np.where(x[0] < 0, np.nan, x[0]),
        [(-1.0, 1.0)],
        maxfun=300,
        vectorized=True,
        rng=0,
    )
    assert 0.1 < result.history["temperature"][0] < 0.4
    assert result.nfev == 300
