"""The global optimisers an expert would reach for, set up as that expert would.

Each peer is a function of ``(objective, bounds, rng)`` that restarts from new random
points for ever: it ends when the objective raises `Stop`. `Counted` is an objective
that does so, and it, not the method, counts evaluations. No method is told the minimum
or the target.
"""

import contextlib
import time

import numpy as np


class Stop(Exception):
    """The objective has seen enough of this run."""


class Counted:
    """An objective that counts and times its evaluations, and ends the run.

    Parameters
    ----------
    function : callable
        ``(d,) -> float``.
    values : sequence of float
        Function values to reach, falling. The run ends at the last of them.
    budget : int
        Evaluations after which the run ends.

    Attributes
    ----------
    evaluations : int
    hits : list of int or None
        The evaluation at which each of `values` was first reached.
    best : float
    seconds : float
        Time spent inside `function`.
    """

    def __init__(self, function, values, budget):
        self.function, self.values, self.budget = function, tuple(values), budget
        self.evaluations, self.seconds, self.best = 0, 0.0, np.inf
        self.hits = [None] * len(self.values)

    def __call__(self, x):
        if self.evaluations >= self.budget:
            raise Stop
        start = time.perf_counter()
        value = float(self.function(x))
        self.seconds += time.perf_counter() - start
        self.evaluations += 1
        self.best = min(self.best, value)
        for index, level in enumerate(self.values):
            if self.hits[index] is None and value <= level:
                self.hits[index] = self.evaluations
        if self.hits[-1] is not None:
            raise Stop
        return value


def first_hits(method, function, bounds, values, budget, rng):
    """Run a method until it reaches the last of `values` or spends the budget.

    Parameters
    ----------
    method : callable
        One of `PEERS`, or any function of ``(objective, bounds, rng)``.
    function, values, budget
        See `Counted`.
    bounds : sequence of d pairs
    rng : `numpy.random.Generator`

    Returns
    -------
    Counted
        Evaluations, first hits, best value and seconds of the run.
    """
    objective = Counted(function, values, budget)
    with contextlib.suppress(Stop):
        method(objective, bounds, rng)
    return objective


def dual_annealing(objective, bounds, rng):
    """scipy's `dual_annealing` with its defaults, restarted."""
    from scipy.optimize import dual_annealing

    while True:
        dual_annealing(objective, bounds, rng=rng)


def differential_evolution(objective, bounds, rng):
    """scipy's `differential_evolution` with its defaults, restarted."""
    from scipy.optimize import differential_evolution

    while True:
        differential_evolution(objective, bounds, rng=rng)


def tuned_differential_evolution(objective, bounds, rng):
    """The same with population 4 d, the best of ten settings tried by the benchmark."""
    from scipy.optimize import differential_evolution

    while True:
        differential_evolution(objective, bounds, popsize=4, rng=rng)


def basin_hopping(objective, bounds, rng):
    """scipy's `basinhopping` over L-BFGS-B, step a fifth of the box, restarted."""
    from scipy.optimize import basinhopping

    low, high = np.transpose(bounds)
    while True:
        basinhopping(
            objective,
            rng.uniform(low, high),
            stepsize=0.2 * (high - low).min(),
            minimizer_kwargs={"method": "L-BFGS-B", "bounds": bounds},
            rng=rng,
        )


def ipop_cma_es(objective, bounds, rng, bipop=False):
    """pycma's IPOP-CMA-ES, nine restarts, sigma a quarter of the box, then again.

    Without pycma's ``bounds`` option, with which it took up to twice the evaluations
    where both were tried. pycma seeds NumPy's global generator; its state is put back.
    """
    import cma

    low, high = np.transpose(bounds)
    if len(low) == 1:
        raise ValueError(
            "d: got 1; allowed: >= 2, as pycma has no one-dimensional form"
        )
    state = np.random.get_state()  # noqa: NPY002
    try:
        while True:
            cma.fmin2(
                objective,
                lambda: rng.uniform(low, high),
                0.25 * (high - low).min(),
                {"verbose": -9, "seed": int(rng.integers(1, 2**31))},
                restarts=9,
                incpopsize=2,
                bipop=bipop,
            )
    finally:
        np.random.set_state(state)  # noqa: NPY002


def bipop_cma_es(objective, bounds, rng):
    """pycma's BIPOP-CMA-ES, set up like `ipop_cma_es`."""
    ipop_cma_es(objective, bounds, rng, bipop=True)


def random_search(objective, bounds, rng):
    """Uniform points in the box."""
    low, high = np.transpose(bounds)
    while True:
        objective(rng.uniform(low, high))


PEERS = {
    "dual annealing": dual_annealing,
    "differential evolution": tuned_differential_evolution,
    "basin hopping": basin_hopping,
    "IPOP-CMA-ES": ipop_cma_es,
    "BIPOP-CMA-ES": bipop_cma_es,
    "random search": random_search,
}
