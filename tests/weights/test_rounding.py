"""Facts about rounding to the nearest code."""

from itertools import product

import numpy as np
import pytest

from qlib.weights.quantize.codes import BITS, fit_scale, levels
from qlib.weights.quantize.rounding import round_to_nearest


@pytest.mark.parametrize("bits", [1, 1.58, 2])
def test_nearest_codes_are_optimal_for_uncorrelated_features_of_equal_variance(bits):
    rng = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(rng.standard_normal((12, 4)))
    features = 3.0 * orthogonal  # XᵀX = 9 times the identity
    weights = rng.standard_normal((4, 2))
    head = round_to_nearest(weights, [0.0, 0.0], bits)
    error = np.sum((features @ (weights - head.weights)) ** 2, axis=0)
    for c in range(2):
        for codes in map(np.array, product(levels(bits), repeat=4)):
            other = features @ (weights[:, c] - codes * head.scale[c])
            assert error[c] <= other @ other * (1 + 1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_rounding_is_invariant_under_the_unit_and_the_sign_of_the_weights(bits):
    weights = np.random.default_rng(1).standard_normal((30, 3))
    head = round_to_nearest(weights, np.zeros(3), bits)
    larger = round_to_nearest(7.5 * weights, np.zeros(3), bits)
    negative = round_to_nearest(-weights, np.zeros(3), bits)
    np.testing.assert_array_equal(larger.codes, head.codes)
    np.testing.assert_array_equal(negative.codes, -head.codes)
    np.testing.assert_allclose(larger.scale, 7.5 * head.scale)


def test_error_falls_with_every_further_bit():
    weights = np.random.default_rng(2).standard_normal((200, 3))
    errors = [
        np.sum((weights - round_to_nearest(weights, np.zeros(3), bits).weights) ** 2)
        for bits in BITS
    ]
    assert errors == sorted(errors, reverse=True)


def test_one_bit_codes_are_signs_and_the_bias_is_kept():
    weights = np.random.default_rng(3).standard_normal((9, 2))
    head = round_to_nearest(weights, [0.5, -2.0], 1)
    np.testing.assert_array_equal(head.codes, np.sign(weights))
    np.testing.assert_array_equal(head.bias, [0.5, -2.0])
    np.testing.assert_array_equal(head.scale, fit_scale(weights, 1))


def test_broken_input_is_refused_by_name():
    with pytest.raises(ValueError, match="weights: got inf"):
        round_to_nearest([[np.inf, 1.0]], [0.0, 0.0], 1)
    with pytest.raises(ValueError, match="bias: got shape"):
        round_to_nearest([[1.0, 1.0]], [0.0], 1)
    with pytest.raises(ValueError, match="bits: got 8"):
        round_to_nearest([[1.0, 1.0]], [0.0, 0.0], 8)
