"""Convex optimum of a softmax head: the reference line of every search over weights."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from qlib.arguments import number_between, positive_integer
from qlib.weights.arguments import check_samples, classes_of, head_start


@dataclass(frozen=True, eq=False)
class SoftmaxFit:
    """A minimum of the regularised cross-entropy.

    Attributes
    ----------
    weights : (d, C) array
    bias : (C,) array
        Of mean zero: a constant added to all of it changes nothing.
    loss : float
        Mean cross-entropy plus l2/2 ||W||^2, in nats a sample.
    gradient_norm : float
        Largest entry of the loss's gradient in absolute value.
    evaluations : int
        Of loss and gradient, O(n d C) each.
    converged : bool
        Whether `gradient_norm` is within `tolerance`.
    """

    weights: np.ndarray
    bias: np.ndarray
    loss: float
    gradient_norm: float
    evaluations: int
    converged: bool


def fit_softmax(
    features,
    labels,
    *,
    classes=None,
    l2=1e-4,
    start=None,
    tolerance=1e-7,
    maxiter=5000,
):
    """Weights and bias of least mean cross-entropy plus l2/2 ||W||^2, by L-BFGS.

    The problem is convex: every start leads to the same loss, and for l2 > 0 to the
    same weights. Cost O(n d C) an evaluation; float64.

    Parameters
    ----------
    features : (n, d) array
        Finite.
    labels : (n,) integer array
        In 0..C-1.
    classes : int or None
        C >= 2; None is that of the start, else one more than the largest label.
    l2 : float
        Strength >= 0 of the penalty on the weights, not the bias. The default of 1e-4
        is a common weight decay. With 0 and separable classes the loss has no minimum.
    start : (weights (d, C), bias (C,)) or None
        Warm start; None is zero.
    tolerance : float
        Ends when no entry of the gradient is larger. With features of order one 1e-7
        leaves the loss right to about 1e-10.
    maxiter : int
        Iterations of L-BFGS at most.

    Returns
    -------
    SoftmaxFit

    Raises
    ------
    ValueError
        By name: features not finite, labels out of range, a start of another shape.

    References
    ----------
    D. C. Liu, J. Nocedal, Math. Program. 45, 503 (1989).
    """
    if classes is None and start is not None:
        classes = len(start[1])
    elif classes is None:
        classes = max(classes_of(labels), 2)
    features, labels = check_samples(features, labels, classes)
    if classes < 2:
        raise ValueError(f"classes: got {classes}; allowed: an integer >= 2")
    l2 = number_between("l2", l2, 0.0, np.inf)
    tolerance = number_between("tolerance", tolerance, 0.0, np.inf, open_low=True)
    d = features.shape[1]
    point = np.zeros((d + 1, classes))
    if start is not None:
        point[:d], point[d] = head_start(start, d, classes)
    end = minimize(
        loss_and_gradient,
        point.ravel(),
        args=(features, labels, classes, l2),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": positive_integer("maxiter", maxiter),
            "maxfun": 2 * maxiter,
            "maxcor": 20,
            "gtol": tolerance,
            "ftol": 0.0,
        },
    )
    point = end.x.reshape(d + 1, classes)
    loss, gradient = loss_and_gradient(end.x, features, labels, classes, l2)
    norm = float(np.abs(gradient).max())
    return SoftmaxFit(
        weights=point[:d].copy(),
        bias=point[d] - point[d].mean(),
        loss=float(loss),
        gradient_norm=norm,
        evaluations=int(end.nfev) + 1,
        converged=norm <= tolerance,
    )


def loss_and_gradient(point, features, labels, classes, l2):
    """Loss, and its gradient by weights and bias as one vector."""
    n, d = features.shape
    point = point.reshape(d + 1, classes)
    weights, bias = point[:d], point[d]
    logits = features @ weights + bias  # (n, C)
    log_sums = logsumexp(logits, axis=1)
    rows = np.arange(n)
    loss = np.mean(log_sums - logits[rows, labels]) + l2 / 2 * np.sum(weights**2)
    errors = np.exp(logits - log_sums[:, None])  # (n, C), p - y
    errors[rows, labels] -= 1.0
    errors /= n
    gradient = np.empty_like(point)
    gradient[:d] = features.T @ errors + l2 * weights
    gradient[d] = errors.sum(axis=0)
    return loss, gradient.ravel()
