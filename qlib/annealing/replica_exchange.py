"""Replica exchange (parallel tempering): chains on a ladder of temperatures."""

from math import inf

from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.arguments import number_between, positive_integer


def replica_exchange(
    func,
    bounds,
    args=(),
    *,
    maxfun,
    target=None,
    x0=None,
    vectorized=False,
    callback=None,
    temperature=None,
    temperature_ratio=1e-4,
    step=1.0,
    coordinates="one",
    replicas=10,
    runs=None,
    device=None,
    keep_history=True,
    rng=None,
):
    """Minimise by Metropolis chains at fixed temperatures that exchange their points.

    The K temperatures form a geometric ladder, coldest first. An iteration moves every
    chain once (proposals as in `simulated_annealing`, σ_k = `step` · √(T_k/T_hot) ·
    width), then proposes to swap neighbours, pairs (0,1), (2,3), … and (1,2),
    (3,4), … by turns, each with probability
    min(1, exp((1/T_k − 1/T_{k+1}) (f_k − f_{k+1}))). Moves and swaps each leave the
    product of Boltzmann distributions unchanged. A swap costs no evaluation.

    Parameters
    ----------
    func, bounds, args, maxfun, target, x0, vectorized, callback, runs, device,
    keep_history
        As for `qlib.annealing.problem.Problem`. `x0` is where the coldest chain starts.
    temperature : float or None
        Hottest temperature; None calibrates it as in `simulated_annealing`.
    temperature_ratio : float
        Coldest over hottest temperature, in (0, 1]. Default as the last over the first
        temperature in `simulated_annealing`.
    step : float
        Proposal width of the hottest chain, fraction of the box, > 0.
    coordinates : {"one", "all"}
        As for `simulated_annealing`.
    replicas : int
        Chains K, >= 1. The default puts a factor 2.8 between neighbours, which in a
        quadratic well swaps 69 % of the time at d = 1 and 28 % at d = 5 (an integral
        over two Gamma-distributed energies, Kofke 2002).
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `simulated_annealing`; `temperature` in the history is the hottest one, and
        `swaps` is the share of the proposed pairs that swapped (0 at the start).

    Notes
    -----
    O(maxfun · d) besides the objective.

    References
    ----------
    R. H. Swendsen, J.-S. Wang, Phys. Rev. Lett. 57, 2607 (1986).
    K. Hukushima, K. Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).
    D. A. Kofke, J. Chem. Phys. 117, 6911 (2002).
    """
    chains = positive_integer("replicas", replicas)
    number_between("step", step, 0.0, inf, open_low=True)
    number_between("temperature_ratio", temperature_ratio, 0.0, 1.0, open_low=True)
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
    xp = problem.xp
    random = RandomSource(rng, device)
    anneal = Anneal(problem, random, chains, "linear", temperature, 1.0, coordinates)
    anneal.place(swaps=0.0)
    height = xp.linspace(1.0, 0.0, chains, dtype=xp.float64, device=device)
    heat = temperature_ratio**height if chains > 1 else xp.ones_like(height)
    ladder = anneal.scale * heat  # (R, K)
    width = step * xp.sqrt(heat)
    for iteration in range(anneal.iterations):
        if problem.done:
            break
        proposals = reflect(problem, anneal.x + anneal.displacement(width))
        moved = anneal.accept(proposals, ladder)
        swapped = swap_neighbours(anneal, ladder, iteration % 2)
        pairs = max(1, swapped.shape[1])
        swaps = xp.sum(swapped, axis=1) / pairs
        anneal.record(ladder[:, -1:], moved, swaps=swaps)
    return problem.result()


def swap_neighbours(anneal, ladder, first):
    """Swap points of neighbouring chains, pairs (first, first + 1) and every second.

    Parameters
    ----------
    anneal : Anneal
        Positions (d, R, K) and energies (R, K), which are replaced.
    ladder : (R, K) array
        Temperatures, rising along the last axis.
    first : int
        0 or 1.

    Returns
    -------
    (R, pairs) bool array
        Which pairs swapped; never those of a run that reached its target.
    """
    xp, x, f = anneal.problem.xp, anneal.x, anneal.f
    chains = f.shape[1]
    cold, hot = slice(first, chains - 1, 2), slice(first + 1, chains, 2)
    inverse = 1 / ladder[:, cold] - 1 / ladder[:, hot]
    inverse = xp.where(inverse > 0, inverse, 1e-300)  # equal temperatures always swap
    draw = anneal.random.exponential(inverse.shape)
    swapped = f[:, hot] <= f[:, cold] + draw / inverse
    swapped = swapped & anneal.problem.active[:, None]
    anneal.x, anneal.f = xp.asarray(x, copy=True), xp.asarray(f, copy=True)
    anneal.x[:, :, cold] = xp.where(swapped, x[:, :, hot], x[:, :, cold])
    anneal.x[:, :, hot] = xp.where(swapped, x[:, :, cold], x[:, :, hot])
    anneal.f[:, cold] = xp.where(swapped, f[:, hot], f[:, cold])
    anneal.f[:, hot] = xp.where(swapped, f[:, cold], f[:, hot])
    return swapped
