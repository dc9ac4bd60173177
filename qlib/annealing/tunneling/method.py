"""Our global optimiser: three searches that share their evaluations by success."""

import math

import numpy as np

from qlib.annealing.problem import Problem
from qlib.annealing.tunneling.cma_es import restarts
from qlib.annealing.tunneling.descent import descend
from qlib.annealing.tunneling.envelope import descents
from qlib.annealing.tunneling.line_scan import scans
from qlib.annealing.tunneling.search import Finished, Search

ARMS = {"descents": descents, "restarts": restarts, "scans": scans}
CHALLENGER = {"descents": 3, "restarts": 2, "scans": 4}  # price of an evaluation


def tunneling_annealing(
    func,
    bounds,
    args=(),
    *,
    maxfun,
    target=None,
    x0=None,
    vectorized=False,
    callback=None,
    rng=None,
):
    """Minimise a function of d real variables in a box, whatever its landscape.

    Three searches ("arms"), each strong where the others are weak, take turns:

    - *descents*: L-BFGS-B from the best of a handful of random points, or from near the
      minimum of a quadratic fitted to the deepest minima found so far, their envelope,
      as often as such starts prove better (`envelope`).
    - *restarts*: CMA-ES from random points with growing populations (`cma_es`).
    - *scans*: tunnelling moves, that is, jumps along an axis through a barrier into a
      deeper well, found by a global one-dimensional search on every axis through the
      best minimum that has not been scanned; the best coordinates are then joined and
      descended from (`line_scan`). Solves separable functions in O(d) evaluations.

    No temperature is involved: the barrier is crossed by looking behind it.

    The first descent starts at `x0`. Then the next turn goes to the arm that has paid
    least. An evaluation costs an arm 1 if it owns the best point (found its last real
    improvement; descents own the first one), else 2 for restarts, 3 for descents and 4
    for scans. Descents also pay 1 once their envelope has proved to predict where low
    minima lie. So what has worked gets most of the evaluations, and no arm is ever
    abandoned. Where the last descent could not leave its start, on a plateau, what
    descents and scans find is credited to restarts. The prices were chosen among a
    dozen sets on instances 101-116 of the BBOB functions in 5 and 10 dimensions.

    Parameters
    ----------
    func : callable
        Objective, ``func(x, *args)``: ``(d,) -> float``, or ``(d, S) -> (S,)`` with
        `vectorized`. NaN counts as +inf. Noise above about 1e-10 of its slope across
        the box blinds the descents; the other arms go on.
    bounds : `scipy.optimize.Bounds` or sequence of d pairs
        Finite, low < high. No point outside is ever evaluated.
    args : tuple
        Further arguments of `func`.
    maxfun : int
        Evaluations allowed, >= 1; all are used unless `target` or `callback` ends the
        search. The course of the search does not depend on it.
    target : float, optional
        Stop at the first evaluation with a value <= `target`.
    x0 : (d,) array, optional
        Start of the first descent; by default a random point.
    vectorized : bool
        Whether `func` takes many points at once. The points are the same either way.
    callback : callable, optional
        ``callback(intermediate_result)`` after each turn; `StopIteration` ends the
        search.
    rng : int, `numpy.random.Generator` or None
        Source of all randomness.

    Returns
    -------
    OptimizeResult
        `x`, `fun`, `nfev`, `nit` (turns), `success`, `message`, and `history` with
        `nfev` and `fun` (nit,) and `arm` (nit,), the position in `ARMS` of the arm that
        had the turn. `success` says whether the target was reached; without a target,
        whether the budget was spent.

    Raises
    ------
    TypeError, ValueError
        From bad arguments, before the first evaluation.

    Notes
    -----
    O(d²) operations a point, besides O(d⁶) for the envelope before a descent, a least
    squares fit of O(d²) coefficients to O(d²) minima: unnoticed at d = 10, some 0.1 s
    at d = 30.

    References
    ----------
    I. Loshchilov, M. Schoenauer, M. Sebag, "Bi-population CMA-ES algorithms with
    surrogate models and line searches", GECCO 2013 companion: the portfolio of local
    descent, STEP and CMA-ES that this one resembles; the envelope and the sharing rule
    are ours. The parts name their own sources. How it compares with dual annealing,
    differential evolution, basin hopping, IPOP- and BIPOP-CMA-ES:
    `benchmarks/annealing.md`.
    """
    problem = Problem(
        func,
        bounds,
        args,
        maxfun=maxfun,
        target=target,
        x0=x0,
        vectorized=vectorized,
        callback=callback,
    )
    search = Search(problem, np.random.default_rng(rng))
    share_evaluations(search, search.uniform() if x0 is None else problem.x0[:, 0, 0])
    return problem.result()


def share_evaluations(search, start):
    """Descend from `start`, then give turns to the arms until the problem is done."""
    arms = {name: arm(search) for name, arm in ARMS.items()}
    paid = dict.fromkeys(arms, 0)
    arm = owner = "descents"
    try:
        descend(search, start)
        first = search.fun
        while True:
            search.problem.record({"arm": list(arms).index(arm)})
            if search.problem.done:
                return
            arm = min(arms, key=paid.get)
            spent, value = search.nfev, search.fun
            next(arms[arm])
            sure = arm == "descents" and search.funnel
            price = 1 if sure or arm == owner else CHALLENGER[arm]
            paid[arm] += price * max(search.nfev - spent, search.d)
            if math.isinf(first):
                first = search.fun
            if value - search.fun > 1e-9 * (first - search.fun):
                owner = arm if search.moved else "restarts"
    except Finished:
        search.problem.record({"arm": list(arms).index(arm)})
