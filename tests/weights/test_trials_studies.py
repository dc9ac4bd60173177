"""Draws keep shares and seeds, standardising is undone, descents end in one minimum."""

import numpy as np
import pytest

from qlib.weights.trials.heads import heads, random_codes
from qlib.weights.trials.starts import descents
from qlib.weights.trials.studies import draw_studies, standardise


def raw_features(n=40):
    """Float32 features of unlike means and scales; the third is constant."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 6)) * [1, 5, 0, 0.1, 3, 2] + [0, 7, 4, 1, -9, 100]
    return features.astype(np.float32)


@pytest.mark.parametrize("most", [None, 1, 4, 6])
def test_head_on_raw_features_has_the_logits_of_the_standardised_one(most):
    raw, rng = raw_features(), np.random.default_rng(1)
    standard = standardise(raw, most=most)
    inputs = standard.features(raw)
    weights, bias = rng.normal(size=(inputs.shape[1], 3)), rng.normal(size=3)
    whole, shift = standard.head(weights, bias)
    assert whole.shape == (6, 3)
    logits = raw.astype(np.float64) @ whole + shift
    np.testing.assert_allclose(logits, inputs @ weights + bias, atol=1e-12)


def test_standard_features_have_mean_zero_and_variance_one_or_zero():
    inputs = standardise(raw_features()).features(raw_features())
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(inputs.var(axis=0), [1, 1, 0, 1, 1, 1], atol=1e-12)


def test_kept_are_the_most_varied_features_in_their_order():
    assert standardise(raw_features(), most=3).columns.tolist() == [1, 4, 5]


def test_draws_keep_the_classes_shares_and_no_sample_is_taken_twice():
    rng = np.random.default_rng(2)
    features, labels = rng.normal(size=(100, 3)), np.repeat([0, 1, 2], [50, 37, 13])
    train, test = (features, labels), (features[:5], labels[:5])
    ways = dict(size=33, repeats=3, l2=0.1)
    draws = draw_studies(train, test, **ways, rng=np.random.default_rng(3))
    share = np.array([50, 37, 13]) * 33 / 100
    for study in draws:
        assert np.unique(study.rows).size == 33
        assert (np.abs(np.bincount(study.labels) - share) < 1).all()
        np.testing.assert_array_equal(study.features, features[study.rows])
        np.testing.assert_array_equal(study.labels, labels[study.rows])
        assert study.test_features is test[0]
    together = np.concatenate([study.rows for study in draws])
    assert np.unique(together).size == 99
    again = draw_studies(train, test, **ways, rng=np.random.default_rng(3))
    for study, same in zip(draws, again, strict=True):
        np.testing.assert_array_equal(study.rows, same.rows)


@pytest.mark.parametrize("size", [0, 26, 100])
def test_more_samples_than_there_are_cannot_be_drawn(size):
    data = np.ones((100, 2)), np.arange(100) % 2
    with pytest.raises(ValueError, match=r"^size: got .* allowed: 1 to 25$"):
        draw_studies(data, data, size=size, repeats=4, l2=0.1, rng=None)


def test_loss_at_the_optimum_is_the_fits_and_grows_with_the_penaltys_curvature(study):
    """L is l2-strongly convex in W: L(W* + V, b*) >= L* + g·V + l2/2 ‖V‖²."""
    optimum = study.optimum
    lowest = study.loss(optimum.weights, optimum.bias)
    assert lowest == pytest.approx(optimum.loss, abs=1e-12)
    rng = np.random.default_rng(4)
    for length in (1e-3, 0.1, 10.0):
        step = length * rng.normal(size=optimum.weights.shape)
        slope = optimum.gradient_norm * np.abs(step).sum()
        bound = lowest - slope + study.l2 / 2 * np.sum(step**2)
        assert study.loss(optimum.weights + step, optimum.bias) >= bound


def test_a_head_of_zeros_knows_nothing(study):
    classes = study.optimum.bias.size
    nothing, bias = np.zeros_like(study.optimum.weights), np.eye(classes)[3]
    assert study.loss(nothing, 0 * bias) == pytest.approx(np.log(classes))
    assert study.accuracy(nothing, bias) == np.mean(study.test_labels == 3)
    assert study.training_accuracy(nothing, bias) == np.mean(study.labels == 3)


def test_descents_fall_and_end_in_one_minimum(study):
    rng = np.random.default_rng(5)
    losses, apart = descents(study, starts=3, iterations=[1, 5, 25, 600], rng=rng)
    assert (np.diff(losses, axis=1) < 0).all()
    excess = losses[:, -1] - study.optimum.loss
    assert np.abs(excess).max() < 1e-8
    # two points within an excess e of the minimum are at most 2 sqrt(2 e / l2) apart
    length = np.linalg.norm(study.optimum.weights)
    assert 0 < apart * length <= 2 * np.sqrt(2 * 1e-8 / study.l2)


def test_a_single_descent_is_not_apart_from_itself(study):
    assert (
        descents(study, starts=1, iterations=[2], rng=np.random.default_rng(6))[1] == 0
    )


@pytest.mark.parametrize("width", [1, 3])
def test_heads_to_fine_tune_from_are_what_their_names_say(width, study):
    hot = 10 / study.optimum.weights.size
    ways = dict(width=width, sweeps=100, temperatures=(hot, hot / 1e4))
    ways |= dict(lr=0.1, epochs=300)
    found = heads(study, **ways, rng=np.random.default_rng(7))
    again = heads(study, **ways, rng=np.random.default_rng(7))
    losses = {name: study.loss(*head) for name, head in found.items()}
    assert min(losses, key=losses.get) == "L-BFGS"
    assert losses["SGD"] == pytest.approx(study.optimum.loss, abs=1e-3)
    assert losses["SA"] < losses["random search"] < np.log(10)
    assert losses["rounding"] < losses["random search"]
    for name in ("SA", "rounding", "random search"):  # a class's weights have few sizes
        sizes = [np.unique(one.round(12)).size for one in np.abs(found[name][0]).T]
        assert max(sizes) <= 2 ** (width - 1)
    for name, head in found.items():
        np.testing.assert_array_equal(head[0], again[name][0])


def test_random_codes_take_every_level_alike(study):
    """A chi-squared of 16 levels above 50 has a probability of 1e-5 or so."""
    rng = np.random.default_rng(8)
    draws = [random_codes(study, 4, rng).codes for _ in range(20)]
    _, counts = np.unique(draws, return_counts=True)
    expected = np.size(draws) / 16
    assert counts.size == 16
    assert np.sum((counts - expected) ** 2 / expected) < 50
