"""Ground states by variational Monte Carlo."""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch

from qlib.arguments import integer_between, number_between, one_of, positive_integer
from qlib.nas.blocks import Block
from qlib.nas.vmc.derivatives import log_derivatives, step_along
from qlib.nas.vmc.estimates import Blocked, blocked, v_score
from qlib.nas.vmc.exact_samples import Exact
from qlib.nas.vmc.local_energy import LocalEnergy
from qlib.nas.vmc.metropolis import MOVES, Metropolis
from qlib.nas.vmc.reconfiguration import natural_gradient


@dataclass(frozen=True, eq=False)
class VMCResult:
    """What `ground_state` found.

    Attributes
    ----------
    energy : Blocked
        <H> of the state reached, over fresh samples: mean, error, interval.
    variance : float
        <H²> − <H>² of the same samples.
    v_score : float
        See `qlib.nas.vmc.estimates.v_score`.
    trace : (steps,) float array
        Mean local energy of each step's samples, before the step.
    trace_errors : (steps,) float array
        Their standard errors, taken as if samples were independent.
    block : Block
        The state; the block that was given is untouched.
    spins : (chains, samples a chain, N) tensor
        The samples behind `energy`.
    acceptance : float
        Share of the proposals accepted in the last sweep.
    evaluations : int
        Evaluations of psi: proposals, connected configurations, derivatives.
    seconds : float or None
        By the clock that was given: training and final samples.
    """

    energy: Blocked
    variance: float
    v_score: float
    trace: np.ndarray = field(repr=False)
    trace_errors: np.ndarray = field(repr=False)
    block: Block
    spins: torch.Tensor = field(repr=False)
    acceptance: float
    evaluations: int
    seconds: float | None


def ground_state(
    hamiltonian,
    block,
    *,
    steps=300,
    samples=1024,
    chains=None,
    sweeps=1,
    warm_up=10,
    learning_rate=0.05,
    diag_shift=1e-3,
    method="auto",
    move="flip",
    final_samples=None,
    generator,
    callback=None,
    clock=None,
):
    """Minimise <H> over a block's weights by stochastic reconfiguration.

    Parameters
    ----------
    hamiltonian : PauliSum
    block : Block
        Where the search starts; not changed.
    steps : int, optional
        300 unless given.
    samples : int, optional
        Configurations a step, in whole rounds of the chains; 1024 unless given.
    chains : int, optional
        Metropolis chains; as many as samples unless given.
    sweeps : int, optional
        Sweeps of N proposals between samples of a chain; 1 unless given, the chains
        going on where the last step left them.
    warm_up : int, optional
        Sweeps before the first sample and before the final ones; 10 unless given.
    learning_rate : float, optional
        Imaginary time a step; 0.05 unless given.
    diag_shift : float, optional
        Added to the diagonal of the metric; 1e-3 unless given.
    method : {"auto", "sr", "minsr"}, optional
        Which matrix is factorised, the smaller one at "auto": see
        `qlib.nas.vmc.reconfiguration`.
    move : {"flip", "exchange", "exact"}, optional
        Metropolis steps, see there; "exchange" keeps N/2 spins up. "exact":
        independent samples, of autoregressive blocks or of at most 20 sites.
    final_samples : int, optional
        Behind the final energy; 8 times `samples` unless given.
    generator : torch.Generator
        Source of the samples.
    callback : callable, optional
        Called as callback(step, energy, block) after every step: the mean local energy
        before it, and the block that is being trained.
    clock : callable, optional
        Gives seconds, as time.perf_counter.

    Returns
    -------
    VMCResult

    Raises
    ------
    ValueError
        For an argument out of its range, or N of block and Hamiltonian that differ.
    FloatingPointError
        If an energy is not finite: the step was too long.

    References
    ----------
    Carleo and Troyer, Science 355, 602 (2017); Becca and Sorella, Quantum Monte Carlo
    Approaches for Correlated Systems, Cambridge (2017).
    """
    local_energy = LocalEnergy(hamiltonian)
    if not isinstance(block, Block) or block.num_sites != hamiltonian.num_sites:
        got = getattr(block, "num_sites", block)
        allowed = f"a Block of {hamiltonian.num_sites} sites"
        raise ValueError(f"block: got {got!r}; allowed: {allowed}")
    steps = integer_between("steps", steps, 0, 10**7)
    samples = positive_integer("samples", samples)
    chains = min(samples, positive_integer("chains", chains or samples))
    warm_up = integer_between("warm_up", warm_up, 0, 10**6)
    final_samples = positive_integer("final_samples", final_samples or 8 * samples)
    learning_rate = number_between(
        "learning_rate", learning_rate, 0, np.inf, open_low=True
    )
    diag_shift = number_between("diag_shift", diag_shift, 0, np.inf, open_low=True)
    one_of("method", method, ("auto", "sr", "minsr"))
    one_of("move", move, (*MOVES, "exact"))
    started = clock() if clock else None
    block = copy.deepcopy(block)
    device = next(block.parameters()).device
    if move == "exact":
        sampler, warm_up = Exact(chains, generator=generator), 0
    else:
        sampler = Metropolis(
            block.num_sites, chains, move=move, generator=generator, device=device
        )
    evaluated = 0

    def measured(rounds):
        nonlocal evaluated
        drawn = [sampler.sweep(block, sweeps) for _ in range(rounds)]
        spins = torch.stack(drawn, 1)  # (chains, rounds, N)
        energies = local_energy(block, spins)
        evaluated += energies.numel() * (1 + len(local_energy.flips))
        if not energies.isfinite().all():
            raise FloatingPointError(
                f"energy: got a NaN or infinity; a learning_rate below "
                f"{learning_rate} or a diag_shift above {diag_shift} may help"
            )
        return spins, energies

    trace, errors = np.empty(steps), np.empty(steps)
    if steps and warm_up:
        sampler.sweep(block, warm_up)
    for step in range(steps):
        spins, energies = measured(-(-samples // chains))
        flat = energies.flatten()
        trace[step] = flat.real.mean()
        errors[step] = flat.std() / len(flat) ** 0.5
        derivatives = log_derivatives(block, spins.flatten(0, 1))
        direction = natural_gradient(
            derivatives, flat, diag_shift=diag_shift, method=method
        )
        evaluated += len(flat)
        step_along(block, direction, learning_rate)
        if callback is not None:
            callback(step, trace[step], block)
    if warm_up:
        sampler.sweep(block, warm_up)
    spins, energies = measured(-(-final_samples // chains))
    energy = blocked(energies.real)
    variance = float(energies.flatten().var())
    constant = sum(c for letters, _, c in hamiltonian.terms if not letters)
    score = v_score(
        energy.mean, variance, block.num_sites, infinite_temperature=constant
    )
    return VMCResult(
        energy,
        variance,
        score,
        trace,
        errors,
        block,
        spins,
        sampler.acceptance,
        evaluated + sampler.evaluations,
        clock() - started if clock else None,
    )
