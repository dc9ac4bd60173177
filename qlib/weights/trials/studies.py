"""Samples on which heads are trained and tested, drawn several times."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qlib.data import stratified_subset
from qlib.weights.convex import SoftmaxFit, fit_softmax
from qlib.weights.quantize.calibration import cross_entropy

TOLERANCE = 1e-6
"""Largest slope left at the optimum: its loss is then right to 1e-9 nats or so."""


@dataclass(frozen=True, eq=False)
class Study:
    """One draw of training samples with its convex optimum.

    Attributes
    ----------
    rows : (n,) array
        Which of the training samples were drawn.
    features, labels : (n, d) and (n,) arrays
        Training samples; every search over weights sees these and no others.
    test_features, test_labels : (m, d) and (m,) arrays
    l2 : float
        Strength of l2/2 ‖W‖² in the loss of every method.
    optimum : SoftmaxFit
        The head of least loss among real weights.
    """

    rows: np.ndarray
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
    """Features of mean 0 and variance 1 from raw ones, and raw heads from theirs.

    Attributes
    ----------
    columns : (k,) array
        Raw features that are used.
    mean, deviation : (k,) arrays
        Of these; a constant feature has deviation 1.
    width : int
        Raw features d.
    """

    columns: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    width: int

    def features(self, raw):
        """Standardised features (n, k), float64."""
        return (
            np.asarray(raw[:, self.columns], np.float64) - self.mean
        ) / self.deviation

    def head(self, weights, bias):
        """Weights (d, C) and bias (C,) that do on raw features what these do here."""
        weights = weights / self.deviation[:, None]
        whole = np.zeros((self.width, weights.shape[1]))
        whole[self.columns] = weights
        return whole, bias - self.mean @ weights


def standardise(features, *, most=None):
    """The `Standard` of training features (n, d); O(n d).

    A network's features are positive and correlated through their means: without this,
    gradient methods need ten times the steps.

    Parameters
    ----------
    features : (n, d) array
    most : int or None
        Keep so many features, those of largest variance; None keeps all.
    """
    features = np.asarray(features, dtype=np.float64)
    deviation = features.std(axis=0)
    columns = np.sort(np.argsort(-deviation, kind="stable")[:most])
    deviation = np.where(deviation > 0, deviation, 1.0)
    mean = features.mean(axis=0)
    return Standard(columns, mean[columns], deviation[columns], features.shape[1])


def draw_studies(train, test, *, size, repeats, l2, rng):
    """Draw training samples that no two repeats share, every class in its share.

    Parameters
    ----------
    train, test : (features, labels) pairs
        Features (n, d), best standardised by `standardise`.
    size : int
        Training samples a study; `size` times `repeats` at most n.
    repeats : int
    l2 : float
        See `Study`.
    rng : `numpy.random.Generator`

    Returns
    -------
    list of Study
    """
    features, labels = train
    if not 1 <= size * repeats <= labels.size:
        raise ValueError(
            f"size: got {size} for {repeats} repeats; allowed: 1 to "
            f"{labels.size // repeats}"
        )
    studies, left = [], np.arange(labels.size)
    for _ in range(repeats):
        drawn = stratified_subset(labels[left], size, rng)
        rows, left = left[drawn], np.delete(left, drawn)
        chosen = features[rows], labels[rows]
        optimum = fit_softmax(
            *chosen, classes=labels.max() + 1, l2=l2, tolerance=TOLERANCE
        )
        studies.append(Study(rows, *chosen, *test, l2, optimum))
    return studies
