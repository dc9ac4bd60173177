"""Comparisons: exact where the data leave no doubt, and covering where they do."""

import numpy as np
import pytest

from qlib.annealing import compare
from qlib.annealing.measure import expected_running_time

ALWAYS = (np.full(10, 100), np.ones(10, dtype=bool))
NEVER = (np.full(10, 100), np.zeros(10, dtype=bool))


def test_difference_of_constant_samples_is_exact():
    assert compare.mean_difference([3.0, 3.0, 3.0], [1.0, 1.0]) == (2.0, 2.0, 2.0)


def test_complement_undoes_itself():
    estimate = compare.mean(np.arange(10.0))
    assert compare.complement(compare.complement(estimate)) == pytest.approx(estimate)


def test_interval_of_a_mean_covers_it_in_95_percent_of_samples():
    """Fewer than 360 of 400 has a chance below 5e-4 at a coverage of 0.94."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        estimate = compare.mean(rng.normal(size=100), rng=rng)
        covered += estimate.low <= 0.0 <= estimate.high
    assert 360 <= covered < 400


def test_interval_of_a_ratio_covers_it_in_95_percent_of_samples():
    """One evaluation a run and success 0.2 against 0.4: the ratio is 2.

    Fewer than 176 of 200 has a chance below 1e-3 at a coverage of 0.94.
    """
    rng = np.random.default_rng(2)
    ones, covered = np.ones(200), 0
    for _ in range(200):
        rare, often = rng.random(200) < 0.2, rng.random(200) < 0.4
        estimate = compare.running_time_ratio((ones, rare), (ones, often), rng=rng)
        covered += estimate.low <= 2.0 <= estimate.high
    assert 176 <= covered < 200


def test_ratio_of_running_times_is_that_of_their_estimates():
    rng = np.random.default_rng(3)
    first = rng.integers(1, 100, 30), rng.random(30) < 0.5
    second = rng.integers(1, 100, 40), rng.random(40) < 0.7
    ratio = compare.running_time_ratio(first, second)
    times = [expected_running_time(*runs, rng=0).value for runs in (first, second)]
    assert ratio.value == pytest.approx(times[0] / times[1])
    tenfold = compare.running_time_ratio((10 * first[0], first[1]), second)
    assert tenfold == pytest.approx(tuple(10 * part for part in ratio))


def test_an_unsolved_side_leaves_the_ratio_open_on_that_side():
    worse = compare.running_time_ratio(NEVER, ALWAYS)
    assert worse.value == worse.high == np.inf
    assert worse.low > 1
    better = compare.running_time_ratio(ALWAYS, NEVER)
    assert better.value == better.low == 0
    assert better.high < 1
    assert compare.running_time_ratio(NEVER, NEVER) == (np.inf, 0, np.inf)


def test_one_success_in_ten_is_no_proof_against_none_in_ten():
    once = (np.full(10, 100), np.arange(10) == 0)
    assert compare.running_time_ratio(once, NEVER).high > 1


def test_students_interval_of_two_values_is_that_of_the_table():
    # t(0.975, 1) = 12.706 (tables); mean 2, standard error 1
    estimate = compare.student_mean([1.0, 3.0])
    assert estimate.value == 2.0
    assert estimate.high - 2.0 == pytest.approx(12.706, abs=1e-3)
    assert compare.student_mean([0.1, 0.1]) == (0.1, 0.1, 0.1)
    for values in ([1.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="values"):
            compare.student_mean(values)


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    estimate = compare.geometric_mean([4.0, 0.25, 2.0, 0.5])
    assert estimate.value == pytest.approx(1.0)
    assert estimate.low * estimate.high == pytest.approx(1.0)
    assert compare.geometric_mean([3.0, 3.0]) == (3.0, 3.0, 3.0)


def test_interval_of_a_geometric_mean_covers_it_in_95_percent_of_samples():
    """Five ratios each; fewer than 355 of 400 has a chance below 1e-5 at 0.95."""
    rng = np.random.default_rng(6)
    samples = np.exp(rng.normal(size=(400, 5)))
    estimates = [compare.geometric_mean(ratios) for ratios in samples]
    assert 355 <= sum(e.low <= 1.0 <= e.high for e in estimates) < 400


@pytest.mark.parametrize("ratios", [[1.0], [1.0, np.inf], [1.0, 0.0], [1.0, np.nan]])
def test_geometric_mean_refuses_what_has_no_logarithm_or_spread(ratios):
    with pytest.raises(ValueError, match="ratios: got"):
        compare.geometric_mean(ratios)
