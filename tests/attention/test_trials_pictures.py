"""A measured state, maps and play: exact where nothing is left out, told elsewhere."""

import math

import numpy as np
import pytest
import torch

from qlib.attention.language import LanguageModel
from qlib.attention.trials.inputs import gaussian
from qlib.attention.trials.maps import Maps, maps_by_backend
from qlib.attention.trials.measurement import measurement
from qlib.attention.trials.pareto import Configuration
from qlib.attention.trials.play import WAYS, played


def test_a_state_is_normalised_and_its_counts_are_all_measurements():
    found = measurement(shots=50, runs=3, seed=2)
    weights = found.amplitudes**2
    assert weights.sum() == pytest.approx(1)
    assert found.counts.sum() == found.shots == 50
    assert found.exact == pytest.approx(weights @ found.values)
    variance = weights @ (found.values - found.exact) ** 2
    assert found.spread == pytest.approx(variance**0.5)


def test_means_of_measured_values_are_unbiased_with_theory_s_error():
    """Five standard errors: one false alarm in a million for each of three budgets."""
    runs, budgets = 4000, (1, 4, 64)
    found = measurement(runs=runs, budgets=budgets, keys=4)
    theory = found.spread / np.sqrt(budgets)
    off = (found.estimates.mean(1) - found.exact) / (theory / runs**0.5)
    assert (np.abs(off) < 5).all()
    np.testing.assert_allclose(found.deviation, theory, rtol=0.1)
    ratios = [value for _, value, _ in found.rows()]
    np.testing.assert_allclose(ratios, found.deviation / theory)


def test_one_seed_gives_one_measurement():
    one, two, other = (measurement(runs=3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.estimates, two.estimates)
    assert not np.array_equal(one.amplitudes, other.amplitudes)
    with pytest.raises(ValueError, match="keys: got 1"):
        measurement(keys=1)
    with pytest.raises(ValueError, match="shots: got 0"):
        measurement(shots=0)


@pytest.fixture(scope="module")
def found():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LanguageModel(width=16, heads=2, layers=2)
    tokens = torch.arange(20, dtype=torch.uint8)
    configurations = [
        Configuration("all", "local_window", {"window": 20}),
        Configuration("near", "local_window", {"window": 1}),
        Configuration("drawn", "control_variate", {"samples": 3}),
    ]
    return maps_by_backend(model, tokens, configurations)


def test_maps_are_causal_rows_of_probability(found):
    assert found.names == ("exact", "all", "near", "drawn")
    assert found.backends == ("local_window", "local_window", "control_variate")
    assert found.weights.shape == (4, 2, 2, 20, 20)
    assert np.triu(found.weights, 1).max() == 0
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-5)


def test_a_window_over_everything_is_exact_and_a_narrow_one_is_a_band(found):
    assert found.distance[0].max() == 0
    assert found.distance[1].max() < 1e-6
    np.testing.assert_allclose(found.entropy[1], found.entropy[0], atol=1e-5)
    band = np.eye(20) + np.eye(20, k=-1)
    np.testing.assert_array_equal(
        found.weights[2] > 0, np.broadcast_to(band > 0, (2, 2, 20, 20))
    )
    assert found.entropy[2].max() <= math.log(2)
    rows = found.weights[0]
    expected = -(rows * np.log(np.where(rows > 0, rows, 1))).sum(-1).mean(-1)
    np.testing.assert_allclose(found.entropy[0], expected, atol=1e-5)


def test_weights_below_zero_have_no_entropy(found):
    assert (found.weights[3] < 0).any()
    assert np.isnan(found.entropy[3]).all()
    rows = [row for row in found.rows() if "entropy" in row[0]]
    assert [row[2]["attention"] for row in rows] == ["exact", "all", "near"]


def test_disjoint_rows_are_at_distance_one():
    one = np.eye(3, dtype=np.float32)[None, None]
    two = np.roll(one, 1, axis=-1)
    maps = Maps(("exact", "b"), ("lsh",), np.stack((one, two)), np.zeros((2, 1, 1)))
    np.testing.assert_array_equal(maps.distance, [[[0.0]], [[1.0]]])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_plays_on_what_was_asked_for(way):
    inputs = gaussian(24, dim=8)
    played_once = played(inputs, way, budget=4, length=16, temperature=0.5, repeats=1)
    assert played_once.weights.shape == played_once.exact.shape == (16, 16)
    assert played_once.error > 0
    q, k = (each[0, 0, :16].double().numpy() for each in (inputs.q, inputs.k))
    logits = q @ k.T / math.sqrt(8) / 0.5
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(played_once.exact, weights, atol=1e-5)
    assert played_once.entropy == pytest.approx(
        -(weights * np.log(weights)).sum(-1).mean(), abs=1e-4
    )
    assert played_once.speed.shape == (1,)
    assert (played_once.speed > 0).all()


def test_play_is_exact_when_the_window_is_all_and_flat_when_it_is_hot():
    inputs = gaussian(16, dim=8)
    whole = played(inputs, "local window", budget=16, repeats=1)
    assert whole.error < 1e-5
    more = played(inputs, "local window", budget=99, repeats=1)
    assert more.budget == 16
    hot = played(inputs, "multinomial", budget=4, temperature=1e6, repeats=1)
    assert hot.entropy == pytest.approx(math.log(16), abs=1e-4)
    cold = played(inputs, "multinomial", budget=4, temperature=1e-3, repeats=1)
    assert cold.entropy < 0.1
    assert cold.error < 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"way": "annealing"}, "way: got 'annealing'; allowed: multinomial"),
        ({"budget": 0}, "budget: got 0"),
        ({"length": 1}, "length: got 1"),
        ({"temperature": 0.0}, "temperature: got 0"),
    ],
)
def test_play_refuses_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        played(gaussian(16, dim=8), **{"way": "multinomial", **settings})
