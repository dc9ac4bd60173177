"""Logarithmic derivatives O_k(s) = ∂ log psi(s) / ∂θ_k of all parameters."""

from functools import singledispatch

import torch
from torch.func import functional_call, vmap

from qlib.nas.blocks import MPS, RBM
from qlib.nas.vmc import mps
from qlib.nas.vmc.rbm_derivatives import RBMDerivatives

CHUNK = 1024  # configurations differentiated at once


class DenseDerivatives:
    """The matrix X = (O − mean of O) / √M over M configurations.

    Parameters
    ----------
    rows : (M, parameters) or (2M, parameters) tensor
        O; in 2M rows its real parts, then its imaginary parts.
    configs : int
        M.
    kept : (all parameters) bool tensor, optional
        Which parameters O has columns of, where others do not move psi.
    """

    def __init__(self, rows, configs, kept=None):
        parts = rows.reshape(-1, configs, rows.shape[1])
        parts = (parts - parts.mean(1, keepdim=True)) / configs**0.5
        self.matrix, self.configs, self.kept = parts.flatten(0, 1), configs, kept

    @property
    def shape(self):
        """Rows and columns of X."""
        return tuple(self.matrix.shape)

    def dense(self):
        """X, (rows, parameters)."""
        return self.matrix

    def gram(self):
        """X X†, (rows, rows)."""
        return self.matrix @ self.matrix.mH

    def metric(self):
        """X† X, (parameters, parameters)."""
        return self.matrix.mH @ self.matrix

    def adjoint(self, vector):
        """X† v, (parameters)."""
        return self.matrix.mH @ vector

    def spread(self, direction):
        """A direction in the columns of X as one of all parameters."""
        if self.kept is None:
            return direction
        found = direction.new_zeros(len(self.kept))
        found[self.kept] = direction
        return found

    def rows(self, energies):
        """Local energies less their mean, over √M, in the rows of X."""
        centred = (energies - energies.mean()) / self.configs**0.5
        if self.matrix.is_complex():
            return centred.to(self.matrix.dtype)
        if len(self.matrix) == self.configs:
            return centred.real.clone()
        return torch.view_as_real(centred.to(torch.complex128)).mT.flatten()


@singledispatch
def log_derivatives(block, spins):
    """Centred logarithmic derivatives of a block.

    Parameters
    ----------
    block : Block
        Where all its parameters are complex, log psi is taken to be analytic in them:
        X is (M, parameters) and complex. Else every complex parameter counts as two
        real ones, and real and imaginary parts of O are rows of their own: X is
        (2M, parameters) and real, or (M, parameters) where the phase of psi depends
        on no parameter.
    spins : (M, N) float64 tensor of ±1

    Returns
    -------
    DenseDerivatives or RBMDerivatives
        The first by automatic differentiation.
    """
    chunks = [_gradients(block, some) for some in spins.split(CHUNK)]
    parts = [torch.cat(part) for part in zip(*chunks, strict=True)]
    if _analytic(block.parameters()):
        rows = parts[0].conj().resolve_conj()
    else:
        rows = torch.cat(parts) if parts[1].any() else parts[0]
    return DenseDerivatives(rows, len(spins))


@log_derivatives.register
def _(block: RBM, spins):
    derivatives = RBMDerivatives(block, spins)
    if block.seen.all():
        return derivatives
    kept = torch.ones(derivatives.shape[1], dtype=torch.bool, device=spins.device)
    kept[: block.seen.numel()] = block.seen.flatten() > 0
    rows = derivatives.entries(kept)
    return DenseDerivatives(rows, len(spins), kept)


@log_derivatives.register
def _(block: MPS, spins):
    return DenseDerivatives(mps.log_derivatives(block, spins), len(spins))


def step_along(block, direction, size):
    """Subtract size · direction from the parameters, in place.

    Parameters
    ----------
    block : Block
    direction : (parameters) tensor
        As `natural_gradient` gives it.
    size : float
    """
    parameters = list(block.parameters())
    if not _analytic(parameters):
        parameters = [_as_real(one) for one in parameters]
    with torch.no_grad():
        pieces = direction.split([one.numel() for one in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter -= size * piece.reshape(parameter.shape)


def _gradients(block, spins):
    """Gradients of Re log psi and of Im log psi, (configs, parameters) each.

    Of an analytic block the first alone, complex. Every configuration has its own copy
    of the weights; `torch.func.grad` would load torch's compiler, 1.5 s.
    """
    copies = {
        name: one.detach().expand(len(spins), *one.shape).requires_grad_()
        for name, one in block.named_parameters()
    }

    def log_psi(parameters, spins):
        return functional_call(block, parameters, (spins,))

    found, inputs = vmap(log_psi)(copies, spins), list(copies.values())
    analytic = _analytic(inputs)
    rows = []
    for part in (found.real,) if analytic else (found.real, found.imag):
        gradients = torch.autograd.grad(
            part.sum(), inputs, retain_graph=True, materialize_grads=True
        )
        numbers = gradients if analytic else map(_as_real, gradients)
        rows.append(torch.cat([one.flatten(1) for one in numbers], 1))
    return rows


def _analytic(parameters):
    """Whether all parameters are complex, and psi is taken to be analytic in them."""
    return all(one.is_complex() for one in parameters)


def _as_real(tensor):
    """A complex tensor as a real one with a last axis of real and imaginary part."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
