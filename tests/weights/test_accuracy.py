"""Annealing of codes on accuracy: its bookkeeping against a recount, its optimum."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qlib.weights.quantize import QuantizedHead, levels
from qlib.weights.quantize.accuracy import anneal_accuracy


def samples(n=60, d=4, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.integers(classes, size=n)


def head(bits, d=4, classes=3, seed=1):
    rng = np.random.default_rng(seed)
    codes = rng.choice(levels(bits), size=(d, classes))
    return QuantizedHead(codes, rng.uniform(0.5, 2, classes), rng.normal(size=3), bits)


def accuracy(found, features, labels):
    return np.mean(found.logits(features).argmax(axis=1) == labels)


@pytest.mark.parametrize("bits", [1, 1.58, 2, 4])
def test_the_best_head_is_at_least_as_accurate_as_every_sweeps_end(bits):
    features, labels = samples()
    found = anneal_accuracy(head(bits), features, labels, sweeps=50, rng=0)
    assert accuracy(found.head, features, labels) >= found.accuracy.max()


def test_running_counts_equal_a_recount_at_the_end():
    features, labels = samples()
    one = anneal_accuracy(
        head(2), features, labels, sweeps=1, temperature_range=(1e9, 1e9), rng=0
    )
    walk = [one.accuracy[-1]]
    # At 1e9 every move inside the grid is accepted, so the end is known from the draws.
    rng = np.random.default_rng(0)
    codes = head(2).codes.astype(int)
    order, up = rng.permutation(codes.size), rng.random(codes.size) < 0.5
    for place, sign in zip(order, np.where(up, 2, -2), strict=True):
        at = np.unravel_index(place, codes.shape)
        if abs(codes[at] + sign) <= 3:
            codes[at] += sign
    assert walk == [accuracy(replace(head(2), codes=codes), features, labels)]


def test_a_slow_walk_reaches_the_most_accurate_of_all_codes():
    features, labels = samples(n=40, d=3, classes=3)
    start = head(1, d=3)
    every = itertools.product((-1, 1), repeat=start.codes.size)
    heads = (replace(start, codes=np.reshape(codes, (3, 3))) for codes in every)
    best = max(accuracy(one, features, labels) for one in heads)
    found = [
        accuracy(
            anneal_accuracy(
                start,
                features,
                labels,
                sweeps=300,
                temperature_range=(0.05, 0.005),
                rng=seed,
            ).head,
            features,
            labels,
        )
        for seed in range(5)
    ]
    assert max(found) == best


def test_equal_seeds_walk_alike_and_others_do_not():
    features, labels = samples()
    runs = [
        anneal_accuracy(head(4), features, labels, sweeps=5, rng=seed).head.codes
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("range_", [(1e-5, 1e-3), (1e-3, 0.0), (np.nan, 1e-5)])
def test_temperatures_out_of_order_are_refused(range_):
    features, labels = samples()
    with pytest.raises(ValueError, match="temperature_range"):
        anneal_accuracy(head(1), features, labels, temperature_range=range_)
