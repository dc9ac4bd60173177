"""log psi = Σ_slots Σ_k g_sk log psi_sk: what every slot mixes, and its gates."""

import itertools

import numpy as np
import torch

from qlib.arguments import integer_between
from qlib.nas.replicas import Replicas

MOST_SLOTS = 4


class Supernet:
    """Every candidate in every slot, with weights of its own, for many replicas.

    Parameters
    ----------
    blocks : dict
        name -> constructor(generator=...) of a `Block`.
    seeds : sequence of R int
        First weights of each replica; equal seeds start equal.
    slots : int, optional
        S, at most 4.

    Attributes
    ----------
    names : tuple of str
        The K candidates.
    replicas : int
        R.
    """

    def __init__(self, blocks, *, seeds, slots=2):
        if not isinstance(blocks, dict) or not blocks:
            raise ValueError(f"blocks: got {blocks!r}; allowed: a dict of constructors")
        self.names = tuple(blocks)
        self.slots = integer_between("slots", slots, 1, MOST_SLOTS)
        self.replicas = len(seeds)
        self._stacks = [
            Replicas(blocks[name], _generators(seeds, self.slots, k))
            for k, name in enumerate(self.names)
        ]

    @property
    def num_sites(self):
        """Sites of every block, as a list of K int."""
        return [stack.num_sites for stack in self._stacks]

    def to(self, device):
        """Move the weights."""
        for stack in self._stacks:
            stack.to(device)

    @property
    def weights(self):
        """All weights by candidate and name, each (S R, ...)."""
        return self._named("weights")

    @property
    def rates(self):
        """Each weight's share of the learning rate, that of its block."""
        return self._named("rates")

    def _named(self, attribute):
        return {
            f"{name}: {parameter}": value
            for name, stack in zip(self.names, self._stacks, strict=True)
            for parameter, value in getattr(stack, attribute).items()
        }

    def block(self, slot, candidate, replica):
        """A candidate of one slot and replica as a `Block` that stands by itself."""
        return self._stacks[candidate].block(slot * self.replicas + replica)

    def outputs(self, spins):
        """log psi of every candidate in every slot.

        Parameters
        ----------
        spins : (C, N) or (R, C, N) tensor

        Returns
        -------
        (S, K, R, C) complex128 tensor
        """
        if spins.dim() == 3:
            spins = spins.repeat(self.slots, 1, 1)  # (S R, C, N)
        flat = torch.stack([stack.log_psi(spins) for stack in self._stacks])
        split = flat.unflatten(1, (self.slots, self.replicas))  # (K, S, R, C)
        return split.transpose(0, 1)

    def picked(self, spins, picks):
        """log psi of one architecture a replica, its S blocks alone evaluated.

        Parameters
        ----------
        spins : (C, N) or (R, C, N) tensor
        picks : (R, S) int tensor
            Candidate of each slot.

        Returns
        -------
        (R, C) complex128 tensor
        """
        flat = picks.T.flatten()  # (S R)
        rows = [(flat == k).nonzero()[:, 0] for k in range(len(self.names))]
        values = []
        for stack, here in zip(self._stacks, rows, strict=True):
            if len(here):
                weights = {name: w[here] for name, w in stack.weights.items()}
                some = Replicas.of(stack.template, weights)
                own = spins[here % self.replicas] if spins.dim() == 3 else spins
                values.append(some.log_psi(own))
        values = torch.cat(values)[torch.cat(rows).argsort()]
        return values.unflatten(0, (self.slots, self.replicas)).sum(0)


def mix(outputs, gates):
    """Σ_slots Σ_k g_sk log psi_sk; a candidate with gate 0 counts nothing, −inf or not.

    Parameters
    ----------
    outputs : (S, K, R, C) complex tensor
    gates : (R, S, K) float64 tensor
        In [0, 1].

    Returns
    -------
    (R, C) complex tensor
        −inf where a candidate with g > 0 vanishes; no gradient comes from there.
    """
    vanishes = torch.isneginf(outputs.real)
    finite = torch.where(vanishes, 0, outputs)
    weight = gates.permute(1, 2, 0)[..., None]  # (S, K, R, 1)
    mixed = (weight * finite).sum((0, 1))
    zero = (vanishes & (weight > 0)).any(1).any(0)
    return torch.where(zero, torch.full_like(mixed, -torch.inf), mixed)


def products(outputs):
    """log psi of all K^S architectures in the order of `combinations`.

    (S, K, R, C) -> (K^S, R, C); cost O(K^S R C), without another block evaluated.
    """
    total = outputs[0]
    for slot in outputs[1:]:
        total = (total[:, None] + slot).flatten(0, 1)
    return total


def combinations(slots, candidates):
    """Candidate of every slot in all K^S architectures, (K^S, S), the last fastest."""
    return torch.tensor(list(itertools.product(range(candidates), repeat=slots)))


def one_hot(picks, candidates):
    """Gates (R, S, K) of picked candidates (R, S)."""
    return torch.nn.functional.one_hot(picks, candidates).double()


def _generators(seeds, slots, candidate):
    """One a slot and replica, slots first: equal seeds give equal weights."""
    streams = [
        np.random.SeedSequence([seed, slot, candidate]).generate_state(1)[0]
        for slot in range(slots)
        for seed in seeds
    ]
    return [torch.Generator().manual_seed(int(stream)) for stream in streams]
