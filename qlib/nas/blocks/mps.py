"""Matrix product states whose tensors are trained."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import Block, normal

SITES_A_STEP = 2  # twice the tensors of one site for half the steps: as many products


class MPS(Block):
    """psi(s) = A_0[s_0] A_1[s_1] … A_(N−1)[s_(N−1)], a product of matrices.

    Parameters
    ----------
    num_sites : int
        N.
    bond_dim : int, optional
        chi: the bond at cut l has min(2^l, 2^(N−l), chi) states. 4 unless given.
    real : bool, optional
        Real tensors, psi of either sign. Complex unless set.
    marshall : bool, optional
        See `Block`.
    scale : float, optional
        Standard deviation, at the start, of the tensors about the uniform state, whose
        matrices are the identity; 0.3 unless given. Divided by the root of the bond's
        states, so that a matrix stays as far from the identity at any bond dimension.
    generator : torch.Generator, optional
        Source of the tensors; seed 0 unless given.

    Attributes
    ----------
    bond_dims : tuple of int
        At the cuts 0 … N, the first and last 1.
    weight : (P,) parameter
        The entries of all tensors, one after the other.

    Notes
    -----
    Schollwöck, Ann. Phys. 326, 96 (2011). The row vector that is carried along the
    chain is divided by its largest entry at every step and the logarithms are added up:
    neither overflow nor underflow at 128 sites. The divisors cancel, so that no
    gradient goes through them. Cost O(N chi^2) a configuration and O(N chi^3) a call.
    """

    def __init__(
        self,
        num_sites,
        bond_dim=4,
        *,
        real=False,
        marshall=False,
        scale=0.3,
        generator=None,
    ):
        super().__init__(num_sites, marshall=marshall)
        bond_dim = integer_between("bond_dim", bond_dim, 1, 4096)
        scale = number_between("scale", scale, 0, 1e6)
        self.bond_dims = tuple(
            min(2 ** min(cut, num_sites - cut, 12), bond_dim)
            for cut in range(num_sites + 1)
        )
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        drawn = {"real": real, "generator": generator}
        entries = []
        for left, _, right in self.shapes:
            noise = normal(left, 2, right, scale=max(left, right) ** -0.5, **drawn)
            identity = torch.eye(left, right, device=noise.device)[:, None]
            entries.append((identity + scale * noise.detach()).flatten())
        self.weight = nn.Parameter(torch.cat(entries))

    @classmethod
    def from_tensors(cls, tensors, *, marshall=False):
        """The state of given tensors, which are not trained.

        Parameters
        ----------
        tensors : sequence of (vL, 2, vR) arrays
            Such as `qlib.entanglement.dmrg.MPS.tensors`; vL = 1 at the first site and
            vR = 1 at the last.
        marshall : bool, optional
            See `Block`.

        Returns
        -------
        MPS

        Raises
        ------
        ValueError
            If shapes do not fit together or an entry is not finite.
        """
        arrays = [np.asarray(tensor) for tensor in tensors]
        shapes = [array.shape for array in arrays]
        bonds = [1, *(shape[-1] for shape in shapes)] if all(shapes) else []
        if len(shapes) < 2 or shapes != _shapes(bonds) or bonds[-1] != 1:
            allowed = "(vL, 2, vR) with equal dimensions at a bond and 1 at the ends"
            raise ValueError(f"tensors: got shapes {shapes}; allowed: {allowed}")
        flat = np.concatenate([array.ravel() for array in arrays])
        if not np.isfinite(flat).all():
            raise ValueError("tensors: got a NaN or infinity; allowed: finite")
        block = cls(len(arrays), 1, marshall=marshall)
        block.bond_dims = tuple(bonds)
        dtype = torch.complex128 if np.iscomplexobj(flat) else torch.float64
        block.weight = nn.Parameter(torch.tensor(flat, dtype=dtype), False)
        return block

    @property
    def shapes(self):
        """Of the tensors: (vL, 2, vR) at every site."""
        return _shapes(self.bond_dims)

    @property
    def tensors(self):
        """The tensors A, (vL, 2, vR), spin up first."""
        parts = self.weight.split([math.prod(shape) for shape in self.shapes])
        return [p.view(shape) for p, shape in zip(parts, self.shapes, strict=True)]

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        dtype = self.weight.dtype
        state = torch.ones(*spins.shape[:-1], 1, dtype=dtype, device=spins.device)
        log_scale = 0.0
        tensors = self.tensors
        for first in range(0, self.num_sites, SITES_A_STEP):
            sites = slice(first, first + SITES_A_STEP)
            table = _joined(tensors[sites])  # vL (states) vR
            chosen = _one_hot(spins[..., sites]).to(dtype)  # (..., states)
            # (..., vL) (..., states) -> (..., vL states)
            both = (state[..., None] * chosen[..., None, :]).flatten(-2)
            state = both @ table.flatten(0, 1)  # (..., vR)
            largest = _largest(state)
            state = state / largest[..., None]
            log_scale = log_scale + torch.log(largest)
        return log_or_zero(state[..., 0].to(torch.complex128)) + log_scale

    def capacity(self, cut):
        """The bond's states, or what the dimensions allow where that is less."""
        return min(super().capacity(cut), self.bond_dims[cut])


def log_or_zero(psi):
    """log psi, −inf with gradient 0 where psi = 0."""
    zero = psi == 0
    return torch.where(zero, -torch.inf, torch.log(torch.where(zero, 1.0, psi)))


def _shapes(bonds):
    return [(left, 2, right) for left, right in pairwise(bonds)]


def _joined(tensors):
    """One tensor of neighbouring sites, vL (i j …) vR."""
    table = tensors[0]
    for tensor in tensors[1:]:
        # vL i [v], [v] (j vR) -> vL (i j) vR
        table = torch.tensordot(table, tensor, 1).flatten(1, 2)
    return table


def _one_hot(spins):
    """Which state the spins are in, (..., sites) -> (..., 2^sites), all up first."""
    chosen = torch.ones_like(spins[..., :1])
    for spin in spins.unbind(-1):
        pair = torch.stack([1 + spin, 1 - spin], dim=-1) / 2
        chosen = (chosen[..., None] * pair[..., None, :]).flatten(-2)
    return chosen


def _largest(state):
    """Largest entries of vectors (..., v), about; without gradient, and 1 for 0."""
    state = state.detach()
    parts = torch.view_as_real(state).flatten(-2) if state.is_complex() else state
    largest = parts.abs().amax(-1)
    return torch.where(largest == 0, 1.0, largest)
