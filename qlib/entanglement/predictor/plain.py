"""The published predictor: Hamiltonian parameters and size in, features out.

Two regressors on the same inputs: the small network as published, of which no more is
known, here trained with care (standardised inputs, ln N for N, early stopping, an
ensemble); and boosted trees, which an expert would try beside it.
"""

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.entanglement.predictor.calibration import (
    CONFIDENCE,
    Prediction,
    conformal_quantile,
    folds,
    refuse_unless_fitted,
)
from qlib.entanglement.predictor.doublings import only_doublings
from qlib.entanglement.predictor.networks import apply, draw_weights, minimise
from qlib.entanglement.predictor.parameters import ParameterEncoding


class _FromParameters:
    """An ensemble whose members leave out a fold of points each to calibrate on."""

    needs_diagonalisation = False

    def fit(self, train, *, seed=0):
        """Learn from `Doublings`; rows are points at every size.

        Parameters
        ----------
        train : Doublings
            As many points as members, at least.
        seed : int
            Of folds and initial weights.

        Returns
        -------
        self
        """
        train = only_doublings("train", train)
        if len(train) < self.members:
            raise ValueError(
                f"train: got {len(train)} points; allowed: at least {self.members}, "
                "one for each member"
            )
        self._encoding = ParameterEncoding(train)
        inputs = np.concatenate([self._encoding(train, n) for n in train.sizes])
        targets = np.stack([train.entropy, train.capacity], axis=2)
        targets = np.concatenate(targets.swapaxes(0, 1))  # (size * point, feature)
        fold = folds(np.arange(len(train)), self.members, seed)
        fold = np.tile(fold, len(train.sizes))
        self._fit(inputs, targets, fold, seed)
        outputs = self._members(inputs)  # (member, row)
        left_out = outputs[fold, np.arange(len(fold))]
        self._scores = np.abs(left_out - targets[:, 0])
        return self

    def predict(self, points, doublings=2, *, confidence=CONFIDENCE):
        """Entropies after each doubling of the largest size of `points`.

        Of `points`, the features are not looked at.

        Returns
        -------
        list of Prediction
            The mean of members, and an interval of one width, that of errors at the
            sizes trained on. Inside: family, parameters and size were trained on,
            which no larger size was.
        """
        refuse_unless_fitted(self)
        points = only_doublings("points", points)
        half, predictions = conformal_quantile(self._scores, confidence), []
        for k in range(1, positive_integer("doublings", doublings) + 1):
            size = points.sizes[-1] * 2**k
            value = self._members(self._encoding(points, size)).mean(axis=0)
            inside = self._encoding.holds(points, size)
            predictions.append(
                Prediction(size, value, value - half, value + half, inside)
            )
        return predictions


class PlainNetwork(_FromParameters):
    """Networks from Hamiltonian parameters and size to entropy and capacity.

    Parameters
    ----------
    hidden : int
        Units in each of two layers.
    members : int
        Of the ensemble. Each stops where its loss on another fold is least.
    steps : int
    lr, weight_decay : float

    Notes
    -----
    `hidden`, `steps` and `weight_decay` were chosen by
    `trials.selection.last_doubling`, which knows no size above 16, on 264 chains of 22
    families (dataset seed 1), points left out and 16 sites not shown. Of twelve
    settings, 8, 32 or 64 units, 600 or 2000 steps, weight decays of 0.01 and 0.3, these
    err least, by 0.089 nats, mean over families.
    """

    def __init__(self, *, hidden=32, members=5, steps=600, lr=1e-2, weight_decay=0.3):
        self.hidden = positive_integer("hidden", hidden)
        self.members = positive_integer("members", members)
        self.steps = positive_integer("steps", steps)
        self.lr, self.weight_decay = lr, weight_decay

    def _fit(self, inputs, targets, fold, seed):
        self._mean, self._spread = targets.mean(axis=0), targets.std(axis=0)
        x = torch.from_numpy(inputs)
        y = torch.from_numpy((targets - self._mean) / self._spread)
        generator = torch.Generator().manual_seed(seed)
        widths = (x.shape[1], self.hidden, self.hidden, y.shape[1])
        self._weights = draw_weights(self.members, widths, generator)
        member = np.arange(self.members)[:, None]
        stopping = fold == (member + 1) % self.members  # (member, row)
        training = ~stopping & (fold != member)

        def loss(rows):
            share = torch.from_numpy(rows / rows.sum(axis=1, keepdims=True))
            squares = (apply(self._weights, x) - y).square().mean(dim=2)
            return (squares * share).sum(dim=1)  # (member,)

        minimise(
            self._weights,
            lambda: loss(training),
            steps=self.steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            validation=lambda: loss(stopping),
        )

    def _members(self, inputs):
        with torch.no_grad():
            outputs = apply(self._weights, torch.from_numpy(inputs))
        return outputs[:, :, 0].numpy() * self._spread[0] + self._mean[0]


class BoostedTrees(_FromParameters):
    """Gradient-boosted trees (scikit-learn) on the inputs of `PlainNetwork`.

    A tree is constant beyond the largest size it was shown.

    Parameters
    ----------
    members : int
    trees, depth : int
    lr : float

    Notes
    -----
    `trees` and `depth` were chosen like the settings of `PlainNetwork`: 100, 200 or 500
    trees of depth 2, 3, 4 or 6, of which 200 of depth 6 err by 0.085 nats at 16 sites.
    """

    def __init__(self, *, members=5, trees=200, depth=6, lr=0.1):
        self.members = positive_integer("members", members)
        self.trees = positive_integer("trees", trees)
        self.depth = positive_integer("depth", depth)
        self.lr = lr

    def _fit(self, inputs, targets, fold, seed):
        from sklearn.ensemble import GradientBoostingRegressor

        self._models = [
            GradientBoostingRegressor(
                n_estimators=self.trees,
                max_depth=self.depth,
                learning_rate=self.lr,
                random_state=seed + member,
            ).fit(inputs[fold != member], targets[fold != member, 0])
            for member in range(self.members)
        ]

    def _members(self, inputs):
        return np.stack([model.predict(inputs) for model in self._models])
