"""Time to a target: how long to repeat a run until it has succeeded almost surely."""

import numpy as np

from qlib.arguments import number_between, positive_integer
from qlib.intervals import Estimate


def time_to_target(
    success, seconds, *, certainty=0.99, confidence=0.95, resamples=2000, rng=None
):
    """Seconds of repeated runs that contain a success with 99 % probability (TTS99).

    t ln(1 − 0.99) / ln(1 − p) for runs of t seconds that succeed with probability p:
    the number of runs is not rounded, but is at least one. It is inf for p = 0 and t
    for p = 1. Of several instances the median is taken.

    Parameters
    ----------
    success : (R,) or (I, R) bool array
        Whether each of R runs reached the target, for each of I instances.
    seconds : float or (I,) array
        Time of one run, > 0.
    certainty : float
        The probability of a success, in (0, 1).
    confidence : float
        Coverage of the interval, in (0, 1).
    resamples : int
        Bootstrap resamples, >= 1.
    rng : int, `numpy.random.Generator` or None
        Source of the resamples.

    Returns
    -------
    Estimate
        Value, and a percentile interval of a Bayesian bootstrap: instances are drawn
        with replacement, and the p of each from Beta(k + ½, R − k + ½) after k
        successes (Jeffreys' prior), so that k = R still leaves doubt. `high` is inf
        where the value is.

    Raises
    ------
    ValueError
        For no runs, entries that are neither true nor false, times that are not
        positive.

    References
    ----------
    T. F. Rønnow et al., Science 345, 420 (2014).
    I. Hen et al., Phys. Rev. A 92, 042325 (2015), for the bootstrap.
    """
    success = np.asarray(success)
    if success.ndim not in (1, 2) or success.size == 0:
        raise ValueError(
            f"success: got shape {success.shape}; allowed: (R,) or (I, R), none empty"
        )
    if not np.isin(success, (0, 1)).all():
        raise ValueError("success: got other values; allowed: True and False")
    hits = np.atleast_2d(success).astype(bool).sum(axis=1)  # (I,)
    instances, runs = hits.size, success.shape[-1]
    seconds = np.asarray(seconds, dtype=np.float64)
    if seconds.shape not in ((), (instances,)):
        raise ValueError(
            f"seconds: got shape {seconds.shape}; allowed: a number or ({instances},)"
        )
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(f"seconds: got {seconds}; allowed: finite numbers > 0")
    below_one = np.nextafter(1.0, 0.0)
    number_between("certainty", certainty, 0.0, below_one, open_low=True)
    number_between("confidence", confidence, 0.0, below_one, open_low=True)
    resamples = positive_integer("resamples", resamples)
    seconds = np.broadcast_to(seconds, (instances,))
    value = float(np.median(_times(hits / runs, seconds, certainty)))
    rng = np.random.default_rng(rng)
    drawn = rng.integers(instances, size=(resamples, instances))
    p = rng.beta(hits[drawn] + 0.5, runs - hits[drawn] + 0.5)
    medians = np.median(_times(p, seconds[drawn], certainty), axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail], method="inverted_cdf")
    low = min(float(low), value)
    high = max(float(high), value)
    return Estimate(value, low, high)


def _times(p, seconds, certainty):
    with np.errstate(divide="ignore"):
        runs = np.log1p(-certainty) / np.log1p(-p)
    return seconds * np.maximum(runs, 1.0)
