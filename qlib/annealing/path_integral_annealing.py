"""Path-integral annealing: a ring of coupled copies that is drawn together."""

from math import inf, sqrt

from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.annealing.schedules import schedule
from qlib.arguments import number_between, positive_integer


def path_integral_annealing(
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
    slices=4,
    coupling=True,
    shrinking="geometric",
    wavelength=1.0,
    wavelength_ratio=1e-2,
    runs=None,
    device=None,
    keep_history=True,
    rng=None,
):
    """Minimise by path-integral Monte Carlo with a shrinking quantum spread.

    A quantum particle of mass m at temperature T, its path cut into P Trotter slices,
    is a classical ring of P copies x_k at temperature τ = P T with weight

        exp(−Σ_k f(x_k)/τ − Σ_k |x_k − x_{k+1}|² / (2 λ²)),    λ² = ħ²/(m τ)

    (lengths in widths of the box, coordinate by coordinate; the primitive Trotter
    splitting): each copy feels the landscape, and springs tie neighbours. λ is, but for
    √2π, the thermal de Broglie wavelength at τ. Annealing shrinks it, as a transverse
    field is lowered for spins: wide rings straddle barriers, and in the end the springs
    pull the ring into one classical point. "Tunnelling" is here a ring whose copies lie
    on both sides of a barrier.

    Iterations alternate. In a local one every slice proposes a move of its own, even
    slices deciding first and odd ones next, so that no two tied by a spring decide at
    once; its width is the classical one, σ_c, narrowed to what the springs allow
    (σ⁻² = σ_c⁻² + 2 λ⁻²). In a global one the whole ring shifts by one displacement, of
    width σ_c/√P, refused where a slice would leave the box. Both leave the weight above
    unchanged, and either costs P evaluations.

    Parameters
    ----------
    func, bounds, args, maxfun, target, x0, vectorized, callback, runs, device,
    keep_history
        As for `qlib.annealing.problem.Problem`. `x0` is where the first slice starts.
    cooling, temperature, temperature_ratio, step, thermal_step, coordinates
        As for `simulated_annealing`, with the same defaults, for τ. (A constant τ,
        ``temperature_ratio=1``, is the protocol of Stella et al.)
    slices : int
        Trotter slices P: 1, or even. Default 4: of 2, 4 and 8 the fewest that make a
        ring; more did worse at equal evaluations.
    coupling : bool
        False removes springs and global moves: the slices are then the independent
        replicas of `simulated_annealing` at temperature τ, draw for draw.
    shrinking : {"geometric", "linear"} or callable
        How λ falls; a callable maps progress in [0, 1] to λ, as `wavelength`.
    wavelength : float
        First λ, fraction of the box, > 0. At the default, 1, a free ring fills the box.
    wavelength_ratio : float
        Last over first λ. The default equals the last over the first width of a
        classical proposal, √(1e-4), and so ends in a ring no wider than its moves.
    rng : int, `numpy.random.Generator` or None
        Source of randomness.

    Returns
    -------
    OptimizeResult
        As `simulated_annealing`; the history also holds `wavelength`, and `temperature`
        is τ.

    Notes
    -----
    O(maxfun · d) besides the objective.

    References
    ----------
    L. Stella, G. E. Santoro, E. Tosatti, "Optimization by quantum annealing: lessons
    from simple cases", Phys. Rev. B 72, 014303 (2005); "Monte Carlo studies of quantum
    and classical annealing on a double well", Phys. Rev. B 73, 144302 (2006).
    R. Martoňák, G. E. Santoro, E. Tosatti, Phys. Rev. B 66, 094203 (2002).
    """
    chains = positive_integer("slices", slices)
    if chains > 1 and chains % 2:
        raise ValueError(f"slices: got {slices}; allowed: 1 or an even integer")
    number_between("step", step, 0.0, inf, open_low=True)
    number_between("wavelength", wavelength, 0.0, inf, open_low=True)
    number_between("wavelength_ratio", wavelength_ratio, 0.0, 1.0, open_low=True)
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
    lengths = wavelengths(shrinking, wavelength, wavelength_ratio, anneal.iterations)
    widths = anneal.widths(step, thermal_step)
    anneal.place(wavelength=lengths[0])
    tied = coupling and chains > 1
    for iteration, (width, length) in enumerate(zip(widths, lengths, strict=True)):
        if problem.done:
            break
        temperature = anneal.scale * anneal.relative[iteration]
        if tied and iteration % 2:
            moved = shift_ring(anneal, width / sqrt(chains), temperature)
        elif tied:
            reach = length / anneal.share
            width *= reach / sqrt(reach**2 + 2 * width**2)
            moved = move_slices(anneal, width, length, temperature)
        else:
            proposals = reflect(problem, anneal.x + anneal.displacement(width))
            moved = anneal.accept(proposals, temperature)
        anneal.record(temperature, moved, wavelength=length)
    return problem.result()


def move_slices(anneal, width, length, temperature):
    """Each slice proposes its own move; even slices decide first, then odd ones.

    Parameters
    ----------
    anneal : Anneal
        Positions (d, R, P) and energies (R, P), which are replaced.
    width : float
        Proposal width, as `Anneal.displacement` takes it.
    length : float
        λ, fraction of the box.
    temperature : (R, 1) array
        τ.

    Returns
    -------
    (R, P) bool array
        Which slices moved.
    """
    problem, xp = anneal.problem, anneal.problem.xp
    start = anneal.x
    spring = length * problem.width  # (d, 1, 1)
    proposals = reflect(problem, start + anneal.displacement(width))
    values = problem.evaluate(proposals)
    threshold = anneal.f + temperature * anneal.random.exponential(values.shape)
    x = xp.asarray(start, copy=True)
    moved = xp.zeros(values.shape, dtype=xp.bool, device=problem.device)
    for parity in (slice(0, None, 2), slice(1, None, 2)):
        neighbours = xp.roll(x, 1, axis=2) + xp.roll(x, -1, axis=2)
        new, old = proposals[:, :, parity], start[:, :, parity]
        stretch = (new - old) * (new + old - neighbours[:, :, parity]) / spring**2
        action = xp.sum(stretch, axis=0)  # change of Σ |x_k − x_{k±1}|² / (2 λ²)
        cost = values[:, parity] + temperature * action
        moved[:, parity] = cost <= threshold[:, parity]
        x[:, :, parity] = xp.where(moved[:, parity], new, old)
    anneal.x = x
    anneal.f = xp.where(moved, values, anneal.f)
    return moved


def shift_ring(anneal, width, temperature):
    """All slices of a ring propose one common displacement and decide together.

    Parameters and result as for `move_slices`. A ring that would leave the box stays:
    folding some of its slices back would deform it, and no shift undoes that.
    """
    problem, xp = anneal.problem, anneal.problem.xp
    shifted = anneal.x + anneal.displacement(width, size=1)
    proposals = reflect(problem, shifted)
    values = problem.evaluate(proposals)
    total = xp.sum(values, axis=1, keepdims=True)
    draw = anneal.random.exponential(total.shape)
    inside = (shifted >= problem.low) & (shifted <= problem.high)
    inside = xp.all(xp.all(inside, axis=0), axis=1, keepdims=True)
    taken = total <= xp.sum(anneal.f, axis=1, keepdims=True) + temperature * draw
    moved = xp.broadcast_to(taken & inside, values.shape)
    anneal.x = xp.where(moved, proposals, anneal.x)
    anneal.f = xp.where(moved, values, anneal.f)
    return moved


def wavelengths(shrinking, wavelength, ratio, iterations):
    """λ of each iteration, fraction of the box, all > 0."""
    values = schedule("shrinking", shrinking, iterations, ratio)
    if not callable(shrinking):
        values = wavelength * values
    if values.min() <= 0:
        raise ValueError(f"shrinking: got {values.min()}; allowed: > 0 throughout")
    return values.tolist()
