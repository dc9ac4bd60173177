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


class Standard(NamedTuple):
    """An affine map of features to mean 0 and variance 1, and of heads back."""

    mean: np.ndarray  # (d,)
    deviation: np.ndarray  # (d,); 1 where a feature is constant

    def features(self, raw):
        """Standardised features (n, d), float64."""
        return (np.asarray(raw, dtype=np.float64) - self.mean) / self.deviation

    def head(self, weights, bias):
        """Weights (d, C) and bias (C,) that do on raw features what these do here."""
        weights = weights / self.deviation[:, None]
        return weights, bias - self.mean @ weights


def standardise(features):
    """The `Standard` of training features (n, d); O(n d).

    A network's features are positive and correlated through their means: without this,
    gradient methods need ten times the steps and a code's scale fits few features.
    """
    features = np.asarray(features, dtype=np.float64)
    deviation = features.std(axis=0)
    return Standard(features.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


def draw_studies(train, test, *, size, repeats, l2, rng):
    """Draw training samples without replacement, once for every repeat.

    Parameters
    ----------
    train, test : (features, labels) pairs
        Features (n, d), best standardised by `standardise`.
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
    features, labels = train
    if not 1 <= size <= labels.size:
        raise ValueError(f"size: got {size}; allowed: 1 to {labels.size}")
    studies = []
    for _ in range(repeats):
        drawn = rng.permutation(labels.size)[:size]
        chosen = features[drawn], labels[drawn]
        optimum = fit_softmax(*chosen, classes=labels.max() + 1, l2=l2)
        studies.append(Study(*chosen, *test, l2, optimum))
    return studies
