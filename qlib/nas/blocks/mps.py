"""Matrix product states whose tensors are trained."""

import math
from collections.abc import Iterable
from itertools import groupby, pairwise

import numpy as np
import torch
from torch import nn

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import Block, normal, seeded

SITES_A_STEP = 2  # twice the tensors of one site for half the steps: as many products
SMALLEST = 1e-300  # size of a vector; a smaller one is not made any larger


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
        The entries of all tensors, one after the other; a buffer in `from_tensors`.

    Notes
    -----
    Schollwöck, Ann. Phys. 326, 96 (2011). The row vector that is carried along the
    chain is divided by its largest entry at every step and the logarithms are added up:
    neither overflow nor underflow at 128 sites. The divisors cancel, so that no
    gradient goes through them. Cost O(N chi^2) a configuration and O(N chi^3) a call.
    """

    rate = 2.0

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
        generator = seeded(generator)
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
            Such as `qlib.entanglement.dmrg.MPS.tensors`, not that MPS itself; vL = 1 at
            the first site and vR = 1 at the last.
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
        if not isinstance(tensors, Iterable):
            allowed = "a sequence of arrays, as the .tensors of an MPS"
            raise ValueError(f"tensors: got {type(tensors)}; allowed: {allowed}")
        tensors = list(tensors)
        if any(getattr(tensor, "requires_grad", False) for tensor in tensors):
            raise ValueError("tensors: got gradients; allowed: detached tensors")
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
        del block.weight
        block.register_buffer("weight", torch.tensor(flat, dtype=dtype))
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
        state = torch.ones_like(spins.reshape(-1, self.num_sites)[:, 0])
        sizes, state = [state], state[None]  # of vL = 1: its real part
        if self.weight.is_complex():
            state = torch.cat([state, torch.zeros_like(state)])
        for matrix, chosen in self.steps(spins):
            # 1 over the size of the row vector for the states that the spins are in
            chosen = chosen / sizes[-1]  # (states, configs)
            both = (chosen[:, None] * state).flatten(0, 1)  # (states parts vL) configs
            state = matrix @ both  # (parts vR) configs
            sizes.append(_size(state))
        log_psi = log_or_zero(_number(*state)) + torch.stack(sizes[:-1]).log().sum(0)
        return log_psi.view(spins.shape[:-1])

    def steps(self, spins):
        """What to multiply by, site by site or two sites at once.

        Yields
        ------
        matrix : ((parts vR), (states parts vL)) tensor
            Of one of the steps; all of equal shape are made together.
        chosen : (states, configs) tensor
            1 for the state that the spins are in, 0 for the others.
        """
        up = spins.reshape(-1, self.num_sites).T[:, None] / 2 + 0.5
        chosen = torch.cat([up, 1 - up], dim=1)  # (N, 2, configs)
        firsts = range(0, self.num_sites, SITES_A_STEP)
        bonds = [self.bond_dims[k : k + SITES_A_STEP + 1] for k in firsts]
        runs = [(dims, len(list(run))) for dims, run in groupby(bonds)]
        entries = [n * sum(map(math.prod, _shapes(dims))) for dims, n in runs]
        places = [n * (len(dims) - 1) for dims, n in runs]
        for (dims, n), weights, states in zip(
            runs, self.weight.split(entries), chosen.split(places), strict=True
        ):
            matrices = _real_matrices(_joined(weights.view(n, -1), _shapes(dims)))
            states = _both(states.unflatten(0, (n, -1)))
            yield from zip(matrices.unbind(0), states.unbind(0), strict=True)

    def capacity(self, cut):
        """The bond's states, or what the dimensions allow where that is less."""
        return min(super().capacity(cut), self.bond_dims[cut])


def log_or_zero(psi):
    """log psi, −inf with gradient 0 where psi = 0."""
    zero = psi == 0
    return torch.where(zero, -torch.inf, torch.log(torch.where(zero, 1.0, psi)))


def _shapes(bonds):
    return [(left, 2, right) for left, right in pairwise(bonds)]


def _joined(weights, shapes):
    """Tensors of neighbouring sites as one, (n, entries) -> n vL (states) vR."""
    pieces = weights.split([math.prod(shape) for shape in shapes], dim=1)
    tables = [p.unflatten(1, shape) for p, shape in zip(pieces, shapes, strict=True)]
    table = tables[0]
    for following in tables[1:]:
        # n (vL i) [v], n [v] (j vR) -> n vL (i j) vR
        states = table.shape[2]
        left, right = table.flatten(1, 2), following.flatten(2, 3)
        joined = (left @ right).unflatten(1, (-1, states))
        table = joined.unflatten(3, (2, -1)).flatten(2, 3)
    return table


def _both(chosen):
    """States of neighbours as one, n sites 2 configs -> n states configs."""
    states = chosen[:, 0]
    for following in chosen.unbind(1)[1:]:
        states = (states[:, :, None] * following[:, None]).flatten(1, 2)
    return states


def _real_matrices(table):
    """n vL (states) vR -> n (parts vR) (states parts vL), parts real and imaginary.

    Products of real matrices are several times as fast as of complex ones.
    """
    if not table.is_complex():
        return table.permute(0, 3, 2, 1).flatten(2)
    real, imag = table.real, table.imag
    parts = torch.stack([real, -imag, imag, real], 1).unflatten(1, (2, 2))
    return parts.permute(0, 1, 5, 4, 2, 3).flatten(3).flatten(1, 2)


def _number(real, imag=None):
    """The complex number of its parts."""
    return torch.complex(real, torch.zeros_like(real) if imag is None else imag)


def _size(state):
    """Largest of the parts (parts, configs), without gradient; never 0."""
    return state.detach().abs().amax(0).clamp_min(SMALLEST)
