"""Quantum-inspired annealing: a swarm of Metropolis chains with two extra forces."""

from math import hypot, inf, sqrt

from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.arguments import number_between, positive_integer


def quantum_inspired_annealing(
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
    particles=5,
    tunnelling=0.5,
    pull=0.5,
    runs=None,
    device=None,
    keep_history=True,
    rng=None,
):
    """Minimise by Metropolis chains with widened proposals and a pull to the best.

    Each particle proposes, in one random coordinate and folded back into the box at its
    walls,

        y = x + `pull` (x_best − x) + σ ξ,
        σ² = (step² · h + tunnelling² · T/T_max) · width²,

    with ξ standard normal, h = T/T_max with `thermal_step` and 1 without, and x_best
    the best point its run has evaluated; Metropolis' rule accepts or rejects. Two
    quantum words, and what they are classically:

    - *tunnelling*: an additive proposal variance proportional to temperature. It moves
      through no barrier; a wider Gaussian steps over it. With `thermal_step` it is
      exactly a larger step, √(step² + tunnelling²).
    - *entanglement bias*: the pull, an attraction to the incumbent as in particle-swarm
      optimisation.

    The pull makes proposals asymmetric and no Hastings correction is applied, so the
    chains have no Boltzmann distribution as their stationary one: with `pull` > 0 this
    is a heuristic, not a sampler. With ``tunnelling=0, pull=0`` it is
    `simulated_annealing` with `particles` replicas, draw for draw.

    Parameters
    ----------
    func, bounds, args, maxfun, target, x0, vectorized, callback, runs, device,
    keep_history
        As for `qlib.annealing.problem.Problem`.
    cooling, temperature, temperature_ratio, step, thermal_step, coordinates
        As for `simulated_annealing`, with the same defaults.
    particles : int
        Particles S that share the run's budget, >= 1. Default 5, from the report under
        test.
    tunnelling : float
        Width that tunnelling adds at the highest temperature, fraction of the box,
        >= 0; 0 switches it off. The report gives no number. Default: half of `step`,
        which on the landscapes of `qlib.annealing.landscapes` cost little.
    pull : float
        Share of the way to x_best that the proposal's mean moves, in [0, 1]; 0
        switches it off. The report gives no number. Default: the middle of a plateau
        of success between 0.3 and 0.8 on the same landscapes.
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `simulated_annealing`, history and callback included.

    Notes
    -----
    Cost as `simulated_annealing`. The claim under test is a report's on
    quantum-inspired annealing; it cites no algorithm, so this is its description made
    precise. The pull is that of J. Kennedy, R. Eberhart, "Particle swarm optimization",
    Proc. ICNN, 1942 (1995).
    """
    chains = positive_integer("particles", particles)
    number_between("step", step, 0.0, inf, open_low=True)
    number_between("tunnelling", tunnelling, 0.0, inf)
    number_between("pull", pull, 0.0, 1.0)
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
    for relative, heat, classical in zip(
        anneal.relative, anneal.heat, widths, strict=True
    ):
        if problem.done:
            break
        width = hypot(classical, tunnelling * sqrt(heat))
        drift = pull * (problem.x[:, :, None] - anneal.x) if pull else None
        moves = anneal.displacement(width, drift=drift)
        proposals = reflect(problem, anneal.x + moves)
        temperature = anneal.scale * relative
        anneal.record(temperature, anneal.accept(proposals, temperature))
    return problem.result()
