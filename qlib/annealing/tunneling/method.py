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
CHALLENGER = {"descents": 4, "restarts": 2, "scans": 4}  # price of an evaluation


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

    - *descents*: L-BFGS-B from random points. The minima found are kept; once there are
      enough for a quadratic to be fitted through them, every other descent starts near
      the minimum of this envelope (`envelope`).
    - *restarts*: CMA-ES from random points with growing populations (`cma_es`).
    - *scans*: tunnelling moves, that is, jumps along an axis through a barrier into a
      deeper well, found by a global one-dimensional search on every axis through the
      best minimum that has not been scanned; the best coordinates are then joined and
      descended from (`line_scan`). Solves separable functions in O(d) evaluations.

    No temperature is involved: the barrier is crossed by looking behind it.

    The first descent starts at `x0`. Then the next turn goes to the arm with the least
    debt times price. An arm's debt is the number of evaluations it has spent since it
    last improved the best value; its price is 1 if it found the best point (descents
    own the first one), else 2 for restarts and 4 for descents and scans. So a search
    that keeps improving keeps its turn, one that stalls falls back to a share of the
    evaluations, and none is ever abandoned. The prices were chosen on instances 101-116
    of the BBOB functions in 5 and 10 dimensions, of four sets tried; restarts are
    cheaper because a run of theirs needs many turns before it can improve anything.

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
    O(d²) operations a point, besides O(n d⁴) for an envelope through n = O(d²) minima.

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
    debt = dict.fromkeys(arms, 0)
    arm = owner = "descents"
    first = math.inf
    try:
        descend(search, start)
        while True:
            search.problem.record({"arm": list(arms).index(arm)})
            if search.problem.done:
                return
            if math.isinf(first):
                first = search.fun
            price = {name: CHALLENGER[name] if name != owner else 1 for name in arms}
            arm = min(arms, key=lambda name: debt[name] * price[name])
            spent, value = search.nfev, search.fun
            next(arms[arm])
            debt[arm] += max(search.nfev - spent, search.d)
            if value - search.fun > 1e-9 * (first - search.fun):
                owner, debt[arm] = arm, 0
    except Finished:
        search.problem.record({"arm": list(arms).index(arm)})
