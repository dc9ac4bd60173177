"""Time to target: the formula, its limits, its interval."""

import numpy as np
import pytest

from qlib.annealing.ising.time_to_target import time_to_target


def test_half_of_the_runs_need_log_of_one_percent_over_log_of_a_half():
    found = time_to_target([True, False] * 10, 3.0, rng=0)
    assert found.value == pytest.approx(3 * np.log(0.01) / np.log(0.5), rel=1e-12)


def test_certainty_of_the_success_rate_itself_is_one_run():
    assert time_to_target([1, 0, 0, 0], 2.0, certainty=0.25, rng=0).value == 2.0


def test_all_successes_take_one_run_and_leave_doubt_above():
    found = time_to_target(np.ones(10), 2.0, rng=0)
    assert found.value == found.low == 2.0
    # Jeffreys: the 2.5 % quantile of Beta(10.5, 0.5) is 0.783
    assert found.high == pytest.approx(2 * np.log(0.01) / np.log(1 - 0.783), rel=0.05)


def test_no_success_takes_for_ever_but_not_less_than_the_runs_allow():
    found = time_to_target(np.zeros(10), 1.0, rng=0)
    assert found.value == found.high == np.inf
    # Jeffreys: the 97.5 % quantile of Beta(0.5, 10.5) is 0.217
    assert found.low == pytest.approx(np.log(0.01) / np.log(1 - 0.217), rel=0.05)


def test_of_several_instances_the_median_counts():
    success = [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]]
    found = time_to_target(success, [1.0, 2.0, 3.0], rng=0)
    assert found.value == pytest.approx(2 * np.log(0.01) / np.log(0.5))
    assert found.low < found.value < found.high


def test_interval_covers_the_truth_as_often_as_it_says():
    # 400 intervals of 90 %: 360 ± 6 cover; below 335 with probability 1e-4
    rng = np.random.default_rng(1)
    truth = np.log(0.01) / np.log(0.7)
    covered = 0
    for _ in range(400):
        found = time_to_target(
            rng.random(50) < 0.3, 1.0, confidence=0.9, resamples=400, rng=rng
        )
        covered += found.low <= truth <= found.high
    assert covered >= 335


def test_time_scales_with_seconds_and_a_seed_repeats():
    success = [[1, 0, 0], [1, 1, 0]]
    one, two = (time_to_target(success, s, rng=4) for s in (1.0, 2.0))
    np.testing.assert_allclose(two, 2 * np.array(one))


@pytest.mark.parametrize(
    ("success", "seconds", "settings", "name"),
    [
        ([], 1.0, {}, "success"),
        (True, 1.0, {}, "success"),
        ([0.5, 1.0], 1.0, {}, "success"),
        ([np.nan], 1.0, {}, "success"),
        ([1], 0.0, {}, "seconds"),
        ([1], np.nan, {}, "seconds"),
        ([[1], [0]], [1.0], {}, "seconds"),
        ([1], 1.0, {"certainty": 1.0}, "certainty"),
        ([1], 1.0, {"certainty": 0.0}, "certainty"),
        ([1], 1.0, {"confidence": 1.5}, "confidence"),
        ([1], 1.0, {"resamples": 0}, "resamples"),
    ],
)
def test_wrong_arguments_are_refused_by_name(success, seconds, settings, name):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        time_to_target(success, seconds, **settings)
