"""Facts about the grids of codes, the nearest codes and the best scales."""

from itertools import product

import numpy as np
import pytest

from qlib.weights.quantize.codes import (
    BITS,
    QuantizedHead,
    fit_scale,
    levels,
    nearest,
)


@pytest.mark.parametrize(
    ("bits", "grid"),
    [
        (1, [-1, 1]),
        (1.58, [-1, 0, 1]),
        (2, [-3, -1, 1, 3]),
        (3, [-7, -5, -3, -1, 1, 3, 5, 7]),
        (4, list(range(-15, 16, 2))),
    ],
)
def test_levels_of_each_width(bits, grid):
    assert levels(bits).tolist() == grid
    assert levels(bits).dtype == np.int8


@pytest.mark.parametrize("bits", BITS)
def test_levels_number_two_to_the_bits_and_are_symmetric(bits):
    grid = levels(bits)
    assert grid.size == pytest.approx(2**bits, rel=0.01)
    np.testing.assert_array_equal(grid, -grid[::-1])


@pytest.mark.parametrize("bits", BITS)
def test_nearest_is_nearest_among_all_levels(bits):
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((40, 3))
    scale = np.array([0.01, 0.3, 2.0])
    codes = nearest(weights, bits, scale)
    distances = np.abs(
        weights[..., None] - scale[:, None] * levels(bits)
    )  # (d, C, levels)
    expected = levels(bits)[np.argmin(distances, axis=-1)]
    np.testing.assert_array_equal(codes, expected)
    assert codes.dtype == np.int8


@pytest.mark.parametrize("bits", BITS)
def test_codes_are_their_own_nearest(bits):
    codes = levels(bits)[:, None]
    np.testing.assert_array_equal(nearest(codes * 0.37, bits, [0.37]), codes)


def error(weights, bits, scale, importance=1.0):
    misfit = (weights - scale * nearest(weights, bits, scale)) ** 2
    return np.sum(importance * misfit, axis=0)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("weighted", [False, True])
def test_fitted_scale_is_never_beaten_by_a_dense_scan(bits, weighted):
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((30, 4)) * [1e-3, 1.0, 1.0, 50.0]
    weights[:, 2] = rng.standard_cauchy(30)
    importance = rng.random(weights.shape) if weighted else np.ones_like(weights)
    scale = fit_scale(weights, bits, importance if weighted else None)
    fitted = error(weights, bits, scale, importance)
    scan = np.stack(
        [
            error(weights, bits, share * np.abs(weights).max(axis=0), importance)
            for share in np.geomspace(1e-3, 2, 3000)
        ]
    )  # (scan, C)
    assert (fitted <= scan.min(axis=0) * (1 + 1e-12)).all()
    np.testing.assert_allclose(fitted, scan.min(axis=0), rtol=0.05)


@pytest.mark.parametrize("bits", [1, 1.58, 2])
def test_fitted_scale_is_best_over_all_code_vectors(bits):
    weights = np.random.default_rng(2).standard_normal(5)
    best = min(
        np.sum((weights - weights @ q / (q @ q) * q) ** 2)
        for q in map(np.array, product(levels(bits).astype(float), repeat=5))
        if weights @ q > 0
    )
    scale = fit_scale(weights[:, None], bits)
    assert error(weights[:, None], bits, scale)[0] == pytest.approx(best, rel=1e-12)


def test_one_bit_scale_is_the_mean_magnitude():
    weights = np.random.default_rng(3).standard_normal((17, 3))
    np.testing.assert_allclose(fit_scale(weights, 1), np.abs(weights).mean(axis=0))


@pytest.mark.parametrize("bits", BITS)
def test_weights_on_a_grid_are_recovered_without_error(bits):
    rng = np.random.default_rng(4)
    codes = rng.choice(levels(bits), size=(50, 2))
    codes[0] = levels(bits)[-1]
    codes[1] = levels(bits)[levels(bits) > 0][0]
    scale = np.array([0.2, 3.0])
    np.testing.assert_allclose(fit_scale(codes * scale, bits), scale)


@pytest.mark.parametrize("bits", BITS)
def test_scale_follows_the_unit_of_the_weights(bits):
    weights = np.random.default_rng(5).standard_normal((20, 2))
    np.testing.assert_allclose(
        fit_scale(1000 * weights, bits), 1000 * fit_scale(weights, bits)
    )


@pytest.mark.parametrize("bits", BITS)
def test_zero_and_equal_and_single_weights_have_a_scale(bits):
    zero = np.zeros((3, 1))
    assert fit_scale(zero, bits)[0] > 0
    assert np.abs(nearest(zero, bits, fit_scale(zero, bits))).max() <= 1
    for weights in (np.full((4, 1), 0.7), np.array([[-0.7]])):
        scale = fit_scale(weights, bits)
        np.testing.assert_allclose(nearest(weights, bits, scale) * scale, weights)


@pytest.mark.parametrize("bits", BITS)
def test_head_is_codes_times_scale(bits):
    codes = np.stack([levels(bits)] * 2, axis=1)
    head = QuantizedHead(codes, [0.5, 2.0], [1.0, -1.0], bits)
    np.testing.assert_array_equal(head.weights, codes * [0.5, 2.0])
    features = np.random.default_rng(6).standard_normal((3, codes.shape[0]))
    np.testing.assert_allclose(
        head.logits(features), features @ (codes * [0.5, 2.0]) + [1.0, -1.0]
    )


def test_stored_bits_count_levels_and_the_shared_scale():
    head = QuantizedHead(np.ones((64, 2), int), [1, 1], [0, 0], 1)
    assert head.bits_per_weight == 1.5
    head = QuantizedHead(np.ones((32, 2), int), [1, 1], [0, 0], 1.58)
    assert head.bits_per_weight == pytest.approx(1 + np.log2(3))


def test_head_does_not_share_memory_with_its_arguments():
    codes, scale, bias = np.ones((2, 1), np.int8), np.ones(1), np.zeros(1)
    head = QuantizedHead(codes, scale, bias, 1)
    codes[0], scale[0], bias[0] = -1, 9.0, 9.0
    assert head.codes[0, 0] == 1
    assert head.scale[0] == 1
    assert head.bias[0] == 0


@pytest.mark.parametrize("bits", [0, 1.5, 5, True, "2", None])
def test_unknown_bits_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits: got .*allowed: \(1, 1.58, 2, 3, 4\)"):
        levels(bits)


@pytest.mark.parametrize(
    ("bits", "code"), [(1, 0), (1, 3), (1.58, 2), (2, 2), (3, 9), (4, 300)]
)
def test_codes_outside_the_grid_are_refused(bits, code):
    codes = np.ones((2, 2), dtype=int)
    codes[1, 0] = code
    with pytest.raises(ValueError, match=rf"{code} at \(1, 0\).*outside the grid"):
        QuantizedHead(codes, [1, 1], [0, 0], bits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.ones(3, int)}, "codes: got shape"),
        ({"codes": np.ones((2, 2))}, "codes: got shape .* of float64"),
        ({"codes": np.ones((0, 2), int)}, "codes: got shape"),
        ({"scale": [1.0, 0.0]}, "scale: got 0.0 for class 1"),
        ({"scale": [1.0, np.nan]}, "scale: got nan"),
        ({"scale": [1.0]}, r"scale: got shape \(1,\)"),
        ({"bias": [np.inf, 0.0]}, "bias: got inf"),
        ({"bias": 0.0}, r"bias: got shape \(\)"),
    ],
)
def test_broken_heads_are_refused_by_name(change, message):
    arguments = {"codes": np.ones((2, 2), int), "scale": [1, 1], "bias": [0, 0]}
    with pytest.raises(ValueError, match=message):
        QuantizedHead(**(arguments | change), bits=2)


def test_broken_weights_and_importance_are_refused_by_name():
    with pytest.raises(ValueError, match="weights: got nan"):
        fit_scale([[1.0], [np.nan]], 2)
    with pytest.raises(ValueError, match="weights: got shape"):
        nearest(np.ones(3), 2, [1.0])
    with pytest.raises(ValueError, match=r"importance: got -1\.0"):
        fit_scale(np.ones((2, 1)), 2, [-1.0, 1.0])
    with pytest.raises(ValueError, match="importance: got shape"):
        fit_scale(np.ones((2, 1)), 2, [1.0, 1.0, 1.0])
