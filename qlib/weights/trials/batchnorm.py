"""Codes of the last BatchNorm by every method, with real scales and shifts beside."""

from typing import NamedTuple

import numpy as np

from qlib.weights import batchnorm


class Block(NamedTuple):
    """The last residual block of a network before its BatchNorm acts, and its head.

    Attributes
    ----------
    inputs, skip : (n, c, P) arrays
        What is scaled and shifted, and what the skip connection adds.
    labels : (n,) array
    """

    inputs: np.ndarray
    skip: np.ndarray
    labels: np.ndarray

    def group(self, head, gamma, beta):
        """The `BatchNormGroup` of this block under a head (weights, bias)."""
        return batchnorm.BatchNormGroup(*self, *head, gamma, beta)

    def take(self, rows):
        """Some of the samples."""
        return Block(*(part[rows] for part in self))


def compare_codes(block, test, head, gamma, beta, *, bits, sweeps, steps, rng):
    """Loss on a block and accuracy on a test block, by method.

    Parameters
    ----------
    block, test : Block
    head : (weights (c, C), bias (C,))
        Fixed.
    gamma, beta : (c,) arrays
        Of the trained network.
    bits : float
        Of each code.
    sweeps : int
        Of annealing; two proposals a channel each.
    steps : int
        Of the gradient methods.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to (loss in nats a sample, test accuracy). "unchanged" and "L-BFGS" have
        real scales and shifts, the others codes.
    """
    group = block.group(head, gamma, beta)
    found = {"unchanged": (gamma, beta)}
    found["L-BFGS"] = batchnorm.gradient_descent(group, gamma, beta, iterations=steps)
    start = batchnorm.nearest(*found["L-BFGS"], bits)
    searches = {
        "rounding": lambda: start,
        "coordinate descent": lambda: batchnorm.coordinate_descent(group, start),
        "straight-through": lambda: batchnorm.straight_through(
            group, start, steps=steps
        ),
        "SA": lambda: batchnorm.anneal(group, start, sweeps=sweeps, rng=rng),
    }
    for name, search in searches.items():
        codes = search()
        found[name] = codes.gamma, codes.beta
    return {name: _outcome(group, test, head, *pair) for name, pair in found.items()}


def _outcome(group, test, head, gamma, beta):
    group.set(gamma, beta)
    logits = test.group(head, gamma, beta).logits
    return group.loss, float(np.mean(logits.argmax(axis=1) == test.labels))
