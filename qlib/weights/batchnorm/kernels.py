"""Exact change of the mean cross-entropy when one channel's scale and shift move.

A channel enters one feature, f_c = mean over positions of relu(γ_c u + β_c + skip), and
a feature enters every logit through its row of the head. With δ_i the change of sample
i's feature, the loss changes by
(1/n) Σ_i [log Σ_k p_ik exp(δ_i W_ck) − δ_i W_c,y(i)].
The sum of logarithms is the logarithm of a product taken over blocks of samples so
short that it cannot leave exp(±600): each factor lies within exp(±max |δ| max |W_c|).
Arithmetic is in float64; the inputs may be float32.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from qlib.weights.head_kernels import LOG2_E, power_of_two

BLOCK_EXPONENT = 600.0  # a block's product stays within exp(±600); double's is 709


class GroupArrays(NamedTuple):
    """State of a group of c channels over n samples, P positions and C classes."""

    inputs: np.ndarray  # (c, P, n), normalised inputs u
    skip: np.ndarray  # (c, P, n), what the residual connection adds
    labels: np.ndarray  # (n,) int64
    weights: np.ndarray  # (c, C), the head's
    largest: np.ndarray  # (c,), max_k |W_ck|
    bias: np.ndarray  # (C,)
    gamma: np.ndarray  # (c,)
    beta: np.ndarray  # (c,)
    features: np.ndarray  # (c, n)
    logits: np.ndarray  # (C, n)
    exps: np.ndarray  # (C, n), exp(logits − the sample's largest logit)
    inverse: np.ndarray  # (n,), 1 / exps summed over classes
    loss: np.ndarray  # (1,), mean cross-entropy in nats
    moved: np.ndarray  # (n,), scratch: δ of the last proposal
    factors: np.ndarray  # (n,), scratch


@njit(cache=True, nogil=True, fastmath={"contract"})
def channel_feature(inputs, skip, gamma, beta, out):
    """Mean over positions of relu(γ u + β + skip) of one channel, into out (n,)."""
    positions, n = inputs.shape
    share = 1.0 / positions
    out[:] = 0.0
    for q in range(positions):
        for i in range(n):
            value = gamma * inputs[q, i] + beta + skip[q, i]
            out[i] += share * (value if value > 0.0 else 0.0)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _factors(exps, inverse, weights, moved, factors):
    """Σ_k p_ik exp(δ_i W_k), for |δ_i W_k| <= 300."""
    factors[:] = 0.0
    for k in range(exps.shape[0]):
        rate = LOG2_E * weights[k]
        row = exps[k]
        for i in range(moved.size):
            factors[i] += row[i] * power_of_two(rate * moved[i])
    for i in range(moved.size):
        factors[i] *= inverse[i]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _product(factors):
    product = 1.0
    for i in range(factors.size):
        product *= factors[i]
    return product


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "nnan"})
def _subtract(out, before):
    """out −= before; the largest absolute difference."""
    reach = 0.0
    for i in range(out.size):
        out[i] -= before[i]
        size = abs(out[i])
        reach = size if size > reach else reach
    return reach


@njit(cache=True, nogil=True)
def change(a, c, gamma, beta):
    """Change of the loss if channel c had this scale and shift. O(n (P + C)).

    Leaves δ in ``a.moved`` for `apply`.
    """
    channel_feature(a.inputs[c], a.skip[c], gamma, beta, a.moved)
    reach = _subtract(a.moved, a.features[c])
    n = a.labels.size
    row = a.weights[c]
    total = 0.0
    for i in range(n):
        total -= a.moved[i] * row[a.labels[i]]
    move = reach * a.largest[c]
    if move > 0.5 * BLOCK_EXPONENT:
        return (total + _wide_sum_of_logs(a, row)) / n
    _factors(a.exps, a.inverse, row, a.moved, a.factors)
    block = n
    if move * n > BLOCK_EXPONENT:
        block = int(BLOCK_EXPONENT / move)
    for start in range(0, n, block):
        total += math.log(_product(a.factors[start : start + block]))
    return total / n


@njit(cache=True, nogil=True)
def _wide_sum_of_logs(a, row):
    """Σ_i log Σ_k p_ik exp(δ_i W_k) for any δ, each sample about its own maximum."""
    total = 0.0
    for i in range(a.labels.size):
        top, old = -np.inf, -np.inf
        for k in range(row.size):
            top = max(top, a.logits[k, i] + a.moved[i] * row[k])
            old = max(old, a.logits[k, i])
        new = 0.0
        for k in range(row.size):
            new += math.exp(a.logits[k, i] + a.moved[i] * row[k] - top)
        total += top - old + math.log(new * a.inverse[i])
    return total


@njit(cache=True, nogil=True)
def apply(a, c, gamma, beta, difference):
    """Accept what `change` has just proposed and returned. O(n C)."""
    row = a.weights[c]
    for i in range(a.labels.size):
        a.features[c, i] += a.moved[i]
    for k in range(row.size):
        for i in range(a.labels.size):
            a.logits[k, i] += row[k] * a.moved[i]
    _renew_exps(a.logits, a.exps, a.inverse, a.factors)
    a.gamma[c], a.beta[c] = gamma, beta
    a.loss[0] += difference


@njit(cache=True, nogil=True, fastmath={"contract", "nnan", "nsz"})
def _renew_exps(logits, exps, inverse, top):
    """exps and inverse sums from logits; the largest logits go to `top` (n,)."""
    classes, n = logits.shape
    top[:] = logits[0]
    for k in range(1, classes):
        for i in range(n):
            top[i] = logits[k, i] if logits[k, i] > top[i] else top[i]
    inverse[:] = 0.0
    for k in range(classes):
        for i in range(n):
            power = LOG2_E * (logits[k, i] - top[i])
            value = power_of_two(power if power > -1000.0 else -1000.0)
            exps[k, i] = value
            inverse[i] += value
    for i in range(n):
        inverse[i] = 1.0 / inverse[i]


@njit(cache=True, nogil=True)
def refresh_features(a):
    """Features of every channel from its scale and shift. O(n c P)."""
    for c in range(a.gamma.size):
        channel_feature(a.inputs[c], a.skip[c], a.gamma[c], a.beta[c], a.features[c])


@njit(cache=True, nogil=True)
def refresh_loss(a):
    """Exponentials and loss from the logits. O(n C)."""
    _renew_exps(a.logits, a.exps, a.inverse, a.factors)
    total = 0.0
    for i in range(a.labels.size):
        total += a.factors[i] - a.logits[a.labels[i], i] - math.log(a.inverse[i])
    a.loss[0] = total / a.labels.size


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def channel_gradient(inputs, skip, gamma, beta, slope):
    """Σ_i slope_i ∂f_i/∂(γ, β) of one channel, slope (n,) = ∂loss/∂f."""
    positions, n = inputs.shape
    of_gamma, of_beta = 0.0, 0.0
    for q in range(positions):
        for i in range(n):
            value = gamma * inputs[q, i] + beta + skip[q, i]
            share = slope[i] if value > 0.0 else 0.0
            of_gamma += share * inputs[q, i]
            of_beta += share
    return of_gamma / positions, of_beta / positions


@njit(cache=True, nogil=True)
def group_gradient(a, slopes, of_gamma, of_beta):
    """`channel_gradient` of every channel; slopes (c, n)."""
    for c in range(a.gamma.size):
        of_gamma[c], of_beta[c] = channel_gradient(
            a.inputs[c], a.skip[c], a.gamma[c], a.beta[c], slopes[c]
        )
