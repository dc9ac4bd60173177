"""Codes of a network's last BatchNorm by every method, against the network itself."""

import copy

import numpy as np
import pytest

from qlib.weights import batchnorm
from qlib.weights.inject import inject_batchnorm, inject_head
from qlib.weights.probes import batchnorm_parameters
from qlib.weights.quantize.calibration import cross_entropy
from qlib.weights.training import evaluate
from qlib.weights.trials import batchnorm as trials

ROWS, TEST, L2 = np.arange(10), np.arange(7), 0.1
EFFORT = dict(l2=L2, sweeps=8, steps=20)
CHOSEN = dict(temperatures=(1e-3, 1e-5), learning_rate=1.0)


def compare(net, bits, **effort):
    ways = EFFORT | CHOSEN | effort | dict(bits=bits, rng=np.random.default_rng(1))
    return trials.compare_codes(net, ROWS, TEST, **ways)


def network_with(net, head, gamma, beta):
    model = inject_head(copy.deepcopy(net.model), *head)
    inject_batchnorm(model, gamma, beta)
    return model


@pytest.mark.parametrize("bits", [1, 2])
def test_every_search_ends_at_or_below_its_start(bits, net):
    found = compare(net, bits)
    assert found == compare(net, bits)
    assert found["L-BFGS"][0] <= found["unchanged"][0]
    for name in ("coordinate descent", "straight-through", "SA"):
        assert found[name][0] <= found["rounding"][0] + 1e-12, name


def test_losses_and_accuracies_are_the_networks(net):
    """For trained values and rounded ones, put back into the network."""
    found, values = compare(net, 2), batchnorm_parameters(net.model)
    head, images = trials.best_head(net, ROWS, L2), net.images
    codes = batchnorm.nearest(*values, 2)
    for name, pair in (("unchanged", values), ("rounding", (codes.gamma, codes.beta))):
        model = network_with(net, head, *pair)
        train, test = images.train_x[ROWS], images.test_x[TEST]
        own = evaluate(model, train, images.train_y[ROWS], size=net.size)
        assert found[name][0] == pytest.approx(own.loss, abs=1e-5)
        shown = evaluate(model, test, images.test_y[TEST], size=net.size)
        assert found[name][1] == shown.accuracy


def test_finer_codes_come_nearer_to_the_trained_values(net):
    coarse, fine = (compare(net, bits, sweeps=1, steps=1) for bits in (1, 6))
    real = coarse["unchanged"][0]
    far, near = (abs(one["rounding"][0] - real) for one in (coarse, fine))
    assert near < far / 10


def test_the_head_is_the_best_on_standardised_features(net):
    """A shift and a stretch of raw features change nothing but the head's own terms."""
    labels = net.images.train_y[ROWS]
    raw = net.features[ROWS].astype(np.float64)
    weights, bias = trials.best_head(net, ROWS, L2)

    def loss(weights, bias):
        spread = weights * raw.std(axis=0)[:, None]  # as the penalty sees them
        data = cross_entropy(raw @ weights + bias, labels)
        return data + L2 / 2 * np.sum(spread**2)

    rng, lowest = np.random.default_rng(2), loss(weights, bias)
    for size in (1e-3, 0.1):
        for _ in range(5):
            step = size * rng.normal(size=weights.shape)
            assert loss(weights + step, bias) > lowest
            assert loss(weights, bias + step[0]) > lowest - 1e-9


@pytest.mark.parametrize("best", [0, 1, 2])
def test_tuning_takes_what_ends_lowest(best, net, monkeypatch):
    """One temperature and one rate descend, the others stay where they start."""

    def searching(good):
        def search(group, start, *, temperature_range=None, learning_rate=None, **_):
            if good in (temperature_range, learning_rate):
                return batchnorm.coordinate_descent(group, start)
            return start

        return search

    temperatures, rate = trials.TEMPERATURES[best], trials.RATES[best]
    monkeypatch.setattr(batchnorm, "anneal", searching(temperatures))
    monkeypatch.setattr(batchnorm, "straight_through", searching(rate))
    rng = np.random.default_rng(3)
    found = trials.tuned(net, ROWS, bits=2, **EFFORT, rng=rng)
    assert found == dict(temperatures=temperatures, learning_rate=rate)
