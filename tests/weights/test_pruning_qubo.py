"""The energies of pruning QUBOs are the errors that pruning makes."""

import numpy as np
import pytest
from scipy.special import log_softmax

from qlib.weights import pruning
from qlib.weights.pruning.qubo import removal_model


@pytest.fixture(scope="module")
def head():
    """Correlated features, labels, weights and bias of a head: n = 200, d = 12."""
    rng = np.random.default_rng(0)
    features = np.maximum(rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)), 0)
    labels = rng.integers(0, 5, size=200)
    return features, labels, rng.normal(size=(12, 5)), rng.normal(size=5)


def masks(channels, count=20):
    return np.random.default_rng(1).integers(0, 2, size=(count, channels)) == 1


def test_energy_is_the_mean_squared_error_of_the_logits_for_every_mask(head):
    features, _, weights, _ = head
    model = pruning.reconstruction_qubo(features, weights, refit_bias=False)
    for kept in masks(12):
        error = np.sum((features[:, ~kept] @ weights[~kept]) ** 2, axis=1).mean()
        energy = pruning.selection(model, kept).energy
        assert energy == pytest.approx(error, rel=1e-12, abs=1e-10)


def test_with_refitted_bias_energy_is_the_error_after_the_best_bias(head):
    features, _, weights, _ = head
    model = pruning.reconstruction_qubo(features, weights)
    moments = pruning.feature_moments(features)
    for kept in masks(12):
        lost = features[:, ~kept] @ weights[~kept]  # (n, C)
        best = np.linalg.lstsq(np.ones((200, 1)), lost, rcond=None)[0]
        error = np.sum((lost - best) ** 2, axis=1).mean()
        energy = pruning.selection(model, kept).energy
        assert energy == pytest.approx(error, rel=1e-12, abs=1e-10)
        pruned = pruning.prune_weights(moments, weights, kept)
        np.testing.assert_allclose(pruned.bias, best[0], atol=1e-12)


def test_energy_is_zero_with_all_kept_and_the_output_variance_with_none(head):
    features, _, weights, _ = head
    model = pruning.reconstruction_qubo(features, weights)
    every, none = np.ones(12, dtype=bool), np.zeros(12, dtype=bool)
    assert abs(pruning.selection(model, every).energy) < 1e-10
    variance = np.var(features @ weights, axis=0).sum()
    assert pruning.selection(model, none).energy == pytest.approx(variance)
    power = pruning.output_power(pruning.feature_moments(features), weights)
    assert power == pytest.approx(variance)


def test_cost_of_one_removal_is_variance_times_squared_norm(head):
    features, _, weights, _ = head
    costs = pruning.removal_costs(pruning.reconstruction_qubo(features, weights))
    expected = features.var(axis=0) * np.sum(weights**2, axis=1)
    np.testing.assert_allclose(costs, expected, rtol=1e-10)
    norms = pruning.weight_norms(weights)
    np.testing.assert_allclose(norms**2, np.sum(weights**2, axis=1))


def losses_with_gates(head, gates):
    features, labels, weights, bias = head
    logits = (features * gates) @ weights + bias
    return -log_softmax(logits, axis=1)[np.arange(labels.size), labels]


def test_gate_gradients_are_finite_differences_of_each_samples_loss(head):
    features, labels, weights, bias = head
    gradients = pruning.head_gate_gradients(features, labels, weights, bias)
    step = 1e-6
    for j in range(12):
        nudge = step * np.eye(12)[j]
        rise = losses_with_gates(head, 1 + nudge) - losses_with_gates(head, 1 - nudge)
        np.testing.assert_allclose(gradients[:, j], rise / (2 * step), atol=1e-7)


def test_fisher_energy_is_minus_gradient_plus_half_the_fisher_form(head):
    gradients = pruning.head_gate_gradients(*head)
    model = pruning.fisher_qubo(gradients)
    for kept in masks(12):
        removed = ~kept
        linear = -gradients.mean(axis=0)[removed].sum()
        square = np.mean(gradients[:, removed].sum(axis=1) ** 2) / 2
        energy = pruning.selection(model, kept).energy
        assert energy == pytest.approx(linear + square, rel=1e-10, abs=1e-10)


def test_fisher_form_is_positive_semidefinite(head):
    model = pruning.fisher_qubo(pruning.head_gate_gradients(*head))
    fisher = 4 * model.J  # ½ mᵀFm with m = (1 − s)/2 couples spins by F/4
    gradients = pruning.head_gate_gradients(*head)
    np.fill_diagonal(fisher, np.mean(gradients**2, axis=0))
    assert np.linalg.eigvalsh(fisher).min() > -1e-12 * np.trace(fisher)


def test_of_two_equal_features_the_best_half_keeps_exactly_one():
    """Independent pairs of duplicates: losing one costs v, losing both costs 4 v."""
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(400, 6)))[0]
    basis -= basis.mean(axis=0)
    features = np.repeat(basis, 2, axis=1)
    weights = np.repeat(rng.choice([-1.0, 1.0], size=(6, 3)), 2, axis=0)
    model = pruning.reconstruction_qubo(features, weights)
    kept = pruning.enumerate_masks(model, 6).kept
    assert (kept.reshape(6, 2).sum(axis=1) == 1).all()
    moments = pruning.feature_moments(features)
    refit = pruning.least_squares_refit(moments, weights, kept)
    power = pruning.output_power(moments, weights)
    assert pruning.output_error(moments, weights, refit) < 1e-12 * power


def test_constant_features_cost_nothing_once_the_bias_is_refitted():
    weights = np.ones((3, 2))
    free = pruning.reconstruction_qubo(np.full((5, 3), 2.0), weights)
    assert pruning.selection(free, np.zeros(3, dtype=bool)).energy == 0
    paid = pruning.reconstruction_qubo(np.full((5, 3), 2.0), weights, refit_bias=False)
    assert pruning.selection(paid, np.zeros(3, dtype=bool)).energy == 72  # 2 · 6²


def test_one_sample_and_one_feature_are_enough():
    model = pruning.reconstruction_qubo([[3.0]], [[2.0]], refit_bias=False)
    assert pruning.selection(model, np.array([False])).energy == 36


@pytest.mark.parametrize(
    ("name", "call"),
    [
        (
            "features",
            lambda: pruning.reconstruction_qubo([[1.0, np.nan]], np.ones((2, 2))),
        ),
        ("features", lambda: pruning.feature_moments(np.ones(3))),
        ("features", lambda: pruning.feature_moments(np.ones((0, 3)))),
        ("weights", lambda: pruning.reconstruction_qubo(np.eye(3), np.ones((2, 2)))),
        ("weights", lambda: pruning.reconstruction_qubo(np.eye(2), [[1, np.inf]] * 2)),
        ("gradients", lambda: pruning.fisher_qubo([[np.nan]])),
        (
            "labels",
            lambda: pruning.head_gate_gradients(np.eye(2), [0, 2], np.eye(2), [0, 0]),
        ),
        (
            "labels",
            lambda: pruning.head_gate_gradients(np.eye(2), [0.0, 1], np.eye(2), [0, 0]),
        ),
        ("cost", lambda: removal_model([[0.0, 1.0], [2.0, 0.0]])),
        ("cost", lambda: removal_model([[0.0, 1.0]])),
        ("keep", lambda: pruning.random_mask(4, 5)),
        ("keep", lambda: pruning.random_mask(4, -1)),
        ("keep", lambda: pruning.largest(np.ones(4), 2.5)),
        ("kept", lambda: pruning.selection(removal_model(np.eye(3)), [1, 0, 1])),
        ("kept", lambda: pruning.selection(removal_model(np.eye(3)), [True])),
    ],
)
def test_bad_input_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        call()
