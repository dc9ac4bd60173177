"""Losses of all codes, their thermal mean, its limits, and walks that find it."""

import numpy as np
import pytest

from qlib.weights.quantize.calibration import cross_entropy
from qlib.weights.trials.toy import draw_toy, walk_losses


@pytest.fixture(scope="module")
def small():
    """Six weights of one bit; class 1 is rare and left out."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 5, 25])
    features = rng.normal(size=(60, 5)) * [1, 3, 2, 0.1, 4] + labels[:, None]
    return features, labels, draw_toy(features, labels, size=3)


def test_keeps_the_two_frequent_classes_and_the_most_varied_features(small):
    features, labels, toy = small
    assert np.bincount(toy.labels).tolist() == [30, 25]
    kept = features[labels != 1][:, [4, 1, 2]]
    kept = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    np.testing.assert_allclose(toy.features, kept, atol=1e-12)


def test_losses_are_the_cross_entropies_of_all_codes(small):
    *_, toy = small
    assert toy.losses.size == 4**3
    found = []
    for number in range(4**3):  # in binary, the first weight first
        codes = np.array([int(bit) for bit in f"{number:06b}"]).reshape(3, 2) * 2 - 1
        logits = toy.features @ (codes / np.sqrt(3))
        found.append(cross_entropy(logits, toy.labels))
    np.testing.assert_allclose(toy.losses, found, atol=1e-12)
    np.testing.assert_array_equal(toy.start.codes, -np.ones((3, 2)))


def test_thermal_loss_goes_from_the_minimum_to_the_mean(small):
    *_, toy = small
    assert toy.thermal_loss(1e-9) == pytest.approx(toy.losses.min(), abs=1e-12)
    assert toy.thermal_loss(1e9) == pytest.approx(toy.losses.mean(), abs=1e-8)


@pytest.mark.parametrize("temperature", [0.02, 0.3, 2.0])
def test_thermal_loss_grows_by_the_variance_over_the_temperature_squared(
    small, temperature
):
    """d<L>/dT = Var(L)/T², by a central difference."""
    *_, toy = small
    weights = np.exp(-(toy.losses - toy.losses.min()) / temperature)
    weights /= weights.sum()
    variance = weights @ toy.losses**2 - (weights @ toy.losses) ** 2
    step = 1e-4 * temperature
    rise = toy.thermal_loss(temperature + step) - toy.thermal_loss(temperature - step)
    assert rise / (2 * step) == pytest.approx(variance / temperature**2, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_walks_at_one_temperature_find_the_thermal_loss(small, temperature):
    """Within four standard errors of 30 walks.

    Student's t with 29 degrees of freedom exceeds 4 with probability 4e-4: the false
    alarm of each case, for a seed that is fixed.
    """
    *_, toy = small
    rng = np.random.default_rng(1)
    means = walk_losses(toy, temperature, walks=30, sweeps=500, rng=rng)
    assert means.shape == (30,)
    error = means.std(ddof=1) / np.sqrt(means.size)
    assert abs(means.mean() - toy.thermal_loss(temperature)) < 4 * error


def test_frozen_walks_stay_at_the_minimum(small):
    *_, toy = small
    means = walk_losses(toy, 1e-6, walks=3, sweeps=200, rng=np.random.default_rng(2))
    assert (means >= toy.losses.min() - 1e-12).all()
    assert means.min() == pytest.approx(toy.losses.min(), abs=1e-9)
