"""What is measured on finished runs: success, running time, stagnation, breadth."""

import numpy as np

from qlib.arguments import number_between, positive_integer
from qlib.intervals import RESAMPLES, Estimate, proportion


def success_rate(success, *, confidence=0.95):
    """Share of runs that succeeded, with Wilson's score interval.

    Parameters
    ----------
    success : (R,) bool array
        Whether each run reached its target.
    confidence : float
        Coverage of the interval, in (0, 1).

    Returns
    -------
    Estimate

    References
    ----------
    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    return proportion(_runs("success", success), confidence=confidence)


def expected_running_time(nfev, success, *, confidence=0.95, resamples=2000, rng=None):
    """Evaluations until the target of an algorithm restarted until it succeeds (ERT).

    ERT = (evaluations of all runs, failed ones included) / (number of successes): the
    expected cost with restarts of the same budget (COCO). It is inf without a success.

    Parameters
    ----------
    nfev : (R,) array
        Evaluations of each run, until its target or its end.
    success : (R,) bool array
        Whether each run reached its target.
    confidence : float
        Coverage of the interval, in (0, 1).
    resamples : int
        Bootstrap resamples of the runs, >= 1; 2000 fix a 95 % limit to about 3 % of
        its distance from the median.
    rng : int, `numpy.random.Generator` or None
        Source of the resamples.

    Returns
    -------
    Estimate
        With a percentile bootstrap over runs; resamples without a success count as
        inf. Without any success the bootstrap says nothing: `low` then is the mean
        number of evaluations over Wilson's upper limit of the success rate, `high` inf.

    References
    ----------
    N. Hansen et al., "COCO: a platform for comparing continuous optimizers in a
    black-box setting", Optim. Methods Softw. 36, 114 (2021).
    """
    success = _runs("success", success).astype(bool)
    nfev = _runs("nfev", nfev).astype(np.float64)
    if nfev.shape != success.shape:
        raise ValueError(f"nfev: got shape {nfev.shape}; allowed: {success.shape}")
    number_between("confidence", confidence, 0.0, 1.0, open_low=True)
    resamples = positive_integer("resamples", resamples)
    if not success.any():
        limit = success_rate(success, confidence=confidence).high
        return Estimate(np.inf, float(nfev.mean() / limit), np.inf)
    draws = np.random.default_rng(rng).integers(nfev.size, size=(resamples, nfev.size))
    times = _ratio(nfev[draws].sum(axis=1), success[draws].sum(axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(times, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(float(nfev.sum() / success.sum()), float(low), float(high))


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
        of `expected_running_time` and infinity, and so the ratio is known on
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


def evaluations_to_targets(history, targets):
    """Evaluations after which each run's best value first is <= each target.

    Parameters
    ----------
    history : dict
        `fun` and `nfev` of shape (nit,) or (R, nit), as the methods return. Times are
        known to an iteration: exact for one evaluation an iteration, else up to
        S − 1 too long.
    targets : (T,) array
        Values of f.

    Returns
    -------
    (R, T) array
        Evaluations; inf where a target was not reached.
    """
    fun, nfev = np.atleast_2d(history["fun"]), np.atleast_2d(history["nfev"])
    times = np.full((len(fun), len(targets)), np.inf)
    for column, target in enumerate(targets):
        reached = fun <= target
        row = np.flatnonzero(reached.any(axis=1))
        times[row, column] = nfev[row, reached[row].argmax(axis=1)]
    return times


def ecdf(times, budgets):
    """Share of (run, target) pairs solved within each budget (COCO's runtime ECDF).

    Parameters
    ----------
    times : array of any shape
        Evaluations to the target; inf where it was not reached.
    budgets : (B,) array
        Evaluations allowed.

    Returns
    -------
    (B,) array
        In [0, 1], not falling along rising budgets.
    """
    times = np.sort(_runs("times", np.ravel(times)))
    return np.searchsorted(times, budgets, side="right") / times.size


def stuck_iterations(history, maxfun, *, by="move", phases=3):
    """Iterations in which a run got nowhere, by phase of its budget.

    Parameters
    ----------
    history : dict
        `nfev`, and `acceptance` or `fun`, each (nit,) or (R, nit).
    maxfun : int
        The budget; phase p covers evaluations in (p, p + 1] · maxfun / phases, so that
        methods are compared at equal evaluations.
    by : {"move", "improvement"}
        "move": an iteration is stuck if no chain of the run took its proposal.
        "improvement": it is stuck if the best value so far did not fall. Both depend on
        the number S of chains, any one of which ends the standstill: compare methods at
        equal S only.
    phases : int
        Equal parts of the budget, >= 1; with 3, early, middle and late.

    Returns
    -------
    stuck, iterations : (R, phases) int arrays
        Stuck iterations and all iterations in each phase. The start (which proposes
        nothing) and iterations after the run's own end are not counted.

    Notes
    -----
    O(R · nit · phases).
    """
    maxfun = positive_integer("maxfun", maxfun)
    phases = positive_integer("phases", phases)
    nfev = np.atleast_2d(history["nfev"])
    if by == "move":
        stuck = np.atleast_2d(history["acceptance"])[:, 1:] == 0
    elif by == "improvement":
        fun = np.atleast_2d(history["fun"])
        stuck = ~(fun[:, 1:] < fun[:, :-1])
    else:
        raise ValueError(f"by: got {by!r}; allowed: 'move', 'improvement'")
    alive = nfev[:, 1:] > nfev[:, :-1]
    phase = np.minimum((nfev[:, 1:] - 1) * phases // maxfun, phases - 1)
    masks = [alive & (phase == p) for p in range(phases)]
    counts = np.stack([mask.sum(axis=1) for mask in masks], axis=1)
    return np.stack([(m & stuck).sum(axis=1) for m in masks], axis=1), counts


def visited_share(points, edges):
    """Share of the cells of a product grid that a run visited.

    Parameters
    ----------
    points : (n, d) or (R, n, d) array
        Points visited. Compare methods at equal n: more points visit more cells.
    edges : (k,) array
        Inner edges of the k + 1 intervals of every coordinate, rising: evenly spaced
        ones, or the `basin_edges` of a landscape that is a sum over coordinates.

    Returns
    -------
    (R,) array
        Of the (k + 1)^d cells, in (0, 1]. O(R n d log(R n)).
    """
    points = np.asarray(points)
    points = points[None] if points.ndim == 2 else points  # (R, n, d)
    runs, _, d = points.shape
    intervals = np.searchsorted(edges, points)
    cells = (len(edges) + 1) ** d
    run = np.arange(runs)[:, None]
    index = run * cells
    for coordinate in range(d):
        index = index + intervals[:, :, coordinate] * (len(edges) + 1) ** coordinate
    visited = np.unique(index) // cells
    return np.bincount(visited, minlength=runs) / cells


def basin_edges(function, low, high, samples=10_001):
    """Local maxima inside an interval: the borders of a 1-D function's basins.

    Parameters
    ----------
    function : callable
        (1, S) -> (S,).
    low, high : float
        The interval.
    samples : int
        Grid points; two maxima nearer than the grid's spacing are seen as one.

    Returns
    -------
    (k,) array
        The maxima on the grid, rising.
    """
    x = np.linspace(low, high, samples)
    f = function(x[None])
    inner = (f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:])
    return x[1:-1][inner]


def _ratio(numerator, denominator):
    """numerator / denominator, inf where the denominator is 0."""
    safe = np.maximum(denominator, 1)
    return np.where(denominator > 0, numerator / safe, np.inf)


def _runs(name, values):
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name}: got shape {values.shape}; allowed: (R,) with R >= 1")
    return values


def _resampled_times(nfev, success, rng):
    """The running time of the runs themselves, then of each resample."""
    nfev, success = np.asarray(nfev, dtype=float), np.asarray(success, dtype=bool)
    draws = rng.integers(nfev.size, size=(RESAMPLES, nfev.size))
    draws = np.vstack([np.arange(nfev.size), draws])
    with np.errstate(divide="ignore"):
        return nfev[draws].sum(axis=1) / success[draws].sum(axis=1)
