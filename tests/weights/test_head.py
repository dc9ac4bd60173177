"""The softmax head's running loss against the loss computed from scratch."""

import numpy as np
import pytest
from numba import njit
from scipy.special import logsumexp

from qlib.weights import head_kernels
from qlib.weights.head import REFRESH_EVERY, SoftmaxHead


def mean_cross_entropy(features, labels, weights, bias, l2=0.0):
    logits = features @ weights + bias
    picked = logits[np.arange(labels.size), labels]
    return np.mean(logsumexp(logits, axis=1) - picked) + l2 / 2 * np.sum(weights**2)


def problem(n, d, classes, rng, scale=0.3):
    features = np.maximum(rng.normal(0.3, 1.0, (n, d)), 0.0)
    labels = rng.integers(0, classes, n)
    return (
        features,
        labels,
        rng.normal(0, scale, (d, classes)),
        rng.normal(0, 1, classes),
    )


def brute_force_change(features, labels, weights, bias, j, c, delta, l2=0.0):
    before = mean_cross_entropy(features, labels, weights, bias, l2)
    weights, bias = weights.copy(), bias.copy()
    if j == weights.shape[0]:
        bias[c] += delta
    else:
        weights[j, c] += delta
    return mean_cross_entropy(features, labels, weights, bias, l2) - before


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize(
    ("n", "d", "classes"), [(1, 1, 2), (7, 3, 2), (63, 5, 10), (1000, 8, 5)]
)
def test_a_change_equals_the_difference_of_two_full_losses(n, d, classes, l2):
    rng = np.random.default_rng([n, d, classes])
    data = problem(n, d, classes, rng)
    head = SoftmaxHead(*data, l2=l2)
    assert head.loss == pytest.approx(mean_cross_entropy(*data, l2), abs=1e-13)
    for _ in range(100):
        j, c = rng.integers(d + 1), rng.integers(classes)
        delta = rng.choice([-1, 1]) * 10 ** rng.uniform(-6, 0)
        expected = brute_force_change(*data, j, c, delta, l2)
        assert head.change(j, c, delta) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_a_move_at_the_edge_of_the_block_path_keeps_twelve_digits(scale):
    """Where 1 + p (exp(delta x) - 1) cancels most: p near 1, delta x near -8."""
    rng = np.random.default_rng(8)
    data = problem(300, 4, 3, rng, scale=scale)
    head = SoftmaxHead(*data)
    for j in range(4):
        delta = 0.999 * head_kernels.WIDE_MOVE / data[0][:, j].max()
        for c in range(3):
            for step in (delta, -delta):
                expected = brute_force_change(*data, j, c, step)
                assert head.change(j, c, step) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [5.0, 50.0, 500.0])
def test_a_wide_move_is_exact_too(size):
    rng = np.random.default_rng(0)
    data = problem(200, 4, 3, rng, scale=3.0)
    head = SoftmaxHead(*data)
    for delta in (-size, size):
        for c in range(3):
            expected = brute_force_change(*data, 1, c, delta)
            assert head.change(1, c, delta) == pytest.approx(expected, rel=1e-12)
            head.apply(1, c, delta)
            assert head.loss == pytest.approx(
                mean_cross_entropy(*data[:2], head.weights, head.bias), rel=1e-12
            )
            head.apply(1, c, -delta)


def test_logits_of_a_thousand_neither_overflow_nor_lose_the_loss():
    rng = np.random.default_rng(1)
    features, labels, weights, bias = problem(300, 6, 4, rng)
    logits = features @ weights
    weights *= 1e3 / np.abs(logits).max()
    head = SoftmaxHead(features, labels, weights, bias)
    for _ in range(300):
        j, c, delta = rng.integers(6), rng.integers(4), rng.normal(0, 20)
        head.apply(j, c, delta)
        assert np.isfinite(head.loss)
    exact = mean_cross_entropy(features, labels, head.weights, head.bias)
    assert head.loss == pytest.approx(exact, rel=1e-12)


def test_a_class_comes_back_from_where_its_exponential_underflows():
    """Down by 1000 and back in steps of 5: exp(-1000) is no float64."""
    features, labels = np.ones((3, 1)), np.array([0, 1, 1])
    head = SoftmaxHead(features, labels, np.zeros((1, 2)), np.zeros(2))
    start = head.loss
    for delta in [-5.0] * 200 + [5.0] * 200:
        head.apply(0, 1, delta)
    assert head.loss == pytest.approx(start, abs=1e-12)
    assert start == pytest.approx(np.log(2), abs=1e-15)


def test_the_loss_drifts_by_less_than_1e9_in_ten_thousand_moves_without_refresh():
    rng = np.random.default_rng(2)
    features, labels, weights, bias = problem(500, 16, 6, rng)
    head = SoftmaxHead(features, labels, weights, bias)
    rows, columns = rng.integers(0, 17, 10**4), rng.integers(0, 6, 10**4)
    deltas = rng.normal(0, 0.3, 10**4)
    _apply_all(head.arrays, rows, columns, deltas)
    exact = mean_cross_entropy(features, labels, head.weights, head.bias)
    assert exact > 1.0  # the walk has gone somewhere
    assert head.loss == pytest.approx(exact, abs=1e-9)
    assert head.logits == pytest.approx(features @ head.weights + head.bias, abs=1e-9)


@njit
def _apply_all(arrays, rows, columns, deltas):
    for k in range(rows.size):
        change = head_kernels.change(arrays, 0, rows[k], columns[k], deltas[k])
        head_kernels.apply(arrays, 0, rows[k], columns[k], deltas[k], change)


def test_a_head_refreshes_itself():
    rng = np.random.default_rng(3)
    head = SoftmaxHead(*problem(20, 2, 2, rng))
    head.arrays.loss[0] += 1.0  # an error that only a refresh takes away
    wrong = head.loss
    for k in range(REFRESH_EVERY):
        head.apply(0, 0, 0.1 if k % 2 else -0.1)
    assert head.loss == pytest.approx(wrong - 1.0, abs=1e-9)


def test_a_move_and_its_reverse_cancel():
    rng = np.random.default_rng(4)
    head = SoftmaxHead(*problem(100, 3, 4, rng))
    there = head.apply(2, 1, 0.7)
    assert head.change(2, 1, -0.7) == pytest.approx(-there, abs=1e-14)


def test_a_feature_that_is_zero_changes_only_the_penalty():
    rng = np.random.default_rng(5)
    features, labels, weights, bias = problem(50, 3, 4, rng)
    features[:, 1] = 0.0
    assert SoftmaxHead(features, labels, weights, bias).change(1, 2, 9.0) == 0.0
    head = SoftmaxHead(features, labels, weights, bias, l2=0.5)
    expected = 0.25 * ((weights[1, 2] + 9.0) ** 2 - weights[1, 2] ** 2)
    assert head.change(1, 2, 9.0) == pytest.approx(expected, rel=1e-12)


def test_labels_all_equal_are_driven_to_zero_loss():
    features, labels = np.ones((9, 1)), np.zeros(9, dtype=int)
    head = SoftmaxHead(features, labels, np.zeros((1, 2)), np.zeros(2))
    head.apply(0, 0, 60.0)
    assert head.loss == pytest.approx(np.log1p(np.exp(-60.0)), abs=1e-13)


def test_the_power_of_two_has_a_relative_error_below_1e15():
    t = np.random.default_rng(6).uniform(-1000, 1000, 10**5)
    found = _powers(t)
    assert np.abs(found / np.exp2(t) - 1).max() < 1e-15
    whole = np.arange(-1000.0, 1001.0)
    np.testing.assert_array_equal(_powers(whole), np.exp2(whole))


@njit
def _powers(t):
    values = np.empty_like(t)
    for i in range(t.size):
        values[i] = head_kernels.power_of_two(t[i])
    return values


def test_unfit_input_is_refused_by_name():
    rng = np.random.default_rng(7)
    features, labels, weights, bias = problem(10, 3, 2, rng)
    broken = features.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"features: got nan at \(2, 1\)"):
        SoftmaxHead(broken, labels, weights, bias)
    with pytest.raises(ValueError, match="features: got shape"):
        SoftmaxHead(features[0], labels, weights, bias)
    with pytest.raises(ValueError, match="features: got shape"):
        SoftmaxHead(features[:0], labels[:0], weights, bias)
    with pytest.raises(ValueError, match=r"labels: got 2; allowed: 0\.\.1"):
        SoftmaxHead(features, np.full(10, 2), weights, bias)
    with pytest.raises(ValueError, match="labels: got -1"):
        SoftmaxHead(features, np.full(10, -1), weights, bias)
    with pytest.raises(ValueError, match="labels: got shape"):
        SoftmaxHead(features, labels[:5], weights, bias)
    with pytest.raises(ValueError, match=r"labels: .*float64"):
        SoftmaxHead(features, labels.astype(float), weights, bias)
    with pytest.raises(ValueError, match="weights: got 2 rows"):
        SoftmaxHead(features, labels, weights[:2], bias)
    with pytest.raises(ValueError, match="weights: got 1 classes"):
        SoftmaxHead(features, labels * 0, weights[:, :1], bias[:1])
    with pytest.raises(ValueError, match="bias: got shape"):
        SoftmaxHead(features, labels, weights, bias[:1])
    with pytest.raises(ValueError, match="l2: got -1"):
        SoftmaxHead(features, labels, weights, bias, l2=-1)
    head = SoftmaxHead(features, labels, weights, bias)
    for move, name in (((4, 0, 1.0), "j"), ((0, 2, 1.0), "c"), ((0, 0, np.inf), "d")):
        with pytest.raises(ValueError, match=rf"^{name}\w*: got"):
            head.change(*move)
