"""Samples of |psi|² from Metropolis chains by the thousand."""

import math
from functools import singledispatch

import torch

from qlib.arguments import integer_between, one_of, positive_integer
from qlib.nas.blocks import MPS, RBM, Block
from qlib.nas.spins import checked_generator
from qlib.nas.vmc import mps
from qlib.nas.vmc import rbm as rbms

MOVES = ("flip", "exchange")


class Metropolis:
    """Chains that sample |psi|², their configurations kept between calls.

    Parameters
    ----------
    num_sites : int
        N.
    chains : int or tuple of int
        Their number, or the shape in which they stand, as (replicas, chains).
    move : {"flip", "exchange"}
        Flip a random site; or exchange it with a random one of opposite spin, which
        conserves Σ s.
    generator : torch.Generator
        Source of the start, the proposals and their acceptance.
    device : torch.device, optional
        That of the generator unless given.

    Attributes
    ----------
    spins : (*chains, N) float64 tensor
        At the start uniform: over all configurations, or over those with N/2 spins up
        (one more for odd N) where spins are exchanged.
    acceptance : float
        Share of the proposals of the last call that were accepted.
    evaluations : int
        Evaluations of psi in all calls: one a proposal, one a chain and call.

    References
    ----------
    Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
    """

    def __init__(self, num_sites, chains, *, move="flip", generator, device=None):
        self.num_sites = integer_between("num_sites", num_sites, 2, 1024)
        shape = chains if isinstance(chains, tuple) else (chains,)
        shape = tuple(positive_integer("chains", one) for one in shape)
        self.move = one_of("move", move, MOVES)
        self.generator = checked_generator(generator)
        self.device = generator.device if device is None else torch.device(device)
        self.acceptance, self.evaluations = math.nan, 0
        keys = self._uniform(*shape, self.num_sites)
        if self.move == "exchange":
            order = keys.argsort(-1).argsort(-1)
            self.spins = 1.0 - 2.0 * (order >= (self.num_sites + 1) // 2).double()
        else:
            self.spins = 1.0 - 2.0 * (keys < 0.5).double()

    def __len__(self):
        """The number of chains."""
        return self.spins[..., 0].numel()

    def sweep(self, log_psi, sweeps=1):
        """Advance every chain by `sweeps` times N proposals.

        Parameters
        ----------
        log_psi : Block, or a function (*chains, N) -> (*chains)
            An RBM takes a path of its own: O(hidden) a proposal; and so does an MPS
            for flips: heat-bath sweeps from the first site to the last, O(χ²) a site,
            the acceptance then the share of spins that changed.
        sweeps : int

        Returns
        -------
        (*chains, N) float64 tensor
            The configurations reached; a copy.
        """
        steps = positive_integer("sweeps", sweeps) * self.num_sites
        if isinstance(log_psi, Block) and log_psi.num_sites != self.num_sites:
            got, allowed = log_psi.num_sites, self.num_sites
            raise ValueError(f"log_psi: got {got} sites; allowed: {allowed}")
        accepted = _advance(log_psi, self, steps)
        self.acceptance = accepted / (len(self) * steps)
        self.evaluations += len(self) * (steps + 1)
        return self.spins.clone()

    def _uniform(self, *shape):
        """Random numbers of [0, 1) from the generator, on the chains' device."""
        drawn = torch.rand(
            *shape,
            dtype=torch.float64,
            device=self.generator.device,
            generator=self.generator,
        )
        return drawn.to(self.device)

    def _picks(self, *shape):
        """Random sites."""
        return (self._uniform(*shape) * self.num_sites).long()


@singledispatch
def _advance(log_psi, chains, steps):
    """`steps` proposals on every chain, in place; how many were accepted."""
    accepted = 0
    with torch.no_grad():
        before = log_psi(chains.spins)
        for _ in range(steps):
            proposed = _proposed(chains)
            after = log_psi(proposed)
            chance = torch.exp(2 * (after - before).real)  # nan between two zeros
            taken = ~(chance <= chains._uniform(*before.shape))
            chains.spins = torch.where(taken[..., None], proposed, chains.spins)
            before = torch.where(taken, after, before)
            accepted += taken.sum()
    return int(accepted)


@_advance.register
def _(log_psi: RBM, chains, steps):
    if not rbms.tame(log_psi, chains.spins):
        return _advance.dispatch(object)(log_psi, chains, steps)
    chains.spins = chains.spins.contiguous()  # the sweep is in place
    flat = chains.spins.view(-1, chains.num_sites)
    shape = (len(flat), steps)
    picks = chains._picks(*shape)
    partners = chains._uniform(*shape) if chains.move == "exchange" else None
    return rbms.sweep(log_psi, flat, picks, partners, chains._uniform(*shape))


@_advance.register
def _(log_psi: MPS, chains, steps):
    if chains.move != "flip":
        return _advance.dispatch(object)(log_psi, chains, steps)
    flat = chains.spins.reshape(-1, chains.num_sites).clone()
    sweeps = steps // chains.num_sites
    changed = sum(
        mps.sweep(log_psi, flat, chains._uniform(*flat.shape)) for _ in range(sweeps)
    )
    chains.spins = flat.view(chains.spins.shape)
    return changed


def _proposed(chains):
    """Every chain's configuration after its proposed move."""
    spins = chains.spins
    pick = chains._picks(*spins.shape[:-1], 1)
    picked = spins.gather(-1, pick)
    flipped = spins.scatter(-1, pick, -picked)
    if chains.move == "flip":
        return flipped
    keys = chains._uniform(*spins.shape) * (spins != picked)
    partner = keys.argmax(-1, keepdim=True)
    opposite = spins.gather(-1, partner) != picked
    exchanged = flipped.scatter(-1, partner, picked)
    return torch.where(opposite, exchanged, spins)
