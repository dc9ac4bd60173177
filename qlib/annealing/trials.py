"""Repeated runs of annealing methods on a landscape, as the claims about them need.

A method here is any of `qlib.annealing` that takes ``runs=``, so that all repetitions
are one vectorised call; `peer_times` serves the others, one run after another.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import kstest

from qlib import intervals
from qlib.annealing import measure
from qlib.annealing.peers import first_hits
from qlib.annealing.simulated_annealing import simulated_annealing


class Times(NamedTuple):
    """Evaluations spent by each run, (R,), and whether it reached its target, (R,)."""

    nfev: np.ndarray
    success: np.ndarray

    @property
    def ert(self):
        """Their expected running time, a `intervals.Estimate`."""
        return measure.expected_running_time(self.nfev, self.success, rng=0)


class Sample(NamedTuple):
    """Places of many walks at one temperature, beside the density they must follow."""

    temperature: float
    places: np.ndarray
    x: np.ndarray
    density: np.ndarray
    distance: float
    pvalue: float


def repeat(method, landscape, *, maxfun, runs, rng, gap=None, **settings):
    """Run a method `runs` times at once.

    Parameters
    ----------
    method : callable
    landscape : Landscape
    maxfun : int
        Evaluations of each run.
    runs : int
    rng : int or `numpy.random.Generator`
    gap : float or None
        Each run stops at its first value within `gap` of the minimum.
    **settings
        Of the method.

    Returns
    -------
    OptimizeResult
        With a leading run axis.
    """
    target = None if gap is None else landscape.f_min + gap
    return method(
        landscape,
        landscape.bounds,
        maxfun=maxfun,
        target=target,
        vectorized=True,
        runs=runs,
        rng=rng,
        **settings,
    )


def running_times(method, landscape, *, gap, **settings):
    """`Times` of the runs of `repeat` to within `gap` of the minimum."""
    result = repeat(method, landscape, gap=gap, **settings)
    return Times(result.nfev, result.success)


def polished_times(method, landscape, *, gap, maxfun, **settings):
    """`Times` of a method followed by L-BFGS-B from its best point.

    Both parts end at the first value within `gap` of the minimum; finite differences
    are evaluations like any other.
    """
    result = repeat(method, landscape, gap=gap, maxfun=maxfun, **settings)
    nfev, success = result.nfev.copy(), result.success.copy()
    for run in np.flatnonzero(~success):
        polish = partial(_polish, result.x[run])
        level = [landscape.f_min + gap]
        local = first_hits(polish, landscape, landscape.bounds, level, 10_000, None)
        nfev[run] += local.evaluations
        success[run] = local.hits[0] is not None
    return Times(nfev, success)


def _polish(start, objective, bounds, rng):
    minimize(objective, start, method="L-BFGS-B", bounds=bounds)


def tune(method, landscape, *, ranges, count, gap, runs, rng):
    """Try random settings of a method; measure its expected running time with each.

    Parameters
    ----------
    ranges : dict
        Setting to (low, high); drawn log-uniformly, as whole numbers where both are
        int. Must hold ``maxfun``, the length of a run.
    count : int
        Settings tried. Methods compared get the same number.
    gap, runs, rng
        As in `running_times`.

    Returns
    -------
    list of (dict, Estimate)
        Settings and their expected running time, best first. The best is lucky: measure
        it again with fresh runs before it is compared.
    """
    tried = []
    for _ in range(count):
        settings = {}
        for name, (low, high) in ranges.items():
            value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            whole = isinstance(low, int) and isinstance(high, int)
            settings[name] = round(value) if whole else value
        times = running_times(
            method, landscape, gap=gap, runs=runs, rng=rng, **settings
        )
        tried.append((settings, times.ert))
    return sorted(tried, key=lambda pair: pair[1])


def path(method, landscape, *, maxfun, rng):
    """Where the particles of one run on a 1-D landscape stand after each iteration.

    Returns
    -------
    nfev : (nit,) array
    places : (nit, S) array
    """
    nfev, places = [], []

    def note(state):
        nfev.append(state.nfev)
        places.append(state.population[:, 0])

    method(
        landscape,
        landscape.bounds,
        maxfun=maxfun,
        vectorized=True,
        callback=note,
        rng=rng,
    )
    return np.array(nfev), np.array(places)


def stagnation(method, landscape, *, maxfun, **settings):
    """How often runs are stuck, and how many basins of a 1-D landscape they visit.

    Returns
    -------
    stuck : (R, 3) array
        Share of iterations in which no chain moved, in each third of the budget.
    breadth : (R,) array
        Share of the basins visited by the run's chains.
    """
    seen = []
    result = repeat(
        method,
        landscape,
        maxfun=maxfun,
        callback=lambda state: seen.append(state.population),
        **settings,
    )
    stuck, iterations = measure.stuck_iterations(result.history, maxfun)
    edges = measure.basin_edges(landscape, *landscape.bounds[0])
    breadth = measure.visited_share(np.concatenate(seen, axis=1), edges)
    return stuck / iterations, breadth


def stagnation_difference(first, second):
    """How two methods differ in what `stagnation` returns of each.

    Returns
    -------
    stuck, breadth : `intervals.Estimate`
        `first` minus `second`: stuck share in the middle third, and share of basins.
    """
    middle = intervals.mean_difference(first[0][:, 1], second[0][:, 1])
    return middle, intervals.mean_difference(first[1], second[1])


def boltzmann_sample(landscape, temperature, *, walkers, sweeps=500, rng):
    """Walk at a fixed temperature on a 1-D landscape; compare with exp(−f/T).

    Steps of a tenth of the box reach the next wells of `double_rastrigin`; after the
    default number of sweeps the start is forgotten there for T >= 1.

    Returns
    -------
    Sample
        With the distance of Kolmogorov and Smirnov between the walks' places and the
        exact distribution, and its p-value.
    """
    last = {}
    simulated_annealing(
        landscape,
        landscape.bounds,
        maxfun=sweeps * walkers,
        vectorized=True,
        replicas=walkers,
        step=0.1,
        cooling=lambda progress: temperature,
        callback=last.update,
        rng=rng,
    )
    places = last["population"][:, 0]
    x = np.linspace(*landscape.bounds[0], 4001)
    weight = np.exp((landscape.f_min - landscape(x[None])) / temperature)
    cumulative = np.concatenate([[0], np.cumsum(weight[1:] + weight[:-1])])
    cumulative /= cumulative[-1]
    test = kstest(places, lambda y: np.interp(y, x, cumulative))
    density = weight / np.trapezoid(weight, x)
    return Sample(temperature, places, x, density, test.statistic, test.pvalue)


def restarted_times(method, landscape, *, gaps, maxfun, budget, runs, rng, **settings):
    """As `peer_times`, for a method with ``runs=`` that is restarted every `maxfun`.

    All restarts of all runs are one call. Times are known to an iteration, so up to
    particles − 1 too long.
    """
    starts = -(-budget // maxfun)
    result = repeat(
        method, landscape, maxfun=maxfun, runs=runs * starts, rng=rng, **settings
    )
    levels = [landscape.f_min + gap for gap in gaps]
    times = measure.evaluations_to_targets(result.history, levels)
    times = times.reshape(runs, starts, len(levels))
    times = (times + maxfun * np.arange(starts)[:, None]).min(axis=1)
    return np.where(times <= budget, times, np.inf)


def last_times(evaluations, budget):
    """`Times` to the last target, from evaluations (runs, targets)."""
    last = evaluations[:, -1]
    return Times(np.minimum(last, budget), np.isfinite(last))


def peer_times(method, landscape, *, gaps, budget, runs, rng):
    """Evaluations to each gap for a method of `qlib.annealing.peers`, run by run.

    Parameters
    ----------
    gaps : sequence of float
        Falling; a run ends at the last.

    Returns
    -------
    (runs, gaps) array
        Evaluations to the first value within each gap; inf where it was not reached.
    """
    levels = [landscape.f_min + gap for gap in gaps]
    hits = [
        first_hits(method, landscape, landscape.bounds, levels, budget, stream).hits
        for stream in rng.spawn(runs)
    ]
    return np.array([[h or np.inf for h in row] for row in hits], dtype=float)


def throughput(method, landscape, *, sizes, repeats, clock, **settings):
    """Runs per second of a method by the number of runs at once.

    Parameters
    ----------
    sizes : sequence of int
        Runs at once.
    repeats : int
        Calls timed of each size, after one to warm up.
    clock : callable
        Seconds so far; the library reads no clock of its own.
    **settings
        Of `repeat`, and of the method: its ``device`` among them.

    Returns
    -------
    dict
        Size to (repeats,) rates.
    """
    rates = {}
    for size in sizes:
        seconds = []
        for _ in range(repeats + 1):
            start = clock()
            repeat(method, landscape, runs=size, keep_history=False, **settings)
            seconds.append(clock() - start)
        rates[size] = size / np.array(seconds[1:])
    return rates


def speedup(rates, size):
    """Runs per second on the GPU over those of the faster CPU code.

    Parameters
    ----------
    rates : dict
        Device to what `throughput` returns; the GPU is called "GPU".
    size : int
        Runs at once.

    Returns
    -------
    Estimate or None
        None without a GPU.
    """
    if "GPU" not in rates:
        return None
    medians = [np.median(rates[name][size]) for name in rates.keys() - {"GPU"}]
    return intervals.median(rates["GPU"][size] / max(medians))
