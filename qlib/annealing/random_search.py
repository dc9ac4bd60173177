"""Uniform random search: what any method has to beat."""

from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.arguments import positive_integer


def random_search(
    func,
    bounds,
    args=(),
    *,
    maxfun,
    target=None,
    x0=None,
    vectorized=False,
    callback=None,
    batch=1,
    runs=None,
    device=None,
    keep_history=True,
    rng=None,
):
    """Minimise by evaluating independent points, uniform in the box.

    Parameters
    ----------
    func, bounds, args, maxfun, target, vectorized, callback, runs, device,
    keep_history
        As for `qlib.annealing.problem.Problem`.
    x0 : (d,) array or None
        The first point evaluated.
    batch : int
        Points an iteration draws, >= 1; it changes how many a vectorised objective
        sees at once, not the method.
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `Problem.result`; `history` holds `fun` and `nfev`, an entry an iteration.
        The callback also sees `population` (batch, d) and `energies` (batch,).

    Notes
    -----
    O(maxfun · d) besides the objective.
    """
    batch = positive_integer("batch", batch)
    problem = Problem(
        func,
        bounds,
        args,
        maxfun=maxfun,
        target=target,
        x0=x0,
        vectorized=vectorized,
        callback=callback,
        runs=runs,
        device=device,
        keep_history=keep_history,
    )
    random = RandomSource(rng, device)
    while not problem.done:
        x = problem.uniform(random, batch)
        values = problem.evaluate(x)
        problem.record({}, population=x, energies=values)
    return problem.result()
