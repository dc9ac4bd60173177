"""Regression trees on what the size flow sees: the expert's rival to its network."""

import numpy as np

from qlib.arguments import positive_integer
from qlib.entanglement.predictor.calibration import (
    CONFIDENCE,
    Prediction,
    Support,
    conformal_quantile,
    folds,
    refuse_unless_fitted,
)
from qlib.entanglement.predictor.doublings import only_doublings
from qlib.entanglement.predictor.size_flow import INCREMENT


class IncrementTrees:
    """Extremely randomised trees from a doubling's changes to those of the next one.

    Inputs and targets are the changes of entropy and capacity, as in `SizeFlow`,
    applied in the same way to their own answers; what differs is the regressor
    (P. Geurts, D. Ernst, L. Wehenkel, Mach. Learn. 63, 3, 2006).

    Parameters
    ----------
    trees : int
        Of each member and target.
    leaf : int
        Fewest points of a leaf.
    members : int
        Each leaves out a fold of whole families, whose errors calibrate the intervals.

    Notes
    -----
    Inputs and `leaf` were chosen like those of `SizeFlow`: errors of 0.023 nats at 16
    sites, the least of twelve settings, the same three sets of inputs and leaves of 1,
    2, 4 and 8 points.
    """

    needs_diagonalisation = True

    def __init__(self, *, trees=30, leaf=1, members=5):
        self.trees = positive_integer("trees", trees)
        self.leaf = positive_integer("leaf", leaf)
        self.members = positive_integer("members", members)

    def fit(self, train, *, seed=0):
        """Learn from `Doublings` of three sizes, the last three of those given.

        Parameters
        ----------
        train : Doublings
            Of as many families as members, at least.
        seed : int
            Of folds and trees.

        Returns
        -------
        self
        """
        from sklearn.ensemble import ExtraTreesRegressor

        train = only_doublings("train", train).with_sizes(3)
        train = train.with_families(self.members)
        half, whole, double = (_features(train, place) for place in (-3, -2, -1))
        inputs, targets = whole - half, double - whole  # (P, feature)
        fold = folds(train.family, self.members, seed)
        self._forests = [
            [
                ExtraTreesRegressor(
                    self.trees,
                    min_samples_leaf=self.leaf,
                    random_state=seed * self.members + k,
                ).fit(inputs[fold != k], target[fold != k])
                for target in targets.T
            ]
            for k in range(self.members)
        ]
        self._mean, self._spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
        self._support = Support((inputs - self._mean) / self._spread)
        said = self._next(np.broadcast_to(inputs, (self.members, *inputs.shape)))
        left_out = said[fold, np.arange(len(fold)), 0]
        self._scores = np.abs(left_out - targets[:, 0]) / _scale(inputs)
        return self

    def predict(self, points, doublings=2, *, confidence=CONFIDENCE):
        """Entropies after each doubling of the largest size of `points`.

        Parameters
        ----------
        points : Doublings
            Of any sizes, of which the two largest are used.
        doublings : int
        confidence : float

        Returns
        -------
        list of Prediction
            As by `SizeFlow`: the median of members, intervals that widen with every
            doubling, inside as far as inputs lie where training points did.
        """
        refuse_unless_fitted(self)
        points = only_doublings("points", points)
        doublings = positive_integer("doublings", doublings)
        changes = _features(points, -1) - _features(points, -2)
        share = conformal_quantile(self._scores, confidence) * _scale(changes)
        changes = np.broadcast_to(changes, (self.members, *changes.shape))
        entropy = np.broadcast_to(points.entropy[:, -1], changes.shape[:2])
        inside, predictions = np.ones(len(points), bool), []
        for k in range(1, doublings + 1):
            middle = (np.median(changes, axis=0) - self._mean) / self._spread
            inside = inside & self._support.holds(middle)
            changes = self._next(changes)  # (member, P, feature)
            entropy = entropy + changes[:, :, 0]
            value, width = np.median(entropy, axis=0), k * share
            size = points.sizes[-1] * 2**k
            predictions.append(
                Prediction(size, value, value - width, value + width, inside)
            )
        return predictions

    def _next(self, changes):
        """The changes of the next doubling by each member, (member, P, feature)."""
        return np.array(
            [
                np.transpose([forest.predict(inputs) for forest in forests])
                for forests, inputs in zip(self._forests, changes, strict=True)
            ]
        )


def _features(points, place):
    """Entropy and capacity at the size in one place, (P, 2)."""
    return np.stack([points.entropy[:, place], points.capacity[:, place]], axis=1)


def _scale(changes):
    """Unit of a point's errors: its last increment, and 0.01 nats. (P,)"""
    return np.abs(changes[:, 0]) + INCREMENT
