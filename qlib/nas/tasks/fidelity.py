"""Infidelity with state vectors by a full sum over configurations."""

from collections.abc import Sequence

import numpy as np
import torch

from qlib.arguments import integer_between
from qlib.nas.spins import all_configurations
from qlib.nas.targets.target import Target
from qlib.nas.tasks.batch import PARTS, Batch, amplitudes, checked_part, infidelity

MOST_SITES = 14


class FullSum:
    """loss = score = 1 − F, F = |<phi|psi>|² / <psi|psi> over a part of the basis.

    Both states are normalised on the part. Its weight is nearly that of the other: by
    falling |phi(s)|², one configuration of each pair goes to either at random.

    Parameters
    ----------
    targets : Target or sequence of Target
        Of one N ≤ 14. One for all replicas, or one for each, repeated as may be.
    seed : int, optional
        Of the parts; 0 unless given.
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
        self._seed, self._vectors = seed, np.array([t.vector for t in different])
        renyi2 = np.array([target.renyi2() for target in different])[self._which]
        self.renyi2 = torch.tensor(renyi2, device=self.device)
        self._batches, self._phi = {}, {}

    def select(self, indices):
        """The same task with the targets of these replicas, in this order."""
        last = self.replicas - 1
        chosen = [self.targets[integer_between("indices", i, 0, last)] for i in indices]
        return FullSum(chosen, seed=self._seed, device=self.device)

    def cost(self, part):
        """Configurations of a batch of that part: 2^N, or half of it."""
        return 2 ** (self.num_sites - (checked_part(part) != "all"))

    def batch(self, part, generator=None, log_psi=None):
        """Configurations of a part, the same at every call.

        Parameters
        ----------
        part : {"weights", "architecture", "all"}
        generator, log_psi
            Of the protocol; not used.

        Returns
        -------
        Batch
            Of spins (configs, N); (replicas, 2^N / 2, N) on the first two parts where
            there are different targets.

        Raises
        ------
        ValueError
            For another part, and for one on which a target vanishes: a basis state has
            one part only.
        """
        if checked_part(part) not in self._batches:
            self._prepare(part)
        return self._batches[part]

    def loss(self, batch, log_psi):
        """1 − F on the part of the batch, (..., replicas, configs) -> (..., replicas).

        Small ones keep their digits; one where psi vanishes on the whole part.
        """
        self.batch(batch.part)
        phi = self._phi[batch.part]
        if log_psi.dim() > 1 and self.replicas not in (1, log_psi.shape[-2]):
            got, allowed = log_psi.shape[-2], self.replicas
            raise ValueError(f"log_psi: got {got} replicas; allowed: {allowed}")
        return infidelity(phi, amplitudes(log_psi))

    def score(self, batch, log_psi):
        """1 − F, without gradient; of the part of the batch, as a rule "all"."""
        with torch.no_grad():
            return self.loss(batch, log_psi)

    def _prepare(self, part):
        spins = all_configurations(self.num_sites, device=self.device)
        chosen = self._chosen(part)
        phi = np.take_along_axis(self._vectors, chosen, axis=1)
        norm = np.linalg.norm(phi, axis=1, keepdims=True)
        if not norm.all():
            allowed = "targets that vanish on neither half of the configurations"
            raise ValueError(f"part: got {part!r} of a basis state; allowed: {allowed}")
        phi = torch.tensor(phi / norm, device=self.device)
        self._phi[part] = phi[self._which] if len(phi) > 1 else phi
        index = torch.tensor(chosen, device=self.device)
        alike = len(index) == 1 or part == "all"
        spins = spins[index[0]] if alike else spins[index[self._which]]
        self._batches[part] = Batch(part, spins)

    def _chosen(self, part):
        """Basis indices of a part for every different target, ascending."""
        count, dim = self._vectors.shape
        if part == "all":
            return np.tile(np.arange(dim), (count, 1))
        rows = []
        for vector in self._vectors:
            rng = np.random.default_rng(self._seed)
            shuffled = rng.permutation(dim)
            order = np.argsort(-abs(vector[shuffled]), kind="stable")
            pairs = rng.permuted(shuffled[order].reshape(-1, 2), axis=1)
            rows.append(np.sort(pairs[:, PARTS.index(part)]))
        return np.array(rows)


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
