"""Codes of the last BatchNorm by every method, with real scales and shifts beside."""

from typing import NamedTuple

import numpy as np

from qlib.weights import batchnorm, probes
from qlib.weights.convex import fit_softmax
from qlib.weights.trials.studies import TOLERANCE, standardise

TEMPERATURES = tuple((hot, hot / 100) for hot in (3e-5, 1e-4, 3e-4))
RATES = (0.3, 1.0, 3.0)


class Block(NamedTuple):
    """The last residual block of a network before its BatchNorm acts.

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


def blocks(net, rows, test):
    """The training and test `Block` of a `trials.network.Backbone`."""
    images = net.images
    pairs = (
        (images.train_x[rows], images.train_y[rows]),
        (images.test_x[test], images.test_y[test]),
    )
    return [
        Block(*probes.last_block_preactivations(net.model, some, size=net.size), labels)
        for some, labels in pairs
    ]


def best_head(net, rows, l2):
    """Weights and bias of least loss on raw features of some training images."""
    standard = standardise(net.features[rows])
    inputs, labels = standard.features(net.features[rows]), net.images.train_y[rows]
    fit = fit_softmax(inputs, labels, l2=l2, tolerance=TOLERANCE)
    return standard.head(fit.weights, fit.bias)


def tuned(net, rows, *, l2, bits, sweeps, steps, rng):
    """Temperatures of annealing and rate of straight-through with the lowest loss.

    Parameters
    ----------
    rows : (n,) array
        Training images that no comparison uses.
    net, l2, bits, sweeps, steps, rng
        As for `compare_codes`.
    """
    gamma, beta = probes.batchnorm_parameters(net.model)
    block, _ = blocks(net, rows, [0])
    group = block.group(best_head(net, rows, l2), gamma, beta)
    start = batchnorm.nearest(gamma, beta, bits)
    heat = [
        _loss(
            group,
            batchnorm.anneal(
                group, start, sweeps=sweeps, temperature_range=one, rng=rng
            ),
        )
        for one in TEMPERATURES
    ]
    rate = [
        _loss(
            group,
            batchnorm.straight_through(group, start, steps=steps, learning_rate=one),
        )
        for one in RATES
    ]
    return dict(
        temperatures=TEMPERATURES[int(np.argmin(heat))],
        learning_rate=RATES[int(np.argmin(rate))],
    )


def compare_codes(
    net, rows, test, *, l2, bits, sweeps, steps, temperatures, learning_rate, rng
):
    """Loss and test accuracy by method; all codes start from the rounded network.

    Parameters
    ----------
    net : `trials.network.Backbone`
    rows, test : (n,) and (m,) arrays
        Training and test images. The head is the optimum on the former, and fixed.
    l2 : float
        Penalty of that head.
    bits : float
        Of each code; levels are spread evenly over the trained values.
    sweeps : int
        Of annealing; two proposals a channel each.
    steps : int
        Of the gradient methods.
    temperatures, learning_rate
        As `tuned` returns them.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to (loss in nats a sample, test accuracy). "unchanged" and "L-BFGS" have
        real scales and shifts, the others codes.
    """
    gamma, beta = probes.batchnorm_parameters(net.model)
    block, shown = blocks(net, rows, test)
    head = best_head(net, rows, l2)
    group = block.group(head, gamma, beta)
    start = batchnorm.nearest(gamma, beta, bits)
    found = {
        "rounding": start,
        "coordinate descent": batchnorm.coordinate_descent(group, start),
        "straight-through": batchnorm.straight_through(
            group, start, steps=steps, learning_rate=learning_rate
        ),
        "SA": batchnorm.anneal(
            group, start, sweeps=sweeps, temperature_range=temperatures, rng=rng
        ),
    }
    values = {name: (codes.gamma, codes.beta) for name, codes in found.items()}
    values["L-BFGS"] = batchnorm.gradient_descent(group, gamma, beta, iterations=steps)
    values["unchanged"] = gamma, beta
    return {
        name: (_at(group, *pair), _accuracy(shown, head, *pair))
        for name, pair in values.items()
    }


def _loss(group, codes):
    return _at(group, codes.gamma, codes.beta)


def _at(group, gamma, beta):
    group.set(gamma, beta)
    return group.loss


def _accuracy(block, head, gamma, beta):
    logits = block.group(head, gamma, beta).logits
    return float(np.mean(logits.argmax(axis=1) == block.labels))
