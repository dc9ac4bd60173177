"""A target of many sites, given as a matrix product state."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.entanglement.dmrg.mps import MPS
from qlib.entanglement.pauli import PauliSum
from qlib.entanglement.spectrum import features, renyi
from qlib.nas.targets.target import check_hamiltonian

CANONICAL = 1e-8  # of the largest entry of Σ A† A − 1


@dataclass(frozen=True, eq=False)
class ChainTarget:
    """A normalised left-canonical MPS phi of any number of sites, as DMRG leaves it.

    Parameters
    ----------
    mps : qlib.entanglement.dmrg.MPS
    name : str
    hamiltonian : PauliSum, optional
        One of which it is the ground state.
    energy : float, optional
        Its energy there.

    Raises
    ------
    ValueError
        If the MPS is not left-canonical, or not normalised, to 1e-8, or the
        Hamiltonian acts on another number of sites.
    """

    mps: MPS = field(repr=False)
    name: str
    hamiltonian: PauliSum | None = field(default=None, repr=False)
    energy: float | None = None

    def __post_init__(self):
        if not isinstance(self.mps, MPS):
            raise ValueError(f"mps: got {type(self.mps).__name__}; allowed: a dmrg.MPS")
        for site, tensor in enumerate(self.mps.tensors):
            overlap = np.tensordot(tensor.conj(), tensor, axes=((0, 1), (0, 1)))
            error = abs(overlap - np.eye(len(overlap))).max()
            if not error <= CANONICAL:
                got = f"a deviation of {error:.3g} from left-canonical at site {site}"
                raise ValueError(f"mps: got {got}; allowed: {CANONICAL:g}")
        check_hamiltonian(self.hamiltonian, self.energy, self.num_sites)

    @property
    def num_sites(self):
        """N."""
        return self.mps.num_sites

    def spectra(self):
        """Schmidt probabilities at the cuts 1 … N−1, descending.

        Without the weight that DMRG discarded.

        Returns
        -------
        list of N − 1 arrays
        """
        return [values**2 for values in self.mps.schmidt_values]

    def renyi2(self):
        """Rényi-2 entropies −ln Σ p² in nats at the cuts 1 … N−1: (N − 1,)."""
        return np.array([renyi(p, 2) for p in self.spectra()])

    def features(self):
        """`qlib.entanglement.spectrum.Features` of the cut N // 2, in nats."""
        return features(self.spectra()[self.num_sites // 2 - 1])

    @cached_property
    def _tensors(self):
        """As tensors, real where all are: a quarter of the work."""
        real = not any(np.iscomplexobj(tensor) for tensor in self.mps.tensors)
        dtype = torch.float64 if real else torch.complex128
        return [torch.tensor(tensor, dtype=dtype) for tensor in self.mps.tensors]

    def sample(self, count, generator):
        """Independent configurations with the exact probabilities |phi(s)|².

        Site by site from the right end: what is left of a site is an isometry, so that
        the probability of its spin is a squared norm (Ferris and Vidal, Phys. Rev. B
        85, 165146, 2012). O(count N chi²).

        Parameters
        ----------
        count : int
        generator : torch.Generator
            Its device is that of the samples.

        Returns
        -------
        (count, N) float64 tensor of ±1
        """
        count, device = positive_integer("count", count), generator.device
        spins = torch.empty(count, self.num_sites, dtype=torch.float64, device=device)
        right = torch.ones(count, 1, dtype=self._tensors[0].dtype, device=device)  # vR
        for site in reversed(range(self.num_sites)):
            tensor = self._tensors[site].to(device)
            # [vR], (vL i) [vR] -> vL i
            both = (right @ tensor.flatten(0, 1).T).unflatten(1, tensor.shape[:2])
            weight = both.abs().square().sum(1)  # (count, i)
            uniform = torch.rand(
                count, dtype=torch.float64, device=device, generator=generator
            )
            down = uniform * weight.sum(1) >= weight[:, 0]
            spins[:, site] = 1.0 - 2.0 * down
            chosen = torch.where(down[:, None], both[..., 1], both[..., 0])
            right = chosen / torch.linalg.vector_norm(chosen, dim=1, keepdim=True)
        return spins

    def log_psi(self, spins):
        """log phi(s), rescaled at every site; −inf where phi(s) = 0. O(N chi²) each.

        Parameters
        ----------
        spins : (..., N) float64 tensor of ±1

        Returns
        -------
        (...) complex128 tensor
        """
        if spins.shape[-1] != self.num_sites:
            got = spins.shape[-1]
            raise ValueError(f"spins: got {got} sites; allowed: {self.num_sites}")
        down = (spins < 0).reshape(-1, self.num_sites)
        dtype = self._tensors[0].dtype
        left = torch.ones(len(down), 1, dtype=dtype, device=spins.device)  # vL
        log_norm = torch.zeros(len(down), dtype=torch.float64, device=spins.device)
        for site, tensor in enumerate(self._tensors):
            tensor = tensor.to(spins.device)
            # [vL], [vL] (i vR) -> i vR
            both = (left @ tensor.flatten(1)).unflatten(1, tensor.shape[1:])
            left = torch.where(down[:, site, None], both[:, 1], both[:, 0])
            norm = torch.linalg.vector_norm(left, dim=1)
            log_norm = log_norm + torch.log(norm)
            left = left / torch.where(norm > 0, norm, 1.0)[:, None]
        phase = torch.angle(left[:, 0])
        return torch.complex(log_norm, phase).reshape(spins.shape[:-1])
