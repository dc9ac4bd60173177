"""Facts about coordinate descent, and every method against all codes there are."""

from itertools import product

import numpy as np
import pytest

from qlib.weights.quantize.calibration import cross_entropy, probabilities
from qlib.weights.quantize.codes import BITS, QuantizedHead, levels
from qlib.weights.quantize.coordinate_descent import coordinate_descent
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.second_order import second_order_rounding
from qlib.weights.quantize.straight_through import straight_through


def classified(samples=200, d=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((samples, d)) @ rng.standard_normal((d, d)) / 2
    weights, bias = rng.standard_normal((d, classes)), rng.standard_normal(classes)
    shares = probabilities(features @ weights + bias)
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return features, labels, weights, bias


def loss(head, features, labels, l2=0.0):
    penalty = l2 / 2 * np.sum(head.weights**2)
    return cross_entropy(head.logits(features), labels) + penalty


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("adapt", "l2"), [(True, 0.0), (True, 0.05), (False, 0.0)])
def test_no_single_change_of_a_code_lowers_the_loss_at_the_end(bits, adapt, l2):
    features, labels, weights, bias = classified()
    start = round_to_nearest(weights, bias, bits)
    head = coordinate_descent(start, features, labels, refit=adapt, l2=l2, rng=0)
    end = loss(head, features, labels, l2)
    assert end <= loss(start, features, labels, l2)
    for j, c, level in product(range(5), range(3), levels(bits)):
        codes = head.codes.copy()
        codes[j, c] = level
        other = QuantizedHead(codes, head.scale, head.bias, bits)
        assert loss(other, features, labels, l2) >= end - 2e-11


def test_refit_cannot_improve_on_the_end_either():
    features, labels, weights, bias = classified()
    head = coordinate_descent(
        round_to_nearest(weights, bias, 1.58), features, labels, rng=0
    )
    again = refit(head, features, labels)
    assert loss(again, features, labels) == pytest.approx(
        loss(head, features, labels), abs=1e-9
    )


@pytest.mark.parametrize("adapt", [True, False])
def test_loss_falls_from_sweep_to_sweep(adapt):
    features, labels, weights, bias = classified(d=20)
    start = round_to_nearest(weights, bias, 2)
    losses = [loss(start, features, labels)] + [
        loss(
            coordinate_descent(
                start, features, labels, sweeps=sweeps, refit=adapt, rng=5
            ),
            features,
            labels,
        )
        for sweeps in range(1, 6)
    ]
    assert losses[1] < losses[0]
    assert (np.diff(losses) <= 1e-12).all()


def test_scale_and_bias_stay_on_request():
    features, labels, weights, bias = classified()
    start = round_to_nearest(weights, bias, 2)
    head = coordinate_descent(start, features, labels, refit=False, rng=0)
    np.testing.assert_array_equal(head.scale, start.scale)
    np.testing.assert_array_equal(head.bias, start.bias)
    assert (head.codes != start.codes).any()


def test_one_generator_decides_the_end():
    features, labels, weights, bias = classified(d=20)
    start = round_to_nearest(weights, bias, 1)
    ends = [
        coordinate_descent(start, features, labels, rng=seed).codes
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert (ends[0] != ends[2]).any()


def test_a_local_optimum_is_left_as_it_is():
    features, labels, weights, bias = classified()
    start = round_to_nearest(weights, bias, 2)
    once = coordinate_descent(start, features, labels, refit=False, rng=0)
    twice = coordinate_descent(once, features, labels, refit=False, rng=1)
    np.testing.assert_array_equal(twice.codes, once.codes)


@pytest.fixture(scope="module")
def tiny():
    """A one-bit head of 9 weights, and the refitted loss of each of its 512 codes."""
    features, labels, weights, bias = classified(samples=100, d=3)
    losses = []
    for codes in product((-1, 1), repeat=9):
        head = QuantizedHead(np.reshape(codes, (3, 3)), np.ones(3), bias, 1)
        losses.append(
            loss(refit(head, features, labels, l2=0.01), features, labels, 0.01)
        )
    return (features, labels, weights, bias), np.array(losses)


def heads_of_all_methods(features, labels, weights, bias):
    problem = (features, labels, weights, bias, 1)
    nearest = refit(round_to_nearest(weights, bias, 1), features, labels, l2=0.01)
    trained = straight_through(*problem, l2=0.01, steps=200, seeds=(0, 1, 2))
    return {
        "nearest": nearest,
        "second order": second_order_rounding(*problem, l2=0.01),
        "descent": coordinate_descent(nearest, features, labels, l2=0.01, rng=0),
        **{f"straight-through {seed}": head for seed, head in enumerate(trained)},
    }


def test_no_method_is_below_the_best_of_all_codes_and_all_reach_the_best_tenth(tiny):
    problem, losses = tiny
    for name, head in heads_of_all_methods(*problem).items():
        reached = loss(refit(head, *problem[:2], l2=0.01), *problem[:2], 0.01)
        assert reached >= losses.min() - 1e-9, name
        assert reached <= np.quantile(losses, 0.1), name


def test_best_of_many_descents_is_the_best_of_all_codes(tiny):
    """Twenty random starts; a start that fails half the time leaves 1e-6 of doubt."""
    (features, labels, _, bias), losses = tiny
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(20):
        codes = rng.choice([-1, 1], size=(3, 3))
        start = QuantizedHead(codes, np.ones(3), bias, 1)
        head = coordinate_descent(start, features, labels, l2=0.01, rng=rng)
        ends.append(loss(head, features, labels, 0.01))
    assert min(ends) == pytest.approx(losses.min(), abs=1e-8)


def test_single_samples_and_dead_features_are_descended():
    start = QuantizedHead([[1, 1], [-1, 1]], [1.0, 1.0], [0.0, 0.0], 1)
    head = coordinate_descent(start, [[0.0, 2.0]], [0], l2=0.1, rng=0)
    assert head.logits(np.array([[0.0, 2.0]])).argmax() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweeps": 0}, "sweeps: got 0"),
        ({"l2": -1.0}, "l2: got"),
        ({"features": np.full((2, 2), np.nan)}, "features: got"),
        ({"features": np.ones((2, 3))}, "features: got shape"),
        ({"labels": [0, 2]}, "labels: got 2"),
        ({"labels": [0]}, "labels: got shape"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {
        "head": QuantizedHead(np.ones((2, 2), int), [1, 1], [0, 0], 1),
        "features": np.eye(2),
        "labels": [0, 1],
    }
    with pytest.raises(ValueError, match=message):
        coordinate_descent(**arguments | change)


def test_other_heads_are_refused():
    with pytest.raises(TypeError, match="head: got list"):
        coordinate_descent([[1, 1]], [[1.0]], [0])
