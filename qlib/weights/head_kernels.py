"""Exact change of the mean cross-entropy when one weight of a softmax head moves.

With logits z = X W + b and probabilities p, moving weight (j, c) by delta changes
sample i's loss by ``log(1 + p_ic (exp(delta x_ij) - 1)) - delta x_ij [y_i = c]``. The
kernels keep what this needs for R replicas of a head over shared features:

- `exps` holds exp(z - shift), `sums` their sum over classes, `inverse` its reciprocal,
  so that p is one product; `logits` holds z, from which `exps` is recomputed whenever
  it changes: an underflow to zero does no lasting harm.
- A sum of logarithms is the logarithm of a product. Each factor lies between 1 and
  exp(delta x_ij), so the product over a block lies within exp(+-600) as long as the
  block's length times max |delta x_ij| is at most 600: one logarithm a block, and no
  overflow to look for. A typical move needs one logarithm for a few thousand samples.
- Moves of a logit by more than `WIDE_MOVE` leave this path: there
  ``1 + p (exp(delta x) - 1)`` may cancel, and such samples are summed over classes.

All arrays are float64. The bias is weight row d, over a feature row of ones.
"""

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

WIDE_MOVE = 8.0
"""Largest max |delta x| of the block path; cancellation there costs <= e^8 ulp."""

LOG2_E = 1.4426950408889634
_BLOCK_EXPONENT = 600.0  # a block's product stays within exp(+-600), double's is 709
_LANES = 64  # samples; blocks are multiples of it, so that SIMD loops have no rest
_SMALLEST_SUM, _LARGEST_EXP = 2.0**-6, 2.0**6  # outside, the sample's shift is renewed


class HeadArrays(NamedTuple):
    """State of R softmax heads over the same n samples, d features and C classes.

    Row d of `features`, `weights` and `label_sums` belongs to the bias.
    """

    features: np.ndarray  # (d + 1, n), x transposed, last row ones
    largest: np.ndarray  # (d + 1,), max_i |x_ij|
    label_sums: np.ndarray  # (d + 1, C), sum_i x_ij [y_i = c]
    labels: np.ndarray  # (n,) int64
    l2: np.ndarray  # (d + 1,), strength of l2/2 w^2 for each row; 0 for the bias
    weights: np.ndarray  # (R, d + 1, C)
    logits: np.ndarray  # (R, C, n)
    exps: np.ndarray  # (R, C, n), exp(logits - shift)
    shift: np.ndarray  # (R, n)
    sums: np.ndarray  # (R, n), exps summed over classes
    inverse: np.ndarray  # (R, n), 1 / sums
    loss: np.ndarray  # (R,), mean cross-entropy in nats, plus the l2 term


@intrinsic
def _bits_of(typing_context, number):
    """The 64 bits of a float64 as an int64."""

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), build


@intrinsic
def _float_of(typing_context, bits):
    """The float64 that has these 64 bits."""

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), build


@njit(cache=True, nogil=True, fastmath={"contract"})
def power_of_two(t):
    """2^t for |t| <= 1000 without a branch, so that loops over it become SIMD.

    Relative error <= 1e-15 (test): with t = k + r, k an integer and |r| <= 1/2, a
    polynomial of degree 10 in r interpolated at Chebyshev nodes (relative truncation
    3e-16), times 2^k put into the exponent's bits. The exponential of x is
    ``power_of_two(LOG2_E * x)``, with relative error 1e-15 + 3e-16 |x|, the second part
    from rounding the product.
    """
    rounded = t + 6755399441055744.0  # 1.5 * 2^52 leaves k in the low bits
    r = t - (rounded - 6755399441055744.0)
    p = 1.0208690299958306e-07 + r * 7.072585949269223e-09
    p = 1.321544258792169e-06 + r * p
    p = 1.5252657260200837e-05 + r * p
    p = 0.0001540353044173605 + r * p
    p = 0.0013333558230164974 + r * p
    p = 0.009618129107606888 + r * p
    p = 0.05550410866444772 + r * p
    p = 0.24022650695910097 + r * p
    p = 0.69314718055995 + r * p
    p = 1.0 + r * p
    return _float_of(_bits_of(p) + (_bits_of(rounded) << 52))


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _product(x, exps, inverse, delta):
    """prod_i (1 + p_i (exp(delta x_i) - 1)) over one block."""
    product, rate = 1.0, LOG2_E * delta
    for i in range(x.size):
        product *= 1.0 + exps[i] * inverse[i] * (power_of_two(rate * x[i]) - 1.0)
    return product


@njit(cache=True, nogil=True)
def _sum_of_logs(x, exps, inverse, delta, move):
    """sum_i log(1 + p_i (exp(delta x_i) - 1)), every |delta x_i| <= move <= 8."""
    n = x.size
    block = n
    if move * n > _BLOCK_EXPONENT:
        block = _LANES * int(_BLOCK_EXPONENT / (_LANES * move))
    total = 0.0
    for start in range(0, n, block):
        part = slice(start, min(start + block, n))
        total += math.log(_product(x[part], exps[part], inverse[part], delta))
    return total


@njit(cache=True, nogil=True)
def _wide_sum_of_logs(arrays, r, j, c, delta):
    """As `_sum_of_logs` for any delta; summed over classes where it would cancel."""
    x = arrays.features[j]
    total = 0.0
    for i in range(x.size):
        move = delta * x[i]
        ratio = 0.0
        if abs(move) <= 300.0:
            p = arrays.exps[r, c, i] * arrays.inverse[r, i]
            ratio = 1.0 + p * (math.exp(move) - 1.0)
        if ratio > 1e-3:
            total += math.log(ratio)
        else:
            before, after = _log_sum(arrays.logits[r, :, i], c, move)
            total += after - before
    return total


@njit(cache=True, nogil=True)
def _log_sum(logits, c, move):
    """log sum exp of one sample's logits, before and after class c moves."""
    moved = logits[c] + move
    top_before, top_after = logits.max(), moved
    for k in range(logits.size):
        if k != c:
            top_after = max(top_after, logits[k])
    before, after = 0.0, math.exp(moved - top_after)
    for k in range(logits.size):
        before += math.exp(logits[k] - top_before)
        if k != c:
            after += math.exp(logits[k] - top_after)
    return top_before + math.log(before), top_after + math.log(after)


@njit(cache=True, nogil=True)
def change(arrays, r, j, c, delta):
    """Change of replica r's loss if its weight (j, c) moved by delta. Cost O(n).

    Parameters
    ----------
    arrays : HeadArrays
    r, j, c : int
        Replica, feature (d for the bias) and class; not checked.
    delta : float

    Returns
    -------
    float
        Nats a sample, l2 term included; rounding <= 1e-12 for logits moved by <= 8.
    """
    move = abs(delta) * arrays.largest[j]
    if move <= WIDE_MOVE:
        logs = _sum_of_logs(
            arrays.features[j], arrays.exps[r, c], arrays.inverse[r], delta, move
        )
    else:
        logs = _wide_sum_of_logs(arrays, r, j, c, delta)
    penalty = arrays.l2[j] * delta * (arrays.weights[r, j, c] + 0.5 * delta)
    n = arrays.features.shape[1]
    return (logs - delta * arrays.label_sums[j, c]) / n + penalty


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "nnan"})
def _move_class(x, logits, exps, shift, sums, inverse, delta):
    """Move one class's logits; return smallest sum and largest exponential."""
    n = x.size  # three loops: LLVM compares few arrays for overlap before it gives up
    for i in range(n):
        logits[i] += delta * x[i]
    for i in range(n):
        power = LOG2_E * (logits[i] - shift[i])
        power = power if power > -1000.0 else -1000.0
        new = power_of_two(power if power < 1000.0 else 1000.0)
        sums[i] += new - exps[i]
        exps[i] = new
    smallest, largest = sums[0], exps[0]
    for i in range(n):
        inverse[i] = 1.0 / sums[i]
        smallest = sums[i] if sums[i] < smallest else smallest
        largest = exps[i] if exps[i] > largest else largest
    return smallest, largest


@njit(cache=True, nogil=True)
def apply(arrays, r, j, c, delta, change):
    """Move weight (j, c) of replica r by delta; `change` is what `change()` gave.

    Cost O(n), plus O(C) for each sample whose largest logit has fallen or risen by
    more than log 64 since its shift was last chosen.
    """
    exps, sums = arrays.exps[r, c], arrays.sums[r]
    smallest, largest = _move_class(
        arrays.features[j],
        arrays.logits[r, c],
        exps,
        arrays.shift[r],
        sums,
        arrays.inverse[r],
        delta,
    )
    if smallest < _SMALLEST_SUM or largest > _LARGEST_EXP:
        for i in range(sums.size):
            if sums[i] < _SMALLEST_SUM or exps[i] > _LARGEST_EXP:
                _renew_sample(arrays, r, i)
    arrays.weights[r, j, c] += delta
    arrays.loss[r] += change


@njit(cache=True, nogil=True)
def _renew_sample(arrays, r, i):
    """Shift sample i by its largest logit and recompute its exponentials."""
    top = arrays.logits[r, :, i].max()
    total = 0.0
    for c in range(arrays.logits.shape[1]):
        value = math.exp(arrays.logits[r, c, i] - top)
        arrays.exps[r, c, i] = value
        total += value
    arrays.shift[r, i] = top
    arrays.sums[r, i] = total
    arrays.inverse[r, i] = 1.0 / total


@njit(cache=True, nogil=True)
def renew(arrays, r):
    """Everything of replica r that follows from its logits and weights. O(n C)."""
    n = arrays.labels.size
    total = 0.0
    for i in range(n):
        _renew_sample(arrays, r, i)
        label_logit = arrays.logits[r, arrays.labels[i], i]
        total += math.log(arrays.sums[r, i]) + (arrays.shift[r, i] - label_logit)
    penalty = 0.0
    for j in range(arrays.weights.shape[1]):
        for c in range(arrays.weights.shape[2]):
            penalty += 0.5 * arrays.l2[j] * arrays.weights[r, j, c] ** 2
    arrays.loss[r] = total / n + penalty


def refresh(arrays, r):
    """Recompute logits, exponentials and loss of replica r from its weights. O(n d C).

    Running values drift by rounding alone: below 1e-9 in loss after 1e4 accepted moves.
    """
    np.matmul(arrays.weights[r].T, arrays.features, out=arrays.logits[r])
    renew(arrays, r)
