"""Repeated runs of annealing methods on a landscape, as the claims about them need.

A method here is any of `qlib.annealing` that takes ``runs=``, so that all repetitions
are one vectorised call; `peer_times` serves the others, one run after another.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import kstest

from qlib.annealing import measure
from qlib.annealing.peers import first_hits
from qlib.annealing.simulated_annealing import simulated_annealing


class Times(NamedTuple):
    """Evaluations spent by each run, (R,), and whether it reached its target, (R,)."""

    nfev: np.ndarray
    success: np.ndarray

    @property
    def ert(self):
        """Their expected running time, a `measure.Estimate`."""
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

    The evaluations of the polish, finite differences included, are counted.
    """
    result = repeat(method, landscape, maxfun=maxfun, **settings)
    polished = [
        minimize(landscape, start, method="L-BFGS-B", bounds=landscape.bounds)
        for start in result.x
    ]
    nfev = result.nfev + np.array([local.nfev for local in polished])
    fun = np.array([local.fun for local in polished])
    return Times(nfev, np.minimum(fun, result.fun) <= landscape.f_min + gap)


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


def boltzmann_sample(landscape, temperature, *, walkers, sweeps=200, rng):
    """Walk at a fixed temperature on a 1-D landscape; compare with exp(−f/T).

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


def chain_times(method, landscape, *, gaps, budget, runs, rng):
    """As `peer_times`, for a method with ``runs=``: all runs at once.

    Times are known to an iteration, so up to particles − 1 too long.
    """
    result = repeat(method, landscape, maxfun=budget, runs=runs, rng=rng)
    levels = [landscape.f_min + gap for gap in gaps]
    return measure.evaluations_to_targets(result.history, levels)


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
