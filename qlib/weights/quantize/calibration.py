"""The calibration data on which codes are chosen, checked, and the loss on it."""

import numpy as np

from qlib.weights.arguments import check_samples, finite_array
from qlib.weights.quantize.codes import QuantizedHead


def calibration_data(features, labels, shape):
    """Features (n, d) float64 and labels (n,) int64 of a head of `shape` (d, C).

    Raises
    ------
    ValueError
        Naming `features` or `labels`, if one is not finite, is empty, does not fit the
        head or the other, or if a label is not an integer in 0 … C − 1.
    """
    features, labels = check_samples(features, labels, shape[1])
    if features.shape[1] != shape[0]:
        raise ValueError(
            f"features: got shape {features.shape}; allowed: (n, {shape[0]})"
        )
    return features, labels


def checked_head(head):
    """`head`, refused unless a `QuantizedHead`."""
    if not isinstance(head, QuantizedHead):
        raise TypeError(f"head: got {type(head).__name__}; allowed: a QuantizedHead")
    return head


def real_head(weights, bias):
    """Weights (d, C) and bias (C,) as float64, refused unless finite and fitting."""
    weights = finite_array("weights", weights, ("d", "C"))
    return weights, finite_array("bias", bias, weights.shape[1:])


def cross_entropy(logits, labels):
    """Mean cross-entropy in nats of logits (n, C) against labels (n,)."""
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1)
    chosen = logits[np.arange(labels.size), labels]
    return float(np.mean(np.log(total) + top - chosen))


def probabilities(logits):
    """Softmax (n, C) of logits (n, C)."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)
