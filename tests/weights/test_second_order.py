"""Facts about second-order rounding: the feedback identity, its bound, its gain."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from qlib.weights.quantize.calibration import cross_entropy, probabilities
from qlib.weights.quantize.codes import BITS, fit_scale, levels, nearest
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.second_order import (
    CURVATURES,
    curvatures,
    round_with_feedback,
    second_order_rounding,
)


def correlated(samples=400, d=8, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((3, d))
    common = rng.standard_normal((samples, 3)) @ mixing
    return common + 0.3 * rng.standard_normal((samples, d))


def classified(samples=400, d=8, classes=3, seed=0):
    """Correlated features, labels drawn from a softmax, and that softmax's head."""
    rng = np.random.default_rng(seed + 100)
    features = correlated(samples, d, seed)
    weights, bias = rng.standard_normal((d, classes)), rng.standard_normal(classes)
    shares = probabilities(features @ weights + bias)
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return features, labels, weights, bias


@pytest.mark.parametrize("bits", [1, 1.58, 2])
def test_orthogonal_features_give_the_best_of_all_codes(bits):
    hessian = np.diag([4.0, 1.0, 9.0, 0.5])
    weights = np.random.default_rng(0).standard_normal((4, 1))
    scale = np.full((4, 1), fit_scale(weights, bits)[0])
    codes = round_with_feedback(hessian, weights, scale, bits)
    errors = [
        np.sum(np.diag(hessian) * (weights - scale * np.array(q)[:, None])[:, 0] ** 2)
        for q in product(levels(bits), repeat=4)
    ]
    found = np.sum(np.diag(hessian) * (weights - scale * codes)[:, 0] ** 2)
    assert found == pytest.approx(min(errors), rel=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_feedback_is_least_squares_over_the_weights_still_unrounded(bits):
    rng = np.random.default_rng(1)
    features = correlated(50, 6)
    weights = rng.standard_normal((6, 3))
    scale = np.broadcast_to(fit_scale(weights, bits), (6, 3))
    codes = round_with_feedback(features.T @ features, weights, scale, bits)
    left, expected = weights.copy(), np.empty((6, 3))
    for i in range(6):
        expected[i] = nearest(left[i : i + 1], bits, scale[i])[0]
        missing = features @ weights - features[:, : i + 1] @ (
            expected[: i + 1] * scale[: i + 1]
        )
        if i < 5:
            left[i + 1 :] = np.linalg.lstsq(features[:, i + 1 :], missing)[0]
    np.testing.assert_array_equal(codes, expected)


def test_one_rounded_weight_moves_the_others_as_the_optimal_brain_surgeon_does():
    features = correlated(50, 4)
    hessian = features.T @ features
    weights = np.array([[0.4], [0.2], [-0.3], [0.1]])
    error = weights[0, 0] - 1.0  # its level at scale 1
    inverse = np.linalg.inv(hessian)
    moved = weights[:, 0] - error / inverse[0, 0] * inverse[:, 0]
    # scales on both sides of a tie between levels 9 and 11 pin the moved weight down
    scale = np.ones((4, 2))
    scale[1] = np.abs(moved[1]) / 10 * np.array([1 - 1e-6, 1 + 1e-6])
    codes = round_with_feedback(hessian, np.tile(weights, 2), scale, 4)
    np.testing.assert_array_equal(np.abs(codes[1]), [11, 9])
    np.testing.assert_array_equal(np.sign(codes[1]), np.sign(moved[1]))
    assert moved[0] == pytest.approx(1.0)


def test_error_is_within_the_bound_of_the_nearest_plane():
    rng = np.random.default_rng(2)
    features = correlated(50, 5)
    hessian = features.T @ features
    weights = 0.1 * rng.standard_normal((5, 200))
    scale = np.full((5, 200), 0.05)
    codes = round_with_feedback(hessian, weights, scale, 4)
    inside = np.abs(codes).max(axis=0) < 15  # no code at the grid's end
    assert inside.sum() > 50
    error = (weights - codes * scale)[:, inside]
    form = np.einsum("jk,jl,lk->k", error, hessian, error)
    # M_ii^2 = 1 / (inverse of the trailing block)_ii, the last in elimination order
    pivots = [1 / np.linalg.inv(hessian[i:, i:])[0, 0] for i in range(5)]
    assert (form <= 0.05**2 * np.sum(pivots) * (1 + 1e-9)).all()


@pytest.mark.parametrize("bits", BITS)
def test_two_equal_features_never_lose_to_rounding_alone(bits):
    """Only the sum of the errors counts; the first code is the same in both."""
    hessian = np.ones((2, 2)) + 1e-9 * np.eye(2)
    weights = np.random.default_rng(3).standard_normal((2, 500))
    scale = np.full((2, 500), 0.4)
    feedback = weights - scale * round_with_feedback(hessian, weights, scale, bits)
    rounding = weights - scale * nearest(weights, bits, scale[0])
    gain = np.abs(rounding.sum(axis=0)) - np.abs(feedback.sum(axis=0))
    assert (gain > -1e-6).all()
    assert (gain > 0.1).any()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_output_error_on_correlated_features_is_below_rounding(bits):
    weights = np.random.default_rng(4).standard_normal((8, 50))
    scale = fit_scale(weights, bits)
    features = correlated()
    hessian = features.T @ features
    codes = round_with_feedback(hessian, weights, np.tile(scale, (8, 1)), bits)
    feedback = np.sum((features @ (weights - codes * scale)) ** 2)
    rounding = np.sum(
        (features @ (weights - nearest(weights, bits, scale) * scale)) ** 2
    )
    assert feedback < 0.7 * rounding


def profile(offsets, features, labels, weights):
    """Loss at weights + offsets with the bias at its best."""
    logits = features @ (weights + offsets.reshape(weights.shape))
    found = minimize(
        lambda b: cross_entropy(logits + b, labels),
        np.zeros(weights.shape[1]),
        jac=lambda b: (
            probabilities(logits + b).mean(axis=0)
            - np.bincount(labels, minlength=b.size) / labels.size
        ),
        method="BFGS",
        options={"gtol": 1e-10},
    )
    return found.fun, found.x


def test_full_curvature_is_that_of_the_loss_over_the_best_bias():
    features, labels, weights, _ = classified(60, 2, 3)
    _, bias = profile(np.zeros(6), features, labels, weights)
    hessian = curvatures(features, weights, bias, "full")[0]
    step = 1e-3
    units = step * np.eye(6)
    numeric = np.empty((6, 6))
    for i, j in product(range(6), repeat=2):
        corners = [
            profile(a * units[i] + b * units[j], features, labels, weights)[0] * a * b
            for a, b in product((-1, 1), repeat=2)
        ]
        numeric[i, j] = sum(corners) / (4 * step**2)
    np.testing.assert_allclose(hessian, numeric, atol=2e-4)
    alike = np.repeat([[1.0], [0.0]], 3, axis=1).ravel()  # one shift of all classes
    np.testing.assert_allclose(hessian @ alike, 0, atol=1e-12)


def test_class_and_output_curvatures_are_weighted_covariances():
    features, _, weights, bias = classified(60, 4, 3)
    shares = probabilities(features @ weights + bias)
    blocks = curvatures(features, weights, bias, "class")
    for c in range(3):
        mass = shares[:, c] * (1 - shares[:, c])
        expected = np.cov(features.T, aweights=mass, ddof=0) * mass.mean()
        np.testing.assert_allclose(blocks[c], expected, atol=1e-12)
    output = curvatures(features, weights, bias, "output")[0]
    np.testing.assert_allclose(output, np.cov(features.T, ddof=0), atol=1e-12)


@pytest.mark.parametrize(
    ("curvature", "bits"),
    [*(("full", bits) for bits in BITS), ("class", 2), ("output", 2)],
)
def test_loss_is_below_that_of_refitted_rounding(bits, curvature):
    features, labels, weights, bias = classified()
    head = second_order_rounding(
        features, labels, weights, bias, bits, curvature=curvature
    )
    plain = refit(round_to_nearest(weights, bias, bits), features, labels)
    loss = cross_entropy(head.logits(features), labels)
    assert loss < cross_entropy(plain.logits(features), labels)
    assert head.bits == bits


def test_full_curvature_is_the_default_and_choices_of_one_are_allowed():
    features, labels, weights, bias = classified()
    full = second_order_rounding(features, labels, weights, bias, 2, curvature="full")
    default = second_order_rounding(features, labels, weights, bias, 2)
    np.testing.assert_array_equal(default.codes, full.codes)
    one = second_order_rounding(
        features, labels, weights, bias, 2, damping=0.01, scale_factors=1.0
    )
    assert cross_entropy(full.logits(features), labels) <= cross_entropy(
        one.logits(features), labels
    )


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("samples", [1, 30])
def test_features_without_variance_or_samples_are_rounded(curvature, l2, samples):
    """All samples are alike: the bias undoes every error, no curvature is left."""
    features = np.tile([1.0, 0.0, 0.7], (samples, 1))
    weights = np.array([[1.0, -1.0, 0.2], [0.5, 0.0, 0.1], [1.0, -1.0, 0.3]])
    labels, bias = np.arange(samples) % 2, np.array([0.1, -0.2, 0.3])
    head = second_order_rounding(
        features, labels, weights, bias, 2, curvature=curvature, l2=l2
    )
    assert np.isfinite(head.weights).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curvature": "fisher"}, "curvature: got 'fisher'"),
        ({"damping": 0.0}, r"damping: got \[0.0\]"),
        ({"damping": []}, r"damping: got \[\]"),
        ({"scale_factors": [1.0, np.nan]}, "scale_factors: got"),
        ({"scale_factors": [np.inf]}, "scale_factors: got"),
        ({"l2": np.nan}, "l2: got"),
        ({"labels": [3, 0]}, "labels: got 3"),
        ({"features": np.ones((2, 3))}, "features: got shape"),
        ({"weights": np.ones(2)}, "weights: got shape"),
        ({"bits": 7}, "bits: got 7"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {
        "features": np.eye(2),
        "labels": [0, 1],
        "weights": np.ones((2, 3)),
        "bias": np.zeros(3),
        "bits": 2,
    }
    with pytest.raises(ValueError, match=message):
        second_order_rounding(**arguments | change)
