"""Intervals by conformal prediction, and where a predictor knows its inputs.

Every member of an ensemble leaves out a part of the training points; its errors there
are those on points never seen, and their quantile bounds the error of the next such
point whatever the predictor (cross-conformal prediction: V. Vovk, Ann. Math. Artif.
Intell. 74, 9, 2015; R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, Ann.
Statist. 49, 486, 2021). That holds for one doubling within what was trained on. Further
doublings add up the bounds of each; what they then cover is for a trial to measure.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.spatial import cKDTree

from qlib.arguments import number_between, positive_integer

CONFIDENCE = 0.9


@dataclass(frozen=True, eq=False)
class Prediction:
    """Half-chain entropies of P points at one size, in nats.

    Attributes
    ----------
    size : int
    value : (P,) array
    low, high : (P,) arrays
        Ends of the interval; infinite where there were too few errors to calibrate on,
        NaN where a method has none.
    inside : (P,) bool array
        Whether all that was asked of the method lies within what it was trained on.
    """

    size: int
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    inside: np.ndarray

    def covers(self, truth):
        """Whether the interval holds the truth, (P,) bools."""
        return (self.low <= truth) & (truth <= self.high)


def refuse_unless_fitted(method):
    """Refuse a predictor whose `fit` has not run."""
    if not hasattr(method, "_scores"):
        name = type(method).__name__
        raise ValueError(f"predict: got a {name} without fit; allowed: after fit")


def conformal_quantile(scores, confidence=CONFIDENCE):
    """The bound that a new score exceeds with probability at most 1 − confidence.

    Parameters
    ----------
    scores : (n,) array
        Exchangeable with the new one.
    confidence : float
        In (0, 1).

    Returns
    -------
    float
        The ⌈(n + 1) confidence⌉-th smallest score; inf if that exceeds n.
    """
    number_between("confidence", confidence, 0, 1, open_low=True)
    scores = np.sort(np.asarray(scores, dtype=float).ravel())
    if np.isnan(scores).any():
        raise ValueError(f"scores: got {scores}; allowed: numbers, no NaN")
    rank = ceil((len(scores) + 1) * confidence)
    return float(scores[rank - 1]) if rank <= len(scores) else np.inf


def folds(groups, count, rng):
    """Numbers 0 … count − 1 of the fold of every point, whole groups in one fold.

    Parameters
    ----------
    groups : (P,) array
        Points with equal entries stay together; at least `count` different ones.
    count : int
    rng : int or numpy Generator

    Returns
    -------
    (P,) int array
        Folds differ in their number of groups by one at most.
    """
    count = positive_integer("count", count)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < count:
        raise ValueError(f"groups: got {len(names)}; allowed: at least {count} groups")
    return np.random.default_rng(rng).permutation(len(names))[member] % count


class Support:
    """The region of inputs that training points reach, by nearest neighbours.

    Inputs are inside if a training point lies no further than all but one in a hundred
    training points lie from their own nearest.

    Parameters
    ----------
    inputs : (n, d) array
        Standardised, n >= 2.
    """

    def __init__(self, inputs):
        self._tree = cKDTree(inputs)
        own = self._tree.query(inputs, k=2)[0][:, 1]
        self.radius = float(np.quantile(own, 0.99))

    def holds(self, inputs):
        """Whether inputs of shape (m, d) are inside, (m,) bools."""
        return self._tree.query(inputs)[0] <= self.radius
