"""The convex optimum: one for all starts, and where the gradient vanishes."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_digits

from qlib.weights.convex import fit_softmax
from qlib.weights.head import SoftmaxHead


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data / 16, data.target


def test_five_starts_have_one_optimum(digits):
    features, labels = digits
    rng = np.random.default_rng(0)
    starts = [(rng.normal(0, 2, (64, 10)), rng.normal(0, 2, 10)) for _ in range(4)]
    fits = [fit_softmax(features, labels, l2=1e-3, start=s) for s in [None, *starts]]
    assert all(fit.converged and fit.gradient_norm <= 1e-7 for fit in fits)
    for fit in fits[1:]:
        assert fit.loss == pytest.approx(fits[0].loss, abs=1e-9)
        assert fit.weights == pytest.approx(fits[0].weights, abs=1e-3)
        assert fit.bias == pytest.approx(fits[0].bias, abs=1e-3)


def test_without_a_penalty_the_starts_agree_in_loss():
    """Labels drawn at random are not separable, so the unpenalised minimum exists."""
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(500, 4)), rng.integers(0, 3, 500)
    starts = [(rng.normal(size=(4, 3)), rng.normal(size=3)) for _ in range(4)]
    fits = [fit_softmax(features, labels, l2=0, start=s) for s in [None, *starts]]
    assert np.ptp([fit.loss for fit in fits]) < 1e-6
    differences = [fit.weights[:, 1:] - fit.weights[:, :1] for fit in fits]
    assert np.ptp(differences, axis=0).max() < 1e-4  # free: a vector for all classes


def test_no_single_move_of_the_exact_head_lowers_the_optimum(digits):
    features, labels = digits
    fit = fit_softmax(features, labels, l2=1e-3)
    head = SoftmaxHead(features, labels, fit.weights, fit.bias, l2=1e-3)
    assert head.loss == pytest.approx(fit.loss, abs=1e-12)
    moves = [(j, c, s) for j in range(0, 65, 4) for c in range(10) for s in (-1, 1)]
    assert min(head.change(j, c, 1e-2 * sign) for j, c, sign in moves) > -1e-8


def test_a_constant_feature_fits_the_frequencies_of_the_labels():
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    fit = fit_softmax(np.zeros((10, 1)), labels)
    odds = np.exp(fit.bias - fit.bias[0])
    assert odds == pytest.approx([1, 0.6, 0.4], abs=1e-5)
    assert fit.weights == pytest.approx(0, abs=1e-12)
    assert fit.bias.sum() == pytest.approx(0, abs=1e-12)


def test_two_classes_are_logistic_regression():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(2000, 2))
    truth = expit(features @ [1.0, -2.0] + 0.5)
    labels = (rng.random(2000) < truth).astype(int)
    fit = fit_softmax(features, labels, l2=1e-6)
    found = [*(fit.weights[:, 1] - fit.weights[:, 0]), fit.bias[1] - fit.bias[0]]
    assert found == pytest.approx([1.0, -2.0, 0.5], abs=0.3)  # 3 standard errors


def test_a_warm_start_at_the_optimum_stays_there(digits):
    features, labels = digits
    fit = fit_softmax(features, labels, l2=1e-3)
    again = fit_softmax(features, labels, l2=1e-3, start=(fit.weights, fit.bias))
    assert again.evaluations <= 3
    assert again.weights == pytest.approx(fit.weights, abs=1e-6)


def test_an_unfinished_search_says_so(digits):
    fit = fit_softmax(*digits, maxiter=2)
    assert not fit.converged
    assert fit.gradient_norm > 1e-7


def test_a_class_without_samples_and_a_single_sample_are_fitted():
    fit = fit_softmax(np.ones((1, 1)), np.array([1]), classes=3, l2=0.1)
    assert fit.converged
    assert fit.weights.shape == (1, 3)
    assert fit.loss < np.log(3)


def test_unfit_input_is_refused_by_name():
    features, labels = np.ones((4, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="features: got"):
        fit_softmax(features * np.inf, labels)
    with pytest.raises(ValueError, match="labels: got 1; allowed"):
        fit_softmax(features, labels, start=(np.zeros((2, 1)), np.zeros(1)))
    with pytest.raises(ValueError, match="labels: got shape"):
        fit_softmax(features, labels[:3])
    with pytest.raises(ValueError, match=r"labels: got .* float64"):
        fit_softmax(features, np.full(4, np.nan))
    with pytest.raises(ValueError, match=r"start\[[01]\]: got shape"):
        fit_softmax(features, labels, start=(np.zeros((3, 2)), np.zeros(2)))
    with pytest.raises(ValueError, match=r"start\[[01]\]: got nan"):
        fit_softmax(features, labels, start=(np.full((2, 2), np.nan), np.zeros(2)))
    with pytest.raises(ValueError, match="classes: got 1"):
        fit_softmax(features, labels * 0, classes=1)
    with pytest.raises(ValueError, match="l2: got -1"):
        fit_softmax(features, labels, l2=-1)
    with pytest.raises(ValueError, match="tolerance: got 0"):
        fit_softmax(features, labels, tolerance=0)
