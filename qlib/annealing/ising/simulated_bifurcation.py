"""Simulated bifurcation: minima of Ising energies by classical oscillators."""

from math import inf, sqrt
from typing import ClassVar

import numpy as np
from scipy import sparse

from qlib.annealing.ising.sampler import IsingSampler
from qlib.annealing.ising.sweeps import field_unit
from qlib.annealing.problem import namespace, to_numpy
from qlib.arguments import number_between

VARIANTS = ("ballistic", "discrete")
START = 0.1  # |x|, |y| of the first point, as in the paper
LOOK = 10  # steps between two looks at the energies of the signs, and at interrupts


class SimulatedBifurcationSampler(IsingSampler):
    """Simulated bifurcation, ballistic (bSB) or discrete (dSB).

    Spin i is a particle at x_i with momentum y_i between inelastic walls at ±1. With
    a pump a(t) that rises linearly from 0 to 1 over `num_sweeps` steps of length τ,

        y_i ← y_i − τ ((1 − a) x_i + c Σ_j J_ij g(x_j)),   x_i ← x_i + τ y_i,

    g(x) = x (ballistic) or sign x (discrete); where |x_i| > 1, x_i becomes ±1 and y_i
    zero. Each x_i starts at a uniform point of (0, 0.1) times its initial spin, y_i at
    one of (−0.1, 0.1). sign x is the state. Fields h are couplings to one more particle
    that moves like the others; the answer is turned so that its spin is 1.

    Every tenth step and after the last the energies of sign x are computed and the
    best state of each read is kept; that is what is returned, for `ballistic` as for
    `discrete`, whose force lets states come and go until the end.

    There is no temperature: `beta_range` and `beta_schedule_type` are checked like
    everywhere, so that one call serves all samplers, and not used.

    Parameters of `sample`
    ----------------------
    variant : {"discrete", "ballistic"}
    device : str or None
        None for NumPy, else a torch device. Starting points are drawn on the host:
        one seed starts alike everywhere.
    time_step : float
        τ > 0, default 1. Stable for the free particle, (1 − a) <= 1, below 2.
    strength : float or None
        c > 0, inverse energy; None is 0.5 √(N−1) / √(Σ_ij J_ij²), that is 0.5/(σ_J √N):
        the largest eigenvalue of a random J is 2 σ_J √N, so that x = 0 loses its
        stability near the start of the pump.

    Notes
    -----
    O(num_sweeps · num_reads · (n + couplings)). All reads move together as (n, reads)
    matrices in float32: only signs are read out, and the energies returned are
    recomputed in float64.

    References
    ----------
    H. Goto, K. Tatsumura, A. R. Dixon, Sci. Adv. 5, eaav2372 (2019).
    H. Goto et al., Sci. Adv. 7, eabe7953 (2021), for both variants, the walls and c.
    """

    options: ClassVar[dict] = {
        "variant": "discrete",
        "device": None,
        "time_step": 1.0,
        "strength": None,
    }

    def _check(self, model, options):
        variant, strength = options["variant"], options["strength"]
        if variant not in VARIANTS:
            raise ValueError(
                f"variant: got {variant!r}; allowed: 'ballistic', 'discrete'"
            )
        number_between("time_step", options["time_step"], 0.0, inf, open_low=True)
        if strength is not None:
            number_between("strength", strength, 0.0, inf, open_low=True)
        _check_device(options["device"])

    def _run(self, model, settings):
        options = settings.options
        unit = field_unit(model)  # a power of two: float32 neither overflows nor rounds
        couplings = with_ancilla(model) / unit
        if options["strength"] is None:
            strength = default_strength(couplings)
        else:
            strength = options["strength"] * unit
        spins = np.ones((couplings.shape[0], settings.num_reads))
        spins[: model.num_spins] = settings.start_states().T
        x = START * spins * settings.rng.random(spins.shape)
        y = settings.rng.uniform(-START, START, spins.shape)
        best, _, _ = evolve(
            *to_device(couplings, x, y, device=options["device"], dtype="float32"),
            xp=namespace(options["device"]),
            steps=settings.num_sweeps,
            discrete=options["variant"] == "discrete",
            time_step=float(options["time_step"]),
            strength=float(strength),
            interrupted=settings.interrupted,
        )
        best = to_numpy(best).T.astype(np.int8)  # (reads, n or n + 1)
        if best.shape[1] > model.num_spins:
            best = best[:, :-1] * best[:, -1:]
        unused = {"beta_range": None, "beta_schedule_type": None}
        return best, unused | {"variant": options["variant"]}


def evolve(
    couplings,
    x,
    y,
    *,
    xp,
    steps,
    discrete,
    time_step,
    strength,
    interrupted=lambda: False,
):
    """Run the pump from 0 to 1 and keep the best signs on the way.

    Parameters
    ----------
    couplings : (n, n) array, scipy sparse matrix or torch tensor
        J, symmetric, of the type that multiplies x.
    x, y : (n, R) arrays
        Positions and momenta; not changed.
    xp : module
        Array namespace of x and y.
    steps : int
    discrete : bool
    time_step, strength : float
    interrupted : callable
        Asked every tenth step whether to stop.

    Returns
    -------
    best : (n, R) array
        ±1, lowest ½ Σ J_ij s_i s_j of each column among the states looked at.
    x, y : (n, R) arrays
        The last point.
    """
    best = signs(xp, x)
    lowest = _energies(xp, couplings, best)
    for done in range(1, steps + 1):
        pump = done / steps
        seen = signs(xp, x) if discrete else x
        x, y = kick_and_drift(couplings @ seen, x, y, pump, time_step, strength)
        x, y = hit_walls(xp, x, y)
        if done % LOOK and done < steps:
            continue
        state = signs(xp, x)
        energies = _energies(xp, couplings, state)
        better = energies < lowest
        best = xp.where(better[None, :], state, best)
        lowest = xp.where(better, energies, lowest)
        if interrupted():
            break
    return best, x, y


def kick_and_drift(fields, x, y, pump, time_step, strength):
    """A step of symplectic Euler: momenta by the force, positions by the new momenta.

    With fields J x this is the flow of ½ Σ y² + ½ (1 − a) Σ x² + ½ c xᵀ J x, whose
    value oscillates by O(τ) and does not drift at fixed pump a.

    Parameters
    ----------
    fields, x, y : (n, R) arrays
        J g(x), positions, momenta; not changed.
    pump, time_step, strength : float

    Returns
    -------
    x, y : (n, R) arrays
    """
    y = y - time_step * ((1 - pump) * x + strength * fields)
    return x + time_step * y, y


def hit_walls(xp, x, y):
    """Perfectly inelastic walls: beyond |x| = 1 a particle is put there, at rest."""
    inside = xp.abs(x) <= 1
    return xp.clip(x, -1.0, 1.0), xp.where(inside, y, 0.0)


def signs(xp, x):
    """1 where x >= 0, else −1, in the type of x."""
    return 2 * xp.astype(x >= 0, x.dtype) - 1


def with_ancilla(model):
    """J, with the fields h as couplings to one more spin where there are any.

    E(s) of the fields is the energy ½ tᵀ J' t of t = (s, 1) and of t = −(s, 1).

    Returns
    -------
    (n, n) or (n + 1, n + 1) array or `scipy.sparse.csr_array`
    """
    if not model.h.any():
        return model.J
    if model.is_sparse:
        h = sparse.csr_array(model.h[None, :])
        return sparse.block_array([[model.J, h.T], [h, None]], format="csr")
    return np.block([[model.J, model.h[:, None]], [model.h, np.zeros(1)]])


def default_strength(couplings):
    """c = 0.5 √(N−1) / √(Σ_ij J_ij²) of Goto et al. 2021; 1 without couplings."""
    squares = float((couplings * couplings).sum())
    return 0.5 * sqrt((couplings.shape[0] - 1) / squares) if squares > 0 else 1.0


def to_device(couplings, x, y, *, device, dtype):
    """The arrays in one floating type where they are to be computed with.

    Parameters
    ----------
    couplings : (n, n) array or scipy sparse matrix
    x, y : (n, R) arrays
    device : str or None
        None for NumPy.
    dtype : {"float32", "float64"}

    Returns
    -------
    list of three
        A sparse matrix stays one: scipy's, or torch's in coordinates.
    """
    arrays = [array.astype(dtype) for array in (couplings, x, y)]
    if device is None:
        return arrays
    import torch

    if sparse.issparse(couplings):
        rows = arrays[0].tocoo()
        arrays[0] = torch.sparse_coo_tensor(
            np.stack(rows.coords), rows.data, rows.shape, check_invariants=True
        ).coalesce()
    return [torch.as_tensor(array).to(device) for array in arrays]


def _check_device(device):
    """Refuse a device that torch cannot use."""
    if device is None:
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device: got {device!r}; allowed: None or a torch device that is there "
            f"({error})"
        ) from error


def _energies(xp, couplings, state):
    """½ Σ_ij J_ij s_i s_j of every column."""
    return 0.5 * xp.sum(state * (couplings @ state), axis=0)
