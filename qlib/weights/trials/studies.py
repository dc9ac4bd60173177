"""Samples on which heads are trained and tested, drawn several times."""

from typing import NamedTuple

import numpy as np

from qlib.weights.convex import SoftmaxFit, fit_softmax
from qlib.weights.quantize.calibration import cross_entropy


class Study(NamedTuple):
    """One draw of training samples with its convex optimum.

    Attributes
    ----------
    features, labels : (n, d) and (n,) arrays
        Training samples; every search over weights sees these and no others.
    test_features, test_labels : (m, d) and (m,) arrays
    l2 : float
        Strength of l2/2 ‖W‖² in the loss of every method.
    optimum : SoftmaxFit
        The head of least loss among real weights.
    """

    features: np.ndarray
    labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray
    l2: float
    optimum: SoftmaxFit

    def loss(self, weights, bias):
        """Training cross-entropy plus the penalty, nats a sample."""
        logits = self.features @ weights + bias
        return cross_entropy(logits, self.labels) + self.l2 / 2 * np.sum(weights**2)

    def accuracy(self, weights, bias):
        """Share of the test samples classified correctly."""
        chosen = np.argmax(self.test_features @ weights + bias, axis=1)
        return float(np.mean(chosen == self.test_labels))

    def training_accuracy(self, weights, bias):
        """Share of the training samples classified correctly."""
        chosen = np.argmax(self.features @ weights + bias, axis=1)
        return float(np.mean(chosen == self.labels))


def draw_studies(train, test, *, size, repeats, l2, rng):
    """Draw training samples without replacement, once for every repeat.

    Parameters
    ----------
    train, test : (features, labels) pairs
        Features (n, d) are divided by the root of the mean square of all training
        features, so that settings mean the same for every kind of data.
    size : int
        Training samples a study, at most n.
    repeats : int
    l2 : float
        See `Study`.
    rng : `numpy.random.Generator`

    Returns
    -------
    list of Study
    """
    features, labels = np.asarray(train[0], dtype=np.float64), train[1]
    if not 1 <= size <= labels.size:
        raise ValueError(f"size: got {size}; allowed: 1 to {labels.size}")
    unit = np.sqrt(np.mean(features**2))
    features, test_features = features / unit, np.asarray(test[0], np.float64) / unit
    studies = []
    for _ in range(repeats):
        drawn = rng.permutation(labels.size)[:size]
        chosen = features[drawn], labels[drawn]
        optimum = fit_softmax(*chosen, classes=labels.max() + 1, l2=l2)
        studies.append(Study(*chosen, test_features, test[1], l2, optimum))
    return studies
