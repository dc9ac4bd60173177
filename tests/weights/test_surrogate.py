"""The quadratic surrogate against the exact loss, and its Ising form against it."""

import dimod
import numpy as np
import pytest
from sklearn.datasets import load_digits

from qlib.weights.convex import fit_softmax
from qlib.weights.head import SoftmaxHead
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, levels, nearest
from qlib.weights.surrogate import (
    SurrogateHead,
    anneal_surrogate,
    quadratic_surrogate,
)

BLOCKS = ["full", "class"]


@pytest.fixture(scope="module")
def data():
    """600 digits, every fourth pixel: 16 features, 10 classes."""
    digits = load_digits()
    features, labels = digits.data[:600, ::4] / 16, digits.target[:600]
    fit = fit_softmax(features, labels, l2=1e-2)
    return features, labels, fit


def surrogate_of(data, blocks="full"):
    features, labels, fit = data
    return quadratic_surrogate(
        features, labels, fit.weights, fit.bias, l2=1e-2, blocks=blocks
    )


def exact(data, weights):
    features, labels, fit = data
    return SoftmaxHead(features, labels, weights, fit.bias, l2=1e-2).loss


def test_the_error_is_of_third_order(data):
    """It grows eightfold a doubling of the distance from the point."""
    surrogate, fit = surrogate_of(data), data[2]
    direction = np.random.default_rng(0).normal(size=fit.weights.shape)
    errors = [
        surrogate.energy(fit.weights + t * direction)
        - exact(data, fit.weights + t * direction)
        for t in (0.02, 0.04, 0.08)
    ]
    assert surrogate.energy(fit.weights) == pytest.approx(fit.loss, abs=1e-12)
    assert errors[1] / errors[0] == pytest.approx(8, rel=0.1)
    assert errors[2] / errors[1] == pytest.approx(8, rel=0.15)


def test_gradient_and_hessian_are_the_differences_of_the_exact_loss(data):
    """Away from the optimum, where the gradient is not zero."""
    features, labels, fit = data
    rng = np.random.default_rng(1)
    weights = fit.weights + rng.normal(0, 0.3, fit.weights.shape)
    surrogate = quadratic_surrogate(features, labels, weights, fit.bias, l2=1e-2)
    blocks = quadratic_surrogate(
        features, labels, weights, fit.bias, l2=1e-2, blocks="class"
    )
    head = SoftmaxHead(features, labels, weights, fit.bias, l2=1e-2)
    h, d = 1e-3, 16
    for _ in range(20):
        (j, k), (c, e) = rng.integers(0, d, 2), rng.integers(0, 10, 2)
        slope = (head.change(j, c, h) - head.change(j, c, -h)) / (2 * h)
        assert surrogate.gradient[c, j] == pytest.approx(slope, abs=1e-7)
        corners = 0.0
        for sign in (1, -1):
            head.apply(k, e, sign * h)
            corners += sign * (head.change(j, c, h) - head.change(j, c, -h))
            head.apply(k, e, -sign * h)
        entry = surrogate.hessian[c * d + j, e * d + k]
        assert entry == pytest.approx(corners / (4 * h**2), abs=1e-6)
        if c == e:
            assert blocks.hessian[c, j, k] == pytest.approx(entry, abs=1e-15)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_proposals_are_differences_of_recomputed_energies(data, blocks):
    surrogate = surrogate_of(data, blocks)
    rng = np.random.default_rng(2)
    head = SurrogateHead(surrogate, data[2].weights)
    for _ in range(500):
        j, c, delta = rng.integers(16), rng.integers(10), rng.normal()
        moved = head.weights
        moved[j, c] += delta
        expected = surrogate.energy(moved) - surrogate.energy(head.weights)
        change = head.change(j, c, delta)
        assert change == pytest.approx(expected, abs=1e-10)
        assert head.apply(j, c, delta) == change
    assert head.energy == pytest.approx(surrogate.energy(head.weights), abs=1e-10)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_the_ising_model_has_the_surrogates_energies(data, blocks):
    surrogate = surrogate_of(data, blocks)
    rng = np.random.default_rng(3)
    scale = rng.uniform(0.2, 2.0, 10)
    model = surrogate.to_ising(scale)
    spins = rng.choice([-1, 1], (50, 160))
    codes = surrogate.spins_to_codes(spins)
    assert codes.shape == (50, 16, 10)
    energies = surrogate.energy(codes * scale)
    assert model.energy(spins) == pytest.approx(energies, abs=1e-10)
    assert model.is_sparse == (blocks == "class")


@pytest.mark.parametrize("bits", [1, 1.58, 2])
def test_annealed_codes_have_a_lower_surrogate_energy_than_rounded_ones(data, bits):
    surrogate = surrogate_of(data)
    weights, bias = data[2].weights, data[2].bias
    scale = fit_scale(weights, bits)
    start = QuantizedHead(nearest(weights, bits, scale), scale, bias, bits)
    found, energies = anneal_surrogate(surrogate, start, sweeps=300, rng=4)
    best = surrogate.energy(found.weights)
    assert best <= energies.min() + 1e-12
    assert best < surrogate.energy(start.weights)
    assert exact(data, found.weights) < exact(data, start.weights)


def test_annealing_finds_the_ground_state_that_a_dimod_solver_finds():
    rng = np.random.default_rng(5)
    features, labels = rng.normal(size=(30, 5)), rng.integers(0, 2, 30)
    fit = fit_softmax(features, labels, l2=0.1)
    surrogate = quadratic_surrogate(features, labels, fit.weights, fit.bias)
    scale = np.array([0.3, 0.4])
    solved = dimod.ExactSolver().sample(surrogate.to_ising(scale).to_bqm())
    lowest = solved.first.energy
    start = QuantizedHead(np.ones((5, 2), dtype=int), scale, fit.bias, 1)
    found, _ = anneal_surrogate(surrogate, start, temperature_range=(0.3, 1e-3), rng=6)
    assert surrogate.energy(found.weights) == pytest.approx(lowest, abs=1e-12)
    codes = surrogate.spins_to_codes(solved.record.sample)
    energies = surrogate.energy(codes * scale)
    assert energies == pytest.approx(solved.record.energy, abs=1e-12)


def test_a_callback_may_stop_the_annealing_and_a_seed_repeats_it(data):
    surrogate, weights = surrogate_of(data), data[2].weights
    scale = fit_scale(weights, 1)
    start = QuantizedHead(nearest(weights, 1, scale), scale, data[2].bias, 1)

    def stop(step, energy):
        if step == 4:
            raise StopIteration

    first, energies = anneal_surrogate(surrogate, start, callback=stop, rng=7)
    again, repeated = anneal_surrogate(surrogate, start, callback=stop, rng=7)
    assert energies.size == 4
    np.testing.assert_array_equal(energies, repeated)
    np.testing.assert_array_equal(first.codes, again.codes)


def test_one_sample_of_zero_features_has_no_curvature():
    surrogate = quadratic_surrogate(
        np.zeros((1, 2)), np.array([0]), np.ones((2, 2)), np.zeros(2)
    )
    assert surrogate.energy(np.full((2, 2), 7.0)) == pytest.approx(np.log(2))
    assert not surrogate.hessian.any()


def test_unfit_input_is_refused_by_name(data):
    features, labels, fit = data
    with pytest.raises(ValueError, match="blocks: got 'none'"):
        quadratic_surrogate(features, labels, fit.weights, fit.bias, blocks="none")
    wide = np.ones((2, 521))
    with pytest.raises(ValueError, match='blocks: got "full" for d C = 5210'):
        quadratic_surrogate(wide, labels[:2], np.zeros((521, 10)), fit.bias)
    with pytest.raises(ValueError, match="features: got nan"):
        quadratic_surrogate(features * np.nan, labels, fit.weights, fit.bias)
    with pytest.raises(ValueError, match="weights: got 15 rows"):
        quadratic_surrogate(features, labels, fit.weights[1:], fit.bias)
    with pytest.raises(ValueError, match="bias: got shape"):
        quadratic_surrogate(features, labels, fit.weights, fit.bias[1:])
    with pytest.raises(ValueError, match="weights: got nan"):
        quadratic_surrogate(features, labels, fit.weights * np.nan, fit.bias)
    with pytest.raises(ValueError, match="l2: got -1"):
        quadratic_surrogate(features, labels, fit.weights, fit.bias, l2=-1)
    surrogate = surrogate_of(data)
    with pytest.raises(ValueError, match="weights: got shape"):
        surrogate.energy(np.zeros((10, 16)))
    with pytest.raises(ValueError, match="scale: got"):
        surrogate.to_ising(np.zeros(10))
    with pytest.raises(ValueError, match="c: got 10; allowed"):
        SurrogateHead(surrogate, fit.weights).change(0, 10, 1.0)
    with pytest.raises(TypeError, match="start: got"):
        anneal_surrogate(surrogate, levels(1))
    start = QuantizedHead(np.ones((16, 10), dtype=int), np.ones(10), fit.bias, 1)
    with pytest.raises(ValueError, match="temperature_range: got"):
        anneal_surrogate(surrogate, start, temperature_range=(1e-5, 1e-4))
