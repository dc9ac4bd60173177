"""The size flow: what one doubling of a chain does to its half-chain features.

A network sees how entropy S and capacity C changed in the last doubling and says what
the next one does, as bounded factors on those changes,

    S(2N) − S(N) = a [S(N) − S(N/2)],  −1 < a < 2,

likewise for C. No factor is without its law: a = 1 is the logarithmic law of critical
chains, a → 0 the area law of gapped ones, a = 2 a volume law. Nothing that the network
sees names a family or a size: it is learnt on doublings that were diagonalised,
4, 8 → 16, and applied to its own answers, 16 → 32 → 64 → …

As in the renormalisation group, a correlation length of ξ at N sites is one of ξ/2 at
N/2: chains of short ξ show at small N what those of longer ξ do at larger.
"""

from typing import NamedTuple

import numpy as np
import torch

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
from qlib.entanglement.predictor.networks import apply, draw_weights, minimise

INCREMENT = 0.01  # nats; increments far below count alike, as inputs and as scales
UNITS = (0.02, 0.05)  # errors of S and C that weigh alike in the loss


class State(NamedTuple):
    """Features at one size: tensors of one shape, (P,) or (members, P)."""

    entropy: torch.Tensor
    capacity: torch.Tensor

    @classmethod
    def of(cls, points, place):
        """The features of `Doublings` at the size in one place."""
        parts = points.entropy[:, place], points.capacity[:, place]
        return cls(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


class SizeFlow:
    """Ensemble of networks for one doubling, applied again and again.

    Parameters
    ----------
    hidden : int
        Units in each of two layers.
    members : int
        Each leaves out a fold of whole families, whose errors calibrate the intervals:
        they are made for families never seen.
    steps : int
    lr, weight_decay : float

    Notes
    -----
    Inputs, `hidden` and `steps` were chosen by `trials.selection.last_doubling`, which
    knows no size above 16, on 264 chains of 22 families (dataset seed 1), families left
    out whole. Mean errors over families were 0.023 nats with the changes of S and C,
    0.025 with that of ln gap, too, or with the gap's, S and C; twelve settings, each of
    these with 8 or 16 units and 200 or 600 steps. Unlearnt laws err by 0.049 to 0.071.
    Five pairs of `UNITS` from 0.005 to 0.2 nats err alike within 5 %.
    """

    needs_diagonalisation = True

    def __init__(self, *, hidden=8, members=5, steps=200, lr=1e-2, weight_decay=1e-2):
        self.hidden = positive_integer("hidden", hidden)
        self.members = positive_integer("members", members)
        self.steps = positive_integer("steps", steps)
        self.lr, self.weight_decay = lr, weight_decay

    def fit(self, train, *, seed=0):
        """Learn from `Doublings` of three sizes, the last three of those given.

        Parameters
        ----------
        train : Doublings
            Of as many families as members, at least.
        seed : int
            Of folds and initial weights.

        Returns
        -------
        self
        """
        train = only_doublings("train", train).with_sizes(3)
        train = train.with_families(self.members)
        half, whole, double = (State.of(train, place) for place in (-3, -2, -1))
        raw = _changes(half, whole)
        self._mean, self._spread = raw.mean(dim=0), raw.std(dim=0).clamp(min=1e-6)
        generator = torch.Generator().manual_seed(seed)
        widths = (2, self.hidden, self.hidden, 2)
        self._weights = draw_weights(self.members, widths, generator)
        fold = folds(train.family, self.members, seed)
        seen = fold != np.arange(self.members)[:, None]  # (member, point)
        share = torch.from_numpy(seen / seen.sum(axis=1, keepdims=True))

        def losses():
            reached = self._double(half, whole)
            errors = [
                torch.sqrt(((mine - true) / unit) ** 2 + 1) - 1
                for mine, true, unit in zip(reached, double, UNITS, strict=True)
            ]
            return (sum(errors) * share).sum(dim=1)  # (member,)

        minimise(
            self._weights,
            losses,
            steps=self.steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
        )
        self._support = Support(self._standardised(half, whole).numpy())
        with torch.no_grad():
            reached = self._double(half, whole).entropy.numpy()  # (member, point)
        left_out = reached[fold, np.arange(len(fold))]
        scale = _scale(half, whole)
        self._scores = np.abs(left_out - double.entropy.numpy()) / scale
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
            The median of members. Every doubling adds the width of the first, in units
            of the point's last diagonalised increment plus 0.01 nats. Inside: the
            inputs of this and every earlier doubling lie where training points did.
        """
        refuse_unless_fitted(self)
        points = only_doublings("points", points)
        doublings = positive_integer("doublings", doublings)
        half, whole = State.of(points, -2), State.of(points, -1)
        share = conformal_quantile(self._scores, confidence) * _scale(half, whole)
        shape = (self.members, len(points))
        half = State(*(part.expand(shape) for part in half))
        whole = State(*(part.expand(shape) for part in whole))
        inside, predictions = np.ones(len(points), bool), []
        for k in range(1, doublings + 1):
            middle = self._standardised(half, whole).median(dim=0).values
            inside = inside & self._support.holds(middle.numpy())
            with torch.no_grad():
                half, whole = whole, self._double(half, whole)
            value = whole.entropy.median(dim=0).values.numpy()
            size, width = points.sizes[-1] * 2**k, k * share
            predictions.append(
                Prediction(size, value, value - width, value + width, inside)
            )
        return predictions

    def _standardised(self, half, whole):
        return (_changes(half, whole) - self._mean) / self._spread

    def _double(self, half, whole):
        """The `State` at twice the size, (member, P)."""
        factors = torch.tanh(apply(self._weights, self._standardised(half, whole)))
        entropy, capacity = factors.unbind(dim=2)
        return State(
            whole.entropy + (whole.entropy - half.entropy) * (0.5 + 1.5 * entropy),
            whole.capacity + (whole.capacity - half.capacity) * (0.5 + 1.5 * capacity),
        )


def _changes(half, whole):
    """What the network sees of a doubling, (..., P, 2): changes alone.

    They stay in one range at every size, where S itself grows beyond what any smaller
    chain had.
    """
    return torch.stack(
        [whole.entropy - half.entropy, whole.capacity - half.capacity], dim=-1
    )


def _scale(half, whole):
    """Unit of a point's errors: its last increment, and 0.01 nats. (P,)"""
    return np.abs((whole.entropy - half.entropy).numpy()) + INCREMENT
