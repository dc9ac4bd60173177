"""Facts about the refit of scale and bias: a convex problem solved to its optimum."""

import numpy as np
import pytest

from qlib.weights.quantize.calibration import cross_entropy, probabilities
from qlib.weights.quantize.codes import BITS, QuantizedHead, levels
from qlib.weights.quantize.refit import refit


def data(samples=300, d=6, classes=4, seed=0):
    """Features, labels drawn from a softmax of them: never separable in practice."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((samples, d)) + 0.5
    shares = probabilities(features @ rng.standard_normal((d, classes)))
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return features, labels


def random_head(bits, d=6, classes=4, seed=1):
    rng = np.random.default_rng(seed)
    codes = rng.choice(levels(bits), size=(d, classes))
    scale = rng.uniform(0.05, 0.5, classes)
    return QuantizedHead(codes, scale, rng.standard_normal(classes), bits)


def loss(head, features, labels, l2=0.0):
    penalty = l2 / 2 * np.sum(head.weights**2)
    return cross_entropy(head.logits(features), labels) + penalty


def slopes(head, features, labels, l2=0.0):
    """Gradients with respect to bias and scale, by the chain rule on full weights."""
    slope = probabilities(head.logits(features))
    slope[np.arange(labels.size), labels] -= 1
    of_weights = features.T @ slope / labels.size + l2 * head.weights
    return slope.mean(axis=0), np.sum(of_weights * head.codes, axis=0)


def test_cross_entropy_of_equal_logits_is_ln_of_the_classes():
    logits = np.full((5, 7), 1e4)
    assert cross_entropy(logits, np.arange(5)) == pytest.approx(np.log(7))
    np.testing.assert_allclose(probabilities(logits), 1 / 7)


def test_cross_entropy_of_far_logits_is_their_distance():
    logits = np.array([[0.0, 2000.0]])
    assert cross_entropy(logits, np.array([0])) == pytest.approx(2000.0)
    assert cross_entropy(logits, np.array([1])) == 0.0


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_slopes_vanish_at_the_refitted_bias_and_scale(bits, l2):
    features, labels = data()
    head = random_head(bits)
    fitted = refit(head, features, labels, l2=l2)
    of_bias, of_scale = slopes(fitted, features, labels, l2)
    inner = fitted.scale > 1e-6  # at the lower bound the slope only has a sign
    assert inner.any()
    np.testing.assert_allclose(of_bias, 0, atol=1e-6)
    np.testing.assert_allclose(of_scale[inner], 0, atol=1e-5)
    assert (of_scale[~inner] > -1e-5).all()
    assert loss(fitted, features, labels, l2) < loss(head, features, labels, l2)
    np.testing.assert_array_equal(fitted.codes, head.codes)


def test_bias_alone_is_refitted_on_request():
    features, labels = data()
    head = random_head(2)
    fitted = refit(head, features, labels, scale=False)
    np.testing.assert_array_equal(fitted.scale, head.scale)
    np.testing.assert_allclose(slopes(fitted, features, labels)[0], 0, atol=1e-6)
    both = refit(head, features, labels)
    assert loss(both, features, labels) < loss(fitted, features, labels)


def test_no_random_neighbour_of_the_refit_is_better():
    features, labels = data()
    fitted = refit(random_head(1.58), features, labels)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-1):
        for _ in range(50):
            scale = fitted.scale * np.exp(size * rng.standard_normal(4))
            bias = fitted.bias + size * rng.standard_normal(4)
            other = QuantizedHead(fitted.codes, scale, bias, 1.58)
            assert loss(other, features, labels) >= loss(fitted, features, labels)


def test_optimum_does_not_depend_on_the_start():
    features, labels = data()
    head = random_head(2)
    other = QuantizedHead(head.codes, [3.0, 0.01, 0.5, 1.0], [5.0, -5.0, 0, 0], 2)
    first = refit(head, features, labels)
    second = refit(other, features, labels)
    np.testing.assert_allclose(first.scale, second.scale, atol=1e-5)
    np.testing.assert_allclose(
        first.bias - first.bias.mean(), second.bias - second.bias.mean(), atol=1e-5
    )


def test_mean_of_the_bias_stays():
    features, labels = data()
    head = random_head(3)
    fitted = refit(head, features, labels)
    assert fitted.bias.mean() == pytest.approx(head.bias.mean(), abs=1e-9)


def test_refit_twice_changes_nothing_that_matters():
    features, labels = data()
    once = refit(random_head(2), features, labels)
    twice = refit(once, features, labels)
    assert loss(twice, features, labels) <= loss(once, features, labels)
    np.testing.assert_allclose(twice.weights, once.weights, atol=1e-5)


def test_separable_codes_end_at_the_iterations_with_a_lower_loss():
    features = np.array([[-1.0], [1.0]])
    labels = np.array([0, 1])
    head = QuantizedHead([[-1, 1]], [1.0, 1.0], [0.0, 0.0], 1)
    fitted = refit(head, features, labels, iterations=3)
    assert np.isfinite(fitted.scale).all()
    assert loss(fitted, features, labels) < loss(head, features, labels)


def test_dead_codes_and_single_samples_are_refitted():
    features = np.array([[0.5, 1.0]])
    head = QuantizedHead([[0, 1], [0, -1]], [1.0, 1.0], [0.0, 0.0], 1.58)
    fitted = refit(head, features, np.array([0]), l2=0.1)
    assert fitted.bias[0] > fitted.bias[1]
    assert (fitted.scale > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones((3, 5))}, "features: got shape"),
        ({"features": np.full((3, 6), np.nan)}, "features: got"),
        ({"labels": [0, 1]}, "labels: got shape"),
        ({"labels": [0, 1, 4]}, "labels: got 4"),
        ({"labels": [0.0, 1.0, 2.0]}, "labels: got"),
        ({"l2": -1.0}, "l2: got"),
        ({"iterations": 0}, "iterations: got 0"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {"features": np.ones((3, 6)), "labels": [0, 1, 2]} | change
    with pytest.raises(ValueError, match=message):
        refit(random_head(2), **arguments)


def test_other_heads_are_refused():
    with pytest.raises(TypeError, match="head: got ndarray"):
        refit(np.ones((6, 4)), np.ones((3, 6)), [0, 1, 2])
