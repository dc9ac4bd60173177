"""Simulated annealing with Gaussian moves: the classical baseline."""

from math import inf, sqrt

from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem, number_between, positive_integer
from qlib.annealing.random_source import RandomSource


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
    step=0.5,
    thermal_step=True,
    replicas=1,
    runs=None,
    device=None,
    rng=None,
):
    """Minimise by a Metropolis walk whose temperature falls.

    Each chain proposes y = x + σ ξ with ξ standard normal, folded back into the box at
    its walls, and takes it with probability min(1, exp(−(f(y) − f(x))/T)). Per
    coordinate σ = `step` · width / √d, times √(T/T_max) with `thermal_step`: the
    thermal width of a quadratic well, and with it the best step, goes as √T.

    Parameters
    ----------
    func, bounds, args, maxfun, target, x0, vectorized, callback, runs, device
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
        Proposal width at the highest temperature, fraction of the box, > 0.
    thermal_step : bool
        Whether the proposal narrows as √T; False keeps it at `step`.
    replicas : int
        Independent chains S that share the run's budget and its schedule, >= 1.
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `Problem.result`. `history` holds, an entry an iteration (the first is the
        start): `fun`, `nfev`, `temperature`, `acceptance` (share of chains that
        moved), `energy` (mean current value of the chains). The callback also sees
        `population` (S, d), `energies` (S,) and `moved` (S,) as they are after the
        iteration; with `runs` all have a leading run axis.

    Notes
    -----
    O(maxfun · d) besides the objective; memory O(R (S d + iterations)). All chains of
    all runs move in one array operation.

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, Science 220, 671 (1983).
    N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
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
    )
    random = RandomSource(rng, device)
    anneal = Anneal(problem, random, chains, cooling, temperature, temperature_ratio)
    anneal.place()
    unit = problem.width / sqrt(problem.d)
    for relative, heat in zip(anneal.relative, anneal.heat, strict=True):
        if problem.done:
            break
        width = step * sqrt(heat) if thermal_step else step
        noise = random.normal(anneal.x.shape)
        proposals = reflect(problem, anneal.x + width * unit * noise)
        temperature = anneal.scale * relative
        anneal.record(temperature, anneal.accept(proposals, temperature))
    return problem.result()
