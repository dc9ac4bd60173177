"""Choosing among predictors by what is diagonalised alone."""

import numpy as np
import pytest

from qlib.entanglement.predictor import Doublings, Prediction, SameAsLargest
from qlib.entanglement.trials.selection import last_doubling


@pytest.fixture
def points():
    """Four families of three points at 4, 8 and 16 sites; S = 1, 2 and 4 and more."""
    family = np.repeat(list("abcd"), 3)
    entropy = np.arange(12)[:, None] / 10 + np.array([1.0, 2.0, 4.0])
    given = tuple({"boundary": "open"} for _ in family)
    return Doublings((4, 8, 16), family, family, given, *[entropy] * 3)


def watching(diagonalised):
    """A predictor that says 3 nats, and notes what it was shown."""
    seen = []

    class Watching:
        needs_diagonalisation = diagonalised

        def fit(self, train, *, seed=0):
            self.train = train
            return self

        def predict(self, asked, doublings=2):
            seen.append((self.train, asked))
            three = np.full(len(asked), 3.0)
            return [Prediction(16, three, three, three, three > 0)]

    return Watching, seen


def test_errors_are_those_at_the_largest_size(points):
    errors = last_doubling(watching(True)[0], points, parts=2)
    assert errors == pytest.approx(np.abs(3 - points.entropy[:, 2]))
    assert last_doubling(SameAsLargest, points, parts=4) == pytest.approx(2)


def test_families_asked_of_a_point_s_own_sizes_were_never_seen(points):
    make, seen = watching(True)
    last_doubling(make, points, parts=2)
    for train, asked in seen:
        assert not set(train.family) & set(asked.family)
        assert train.sizes == (4, 8, 16)
        assert asked.sizes == (4, 8)


def test_the_size_asked_of_parameters_was_never_seen(points):
    make, seen = watching(False)
    last_doubling(make, points, parts=3)
    assert sum(len(asked) for _, asked in seen) == 12
    for train, asked in seen:
        assert train.sizes == asked.sizes == (4, 8)
        assert not set(train.entropy[:, 0]) & set(asked.entropy[:, 0])


def test_two_sizes_leave_no_doubling_to_judge(points):
    with pytest.raises(ValueError, match="sizes: got"):
        last_doubling(SameAsLargest, points.up_to(2), parts=2)
