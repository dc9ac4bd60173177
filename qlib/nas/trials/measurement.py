"""What was reached on a long chain, measured by samples beside the exact answers."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from qlib.intervals import Estimate
from qlib.nas.tasks import Sampled
from qlib.nas.vmc.estimates import blocked
from qlib.nas.vmc.local_energy import LocalEnergy
from qlib.nas.vmc.metropolis import Metropolis
from qlib.nas.vmc.renyi import swap_renyi2

SWEEPS = 32  # of Metropolis chains, N proposals each, before they are measured


@dataclass(frozen=True, eq=False)
class Reached:
    """A state that was reached, beside the exact ground state.

    Attributes
    ----------
    name : str
    energy_error : Estimate
        (E − E0) / |E0|, 95 %.
    renyi2, low, high : (cuts,) arrays
        Nats, and ends of the 95 % interval.
    reliable : (cuts,) bool array
        See `swap_renyi2`.
    infidelity : float or None
        With the target, from fresh samples of both.
    seconds : float
        To reach it; a seed's share of those that were searched side by side.
    evaluations : int or None
    """

    name: str
    energy_error: Estimate
    renyi2: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reliable: np.ndarray
    infidelity: float | None
    seconds: float
    evaluations: int | None


def measured(name, block, seconds, evaluations, *, chain, samples, seed):
    """Energy, R₂ and infidelity of a block, from the samples of `fresh`.

    Returns
    -------
    Reached
    """
    block = block.requires_grad_(False)
    infidelity, spins = fresh(block, chain=chain, samples=samples, seed=seed)
    energies = LocalEnergy(chain.target.hamiltonian)(block, spins).real
    mean = blocked(energies[:, None]).interval()
    error = Estimate(*((e - chain.energy) / abs(chain.energy) for e in mean))
    swap = swap_renyi2(block, *spins[: samples // 2 * 2].chunk(2), cuts=cuts(chain))
    low, high = swap.interval()
    return Reached(
        name,
        error,
        swap.value,
        low,
        high,
        swap.reliable,
        infidelity,
        seconds,
        evaluations,
    )


def fresh(block, *, chain, samples, seed):
    """Infidelity with the target, from samples that no training has seen.

    Chains start on the target, and 32 sweeps take them from |phi|² to |psi|². Two are
    too few: for an RBM after 60 steps of VMC on the critical chain of 64 sites they say
    an energy 0.022 too high, relative, 32 and 64 say 0.016 (errors 0.0005).

    Parameters
    ----------
    block : Block
    chain : `trials.long_chain.Chain`
    samples : int
        Of either state.
    seed : int

    Returns
    -------
    infidelity : float
    spins : (samples, N) tensor
        Of the block.
    """
    pool = {"samples": samples, "pool": 4 * samples, "seed": seed + 1}
    task = Sampled(chain.target, proposals=1, **pool)
    generator = torch.Generator().manual_seed(seed + 1)
    chains = Metropolis(chain.num_sites, samples, generator=generator)
    with torch.no_grad():
        batch = task.batch("all", generator, block)
        ours, chains.spins = batch.spins.split(samples)
        spins = torch.cat([ours, chains.sweep(block, SWEEPS)])
        batch = replace(batch, spins=spins, log_phi=chain.target.log_psi(spins))
        infidelity = float(task.score(batch, block(spins)))
    return infidelity, spins[samples:]


def by_dmrg(name, target, seconds, chain):
    """The `Reached` of a `ChainTarget` by DMRG, without errors of sampling."""
    error = (target.energy - chain.energy) / abs(chain.energy)
    renyi2 = target.renyi2()[cuts(chain) - 1]
    exactly = np.ones(len(renyi2), bool)
    return Reached(
        name,
        Estimate(error, error, error),
        renyi2,
        renyi2,
        renyi2,
        exactly,
        None,
        seconds,
        None,
    )


def energy_beyond(one, other):
    """Relative error of the energy of `one` beyond that of `other`, which has none.

    Parameters
    ----------
    one, other : Reached
        `other` of an energy without an error of sampling.

    Returns
    -------
    Estimate
    """
    return Estimate(*(end - other.energy_error.value for end in one.energy_error))


def entropy_error(one, exact):
    """Distance of the half chain's R₂ from the exact one, nats.

    Parameters
    ----------
    one : Reached
    exact : (N − 1,) array
        R₂ at the cuts 1 … N−1.

    Returns
    -------
    Estimate
        0 at the low end where the interval holds the exact value; infinite at the high
        end where the purity's interval reaches zero.
    """
    truth = exact[len(exact) // 2]
    value, low, high = (end[-1] - truth for end in (one.renyi2, one.low, one.high))
    near = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Estimate(abs(value), near, max(abs(low), abs(high)))


def cuts(chain):
    """An eighth, a quarter and the half of the chain."""
    return np.array([chain.num_sites // part for part in (8, 4, 2)])
