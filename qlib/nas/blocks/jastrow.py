"""Jastrow factors: every pair of spins with a coupling of its own."""

import torch

from qlib.arguments import number_between
from qlib.nas.blocks.block import Block, normal, seeded


class Jastrow(Block):
    """log psi(s) = Σ_{i<j} J_ij s_i s_j + Σ_i a_i s_i.

    Parameters
    ----------
    num_sites : int
        N.
    real : bool, optional
        Real couplings: psi > 0. Complex unless set.
    marshall : bool, optional
        See `Block`.
    scale : float, optional
        Standard deviation of J and a at the start times √N; 0.3 unless given.
    generator : torch.Generator, optional
        Source of J and a; seed 0 unless given.

    Notes
    -----
    Jastrow, Phys. Rev. 98, 1479 (1955); Manousakis, Rev. Mod. Phys. 63, 1 (1991).
    Couplings across a cut reach every Schmidt rank: those of iπ/4 make the graph
    states. N (N + 1) / 2 parameters, whose number is fixed; O(N²) a configuration.
    """

    rate = 0.25

    def __init__(
        self, num_sites, *, real=False, marshall=False, scale=0.3, generator=None
    ):
        super().__init__(num_sites, marshall=marshall)
        pairs = torch.triu_indices(self.num_sites, self.num_sites, 1)
        self.register_buffer("pairs", pairs)
        generator = seeded(generator)
        scale = number_between("scale", scale, 0, 1e6) / self.num_sites**0.5
        drawn = {"scale": scale, "real": real, "generator": generator}
        self.coupling = normal(pairs.shape[1], **drawn)
        self.visible_bias = normal(self.num_sites, **drawn)

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        first, second = self.pairs
        aligned = spins[..., first] * spins[..., second]  # (..., pairs)
        dtype = self.coupling.dtype
        log_psi = (
            aligned.to(dtype) @ self.coupling + spins.to(dtype) @ self.visible_bias
        )
        return log_psi.to(torch.complex128)
