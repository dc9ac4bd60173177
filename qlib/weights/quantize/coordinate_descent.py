"""Coordinate descent on the loss itself: every code to its best level, in turn."""

from dataclasses import replace

import numpy as np
from numba import njit

from qlib.arguments import number_between, positive_integer
from qlib.weights import head_kernels
from qlib.weights.head import head_arrays
from qlib.weights.quantize.calibration import calibration_data, checked_head
from qlib.weights.quantize.codes import levels
from qlib.weights.quantize.refit import refit_products

LEAST_GAIN = 1e-11
"""Nats a sample that a move must gain: ten times what the kernels may err by."""


def coordinate_descent(
    head, features, labels, *, sweeps=100, refit=True, l2=0.0, rng=None
):
    """The head from which no single change of a code lowers the calibration loss.

    A sweep visits every weight in random order and moves its code to the level of
    least loss, the others fixed. The loss is convex along a coordinate, so walking
    level by level for as long as the loss falls finds the best of all levels. With
    `refit`, scale and bias take their optimum before every sweep. The loss never
    rises; the descent ends after a sweep that moves nothing.

    Parameters
    ----------
    head : QuantizedHead
        Where the descent starts.
    features : (n, d) array
    labels : (n,) integer array
        Classes 0 … C − 1.
    sweeps : int
        Most sweeps, >= 1. Default several times the 10 to 30 that heads of this
        package take to come to rest.
    refit : bool
        Whether scale and bias follow the codes.
    l2 : float
        Strength >= 0 of the penalty l2/2 ‖W‖² in the loss; 0 as in `SoftmaxHead`.
    rng : int, `numpy.random.Generator` or None
        Source of the orders.

    Returns
    -------
    QuantizedHead
        The local optimum, or the state after `sweeps`.

    Notes
    -----
    O(n) a level tried, at least two a weight: O(n d C) a sweep, and O(n C) an
    iteration of the refit. Discrete coordinate descent as in F. Shen, C. Shen, W. Liu,
    H. T. Shen, Supervised Discrete Hashing, CVPR 2015, there on a squared loss.
    """
    checked_head(head)
    features, labels = calibration_data(features, labels, head.codes.shape)
    sweeps = positive_integer("sweeps", sweeps)
    l2 = number_between("l2", l2, 0.0, np.inf)
    rng = np.random.default_rng(rng)
    for _ in range(sweeps):
        if refit:
            products = features @ head.codes.astype(np.float64)
            head = refit_products(head, products, labels, l2=l2)
        arrays = head_arrays(features, labels, [head.weights], [head.bias], l2=l2)
        codes = head.codes.copy()
        order = rng.permutation(codes.size)
        step = int(levels(head.bits)[1]) - int(levels(head.bits)[0])
        moved = _sweep(arrays, codes, head.scale, levels(head.bits)[-1], step, order)
        head = replace(head, codes=codes)
        if moved == 0:
            break
    return head


@njit(cache=True, nogil=True)
def _sweep(arrays, codes, scale, top, step, order):
    """Move every code once to its best level; the number of codes moved."""
    moved = 0
    classes = codes.shape[1]
    for place in order:
        j, c = place // classes, place % classes
        code, gain = _best_level(arrays, codes[j, c], j, c, scale[c], top, step)
        if code != codes[j, c]:
            delta = (code - codes[j, c]) * scale[c]
            head_kernels.apply(arrays, 0, j, c, delta, gain)
            codes[j, c] = code
            moved += 1
    return moved


@njit(cache=True, nogil=True)
def _best_level(arrays, start, j, c, scale, top, step):
    """Level of least loss along one coordinate, and the change of loss it brings."""
    best, least = start, -LEAST_GAIN
    for direction in (-step, step):
        code = start + direction
        while abs(code) <= top:
            change = head_kernels.change(arrays, 0, j, c, (code - start) * scale)
            if change >= least:
                break
            best, least = code, change
            code += direction
        if best != start:
            break
    return best, least
