"""Means, differences and ratios of repeated runs, with intervals, and verdicts."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap, ttest_1samp

ROUNDING = 1e-13  # relative; values that differ by less are one value
RESAMPLES = 2000  # fix a 95 % limit to about 3 % of its distance from the median


class Estimate(NamedTuple):
    """A value with its interval, a named tuple.

    Attributes
    ----------
    value : float
        What is estimated, in [low, high].
    low, high : float
        Ends of the interval, at 95 % confidence unless the function that returns it
        was asked for, or says, something else.
    """

    value: float
    low: float
    high: float


def below(estimate, boundary=0.0):
    """The verdict on "less than `boundary`", undecided if the interval straddles it.

    Returns
    -------
    {"holds", "does not hold", "not testable here"}
    """
    if estimate.low < boundary < estimate.high:
        return "not testable here"
    return "holds" if estimate.high < boundary else "does not hold"


def above(estimate, boundary=0.0):
    """The verdict on "more than `boundary`"; see `below`."""
    mirrored = Estimate(-estimate.value, -estimate.high, -estimate.low)
    return below(mirrored, -boundary)


def mean(values, *, confidence=0.95, rng=0):
    """Mean over runs with its percentile bootstrap interval.

    Parameters
    ----------
    values : (R,) array
    confidence : float
    rng : int or `numpy.random.Generator`
        Of the resamples; the default gives equal data equal intervals.

    Returns
    -------
    Estimate
    """
    return _bootstrap((values,), np.mean, confidence, rng)


def student_mean(values, *, confidence=0.95):
    """Mean with Student's interval, for few values or differences of pairs.

    Parameters
    ----------
    values : (n,) array
        Finite, n >= 2. For a paired comparison, the differences.
    confidence : float

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If there are fewer than two values or one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.size < 2 or not np.isfinite(values).all():
        raise ValueError(f"values: got {values}; allowed: two or more, finite")
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        return Estimate(*[float(values[0])] * 3)
    interval = ttest_1samp(values, 0.0).confidence_interval(confidence)
    return Estimate(float(values.mean()), float(interval.low), float(interval.high))


def median(values, *, confidence=0.95, rng=0):
    """Median over runs; otherwise as `mean`."""
    return _bootstrap((values,), np.median, confidence, rng)


def mean_difference(first, second, *, confidence=0.95, rng=0):
    """Mean of `first` minus mean of `second`, of independent runs, with its interval.

    Parameters
    ----------
    first, second : (R,) arrays
        May differ in length; booleans count as 0 and 1.

    Returns
    -------
    Estimate
    """
    return _bootstrap((first, second), _difference, confidence, rng)


def geometric_mean(ratios, *, confidence=0.95):
    """Geometric mean of independent positive ratios, with Student's interval of logs.

    Parameters
    ----------
    ratios : (n,) array
        Finite and > 0, n >= 2.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If there are fewer than two ratios or one is not finite and positive.
    """
    ratios = np.asarray(ratios, dtype=float)
    if ratios.size < 2 or not (np.isfinite(ratios) & (ratios > 0)).all():
        raise ValueError(f"ratios: got {ratios}; allowed: two or more, finite and > 0")
    if np.ptp(ratios) == 0:
        return Estimate(*[float(ratios[0])] * 3)
    estimate = student_mean(np.log(ratios), confidence=confidence)
    return Estimate(*np.exp(estimate).tolist())


def proportion(success, *, confidence=0.95):
    """Share of trials that succeeded, with Wilson's score interval.

    Parameters
    ----------
    success : (n,) bool array
        n >= 1.
    confidence : float

    Returns
    -------
    Estimate

    References
    ----------
    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    success = np.asarray(success, dtype=bool)
    test = binomtest(int(success.sum()), success.size)
    interval = test.proportion_ci(confidence, method="wilson")
    return Estimate(float(success.mean()), float(interval.low), float(interval.high))


def complement(estimate):
    """One minus an estimate, its interval turned round."""
    return Estimate(1 - estimate.value, 1 - estimate.high, 1 - estimate.low)


def _bootstrap(samples, statistic, confidence, rng):
    samples = tuple(np.asarray(sample, dtype=float) for sample in samples)
    interval = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(rng),
    ).confidence_interval
    value = statistic(*samples, axis=-1)
    return Estimate(float(value), float(interval.low), float(interval.high))


def _difference(first, second, axis):
    return np.mean(first, axis=axis) - np.mean(second, axis=axis)
