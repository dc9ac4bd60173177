"""Logarithmic derivatives O_k(s) = ∂ log psi(s) / ∂θ_k of all parameters."""

from functools import singledispatch

import torch
from torch.func import functional_call, grad, vmap

from qlib.nas.blocks import RBM
from qlib.nas.vmc import rbm as rbms

CHUNK = 1024  # configurations differentiated at once


class LogDerivatives:
    """The matrix X = (O − mean of O) / √M over M configurations, as a linear map.

    Parameters
    ----------
    block : Block
        Where all its parameters are complex, log psi is taken to be analytic in them:
        X is (M, parameters) and complex. Else every complex parameter counts as two
        real ones, and real and imaginary parts of O are rows of their own: X is
        (2M, parameters) and real, or (M, parameters) where the phase of psi does not
        depend on the parameters.
    spins : (M, N) float64 tensor of ±1

    Attributes
    ----------
    factors : list of pairs of (rows, a) and (rows, b) tensors
        O(s) = [A_1(s) ⊗ B_1(s), A_2(s) ⊗ B_2(s), …]: the derivative of a fully
        connected layer is (derivative of its output) ⊗ (its input). Others are one
        pair, (O, 1).

    Notes
    -----
    The Gram matrix of a factor is the entrywise product of two small ones: O(M² (a +
    b)) in place of O(M² a b).
    """

    def __init__(self, block, spins):
        self.configs = len(spins)
        self.factors = log_derivative_factors(block, spins)
        self.is_complex = self.factors[0][0].is_complex()
        rows = len(self.factors[0][0])
        self.parts = rows // self.configs  # 2 where imaginary parts are rows, else 1
        sizes = [a.shape[1] * b.shape[1] for a, b in self.factors]
        self.shape = rows, sum(sizes)

    def dense(self):
        """X, (rows, parameters)."""
        return self._centred(joined(self.factors)) / self.configs**0.5

    def gram(self):
        """X X†, (rows, rows)."""
        total = 0
        for left, right in self.factors:
            total = total + (left @ left.mH) * (right @ right.mH)
        return self._centred(self._centred(total).mT).mT / self.configs

    def adjoint(self, vector):
        """X† v, (parameters)."""
        vector = self._centred(vector) / self.configs**0.5
        found = [
            ((left.conj() * vector[:, None]).mT @ right.conj()).flatten()
            for left, right in self.factors
        ]
        return torch.cat(found)

    def rows(self, energies):
        """Local energies less their mean, over √M, in the rows of X."""
        centred = (energies - energies.mean()) / self.configs**0.5
        if self.is_complex:
            return centred.to(torch.complex128)
        if self.parts == 1:
            return centred.real.clone()
        imaginary = centred.imag if centred.is_complex() else torch.zeros_like(centred)
        return torch.cat([centred.real, imaginary])

    def _centred(self, matrix):
        """Columns less their means over configurations, part by part."""
        parts = matrix.reshape(self.parts, self.configs, -1)
        return (parts - parts.mean(1, keepdim=True)).reshape(matrix.shape)


def joined(factors):
    """O, (rows, parameters), of its factors."""
    return torch.cat(
        [(a[:, :, None] * b[:, None, :]).flatten(1) for a, b in factors], dim=1
    )


@singledispatch
def log_derivative_factors(block, spins):
    """Factors of O as `LogDerivatives` has them, not centred; by automatic
    differentiation unless the block is an RBM."""
    parameters = dict(block.named_parameters())
    analytic = all(one.is_complex() for one in parameters.values())

    def part(name):
        def log_psi(parameters, spins):
            return getattr(functional_call(block, parameters, (spins,)), name)

        derivative = vmap(grad(log_psi), in_dims=(None, 0), chunk_size=CHUNK)
        return derivative(parameters, spins).values()

    if analytic:
        rows = torch.cat([one.flatten(1).conj() for one in part("real")], 1)
    else:
        parts = [
            torch.cat([_as_real(one).flatten(1) for one in part(name)], 1)
            for name in ("real", "imag")
        ]
        rows = torch.cat(parts) if parts[1].any() else parts[0]
    rows = rows.detach().resolve_conj()
    return [(rows, torch.ones_like(rows[:, :1]))]


@log_derivative_factors.register
def _(block: RBM, spins):
    factors = rbms.derivative_factors(block, spins)
    if block.seen.all():
        return factors
    within = joined(factors[:1]) * block.seen.flatten()
    return [(within, torch.ones_like(within[:, :1])), *factors[1:]]


def step_along(block, direction, size):
    """Subtract size · direction from the parameters, in place.

    Parameters
    ----------
    block : Block
    direction : (parameters) tensor
        As `LogDerivatives.adjoint` gives it.
    size : float
    """
    with torch.no_grad():
        parameters = list(block.parameters())
        if not direction.is_complex():
            parameters = [_as_real(one) for one in parameters]
        pieces = direction.split([one.numel() for one in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter -= size * piece.reshape(parameter.shape)


def _as_real(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
