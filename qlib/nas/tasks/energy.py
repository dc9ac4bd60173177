"""The energy of a Hamiltonian by a full sum over configurations."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import integer_between
from qlib.entanglement.exact import ground_state
from qlib.entanglement.pauli import PauliSum
from qlib.nas.spins import all_configurations
from qlib.nas.targets.target import finite
from qlib.nas.tasks.batch import Batch, amplitudes, checked_part, half

MOST_SITES = 14
FURTHER = "vmc.ground_state, or DMRG and ChainTarget, go further"


@dataclass(frozen=True, eq=False)
class EnergyBatch(Batch):
    """All configurations, and those whose local energies count.

    Attributes
    ----------
    mask : (2^N,) float64 tensor
        One on the part, zero elsewhere.
    """

    mask: torch.Tensor


class Energy:
    """loss = <H>; score = (<H> − E0) / |E0|, both by a full sum.

    Local energies need psi at all configurations, whatever the part: all batches hold
    them all, and a part is those over which the local energies are averaged. On a part
    the gradient is that of variational Monte Carlo with its configurations as the
    samples, 2 Re <(E_loc − E)* ∂log psi> with the weights |psi|²; on "all" it is the
    gradient of <H>.

    Parameters
    ----------
    hamiltonian : PauliSum
        Of at most 14 sites.
    energy : float, optional
        E0, not zero; by exact diagonalisation unless given.
    seed : int, optional
        Of the pairs that the halves part, and of the halves where a batch is given no
        generator; 0 unless given.
    device : torch.device, optional

    Attributes
    ----------
    num_sites : int
    replicas : int
        1: one Hamiltonian serves any number of replicas.
    device : torch.device
    logarithmic : bool
        False: a loss of either sign.
    renyi2 : None
        No target whose entropies are known.
    energy : float
        E0.
    """

    replicas, logarithmic, renyi2 = 1, False, None

    def __init__(self, hamiltonian, *, energy=None, seed=0, device=None):
        if not isinstance(hamiltonian, PauliSum):
            got = type(hamiltonian).__name__
            raise ValueError(f"hamiltonian: got {got}; allowed: a PauliSum")
        N = hamiltonian.num_sites
        if not 2 <= N <= MOST_SITES:
            allowed = f"an integer in [2, {MOST_SITES}]; {FURTHER}"
            raise ValueError(f"hamiltonian.num_sites: got {N}; allowed: {allowed}")
        seed = integer_between("seed", seed, 0, 2**63)
        if energy is None:
            energy = ground_state(hamiltonian, k=1).energies[0]
        self.energy = finite("energy", energy)
        if self.energy == 0:
            raise ValueError("energy: got 0; allowed: another, errors being relative")
        self.num_sites = N
        self.device = torch.device("cpu" if device is None else device)
        self._matrix = _sparse(hamiltonian, self.device)
        self._spins = all_configurations(N, device=self.device)
        self._seed = seed
        pairs = np.random.default_rng(seed).permutation(2**N).reshape(-1, 2)
        self._pairs = torch.tensor(pairs, device=self.device)

    def select(self, indices):
        """The task itself, which serves any number of replicas."""
        for index in indices:
            integer_between("indices", index, 0, 0)
        return self

    def cost(self, part):
        """Configurations of a batch: 2^N for each part."""
        checked_part(part)
        return 2**self.num_sites

    def batch(self, part, generator=None, log_psi=None):
        """All configurations, (2^N, N), to be averaged over a part of them.

        Generators in one state draw halves that have no configuration in common;
        without one the halves are always the same.
        """
        mask = torch.ones(2**self.num_sites, dtype=torch.float64, device=self.device)
        if checked_part(part) != "all":
            if generator is None:
                generator = torch.Generator().manual_seed(self._seed)
            chosen = half(self._pairs, part, generator)
            mask = torch.zeros_like(mask).index_fill(0, chosen, 1.0)
        return EnergyBatch(part, self._spins, mask)

    def loss(self, batch, log_psi):
        """<H> over the part of the batch, (..., 2^N) -> (...); 0 where psi is 0."""
        psi = amplitudes(log_psi)
        mask = batch.mask
        value = psi.detach()
        image = self._product(value)
        norm = (mask * value.abs().square()).sum(-1)
        norm = torch.where(norm > 0, norm, 1.0)
        energy = (mask * (value.conj() * image).real).sum(-1) / norm
        force = (image - energy[..., None] * value) / norm[..., None]
        first_order = 2 * (mask * (psi.conj() * force).real).sum(-1)
        return energy + first_order - first_order.detach()

    def score(self, batch, log_psi):
        """(<H> − E0) / |E0| without gradient, (..., 2^N) -> (...); 1 where psi is 0."""
        with torch.no_grad():
            score = (self.loss(batch, log_psi) - self.energy) / abs(self.energy)
            nothing = (log_psi.real == -torch.inf).all(-1)
            return torch.where(nothing, 1.0, score)

    def _product(self, psi):
        """H psi, (..., 2^N)."""
        columns = psi.reshape(-1, psi.shape[-1]).T  # (2^N, states)
        if self._matrix.is_complex():
            image = torch.sparse.mm(self._matrix, columns.contiguous())
        else:
            real = torch.view_as_real(columns.contiguous()).flatten(1)
            image = torch.sparse.mm(self._matrix, real).unflatten(1, (-1, 2))
            image = torch.view_as_complex(image)
        return image.T.reshape(psi.shape)


def _sparse(hamiltonian, device):
    matrix = hamiltonian.sparse().tocoo()
    index = torch.tensor(np.stack(matrix.coords), dtype=torch.int64)
    values = torch.tensor(matrix.data)
    sparse = torch.sparse_coo_tensor(index, values, matrix.shape, check_invariants=True)
    return sparse.coalesce().to(device)
