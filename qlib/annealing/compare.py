"""Means, differences and ratios of repeated runs, with bootstrap intervals."""

import numpy as np
from scipy.stats import bootstrap, ttest_1samp

from qlib.annealing.measure import Estimate, expected_running_time

RESAMPLES = 2000  # as in `measure.expected_running_time`


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
    if np.ptp(values) == 0:
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


def running_time_ratio(first, second, *, confidence=0.95, rng=0):
    """Expected running time of `first` over that of `second`, with its interval.

    Parameters
    ----------
    first, second : (nfev, success) pairs of (R,) arrays
        Such as `trials.Times`. Runs are resampled whole.

    Returns
    -------
    Estimate
        Where one of them never succeeded, its running time lies between the lower limit
        of `measure.expected_running_time` and infinity, and so the ratio is known on
        one side only: from 0, or to infinity. From 0 to infinity if neither did.
    """
    rng = np.random.default_rng(rng)
    solved = np.any(first[1]), np.any(second[1])
    if not all(solved):
        options = {"confidence": confidence, "rng": rng}
        top = expected_running_time(*first, **options)
        bottom = expected_running_time(*second, **options)
        low = top.low / bottom.high if solved[1] else 0.0
        high = top.high / bottom.low if solved[0] else np.inf
        return Estimate(0.0 if solved[0] else np.inf, low, high)
    top, bottom = (_resampled_times(*times, rng) for times in (first, second))
    ratios = top / np.where(np.isinf(bottom), np.nan, bottom)
    ratios = np.where(np.isnan(ratios) & np.isfinite(top), 0.0, ratios)
    known = ratios[1:][~np.isnan(ratios[1:])]  # not: neither succeeded in the resample
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(float(ratios[0]), float(low), float(high))


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


def _resampled_times(nfev, success, rng):
    """The running time of the runs themselves, then of each resample."""
    nfev, success = np.asarray(nfev, dtype=float), np.asarray(success, dtype=bool)
    draws = rng.integers(nfev.size, size=(RESAMPLES, nfev.size))
    draws = np.vstack([np.arange(nfev.size), draws])
    with np.errstate(divide="ignore"):
        return nfev[draws].sum(axis=1) / success[draws].sum(axis=1)
