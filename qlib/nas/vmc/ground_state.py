"""Ground states by variational Monte Carlo."""

import copy
import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch

from qlib.arguments import integer_between, number_between, one_of, positive_integer
from qlib.nas.blocks import Block
from qlib.nas.spins import checked_generator
from qlib.nas.vmc.derivatives import log_derivatives, step_along
from qlib.nas.vmc.estimates import Blocked, blocked, v_score
from qlib.nas.vmc.exact_samples import Exact
from qlib.nas.vmc.local_energy import LocalEnergy
from qlib.nas.vmc.metropolis import MOVES, Metropolis
from qlib.nas.vmc.reconfiguration import natural_gradient

MOST_SAMPLES = 10**9
ROUNDING = 1e-12  # of the terms of a sum: below it their sum is zero


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
        See `qlib.nas.vmc.estimates.v_score`; nan if the energy is that at infinite
        temperature.
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
        Where the search starts; not changed. One without parameters, as
        `MPS.from_tensors` gives it, for steps = 0 alone.
    steps : int, optional
        300 unless given; 0 for the energy and V-score of the block as it is.
    samples : int, optional
        Configurations a step, 2 or more, in whole rounds of the chains; 1024 unless
        given.
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
        Metropolis steps, see there; "exchange" keeps N/2 spins up, for Hamiltonians
        that conserve Σ Z. "exact": independent samples, of autoregressive blocks or of
        at most 20 sites.
    final_samples : int, optional
        Behind the final energy, 2 or more; 8 times `samples` unless given.
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
        For an argument out of its range, N of block and Hamiltonian that differ,
        nothing to train in steps, or exchanges where H does not conserve Σ Z.
    FloatingPointError
        If an energy is not finite: the step was too long.

    References
    ----------
    Carleo and Troyer, Science 355, 602 (2017); Becca and Sorella, Quantum Monte Carlo
    Approaches for Correlated Systems, Cambridge (2017).
    """
    local_energy = LocalEnergy(hamiltonian)
    steps = integer_between("steps", steps, 0, 10**7)
    _refuse_block(block, hamiltonian, steps)
    samples = integer_between("samples", samples, 2, MOST_SAMPLES)
    chains = positive_integer("chains", samples if chains is None else chains)
    sweeps = positive_integer("sweeps", sweeps)
    warm_up = integer_between("warm_up", warm_up, 0, 10**6)
    final_samples = 8 * samples if final_samples is None else final_samples
    final_samples = integer_between("final_samples", final_samples, 2, 8 * MOST_SAMPLES)
    for name, value in (("learning_rate", learning_rate), ("diag_shift", diag_shift)):
        number_between(name, value, 0, np.inf, open_low=True)
    one_of("method", method, ("auto", "sr", "minsr"))
    _refuse_move(move, hamiltonian)
    checked_generator(generator)
    for name, value in (("callback", callback), ("clock", clock)):
        if value is not None and not callable(value):
            raise ValueError(f"{name}: got {value!r}; allowed: a callable, None")
    started = clock() if clock else None
    block = copy.deepcopy(block)
    sampler = _sampler(block, min(chains, samples), move, generator)
    draws = _Draws(block, sampler, local_energy, sweeps)
    trace, errors = np.empty(steps), np.empty(steps)
    draws.advance(warm_up if steps else 0)
    for step in range(steps):
        spins, energies = draws.measured(samples)
        energies = energies.flatten()
        trace[step] = energies.real.mean()
        errors[step] = energies.std() / len(energies) ** 0.5
        derivatives = log_derivatives(block, spins.flatten(0, 1))
        direction = natural_gradient(
            derivatives, energies, diag_shift=diag_shift, method=method
        )
        draws.evaluations += len(energies)
        step_along(block, direction, learning_rate)
        if callback is not None:
            callback(step, trace[step], block)
    draws.advance(warm_up)
    spins, energies = draws.measured(final_samples)
    return VMCResult(
        **_estimates(hamiltonian, energies),
        trace=trace,
        trace_errors=errors,
        block=block,
        spins=spins,
        acceptance=sampler.acceptance,
        evaluations=draws.evaluations + sampler.evaluations,
        seconds=clock() - started if clock else None,
    )


def _refuse_block(block, hamiltonian, steps):
    """What is no block of the Hamiltonian's sites, or has nothing to train."""
    if not isinstance(block, Block) or block.num_sites != hamiltonian.num_sites:
        got = f"{block.num_sites} sites" if isinstance(block, Block) else type(block)
        allowed = f"a Block of {hamiltonian.num_sites} sites"
        raise ValueError(f"block: got {got}; allowed: {allowed}")
    if steps and not any(True for _ in block.parameters()):
        raise ValueError(
            f"block: got no parameters and {steps} steps; allowed: a Block with "
            f"parameters, or steps=0"
        )


def _refuse_move(move, hamiltonian):
    """Moves not known, and exchanges that the Hamiltonian does not stay within."""
    one_of("move", move, (*MOVES, "exact"))
    if move == "exchange" and not _conserves_magnetisation(hamiltonian):
        allowed = "flip, exact; exchange where H conserves Σ Z"
        raise ValueError(f"move: got 'exchange'; allowed: {allowed}")


def _conserves_magnetisation(hamiltonian):
    """Whether H commutes with Σ Z: [X, Z] = −2i Y and [Y, Z] = 2i X on each site."""
    parts = defaultdict(list)  # by string, over 2i
    for letters, sites, coefficient in hamiltonian.terms:
        for place, letter in enumerate(letters):
            if letter != "Z":
                turned, sign = ("Y", -1) if letter == "X" else ("X", 1)
                string = letters[:place] + turned + letters[place + 1 :]
                parts[string, sites].append(sign * coefficient)
    return all(
        abs(math.fsum(some)) <= ROUNDING * max(map(abs, some))
        for some in parts.values()
    )


def _sampler(block, chains, move, generator):
    """Chains, or exact samples in their place."""
    if move == "exact":
        return Exact(chains, generator=generator)
    return Metropolis(
        block.num_sites, chains, move=move, generator=generator, device=block.device
    )


@dataclass
class _Draws:
    """Samples of a block with their local energies, and the evaluations of these."""

    block: Block
    sampler: Metropolis | Exact
    local_energy: LocalEnergy
    sweeps: int
    evaluations: int = 0

    def advance(self, sweeps):
        """Let chains forget where they were."""
        if sweeps and isinstance(self.sampler, Metropolis):
            self.sampler.sweep(self.block, sweeps)

    def measured(self, count):
        """At least `count` spins (chains, rounds, N), energies (chains, rounds)."""
        rounds = -(-count // len(self.sampler))
        drawn = [self.sampler.sweep(self.block, self.sweeps) for _ in range(rounds)]
        spins = torch.stack(drawn, 1)
        energies = self.local_energy(self.block, spins)
        self.evaluations += energies.numel() * (1 + len(self.local_energy.flips))
        if not energies.isfinite().all():
            raise FloatingPointError(
                "energy: got a NaN or infinity; a smaller learning_rate or a larger "
                "diag_shift may help"
            )
        return spins, energies


def _estimates(hamiltonian, energies):
    """Energy, variance and V-score of the local energies (chains, rounds)."""
    energy = blocked(energies.real)
    variance = float(energies.flatten().var())
    constant = sum(c for letters, _, c in hamiltonian.terms if not letters)
    score = np.nan
    if energy.mean != constant:
        score = v_score(
            energy.mean, variance, hamiltonian.num_sites, infinite_temperature=constant
        )
    return {"energy": energy, "variance": variance, "v_score": score}
