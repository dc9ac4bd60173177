"""Least squares after pruning: orthogonality, bounds, and the surgeon's order."""

import numpy as np
import pytest

from qlib.weights import pruning
from qlib.weights.convex import fit_softmax


@pytest.fixture(scope="module")
def layer():
    """Correlated features (300, 10), their moments and weights (10, 4)."""
    rng = np.random.default_rng(0)
    features = np.maximum(rng.normal(size=(300, 10)) @ rng.normal(size=(10, 10)), 0)
    return features, pruning.feature_moments(features), rng.normal(size=(10, 4))


def masks(count=10):
    return np.random.default_rng(1).integers(0, 2, size=(count, 10)) == 1


def outputs(features, refit):
    return features @ refit.weights + refit.bias


def test_residual_is_orthogonal_to_kept_features_and_has_no_mean(layer):
    features, moments, weights = layer
    for kept in masks():
        refit = pruning.least_squares_refit(moments, weights, kept)
        residual = features @ weights - outputs(features, refit)
        scale = np.abs(features).max() * np.abs(features @ weights).max()
        overlap = features[:, kept].T @ residual / 300
        assert np.abs(overlap).max(initial=0.0) < 1e-7 * scale
        assert np.abs(residual.mean(axis=0)).max() < 1e-12 * scale
        assert not refit.weights[~kept].any()


def test_refit_is_the_least_squares_solution(layer):
    features, moments, weights = layer
    kept = masks(1)[0]
    refit = pruning.least_squares_refit(moments, weights, kept)
    columns = np.column_stack([features[:, kept], np.ones(300)])
    best = np.linalg.lstsq(columns, features @ weights, rcond=None)[0]
    np.testing.assert_allclose(refit.weights[kept], best[:-1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(refit.bias, best[-1], rtol=1e-6, atol=1e-7)


def test_stated_error_is_the_measured_one_and_refitting_never_raises_it(layer):
    features, moments, weights = layer
    for kept in masks():
        before = pruning.prune_weights(moments, weights, kept, refit_bias=False)
        with_bias = pruning.prune_weights(moments, weights, kept)
        after = pruning.least_squares_refit(moments, weights, kept)
        errors = []
        for refit in (before, with_bias, after):
            change = features @ weights - outputs(features, refit)
            measured = np.sum(change**2, axis=1).mean()
            stated = pruning.output_error(moments, weights, refit)
            assert stated == pytest.approx(measured, rel=1e-9, abs=1e-11)
            errors.append(stated)
        assert errors[0] >= errors[1] - 1e-11
        assert errors[1] >= errors[2] - 1e-11


def test_nothing_and_everything_kept(layer):
    features, moments, weights = layer
    none, every = np.zeros(10, dtype=bool), np.ones(10, dtype=bool)
    mean = pruning.least_squares_refit(moments, weights, none)
    assert not mean.weights.any()
    np.testing.assert_allclose(mean.bias, (features @ weights).mean(axis=0))
    same = pruning.least_squares_refit(moments, weights, every)
    np.testing.assert_allclose(same.weights, weights, rtol=1e-12)
    assert np.abs(same.bias).max() < 1e-12


def test_a_duplicate_is_replaced_by_its_twin_at_no_error(layer):
    features, _, weights = layer
    twins = np.column_stack([features, features[:, 0]])
    moments = pruning.feature_moments(twins)
    weights = np.vstack([weights, 2 * weights[:1]])
    kept = np.ones(11, dtype=bool)
    both = pruning.least_squares_refit(moments, weights, kept)  # singular covariance
    np.testing.assert_allclose(both.weights, weights)
    kept[10] = False
    refit = pruning.least_squares_refit(moments, weights, kept)
    np.testing.assert_allclose(refit.weights[0], 3 * weights[0], rtol=1e-6)
    power = pruning.output_power(moments, weights)
    assert pruning.output_error(moments, weights, refit) < 1e-12 * power
    surgeon = pruning.refitted_elimination(moments, weights, 10)
    assert surgeon[0] != surgeon[10]
    assert surgeon[1:10].all()


def test_constant_features_are_refitted_by_the_bias_alone():
    moments = pruning.feature_moments(np.full((4, 3), 2.0))
    kept = np.array([True, False, False])
    refit = pruning.least_squares_refit(moments, np.ones((3, 1)), kept)
    np.testing.assert_array_equal(refit.weights, [[1.0], [0.0], [0.0]])
    assert refit.bias == 4.0
    assert pruning.refitted_elimination(moments, np.ones((3, 1)), 1).sum() == 1


@pytest.mark.parametrize("block", [1, 2])
def test_each_elimination_is_the_cheapest_after_refitting(layer, block):
    _, moments, weights = layer
    moments = moments._replace(block=block)
    for keep in range(moments.channels, 0, -1):
        kept = pruning.refitted_elimination(moments, weights, keep)
        assert kept.sum() == keep
        errors = {}
        for channel in np.flatnonzero(kept):
            trial = kept.copy()
            trial[channel] = False
            refit = pruning.least_squares_refit(moments, weights, trial)
            errors[channel] = pruning.output_error(moments, weights, refit)
        following = pruning.refitted_elimination(moments, weights, keep - 1)
        removed = np.flatnonzero(kept & ~following)
        assert removed.tolist() == [min(errors, key=errors.get)]


def test_softmax_refit_is_the_optimum_on_the_kept_columns(layer):
    features, _, weights = layer
    rng = np.random.default_rng(2)
    labels = np.argmax(features @ weights + rng.gumbel(size=(300, 4)) * 10, axis=1)
    for kept in masks(3):
        whole = pruning.softmax_refit(features, labels, kept, classes=4, l2=1e-2)
        part = fit_softmax(features[:, kept], labels, classes=4, l2=1e-2)
        assert whole.loss == pytest.approx(part.loss, abs=1e-9)
        np.testing.assert_allclose(whole.weights[kept], part.weights, atol=1e-4)
        assert whole.weights.shape == weights.shape
        assert not whole.weights[~kept].any()


def test_with_nothing_kept_softmax_refits_the_class_frequencies(layer):
    features, labels = layer[0][:6], np.array([0, 0, 0, 1, 1, 2])
    none = np.zeros(10, dtype=bool)
    start = np.ones((10, 3)), np.zeros(3)
    fit = pruning.softmax_refit(features, labels, none, start=start)
    np.testing.assert_allclose(np.exp(fit.bias - fit.bias[2]), [3, 2, 1], rtol=1e-5)
    assert not fit.weights.any()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("kept", {"kept": np.ones(9, dtype=bool)}),
        ("kept", {"kept": np.ones(10)}),
        ("weights", {"weights": np.ones((9, 4))}),
        ("weights", {"weights": np.full((10, 4), np.nan)}),
        ("ridge", {"ridge": 0.0}),
        ("ridge", {"ridge": np.nan}),
    ],
)
def test_bad_input_is_refused_by_name(layer, name, change):
    arguments = {"weights": layer[2], "kept": np.ones(10, dtype=bool)} | change
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        pruning.least_squares_refit(layer[1], **arguments)


@pytest.mark.parametrize("keep", [-1, 11, 2.5])
def test_elimination_refuses_impossible_counts(layer, keep):
    with pytest.raises(ValueError, match=r"^keep: got"):
        pruning.refitted_elimination(layer[1], layer[2], keep)
