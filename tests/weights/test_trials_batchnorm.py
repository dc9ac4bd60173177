"""Codes of a BatchNorm by every method against a forward pass written out."""

import numpy as np
import pytest

from qlib.weights.quantize.calibration import cross_entropy
from qlib.weights.trials.batchnorm import Block, compare_codes

CHANNELS, CLASSES = 5, 3


def draw(n, seed):
    """A block whose labels depend on its channels."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, CHANNELS, 4))
    labels = rng.integers(CLASSES, size=n)
    inputs += np.eye(CLASSES, CHANNELS)[labels][:, :, None]
    return Block(inputs, 0.3 * rng.normal(size=inputs.shape), labels)


def forward(block, head, gamma, beta):
    sums = gamma[:, None] * block.inputs + beta[:, None] + block.skip
    return np.maximum(sums, 0).mean(axis=2) @ head[0] + head[1]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    head = 2 * np.eye(CHANNELS, CLASSES) + 0.3 * rng.normal(size=(CHANNELS, CLASSES))
    gamma, beta = rng.uniform(0.5, 1.5, CHANNELS), 0.2 * rng.normal(size=CHANNELS)
    return draw(80, 1), draw(40, 2), (head, rng.normal(size=CLASSES)), gamma, beta


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_every_search_ends_at_or_below_its_start(bits, problem):
    block, test, head, gamma, beta = problem
    found, again = (
        compare_codes(
            *problem, bits=bits, sweeps=30, steps=60, rng=np.random.default_rng(3)
        )
        for _ in range(2)
    )
    assert found == again
    loss, accuracy = found["unchanged"]
    logits = forward(block, head, gamma, beta)
    assert loss == pytest.approx(cross_entropy(logits, block.labels), abs=1e-12)
    chosen = forward(test, head, gamma, beta).argmax(axis=1)
    assert accuracy == np.mean(chosen == test.labels)
    assert found["L-BFGS"][0] < loss
    for name in ("coordinate descent", "straight-through", "SA"):
        assert found[name][0] <= found["rounding"][0] + 1e-12, name
    lowest = min(one[0] for one in found.values())
    assert found["L-BFGS"][0] == pytest.approx(lowest, abs=1e-2)


def test_finer_codes_come_nearer_to_the_real_values(problem):
    """With 8 bits the grid's steps are 1/255 of the range of scales and shifts."""
    ways = dict(sweeps=5, steps=60, rng=np.random.default_rng(4))
    fine = compare_codes(*problem, bits=8, **ways)
    coarse = compare_codes(*problem, bits=1, **ways)
    real = fine["L-BFGS"][0]
    assert coarse["L-BFGS"][0] == real
    assert abs(fine["rounding"][0] - real) < 0.05 * (coarse["rounding"][0] - real)


def test_some_of_the_samples_are_those_samples(problem):
    block = problem[0]
    rows = np.array([5, 0, 7])
    some = block.take(rows)
    head, gamma, beta = problem[2:]
    part = forward(some, head, gamma, beta)
    np.testing.assert_array_equal(part, forward(block, head, gamma, beta)[rows])
    np.testing.assert_array_equal(some.labels, block.labels[rows])
    group = some.group(head, gamma, beta)
    np.testing.assert_allclose(group.logits, part, atol=1e-12)
