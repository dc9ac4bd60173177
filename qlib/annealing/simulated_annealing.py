"""Simulated annealing with Gaussian moves: the classical baseline."""

from math import inf

from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.arguments import number_between, positive_integer


def simulated_annealing(
    func,
    bounds,
    args=(),
    *,
    maxfun,
    target=None,
    x0=None,
    vectorized=False,
    callback=None,
    cooling="geometric",
    temperature=None,
    temperature_ratio=1e-4,
    step=1.0,
    coordinates="one",
    thermal_step=True,
    replicas=1,
    runs=None,
    device=None,
    keep_history=True,
    rng=None,
):
    """Minimise by a Metropolis walk whose temperature falls.

    Each chain proposes y = x + σ ξ with ξ standard normal in one random coordinate,
    folded back into the box at its walls, and takes it with probability
    min(1, exp(−(f(y) − f(x))/T)). σ = `step` · width, times √(T/T_max) with
    `thermal_step`: the thermal width of a quadratic well, and with it the best step,
    goes as √T.

    Parameters
    ----------
    func, bounds, args, maxfun, target, x0, vectorized, callback, runs, device,
    keep_history
        As for `qlib.annealing.problem.Problem`. `maxfun` and `target` hold for each
        run. `x0` is where the first chain starts; others start uniformly in the box.
    cooling : {"geometric", "linear"} or callable
        A callable maps progress in [0, 1] to the absolute temperature.
    temperature : float or None
        First temperature; None calibrates it on the landscape, inside the budget
        (see `qlib.annealing.metropolis.Anneal`).
    temperature_ratio : float
        Last over first temperature. The default, 1e-4, ends in wells 1e-4 of the
        landscape's spread deep.
    step : float
        Proposal width at the highest temperature, fraction of the box, > 0. At the
        default, 1, the first proposals reach all of it.
    thermal_step : bool
        Whether the proposal narrows as √T; False keeps it at `step`.
    coordinates : {"one", "all"}
        Whether a proposal changes one random coordinate (Corana et al.), or all of them
        by σ/√d each. One is the default because it is the stronger baseline: where f is
        nearly a sum over coordinates its moves are taken far more often.
    replicas : int
        Independent chains S that share the run's budget and its schedule, >= 1.
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `Problem.result`. `history` holds, an entry an iteration (the first is the
        start): `fun`, `nfev`, `temperature`, `acceptance` (share of chains that
        moved), `energy` (mean current value of the chains; NaN if the budget ended
        before all were placed). The callback also sees `population` (S, d), `energies`
        (S,) and `moved` (S,) as they are after the iteration; with `runs` all have a
        leading run axis.

    Notes
    -----
    O(maxfun · d) besides the objective; memory O(R (S d + iterations)). All chains of
    all runs move in one array operation.

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, Science 220, 671 (1983).
    N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
    A. Corana, M. Marchesi, C. Martini, S. Ridella, "Minimizing multimodal functions of
    continuous variables with the simulated annealing algorithm", ACM Trans. Math.
    Softw. 13, 262 (1987).
    """
    chains = positive_integer("replicas", replicas)
    number_between("step", step, 0.0, inf, open_low=True)
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
    anneal = Anneal(
        problem,
        random,
        chains,
        cooling,
        temperature,
        temperature_ratio,
        coordinates,
    )
    widths = anneal.widths(step, thermal_step)
    anneal.place()
    for relative, width in zip(anneal.relative, widths, strict=True):
        if problem.done:
            break
        proposals = reflect(problem, anneal.x + anneal.displacement(width))
        temperature = anneal.scale * relative
        anneal.record(temperature, anneal.accept(proposals, temperature))
    return problem.result()
