"""Searches over codes against enumerated Boltzmann weights and exact losses."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import chisquare
from sklearn.datasets import load_digits

from qlib.weights.convex import fit_softmax
from qlib.weights.head import SoftmaxHead
from qlib.weights.quantize.annealing import (
    replica_exchange_codes,
    simulated_annealing_codes,
)
from qlib.weights.quantize.code_moves import EXCESS_LOSS
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, levels, nearest
from qlib.weights.quantize.path_integral import hopping_logarithms, path_integral_codes

METHODS = [simulated_annealing_codes, replica_exchange_codes, path_integral_codes]
FALSE_ALARM = 1e-4  # of each chi-squared test, for the fixed seeds below


def tiny(bits, d, classes, seed=0):
    """Five samples whose loss has no symmetry between codes."""
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(5, d)), np.arange(5) % classes
    codes = np.full((d, classes), levels(bits)[0])
    scale, bias = rng.uniform(0.3, 0.6, classes), rng.normal(size=classes)
    return features, labels, QuantizedHead(codes, scale, bias, bits)


def loss_of(features, labels, head):
    return SoftmaxHead(features, labels, head.weights, head.bias).loss


def all_losses(features, labels, start):
    """Loss of every code, in the order of `code_numbers`."""
    grid, shape = levels(start.bits), start.codes.shape
    every = [np.reshape(c, shape) for c in product(grid, repeat=start.codes.size)]
    heads = [QuantizedHead(c, start.scale, start.bias, start.bits) for c in every]
    return np.array([loss_of(features, labels, head) for head in heads])


def code_numbers(codes, bits):
    """Number of each code (..., d, C) in the order of `itertools.product`."""
    grid = levels(bits)
    places = np.searchsorted(grid, codes).reshape(*codes.shape[:-2], -1)
    return places @ grid.size ** np.arange(places.shape[-1])[::-1]


def assert_distributed(numbers, weights):
    """Chi-squared of independent draws against weights, rare states pooled."""
    expected = weights / weights.sum() * numbers.size
    counts = np.bincount(numbers, minlength=weights.size)
    rare = expected < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert chisquare(counts, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize(("bits", "d"), [(1, 2), (1.58, 1), (2, 1)])
def test_annealing_at_one_temperature_samples_boltzmann_weights(bits, d):
    """Four binary weights, or two of more levels; independent replicas."""
    features, labels, start = tiny(bits, d, 2)
    losses = all_losses(features, labels, start)
    temperature = np.std(losses)
    end = simulated_annealing_codes(
        features,
        labels,
        start,
        sweeps=40,
        temperature_range=(temperature, temperature),
        replicas=2000,
        rng=1,
    )
    assert_distributed(code_numbers(end.codes, bits), np.exp(-losses / temperature))


def test_one_slice_of_binary_codes_samples_what_annealing_samples():
    features, labels, start = tiny(1, 2, 2)
    losses = all_losses(features, labels, start)
    temperature, seen = np.std(losses), []
    path_integral_codes(
        features,
        labels,
        start,
        slices=1,
        sweeps=8000,
        temperature=temperature,
        field_range=(0.5, 0.5),
        callback=lambda step, state: seen.append(state.codes),
        rng=2,
    )
    numbers = code_numbers(np.concatenate(seen)[50::5], 1)
    assert_distributed(numbers, np.exp(-losses / temperature))


@pytest.mark.parametrize(("bits", "slices"), [(1, 2), (1, 3), (1.58, 2)])
def test_slices_have_the_weights_of_the_trotter_formula(bits, slices):
    """All states of a ring of slices, couplings from a matrix exponential."""
    features, labels, start = tiny(bits, 1, 2, seed=3)
    losses = all_losses(features, labels, start)
    temperature, states = 2 * np.std(losses) / slices, losses.size
    field = 0.7 * slices * temperature
    size = levels(bits).size
    hop = expm(0.7 * (np.eye(size, k=1) + np.eye(size, k=-1)))
    hop = np.kron(hop, hop)  # two weights, the second running fastest
    weights = np.empty([states] * slices)
    for ring in np.ndindex(weights.shape):
        bonds = [hop[ring[k], ring[(k + 1) % slices]] for k in range(slices)]
        energy = losses[list(ring)].sum() / (slices * temperature)
        weights[ring] = np.exp(-energy) * np.prod(bonds)
    seen = []
    path_integral_codes(
        features,
        labels,
        start,
        slices=slices,
        sweeps=8000,
        temperature=temperature,
        field_range=(field, field),
        callback=lambda step, state: seen.append(state.codes),
        rng=4,
    )
    numbers = code_numbers(np.stack(seen)[50::5], bits)  # (sweeps, slices)
    rings = numbers @ states ** np.arange(slices)[::-1]
    assert_distributed(rings, weights.ravel())


def test_replica_exchange_keeps_the_weights_of_every_temperature():
    features, labels, start = tiny(1, 2, 2, seed=5)
    losses = all_losses(features, labels, start)
    hot, cold = 2 * np.std(losses), np.std(losses)
    seen = []
    end = replica_exchange_codes(
        features,
        labels,
        start,
        sweeps=12000,
        temperature_range=(hot, cold),
        replicas=2,
        callback=lambda step, state: seen.append(state.codes),
        rng=6,
    )
    for row, temperature in enumerate((hot, cold)):
        numbers = code_numbers(np.stack(seen)[50::5, row], 1)
        assert_distributed(numbers, np.exp(-losses / temperature))
    assert end.losses[0].mean() > end.losses[1].mean()


def test_the_coupling_of_binary_slices_is_half_the_log_of_coth():
    for hopping in (1e-3, 0.3, 2.0, 40.0):
        logs = hopping_logarithms(2, hopping)
        coupling = (logs[0, 0] - logs[0, 1]) / 2
        assert coupling == pytest.approx(-0.5 * np.log(np.tanh(hopping)), abs=1e-12)
    for size, hopping in ((3, 0.2), (16, 1.7), (16, 9.0)):
        adjacency = np.eye(size, k=1) + np.eye(size, k=-1)
        expected = expm(hopping * adjacency)
        assert np.exp(hopping_logarithms(size, hopping)) == pytest.approx(
            expected, rel=1e-9, abs=1e-15
        )


@pytest.fixture(scope="module")
def digits():
    """Digits, a good 1-bit start from the convex optimum, and its loss."""
    data = load_digits()
    features, labels = data.data / 16, data.target
    fit = fit_softmax(features, labels, l2=1e-3)
    scale = fit_scale(fit.weights, 1)
    start = QuantizedHead(nearest(fit.weights, 1, scale), scale, fit.bias, 1)
    return features, labels, start, loss_of(features, labels, start)


@pytest.mark.parametrize("method", METHODS)
def test_every_search_improves_a_rounded_head_and_reports_its_loss(method, digits):
    features, labels, start, before = digits
    found = method(features, labels, start, sweeps=6, rng=0)
    assert found.loss < 0.7 * before
    assert found.loss == pytest.approx(loss_of(features, labels, found.head), abs=1e-12)
    assert found.loss <= found.losses.min() + 1e-9
    assert found.losses.shape == found.acceptance.shape
    assert found.losses.shape[1] == 6
    rows = found.losses.shape[0]
    sweep = rows * start.codes.size
    per_sweep = 2 * sweep if method is path_integral_codes else sweep
    assert found.proposals == 6 * per_sweep
    for row in range(rows):
        head = QuantizedHead(found.codes[row], start.scale, start.bias, 1)
        exact = loss_of(features, labels, head)
        assert found.losses[row, -1] == pytest.approx(exact, abs=1e-9)


def test_a_textbook_hot_start_melts_a_good_start_that_the_default_keeps(digits):
    """Textbook: the median rise of the loss is accepted every other time."""
    features, labels, start, before = digits
    good = simulated_annealing_codes(features, labels, start, sweeps=40, rng=0)
    head = SoftmaxHead(features, labels, good.head.weights, start.bias)
    flips = -2 * good.head.weights
    changes = [head.change(j, c, flips[j, c]) for j in range(64) for c in range(10)]
    textbook = np.median([change for change in changes if change > 0]) / np.log(2)
    default = EXCESS_LOSS / 640
    ends = [
        simulated_annealing_codes(
            features, labels, good.head, sweeps=10, temperature_range=(t, t), rng=1
        ).losses[0, -1]
        for t in (textbook, default)
    ]
    gain = before - good.loss
    assert gain > 0.4 * before
    assert textbook > 5 * default
    assert ends[0] > good.loss + 0.6 * gain
    assert ends[1] < good.loss + 0.1 * gain


def test_a_cold_end_is_a_local_minimum_under_single_moves(digits):
    features, labels, start, _ = digits
    features, labels = features[:200], labels[:200]
    found = simulated_annealing_codes(
        features, labels, start, sweeps=60, temperature_range=(1e-4, 1e-12), rng=2
    )
    head = SoftmaxHead(features, labels, found.head.weights, start.bias)
    flips = -2 * found.head.weights
    changes = [head.change(j, c, flips[j, c]) for j in range(64) for c in range(10)]
    assert min(changes) > -1e-11


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_gives_one_result_and_replicas_differ(method):
    features, labels, start = tiny(2, 3, 3, seed=7)
    first, again, other = (
        method(features, labels, start, sweeps=5, rng=seed) for seed in (8, 8, 9)
    )
    np.testing.assert_array_equal(first.losses, again.losses)
    np.testing.assert_array_equal(first.head.codes, again.head.codes)
    assert not np.array_equal(first.losses, other.losses)
    many = {"slices": 6} if method is path_integral_codes else {"replicas": 6}
    found = method(features, labels, start, sweeps=5, rng=8, **many)
    assert len(np.unique(found.losses, axis=0)) == 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [1, 1.58, 2, 3, 4])
def test_a_callback_sees_codes_on_the_grid_and_may_stop(method, bits):
    features, labels, start = tiny(bits, 2, 3)
    steps = []

    def watch(step, state):
        steps.append(step)
        assert np.isin(state.codes, levels(bits)).all()
        assert state.best_loss <= state.losses.min() + 1e-12
        if step == 3:
            raise StopIteration

    found = method(features, labels, start, sweeps=10, callback=watch, rng=0)
    assert steps == [1, 2, 3]
    assert found.losses.shape[1] == 3


@pytest.mark.parametrize("method", METHODS)
def test_one_sample_of_zero_features_is_searched_without_a_change(method):
    start = QuantizedHead(np.ones((2, 2), dtype=int), np.ones(2), np.zeros(2), 1)
    found = method(np.zeros((1, 2)), np.zeros(1, dtype=int), start, sweeps=3, rng=0)
    assert found.loss == pytest.approx(np.log(2), abs=1e-15)
    assert found.losses == pytest.approx(np.log(2), abs=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_unfit_input_is_refused_by_name(method):
    features, labels, start = tiny(1, 2, 2)
    with pytest.raises(ValueError, match="features: got"):
        method(np.full_like(features, np.nan), labels, start)
    with pytest.raises(ValueError, match="weights: got 2 rows"):
        method(features[:, :1], labels, start)
    with pytest.raises(ValueError, match="labels: got 2"):
        method(features, labels + 1, start)
    with pytest.raises(TypeError, match="start: got"):
        method(features, labels, start.codes)
    with pytest.raises(ValueError, match="codes: got 0"):
        method(features, labels, QuantizedHead(0 * start.codes, *[np.ones(2)] * 2, 1))
    with pytest.raises(ValueError, match="sweeps: got 0"):
        method(features, labels, start, sweeps=0)
    with pytest.raises(TypeError, match="callback: got 3"):
        method(features, labels, start, callback=3)
    name = "field_range" if method is path_integral_codes else "temperature_range"
    for wrong in ((1e-5, 1e-4), (1e-4, 0.0), (np.nan, 1e-4), 3):
        with pytest.raises(ValueError, match=f"{name}: got"):
            method(features, labels, start, **{name: wrong})


def test_too_few_replicas_slices_or_degrees_are_refused():
    features, labels, start = tiny(1, 2, 2)
    with pytest.raises(ValueError, match="replicas: got 1"):
        replica_exchange_codes(features, labels, start, replicas=1)
    with pytest.raises(ValueError, match="replicas: got 0"):
        simulated_annealing_codes(features, labels, start, replicas=0)
    with pytest.raises(ValueError, match="slices: got 0"):
        path_integral_codes(features, labels, start, slices=0)
    with pytest.raises(ValueError, match="temperature: got 0"):
        path_integral_codes(features, labels, start, temperature=0)
