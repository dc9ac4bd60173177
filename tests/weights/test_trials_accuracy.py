"""Annealing of accuracy keeps what it starts from, and tuning takes the highest."""

import numpy as np
import pytest

from qlib.weights.trials import accuracy, bits


def test_training_accuracy_never_falls_and_scale_and_bias_stay(study):
    start = bits.second_order(study, 1)
    before = bits.outcome(study, start).training_accuracy
    for hot in (1e-3, 1.0):
        head = accuracy.annealed(
            study, start, sweeps=20, temperature_range=(hot, hot / 10), rng=0
        )
        assert bits.outcome(study, head).training_accuracy >= before
        np.testing.assert_array_equal(head.scale, start.scale)
        np.testing.assert_array_equal(head.bias, start.bias)


@pytest.mark.parametrize("best", range(len(accuracy.TEMPERATURES)))
def test_tuning_takes_the_temperatures_of_highest_accuracy(best, study, monkeypatch):
    """Codes of the wrong sign are almost always wrong; one range keeps the right."""
    start = bits.second_order(study, 1)
    poor = bits.replace(start, codes=-start.codes)

    def searching(study, start, *, temperature_range, sweeps, rng):
        return start if temperature_range == accuracy.TEMPERATURES[best] else poor

    monkeypatch.setattr(accuracy, "annealed", searching)
    found = accuracy.tuned(study, start, sweeps=5, rng=np.random.default_rng(1))
    assert found == accuracy.TEMPERATURES[best]


def test_one_walk_anneals_the_loss_and_the_other_never_loses_training_accuracy(study):
    melt = dict(temperature_range=(1e-5, 1e-6), sweeps=30)
    ways = dict(**melt, rng=np.random.default_rng(2))
    found = accuracy.compare([study, study], melt, **ways)
    start = bits.second_order(study, 1)
    by_loss = bits.METHODS["SA"](study, 1, start, np.random.default_rng(2), **melt)
    reached = bits.outcome(study, by_loss)
    assert tuple(found["SA"][:, 0]) == (reached.training_accuracy, reached.accuracy)
    before = bits.outcome(study, start).training_accuracy
    assert (found["accuracy SA"][0] >= before).all()
