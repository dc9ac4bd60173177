"""Quadratic surrogate of a softmax head's loss: O(1) proposals, and an Ising model."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from qlib.arguments import number_between, positive_integer
from qlib.weights.arguments import check_samples, finite_array
from qlib.weights.convex import loss_and_gradient
from qlib.weights.head import check_move
from qlib.weights.quantize.calibration import probabilities
from qlib.weights.quantize.code_moves import propose, temperatures_between
from qlib.weights.quantize.codes import QuantizedHead, checked_scale, levels

LARGEST_FULL = 5200
"""Largest d C of a full Hessian: (d C)^2 float64 numbers are 216 MB there."""


@dataclass(frozen=True, eq=False)
class QuadraticSurrogate:
    """Second-order expansion of the regularised cross-entropy in the weights.

    ``E(W) = loss + g . (W - W*) + 1/2 (W - W*)^T H (W - W*)``, the bias fixed at b*.
    Near the point the error is of third order in W - W*; for codes of few bits, which
    lie far from it, E is a proposal of good codes, not their loss.

    Attributes
    ----------
    weights : (d, C) array
        The point W*.
    bias : (C,) array
        The bias b*.
    loss : float
        Nats a sample, l2 term included.
    gradient : (C, d) array
        Class by class, so that a class's weights are contiguous.
    hessian : (C d, C d) or (C, d, d) array
        All pairs of weights, weight (j, c) at c d + j; or the blocks of equal class.
    """

    weights: np.ndarray
    bias: np.ndarray
    loss: float
    gradient: np.ndarray
    hessian: np.ndarray

    @property
    def is_full(self):
        """Whether the Hessian couples weights of different classes."""
        return self.hessian.ndim == 2

    def energy(self, weights):
        """E of weights (..., d, C), in nats a sample. O((d C)^2) or O(d^2 C) each."""
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape[-2:] != self.weights.shape:
            raise ValueError(
                f"weights: got shape {weights.shape}; allowed: (..., "
                f"{self.weights.shape[0]}, {self.weights.shape[1]})"
            )
        move = np.swapaxes(weights - self.weights, -1, -2)  # (..., C, d)
        slope = self.gradient + 0.5 * self._times_hessian(move)
        return self.loss + np.sum(move * slope, axis=(-2, -1))

    def gradient_at(self, weights):
        """Gradient (C, d) of E at weights (d, C)."""
        return self.gradient + self._times_hessian((weights - self.weights).T)

    def to_ising(self, scale):
        """E of 1-bit codes as an Ising model, for any of the package's samplers.

        Parameters
        ----------
        scale : (C,) array
            Weights are ``scale[c] * spin`` with spin +-1.

        Returns
        -------
        IsingModel
            Spin c d + j is the code of weight (j, c); `spins_to_codes` turns a state
            back. Dense for the full Hessian, else block-diagonal and sparse.

        Raises
        ------
        ValueError
            If the scale is not (C,), finite and > 0.
        """
        from scipy import sparse

        from qlib.annealing.ising import IsingModel

        d, classes = self.weights.shape
        scale = checked_scale(scale, classes)
        unit = np.repeat(scale, d)  # of each spin
        origin = np.zeros_like(self.weights)
        if self.is_full:
            couplings = unit[:, None] * self.hessian * unit
        else:
            blocks = self.hessian * scale[:, None, None] ** 2
            couplings = sparse.block_diag(blocks, format="csr")
        diagonal = couplings.diagonal().copy()
        if self.is_full:
            couplings[np.diag_indices_from(couplings)] = 0.0
        else:
            couplings = couplings - sparse.diags(diagonal)
            couplings.eliminate_zeros()
        return IsingModel(
            unit * self.gradient_at(origin).ravel(),
            couplings,
            float(self.energy(origin)) + 0.5 * diagonal.sum(),
        )

    def spins_to_codes(self, spins):
        """Codes (..., d, C) of states (..., C d) of the Ising model."""
        d, classes = self.weights.shape
        spins = np.asarray(spins)
        return np.swapaxes(spins.reshape(*spins.shape[:-1], classes, d), -1, -2)

    def _times_hessian(self, move):
        """H times moves (..., C, d)."""
        if self.is_full:
            flat = move.reshape(*move.shape[:-2], -1)
            return (flat @ self.hessian).reshape(move.shape)
        return np.einsum("cij,...cj->...ci", self.hessian, move, optimize=True)


def quadratic_surrogate(features, labels, weights, bias, *, l2=0.0, blocks="full"):
    """Loss, gradient and exact Hessian of a softmax head in its weights at one point.

    The Hessian's block of classes c, c' is
    ``X^T diag(p_c ([c = c'] - p_c')) X / n + [c = c'] l2``.

    Parameters
    ----------
    features : (n, d) array
        Finite.
    labels : (n,) integer array
        In 0..C-1.
    weights, bias : (d, C) and (C,) arrays
        The point, as a rule the optimum of `fit_softmax`.
    l2 : float
        Strength of l2/2 ||W||^2 in the loss.
    blocks : {"full", "class"}
        All pairs of weights, for d C <= 5200: 8 (d C)^2 bytes, O(n (d C)^2 / 2). Or
        only pairs within a class: 8 d^2 C bytes, O(n d^2 C); it neglects that raising
        one class's logit lowers the probability of the others.

    Returns
    -------
    QuadraticSurrogate

    Raises
    ------
    ValueError
        By name: data that do not fit, d C > 5200 with all blocks.
    """
    weights = finite_array("weights", weights, ("d", "C")).copy()
    d, classes = weights.shape
    bias = finite_array("bias", bias, (classes,)).copy()
    l2 = number_between("l2", l2, 0.0, np.inf)
    features, labels = check_samples(features, labels, classes)
    if features.shape[1] != d:
        raise ValueError(f"weights: got {d} rows; allowed: {features.shape[1]}")
    if blocks not in ("full", "class"):
        raise ValueError(f'blocks: got {blocks!r}; allowed: "full", "class"')
    if blocks == "full" and weights.size > LARGEST_FULL:
        raise ValueError(
            f'blocks: got "full" for d C = {weights.size}; allowed: "class", or '
            f"d C <= {LARGEST_FULL}"
        )
    point = np.concatenate([weights, bias[None]]).ravel()
    loss, gradient = loss_and_gradient(point, features, labels, classes, l2)
    return QuadraticSurrogate(
        weights=weights,
        bias=bias,
        loss=float(loss),
        gradient=gradient.reshape(d + 1, classes)[:d].T.copy(),
        hessian=_hessian(features, weights, bias, l2, blocks == "full"),
    )


def _hessian(features, weights, bias, l2, full):
    n, d = features.shape
    classes = bias.size
    p = probabilities(features @ weights + bias)  # (n, C)
    diagonal = np.empty((classes, d, d))
    for c in range(classes):
        weighted = features * (p[:, c] * (1 - p[:, c]) / n)[:, None]
        diagonal[c] = features.T @ weighted + l2 * np.eye(d)
        diagonal[c] = (diagonal[c] + diagonal[c].T) / 2
    if not full:
        return diagonal
    hessian = np.empty((classes, d, classes, d))
    for c in range(classes):
        hessian[c, :, c] = diagonal[c]
        weighted = features * (p[:, c] / n)[:, None]
        for other in range(c):
            block = -weighted.T @ (features * p[:, other, None])
            hessian[c, :, other] = block
            hessian[other, :, c] = block.T
    return hessian.reshape(classes * d, classes * d)


class SurrogateHead:
    """A surrogate's energy that follows single weights.

    A proposal costs O(1), as the gradient at the present weights is kept; accepting it
    costs O(d C) (full Hessian) or O(d) (blocks of a class).

    Parameters
    ----------
    surrogate : QuadraticSurrogate
    weights : (d, C) array
        Where to start.
    """

    def __init__(self, surrogate, weights):
        self._energy = float(surrogate.energy(weights))
        self._gradient = np.ascontiguousarray(surrogate.gradient_at(weights))
        self._rows = _hessian_rows(surrogate)
        self._weights = np.array(weights, dtype=np.float64)

    @property
    def energy(self):
        """E in nats a sample."""
        return self._energy

    @property
    def weights(self):
        """(d, C) array, a copy."""
        return self._weights.copy()

    def change(self, j, c, delta):
        """Change of E if W[j, c] moved by delta. O(1)."""
        check_move(self._weights.shape, j, c, delta)
        return _change(self._gradient, self._rows, j, c, float(delta))

    def apply(self, j, c, delta):
        """Move W[j, c] by delta and return the change of E."""
        change = self.change(j, c, delta)
        _apply(self._gradient, self._rows, j, c, float(delta))
        self._energy += change
        self._weights[j, c] += delta
        return change


def anneal_surrogate(
    surrogate, start, *, sweeps=1000, temperature_range=None, callback=None, rng=None
):
    """Codes of low surrogate energy by simulated annealing, O(1) a proposal.

    For codes of any bits; of 1 bit, `QuadraticSurrogate.to_ising` opens every sampler.

    Parameters
    ----------
    surrogate : QuadraticSurrogate
    start : QuantizedHead
        Codes to start from, and the scales, which stay.
    sweeps : int
        Each proposes a move of all d C weights once, in random order.
    temperature_range : (hot, cold) or None
        As `simulated_annealing_codes`.
    callback : callable or None
        ``callback(step, energy)`` after each sweep; `StopIteration` ends the search.
    rng : None, int or numpy.random.Generator

    Returns
    -------
    head : QuantizedHead
        The best codes met, with scale and bias of the start.
    energies : (sweeps,) array
        After each sweep.

    Raises
    ------
    TypeError, ValueError
        By name, as `simulated_annealing_codes`.
    """
    if not isinstance(start, QuantizedHead):
        raise TypeError(f"start: got {type(start)}; allowed: a QuantizedHead")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: got {callback!r}; allowed: None or a callable")
    sweeps, size = positive_integer("sweeps", sweeps), start.codes.size
    hot, cold = temperatures_between(temperature_range, size)
    grid, rng = levels(start.bits).astype(np.float64), np.random.default_rng(rng)
    places = np.searchsorted(grid, start.codes).astype(np.int8)
    best, energies = places.copy(), []
    energy = lowest = float(surrogate.energy(start.weights))
    gradient = np.ascontiguousarray(surrogate.gradient_at(start.weights))
    rows = _hessian_rows(surrogate)
    for step, temperature in enumerate(np.geomspace(hot, cold, sweeps), 1):
        energy, lowest = _surrogate_sweep(
            gradient,
            rows,
            places,
            best,
            (energy, lowest),
            grid,
            start.scale,
            temperature,
            rng.permutation(size),
            rng.random((2, size)),
        )
        energies.append(energy)
        try:
            if callback is not None:
                callback(step, energy)
        except StopIteration:
            break
    codes = grid[best].astype(np.int8)
    head = QuantizedHead(codes, start.scale, start.bias, start.bits)
    return head, np.array(energies)


def _hessian_rows(surrogate):
    """The Hessian as (C, d, K, d): row of weight (j, c), over K = C classes or 1."""
    d, classes = surrogate.weights.shape
    return surrogate.hessian.reshape(classes, d, -1, d)


@njit(cache=True, nogil=True)
def _change(gradient, rows, j, c, delta):
    curvature = rows[c, j, c if rows.shape[2] > 1 else 0, j]
    return delta * (gradient[c, j] + 0.5 * delta * curvature)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _apply(gradient, rows, j, c, delta):
    if rows.shape[2] == 1:
        gradient[c] += delta * rows[c, j, 0]
    else:
        gradient += delta * rows[c, j]


@njit(cache=True, nogil=True)
def _surrogate_sweep(
    gradient, rows, places, best, energies, grid, scale, temperature, order, draws
):
    """One Metropolis sweep; returns the energy and the lowest energy met."""
    energy, lowest = energies
    classes = places.shape[1]
    for k in range(order.size):
        j, c = order[k] // classes, order[k] % classes
        place = places[j, c]
        target = propose(place, grid.size, draws[0, k])
        delta = (grid[target] - grid[place]) * scale[c]
        change = _change(gradient, rows, j, c, delta)
        if change <= 0.0 or draws[1, k] < math.exp(-change / temperature):
            _apply(gradient, rows, j, c, delta)
            places[j, c] = target
            energy += change
            if energy < lowest:
                lowest = energy
                best[:] = places
    return energy, lowest
