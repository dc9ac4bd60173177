"""The best bias, and scales, for codes that stay as they are: a convex problem."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from qlib.arguments import number_between, positive_integer
from qlib.weights.quantize.calibration import (
    calibration_data,
    checked_head,
    cross_entropy,
    probabilities,
)
from qlib.weights.quantize.codes import SMALLEST_SCALE


def refit(head, features, labels, *, scale=True, l2=0.0, iterations=500):
    """The head with the bias, and scales, of least cross-entropy on calibration data.

    With the codes fixed, the logits ``(features @ codes) * scale + bias`` are linear in
    scale and bias, so the loss is convex in them. Every method's codes are refitted
    alike before they are compared. The mean of the bias, on which the loss does not
    depend, stays.

    Parameters
    ----------
    head : QuantizedHead
    features : (n, d) array
    labels : (n,) integer array
        Classes 0 … C − 1.
    scale : bool
        Whether the scales are refitted too, kept >= 1e-12. Costs no bits, hence the
        default.
    l2 : float
        Strength >= 0 of the penalty l2/2 ‖W‖² in the loss. With the default of 0, as in
        `SoftmaxHead`, the loss falls for ever as the scales grow where the codes
        separate the classes; there `iterations` end the search.
    iterations : int
        Most iterations of L-BFGS, >= 1. The default is ten times what the heads of this
        package need.

    Returns
    -------
    QuantizedHead
        Never of a higher loss than `head`.

    Notes
    -----
    O(n d C) once, then O(n C) an iteration. L-BFGS-B of R. H. Byrd, P. Lu, J. Nocedal,
    C. Zhu, SIAM J. Sci. Comput. 16, 1190 (1995), in a unit in which every class's
    ``features @ codes`` has mean square one.
    """
    checked_head(head)
    features, labels = calibration_data(features, labels, head.codes.shape)
    return refit_products(
        head,
        features @ head.codes.astype(np.float64),
        labels,
        scale=scale,
        l2=number_between("l2", l2, 0.0, np.inf),
        iterations=positive_integer("iterations", iterations),
    )


def refit_products(head, products, labels, *, scale=True, l2=0.0, iterations=500):
    """`refit` for checked labels and ``products = features @ codes`` (n, C)."""
    samples, classes = products.shape
    unit = np.sqrt(np.mean(products**2, axis=0))
    unit = np.where(unit > 0, unit, 1.0)
    inputs = products / unit  # (n, C)
    stiffness = l2 * np.sum(head.codes.astype(np.float64) ** 2, axis=0) / unit**2
    start = np.concatenate([head.bias, head.scale * unit])

    def loss_and_gradient(parameters):
        bias, gain = parameters[:classes], start[classes:]
        if scale:
            gain = parameters[classes:]
        logits = inputs * gain + bias
        slope = probabilities(logits)
        slope[np.arange(samples), labels] -= 1
        slope /= samples
        gradient = slope.sum(axis=0)
        if scale:
            of_gain = np.sum(slope * inputs, axis=0) + stiffness * gain
            gradient = np.concatenate([gradient, of_gain])
        penalty = 0.5 * np.sum(stiffness * gain**2)
        return cross_entropy(logits, labels) + penalty, gradient

    free = start if scale else start[:classes]
    bounds = [(None, None)] * classes
    if scale:
        bounds += [(low, None) for low in SMALLEST_SCALE * unit]
    found = minimize(
        loss_and_gradient,
        free,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "ftol": 0.0, "gtol": 1e-9, "maxcor": 20},
    )
    if not found.fun < loss_and_gradient(free)[0]:
        return head
    fitted = found.x[classes:] / unit if scale else head.scale
    return replace(
        head, bias=found.x[:classes], scale=np.maximum(fitted, SMALLEST_SCALE)
    )
