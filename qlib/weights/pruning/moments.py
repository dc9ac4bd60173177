"""Mean and covariance of a layer's inputs: all that a linear layer's error needs."""

from typing import NamedTuple

import numpy as np

from qlib.weights.arguments import finite_array


class InputMoments(NamedTuple):
    """First two moments of the inputs of a linear layer, channel by channel.

    Attributes
    ----------
    mean : (c·b,) float64 array
        Inputs of channel 0 first, then those of channel 1, …
    covariance : (c·b, c·b) float64 array
        Symmetric, positive semidefinite; divided by the number of rows n, not n − 1.
    block : int
        Inputs b that a channel has: 1 for a feature of a head, height · width of the
        kernel for a channel of a convolution.
    """

    mean: np.ndarray
    covariance: np.ndarray
    block: int

    @property
    def channels(self):
        """Number of channels c."""
        return self.mean.size // self.block


def feature_moments(features):
    """Moments of the features that a head reads, one input a channel.

    Parameters
    ----------
    features : (n, d) array

    Returns
    -------
    InputMoments
        With block 1. O(n d²), in float64.
    """
    features = finite_array("features", features, ("n", "d"))
    mean = features.mean(axis=0)
    centred = features - mean
    return InputMoments(mean, centred.T @ centred / features.shape[0], 1)


def second_moment(moments):
    """Mean outer product of the inputs (not centred), (c·b, c·b)."""
    return moments.covariance + np.outer(moments.mean, moments.mean)
