"""Cross-entropy of a fixed head as a function of the last BatchNorm, kept exactly."""

import numpy as np

from qlib.weights.arguments import class_labels, finite_array
from qlib.weights.batchnorm import kernels

REFRESH_EVERY = 4096  # accepted moves; the drift until then is rounding, about 1e-12


class BatchNormGroup:
    """Mean cross-entropy in the scale and shift of the last residual block's BatchNorm.

    feature_ic = mean over positions of relu(γ_c u_icp + β_c + skip_icp), logits
    = features · W + b; u is normalised by running mean and variance, which stay fixed.
    A new scale and shift of one channel, `change`, costs O(n (P + C)) instead of the
    O(n c (P + C)) of a forward pass.

    Parameters
    ----------
    inputs : (n, c, P) array
        u: what BatchNorm multiplies by its scale. float32 is kept as it is (arithmetic
        is float64), all else becomes float64. Copied as (c, P, n).
    skip : (n, c, P) array
        What the residual connection adds before the ReLU.
    labels : (n,) integer array
        In 0..C−1.
    weights : (c, C) array
        Of the head; fixed.
    bias : (C,) array
        Of the head; fixed.
    gamma, beta : (c,) array
        Scale and shift at the start.

    Attributes
    ----------
    arrays : `qlib.weights.batchnorm.kernels.GroupArrays`
        What the kernels work on.

    Raises
    ------
    ValueError
        By name, for what is not finite or of another shape.
    """

    def __init__(self, inputs, skip, labels, weights, bias, gamma, beta):
        precision = np.float32 if _is_single(inputs, skip) else np.float64
        inputs = finite_array("inputs", inputs, ("n", "c", "P"), dtype=precision)
        n, channels, _ = inputs.shape
        skip = finite_array("skip", skip, inputs.shape, dtype=precision)
        weights = finite_array("weights", weights, (channels, "C"))
        classes = weights.shape[1]
        self.arrays = kernels.GroupArrays(
            inputs=np.ascontiguousarray(inputs.transpose(1, 2, 0)),
            skip=np.ascontiguousarray(skip.transpose(1, 2, 0)),
            labels=class_labels(labels, n, classes),
            weights=weights.copy(),
            largest=np.abs(weights).max(axis=1),
            bias=finite_array("bias", bias, (classes,)).copy(),
            gamma=np.empty(channels),
            beta=np.empty(channels),
            features=np.empty((channels, n)),
            logits=np.empty((classes, n)),
            exps=np.empty((classes, n)),
            inverse=np.empty(n),
            loss=np.empty(1),
            moved=np.empty(n),
            factors=np.empty(n),
        )
        self.set(gamma, beta)

    @property
    def channels(self):
        """Number of channels c."""
        return self.arrays.gamma.size

    @property
    def loss(self):
        """Mean cross-entropy in nats."""
        return float(self.arrays.loss[0])

    @property
    def gamma(self):
        """Scale (c,), a copy."""
        return self.arrays.gamma.copy()

    @property
    def beta(self):
        """Shift (c,), a copy."""
        return self.arrays.beta.copy()

    @property
    def features(self):
        """(n, c) array, a copy."""
        return self.arrays.features.T.copy()

    @property
    def logits(self):
        """(n, C) array, a copy."""
        return self.arrays.logits.T.copy()

    def set(self, gamma, beta):
        """Take these scales and shifts, (c,) each, and recompute. O(n c (P + C))."""
        gamma = finite_array("gamma", gamma, (self.channels,))
        beta = finite_array("beta", beta, (self.channels,))
        self.arrays.gamma[:], self.arrays.beta[:] = gamma, beta
        self.refresh()

    def change(self, c, gamma, beta):
        """Change of the loss if channel c had scale gamma and shift beta."""
        self._check_move(c, gamma, beta)
        return kernels.change(self.arrays, c, float(gamma), float(beta))

    def apply(self, c, gamma, beta):
        """Give channel c this scale and shift; the change of the loss."""
        difference = self.change(c, gamma, beta)
        kernels.apply(self.arrays, c, float(gamma), float(beta), difference)
        self._moves += 1
        if self._moves == REFRESH_EVERY:
            self.refresh()
        return difference

    def refresh(self):
        """Recompute all that is kept from scales and shifts. O(n c (P + C))."""
        a = self.arrays
        kernels.refresh_features(a)
        np.matmul(a.weights.T, a.features, out=a.logits)
        a.logits[:] += a.bias[:, None]
        kernels.refresh_loss(a)
        self._moves = 0

    def _check_move(self, c, gamma, beta):
        if not 0 <= c < self.channels:
            raise ValueError(f"c: got {c}; allowed: 0..{self.channels - 1}")
        for name, value in {"gamma": gamma, "beta": beta}.items():
            if not np.isfinite(value):
                raise ValueError(f"{name}: got {value}; allowed: a finite number")


def _is_single(*arrays):
    return all(getattr(array, "dtype", None) == np.float32 for array in arrays)
