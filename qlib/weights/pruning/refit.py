"""New weights for the channels that are kept: least squares on outputs, or softmax."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from qlib.arguments import number_between
from qlib.weights.arguments import finite_array, kept_mask
from qlib.weights.convex import fit_softmax

RIDGE = 1e-9  # of the mean variance: far above rounding, far below any error here


class Refit(NamedTuple):
    """A linear layer after pruning.

    Attributes
    ----------
    weights : (c·b, outputs) array
        Rows of removed channels are zero.
    bias : (outputs,) array
        What is added to the layer's bias.
    """

    weights: np.ndarray
    bias: np.ndarray


def prune_weights(moments, weights, kept, *, refit_bias=True):
    """The layer with channels removed and nothing refitted but the bias.

    Parameters
    ----------
    moments : InputMoments
        c channels of b inputs.
    weights : (c·b, outputs) array
    kept : (c,) bool array
    refit_bias : bool
        Whether the mean of the removed part is added to the bias.

    Returns
    -------
    Refit
    """
    weights, rows = _layer(moments, weights, kept)
    pruned = np.where(rows[:, None], weights, 0.0)
    share = float(refit_bias)
    return Refit(pruned, share * (moments.mean @ (weights - pruned)))


def least_squares_refit(moments, weights, kept, *, ridge=RIDGE):
    """Weights of the kept channels that best reproduce the layer's outputs.

    Minimises the mean squared output error over the kept weights and the bias, by the
    normal equations from the moments alone. For a convolution this is the
    reconstruction step of He et al. (2017).

    Parameters
    ----------
    moments : InputMoments
        c channels of b inputs.
    weights : (c·b, outputs) array
        Of the unpruned layer.
    kept : (c,) bool array
    ridge : float
        Penalty on the squared *change* of the kept weights, in units of the mean
        variance of an input, > 0. It makes the answer unique where kept channels are
        duplicates. As no change is among the candidates, the error is never above that
        of `prune_weights`.

    Returns
    -------
    Refit

    Notes
    -----
    O((k b)³ + (c b)² outputs) for k kept channels.

    References
    ----------
    Y. He, X. Zhang, J. Sun, Channel pruning for accelerating very deep neural networks,
    ICCV 2017.
    """
    number_between("ridge", ridge, 0.0, np.inf, open_low=True)
    weights, rows = _layer(moments, weights, kept)
    refitted = np.where(rows[:, None], weights, 0.0)
    if rows.any():
        covariance = ridged(moments.covariance, ridge)[np.ix_(rows, rows)]
        missing = moments.covariance[np.ix_(rows, ~rows)] @ weights[~rows]
        refitted[rows] += cho_solve(cho_factor(covariance, lower=True), missing)
    return Refit(refitted, moments.mean @ (weights - refitted))


def softmax_refit(features, labels, kept, *, start=None, **settings):
    """Head of least cross-entropy on the kept features: the convex optimum.

    Parameters
    ----------
    features : (n, d) array
        All features.
    labels : (n,) integer array
    kept : (d,) bool array
    start : (weights (d, C), bias (C,)) or None
        Warm start, such as the unpruned head; rows of removed features do not count.
    **settings
        `classes`, `l2`, `tolerance` and `maxiter` of `qlib.weights.convex.fit_softmax`.

    Returns
    -------
    SoftmaxFit
        Weights (d, C) with zero rows for removed features.

    Notes
    -----
    O(n d C) an evaluation of the loss.
    """
    features = finite_array("features", features, ("n", "d"))
    kept = kept_mask(kept, features.shape[1])
    columns = features * kept  # a feature that is zero leaves its weights at the start
    if start is not None:
        start = np.where(kept[:, None], start[0], 0.0), start[1]
    fit = fit_softmax(columns, labels, start=start, **settings)
    return replace(fit, weights=np.where(kept[:, None], fit.weights, 0.0))


def output_error(moments, weights, refit):
    """Mean squared change of the layer's outputs, summed over outputs.

    Parameters
    ----------
    moments : InputMoments
    weights : (c·b, outputs) array
        Of the unpruned layer.
    refit : Refit
        The layer after pruning.

    Returns
    -------
    float
        In squared outputs, >= 0 up to rounding.
    """
    change = finite_array("weights", weights, refit.weights.shape) - refit.weights
    offset = moments.mean @ change - refit.bias
    spread = np.einsum("io,io->", change, moments.covariance @ change)
    return float(spread + offset @ offset)


def output_power(moments, weights):
    """Variance of the outputs, summed over outputs: the error of keeping no channel."""
    weights = finite_array("weights", weights, (moments.mean.size, "outputs"))
    return float(np.einsum("io,io->", weights, moments.covariance @ weights))


def ridged(covariance, ridge):
    """The covariance plus `ridge` times its mean diagonal element on the diagonal."""
    size = covariance.shape[0]
    scale = max(np.trace(covariance) / size, np.finfo(np.float64).tiny / ridge)
    return covariance + ridge * scale * np.eye(size)


def _layer(moments, weights, kept):
    weights = finite_array("weights", weights, (moments.mean.size, "outputs"))
    return weights, np.repeat(kept_mask(kept, moments.channels), moments.block)
