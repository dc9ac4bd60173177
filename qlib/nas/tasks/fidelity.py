"""Infidelity with state vectors by a full sum over configurations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import integer_between
from qlib.nas.spins import all_configurations
from qlib.nas.targets.target import Target
from qlib.nas.tasks.batch import Batch, amplitudes, checked_part, half, infidelity

MOST_SITES = 14


@dataclass(frozen=True, eq=False)
class FullSumBatch(Batch):
    """Configurations and what the targets are there.

    Attributes
    ----------
    phi : (replicas or 1, configs) complex128 tensor
        Normalised on the part.
    """

    phi: torch.Tensor


class FullSum:
    """loss = score = 1 − F, F = |<phi|psi>|² / <psi|psi> over a part of the basis.

    Both states are normalised on the part. Its weight is nearly that of the other: by
    falling |phi(s)|², one configuration of each pair goes to either at random.

    Parameters
    ----------
    targets : Target or sequence of Target
        Of one N ≤ 14. One for all replicas, or one for each, repeated as may be.
    seed : int, optional
        Of the pairs, and of the halves where a batch is given no generator; 0 unless
        given.
    device : torch.device, optional

    Attributes
    ----------
    targets : list of Target
        One a replica.
    num_sites, replicas : int
    device : torch.device
    logarithmic : bool
        True: the loss is in [0, 1], so that its logarithm can be minimised.
    renyi2 : (replicas, N − 1) float64 tensor
        Rényi-2 entropies of the targets in nats, for `renyi.entanglement_penalty`.

    Raises
    ------
    ValueError
        For no target, several numbers of sites, or more than 14.
    """

    logarithmic = True

    def __init__(self, targets, *, seed=0, device=None):
        self.targets = targets = _checked(targets)
        self.num_sites, self.replicas = targets[0].num_sites, len(targets)
        self.device = torch.device("cpu" if device is None else device)
        seed = integer_between("seed", seed, 0, 2**63)
        different = list({id(target): target for target in targets}.values())
        place = {id(target): index for index, target in enumerate(different)}
        self._which = [place[id(target)] for target in targets]
        vectors = np.array([target.vector for target in different])
        pairs = np.array([_pairs(vector, seed) for vector in vectors])
        self._seed, self._pairs = seed, torch.tensor(pairs, device=self.device)
        self._spins = all_configurations(self.num_sites, device=self.device)
        self._phi = torch.tensor(vectors, device=self.device)  # (different, 2^N)
        self._alone = (vectors != 0).sum(axis=1).min() == 1
        renyi2 = np.array([target.renyi2() for target in different])[self._which]
        self.renyi2 = torch.tensor(renyi2, device=self.device)

    def select(self, indices):
        """The same task with the targets of these replicas, in this order."""
        last = self.replicas - 1
        chosen = [self.targets[integer_between("indices", i, 0, last)] for i in indices]
        return FullSum(chosen, seed=self._seed, device=self.device)

    def cost(self, part):
        """Configurations of a batch of that part: 2^N, or half of it."""
        return 2 ** (self.num_sites - (checked_part(part) != "all"))

    def batch(self, part, generator=None, log_psi=None):
        """Configurations of a part.

        Parameters
        ----------
        part : {"weights", "architecture", "all"}
        generator : torch.Generator, optional
            Draws the halves; in one state it draws halves that have no configuration
            in common. Without one the halves are always the same.
        log_psi
            Of the protocol; not used.

        Returns
        -------
        FullSumBatch
            Of spins (configs, N); (replicas, 2^N / 2, N) on the first two parts where
            there are different targets.

        Raises
        ------
        ValueError
            For another part, and for a half where a target is a basis state: the other
            half would hold none of it.
        """
        if checked_part(part) == "all":
            return FullSumBatch(part, self._spins, self._of_replicas(self._phi))
        if self._alone:
            got = f"one configuration alone, halved into {part!r}"
            allowed = "a state of several, or a scheme without a supernet"
            raise ValueError(f"target: got {got}; allowed: {allowed}")
        if generator is None:
            generator = torch.Generator().manual_seed(self._seed)
        index = half(self._pairs, part, generator)  # (different, configs)
        phi = torch.gather(self._phi, 1, index)
        phi = phi / torch.linalg.vector_norm(phi, dim=1, keepdim=True)
        index = index[0] if len(index) == 1 else index[self._which]
        return FullSumBatch(part, self._spins[index], self._of_replicas(phi))

    def loss(self, batch, log_psi):
        """1 − F on the part of the batch, (..., replicas, configs) -> (..., replicas).

        Small ones keep their digits; one where psi vanishes on the whole part.
        """
        if log_psi.dim() > 1 and self.replicas not in (1, log_psi.shape[-2]):
            got, allowed = log_psi.shape[-2], self.replicas
            raise ValueError(f"log_psi: got {got} replicas; allowed: {allowed}")
        return infidelity(batch.phi, amplitudes(log_psi))

    def score(self, batch, log_psi):
        """1 − F, without gradient; of the part of the batch, as a rule "all"."""
        with torch.no_grad():
            return self.loss(batch, log_psi)

    def _of_replicas(self, phi):
        """phi of each replica; one row serves all of one target."""
        return phi if len(phi) == 1 else phi[self._which]


def _pairs(vector, seed):
    """Configurations two and two by falling |phi(s)|², equal ones in any order."""
    shuffled = np.random.default_rng(seed).permutation(len(vector))
    order = np.argsort(-abs(vector[shuffled]), kind="stable")
    return shuffled[order].reshape(-1, 2)


def _checked(targets):
    targets = [targets] if isinstance(targets, Target) else targets
    valid = isinstance(targets, Sequence) and len(targets) > 0
    if not (valid and all(isinstance(target, Target) for target in targets)):
        raise ValueError(f"targets: got {targets!r}; allowed: one Target or several")
    sizes = sorted({target.num_sites for target in targets})
    if len(sizes) > 1 or sizes[0] > MOST_SITES:
        allowed = f"one number, at most {MOST_SITES}"
        raise ValueError(f"targets: got {sizes} sites; allowed: {allowed}")
    return list(targets)
