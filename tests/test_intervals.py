"""Intervals: exact where the data leave no doubt, and covering where they do."""

import numpy as np
import pytest

from qlib import intervals
from qlib.intervals import Estimate


def test_difference_of_constant_samples_is_exact():
    assert intervals.mean_difference([3.0, 3.0, 3.0], [1.0, 1.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.5, 0.9, "holds"),
        (1.1, 1.2, "does not hold"),
        (0.9, 1.1, "not testable here"),
        (1.0, 1.0, "does not hold"),
        (-np.inf, 0.9, "holds"),
    ],
)
def test_an_interval_that_straddles_the_boundary_decides_nothing(low, high, verdict):
    assert intervals.below(Estimate(1.0, low, high), 1.0) == verdict
    assert intervals.above(Estimate(-1.0, -high, -low), -1.0) == verdict


def test_complement_undoes_itself():
    estimate = intervals.mean(np.arange(10.0))
    assert intervals.complement(intervals.complement(estimate)) == pytest.approx(
        estimate
    )


def test_interval_of_a_mean_covers_it_in_95_percent_of_samples():
    """Fewer than 360 of 400 has a chance below 5e-4 at a coverage of 0.94."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        estimate = intervals.mean(rng.normal(size=100), rng=rng)
        covered += estimate.low <= 0.0 <= estimate.high
    assert 360 <= covered < 400


def test_students_interval_of_two_values_is_that_of_the_table():
    # t(0.975, 1) = 12.706 (tables); mean 2, standard error 1
    estimate = intervals.student_mean([1.0, 3.0])
    assert estimate.value == 2.0
    assert estimate.high - 2.0 == pytest.approx(12.706, abs=1e-3)
    assert intervals.student_mean([0.1, 0.1]) == (0.1, 0.1, 0.1)
    for values in ([1.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="values"):
            intervals.student_mean(values)


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    estimate = intervals.geometric_mean([4.0, 0.25, 2.0, 0.5])
    assert estimate.value == pytest.approx(1.0)
    assert estimate.low * estimate.high == pytest.approx(1.0)
    assert intervals.geometric_mean([3.0, 3.0]) == (3.0, 3.0, 3.0)


def test_interval_of_a_geometric_mean_covers_it_in_95_percent_of_samples():
    """Five ratios each; fewer than 355 of 400 has a chance below 1e-5 at 0.95."""
    rng = np.random.default_rng(6)
    samples = np.exp(rng.normal(size=(400, 5)))
    estimates = [intervals.geometric_mean(ratios) for ratios in samples]
    assert 355 <= sum(e.low <= 1.0 <= e.high for e in estimates) < 400


@pytest.mark.parametrize("ratios", [[1.0], [1.0, np.inf], [1.0, 0.0], [1.0, np.nan]])
def test_geometric_mean_refuses_what_has_no_logarithm_or_spread(ratios):
    with pytest.raises(ValueError, match="ratios: got"):
        intervals.geometric_mean(ratios)


@pytest.mark.parametrize("count", [1, 8, 40])
def test_a_share_of_none_or_all_keeps_an_interval(count):
    """Wilson's limit for none of n is z^2 / (n + z^2)."""
    limit = 1.959963985**2 / (count + 1.959963985**2)
    none = intervals.proportion(np.zeros(count, bool))
    assert none == pytest.approx((0, 0, limit), rel=1e-6, abs=1e-12)
    assert intervals.proportion(np.ones(count, bool)) == pytest.approx(
        (1, 1 - limit, 1), rel=1e-6
    )
