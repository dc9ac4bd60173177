"""Simulated annealing of codes on the accuracy itself: the objective that overfits."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import njit

from qlib.arguments import positive_integer
from qlib.weights.arguments import falling_range
from qlib.weights.quantize.calibration import calibration_data, checked_head
from qlib.weights.quantize.codes import QuantizedHead, levels


class AccuracyAnneal(NamedTuple):
    """What `anneal_accuracy` found.

    Attributes
    ----------
    head : QuantizedHead
        The most accurate head visited.
    accuracy : (sweeps,) array
        Share of the samples classified correctly at the end of each sweep.
    """

    head: QuantizedHead
    accuracy: np.ndarray


def anneal_accuracy(
    head, features, labels, *, sweeps=100, temperature_range=(1e-3, 1e-5), rng=None
):
    """Maximise the share of correctly classified samples over codes, by Metropolis.

    The accuracy has no gradient, which is where annealing should shine; it is also what
    a finite sample tells least about. A proposal moves one code to a neighbouring
    level, at one bit to the other. A sample counts as correct if its label's logit
    exceeds every other.

    Parameters
    ----------
    head : QuantizedHead
        Where the walk starts; its scales and bias stay.
    features : (n, d) array
    labels : (n,) integer array
        Classes 0 … C − 1.
    sweeps : int
        Sweeps over all codes in random order, >= 1.
    temperature_range : (float, float)
        First and last temperature, in shares of the samples, first >= last > 0;
        geometric between. By default a walk first gives up a thousandth of the samples
        for a move, and in the end one in 10⁵, which few sets of samples resolve.
    rng : int, `numpy.random.Generator` or None

    Returns
    -------
    AccuracyAnneal

    Raises
    ------
    ValueError
        If data and head do not fit, or a temperature is not as above.

    Notes
    -----
    O(n) a proposal, O(n C) for one that is accepted; O(n d C) a sweep.
    """
    checked_head(head)
    features, labels = calibration_data(features, labels, head.codes.shape)
    sweeps = positive_integer("sweeps", sweeps)
    hot, cold = falling_range("temperature_range", temperature_range)
    rng = np.random.default_rng(rng)
    columns = np.ascontiguousarray(features.T)
    logits = np.ascontiguousarray((features @ head.weights + head.bias).T)
    state = _violations(logits, labels)
    step = int(levels(head.bits)[1]) - int(levels(head.bits)[0])
    codes, best = head.codes.copy(), head.codes.copy()
    correct = most = np.count_nonzero(state[0] == 0)
    history = np.empty(sweeps)
    for sweep, temperature in enumerate(np.geomspace(hot, cold, sweeps)):
        order = rng.permutation(codes.size)
        upward = rng.random(codes.size) < 0.5
        allowed = temperature * labels.size * rng.standard_exponential(codes.size)
        grid = int(levels(head.bits)[-1]), step
        walk = codes, head.scale, logits, *state
        correct, most = _sweep(
            columns, labels, *walk, best, correct, most, grid, order, upward, allowed
        )
        history[sweep] = correct / labels.size
    return AccuracyAnneal(replace(head, codes=best), history)


@njit(cache=True, nogil=True)
def _violations(logits, labels):
    """Rivals whose logit reaches the label's, (n,), and the largest rival's, (n,)."""
    classes, n = logits.shape
    count, rival = np.zeros(n, dtype=np.int64), np.full(n, -np.inf)
    for i in range(n):
        own = logits[labels[i], i]
        for c in range(classes):
            if c != labels[i]:
                count[i] += logits[c, i] >= own
                rival[i] = max(rival[i], logits[c, i])
    return count, rival


@njit(cache=True, nogil=True)
def _sweep(
    columns,
    labels,
    codes,
    scale,
    logits,
    count,
    rival,
    best,
    correct,
    most,
    grid,
    order,
    upward,
    allowed,
):
    """Offer every code one move; how many samples are correct, now and at the best."""
    top, step = grid
    classes = codes.shape[1]
    for k in range(order.size):
        j, c = order[k] // classes, order[k] % classes
        move = step if upward[k] else -step
        if 2 * top == step:  # two levels: the other one
            move = -2 * codes[j, c]
        if abs(codes[j, c] + move) > top:
            continue
        delta = move * scale[c]
        gain = _gain(columns[j], labels, logits[c], logits, count, rival, c, delta)
        if -gain > allowed[k]:
            continue
        codes[j, c] += move
        _move(columns[j], labels, logits, count, rival, c, delta)
        correct += gain
        if correct > most:
            most = correct
            best[:] = codes
    return correct, most


@njit(cache=True, nogil=True)
def _gain(x, labels, moved, logits, count, rival, c, delta):
    """Samples that become correct minus those that cease to be, if class c moves."""
    gain = 0
    for i in range(x.size):
        logit = moved[i] + delta * x[i]
        if labels[i] == c:
            after = logit > rival[i]
        else:
            own = logits[labels[i], i]
            after = count[i] - (moved[i] >= own) + (logit >= own) == 0
        gain += int(after) - int(count[i] == 0)
    return gain


@njit(cache=True, nogil=True)
def _move(x, labels, logits, count, rival, c, delta):
    """Move class c's logits and recount what they decide."""
    classes = logits.shape[0]
    for i in range(x.size):
        logits[c, i] += delta * x[i]
        own = logits[labels[i], i]
        count[i], rival[i] = 0, -np.inf
        for k in range(classes):
            if k != labels[i]:
                count[i] += logits[k, i] >= own
                rival[i] = max(rival[i], logits[k, i])
