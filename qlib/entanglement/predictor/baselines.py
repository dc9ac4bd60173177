"""What an expert would try first on the sizes that were diagonalised.

Each adds an increment of entropy per doubling of the chain, computed from the point's
own entropies; training points serve to calibrate the intervals alone.
"""

import numpy as np

from qlib.arguments import positive_integer
from qlib.entanglement.predictor.calibration import (
    CONFIDENCE,
    Prediction,
    conformal_quantile,
    refuse_unless_fitted,
)
from qlib.entanglement.predictor.doublings import only_doublings

FLOOR = 0.01  # nats added to a point's last increment where errors are scaled by it


class Extrapolation:
    """S(2N) = S(N) + increment; the increments are a subclass's.

    Errors of one doubling, from the last size but one to the last, in units of the
    point's last known increment plus 0.01 nats, give the interval of the first
    doubling. `_compound` says how many times as wide it is after k.
    """

    needs_diagonalisation = True

    def fit(self, train, *, seed=0):
        """Calibrate on `Doublings` of three sizes; nothing is random.

        Returns
        -------
        self
        """
        train = only_doublings("train", train).with_sizes(3)
        known = train.up_to(len(train.sizes) - 1)
        scale = _last_increment(known)
        self._largest = float(scale.max())
        if len(known.sizes) < self._sizes:
            self._scores = None
            return self
        value = known.entropy[:, -1] + self._increments(known, 1)[:, 0]
        self._scores = np.abs(train.entropy[:, -1] - value) / (scale + FLOOR)
        return self

    def predict(self, points, doublings=2, *, confidence=CONFIDENCE):
        """Entropies after each doubling of the largest size of `points`.

        Parameters
        ----------
        points : Doublings
        doublings : int
        confidence : float

        Returns
        -------
        list of Prediction
            Inside: the last known increment is no larger than any calibrated on.
        """
        refuse_unless_fitted(self)
        points = only_doublings("points", points)
        doublings = positive_integer("doublings", doublings)
        points = points.with_sizes(self._sizes)
        increments = self._increments(points, doublings)  # (point, doubling)
        values = points.entropy[:, -1:] + np.cumsum(increments, axis=1)
        scale = _last_increment(points)
        inside = scale <= self._largest
        if self._scores is None:
            half = np.full(len(points), np.nan)
        else:
            half = conformal_quantile(self._scores, confidence) * (scale + FLOOR)
        return [
            Prediction(
                points.sizes[-1] * 2**k,
                values[:, k - 1],
                values[:, k - 1] - self._compound(k) * half,
                values[:, k - 1] + self._compound(k) * half,
                inside,
            )
            for k in range(1, doublings + 1)
        ]

    def _compound(self, k):
        return k


class SameAsLargest(Extrapolation):
    """S of the largest size diagonalised: an area law, reached. Does nothing."""

    _sizes = 1

    def _increments(self, points, doublings):
        return np.zeros((len(points), doublings))


class LinearInLogSize(Extrapolation):
    """The line in ln N through the two largest sizes: a logarithmic law, reached."""

    _sizes = 2

    def _increments(self, points, doublings):
        last = points.entropy[:, -1:] - points.entropy[:, -2:-1]
        return np.repeat(last, doublings, axis=1)

    def _compound(self, k):
        return k * (k + 1) // 2  # errors in one increment repeat in all that follow


class CalabreseCardy(Extrapolation):
    """The logarithmic law with the central charge c of the largest size's profile.

    S(l) = (c/3b) ln sin(πl/N) + (c/3b) ln N + const, b = 2 for open chains and 1 for
    rings (P. Calabrese, J. Cardy, J. Stat. Mech. P06002, 2004), gains (c/3b) ln 2 by a
    doubling: twice S(N/2) − S(N/4), whatever b.
    """

    _sizes = 1

    def _increments(self, points, doublings):
        profile = points.entropy[:, -1:] - points.quarter[:, -1:]
        return np.repeat(2 * profile, doublings, axis=1)


class ExponentialIncrements(Extrapolation):
    """S(2N) − S(N) falls as exp(−N/ξ): an area law beyond ξ, the line in ln N below.

    An increment is the last one times the square of the ratio of the last two, which
    is kept in [0, 1], the whole range of ξ. It takes the three largest sizes, which
    leaves no doubling to calibrate on: no interval.
    """

    _sizes = 3

    def _increments(self, points, doublings):
        before, last = np.diff(points.entropy[:, -3:], axis=1).T
        ratio = np.divide(last, before, out=np.zeros_like(last), where=before != 0)
        ratio = np.clip(ratio, 0.0, 1.0)
        increments = []
        for _ in range(doublings):
            ratio = ratio**2
            last = last * ratio
            increments.append(last)
        return np.stack(increments, axis=1)


def _last_increment(points):
    return np.abs(points.entropy[:, -1] - points.entropy[:, -2])
