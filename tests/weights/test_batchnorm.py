"""BatchNorm codes: exact changes of the loss, and searches that only lower it."""

from functools import partial

import numpy as np
import pytest
from scipy.special import log_softmax

from qlib.weights import batchnorm


def random_group(seed=0, *, n=60, channels=8, positions=4, classes=3, single=False):
    """Data whose labels follow from the group's own logits; the group."""
    rng = np.random.default_rng(seed)
    shape = (n, channels, positions)
    inputs, skip = rng.normal(size=shape), np.maximum(rng.normal(size=shape), 0)
    gamma, beta = rng.uniform(0.2, 1.0, channels), rng.normal(size=channels) / 5
    weights, bias = rng.normal(size=(channels, classes)), rng.normal(size=classes)
    if single:
        inputs, skip = inputs.astype(np.float32), skip.astype(np.float32)
    clean = forward(inputs, skip, weights, bias, gamma, beta)
    labels = np.argmax(clean + rng.gumbel(size=clean.shape), axis=1)
    return batchnorm.BatchNormGroup(inputs, skip, labels, weights, bias, gamma, beta), (
        inputs,
        skip,
        labels,
        weights,
        bias,
    )


def forward(inputs, skip, weights, bias, gamma, beta):
    """Logits by the definition."""
    inputs, skip = inputs.astype(np.float64), skip.astype(np.float64)
    before = gamma[:, None] * inputs + beta[:, None] + skip
    return np.maximum(before, 0).mean(axis=2) @ weights + bias


def loss_of(data, gamma, beta):
    inputs, skip, labels, weights, bias = data
    logs = log_softmax(forward(inputs, skip, weights, bias, gamma, beta), axis=1)
    return -logs[np.arange(labels.size), labels].mean()


@pytest.mark.parametrize("single", [False, True])
def test_loss_features_and_logits_are_those_of_a_forward_pass(single):
    group, data = random_group(single=single)
    assert group.loss == pytest.approx(
        loss_of(data, group.gamma, group.beta), abs=1e-12
    )
    inputs, skip, _, weights, bias = data
    logits = forward(inputs, skip, weights, bias, group.gamma, group.beta)
    np.testing.assert_allclose(group.logits, logits, atol=1e-12)
    np.testing.assert_allclose(group.features @ weights + bias, logits, atol=1e-12)


@pytest.mark.parametrize("width", [0.01, 1.0, 30.0, 3000.0])
def test_change_is_the_difference_of_two_forward_passes(width):
    group, data = random_group(1)
    rng = np.random.default_rng(2)
    for _ in range(30):
        c = int(rng.integers(8))
        gamma, beta = width * rng.normal(size=2)
        new_gamma, new_beta = group.gamma, group.beta
        new_gamma[c], new_beta[c] = gamma, beta
        before = group.loss
        expected = loss_of(data, new_gamma, new_beta) - before
        assert group.change(c, gamma, beta) == pytest.approx(
            expected, rel=1e-11, abs=1e-10
        )
        assert group.loss == before  # a proposal leaves the state alone
        assert group.apply(c, gamma, beta) == pytest.approx(
            expected, rel=1e-11, abs=1e-10
        )
        np.testing.assert_array_equal(group.gamma, new_gamma)
        assert group.loss == pytest.approx(
            loss_of(data, new_gamma, new_beta), abs=1e-10
        )


def test_drift_over_ten_thousand_moves_is_rounding(monkeypatch):
    monkeypatch.setattr("qlib.weights.batchnorm.group.REFRESH_EVERY", 1 << 60)
    group, data = random_group(3, n=40)
    rng = np.random.default_rng(4)
    for c in rng.integers(8, size=10_000):
        group.apply(int(c), *rng.normal(size=2))
    assert group.loss == pytest.approx(loss_of(data, group.gamma, group.beta), abs=1e-9)
    kept = group.loss
    group.refresh()
    assert group.loss == pytest.approx(kept, abs=1e-9)


def test_moves_refresh_the_state_now_and_then(monkeypatch):
    monkeypatch.setattr("qlib.weights.batchnorm.group.REFRESH_EVERY", 3)
    group, data = random_group(3)
    group.arrays.loss[0] += 1  # a fault that only a refresh can mend
    for c in range(3):
        group.apply(c, 0.5, 0.0)
    assert group.loss == pytest.approx(
        loss_of(data, group.gamma, group.beta), abs=1e-12
    )


def test_gradient_is_that_of_finite_differences_and_of_torch():
    import torch

    group, data = random_group(5)
    gamma, beta = group.gamma, group.beta
    loss, gradient = batchnorm.loss_and_gradient(group, gamma, beta)
    assert loss == group.loss
    for c in range(8):
        nudge = 1e-6 * np.eye(8)[c]
        rises = [
            loss_of(data, gamma + nudge, beta) - loss_of(data, gamma - nudge, beta),
            loss_of(data, gamma, beta + nudge) - loss_of(data, gamma, beta - nudge),
        ]
        np.testing.assert_allclose(gradient[:, c], np.array(rises) / 2e-6, atol=1e-8)
    inputs, skip, labels, weights, bias = map(torch.from_numpy, data)
    values = torch.tensor(np.stack([gamma, beta]), requires_grad=True)
    before = values[0][:, None] * inputs + values[1][:, None] + skip
    logits = torch.relu(before).mean(dim=2) @ weights + bias
    torch.nn.functional.cross_entropy(logits, labels).backward()
    np.testing.assert_allclose(gradient, values.grad.numpy(), atol=1e-12)


def test_codes_on_the_models_own_values_reproduce_the_model():
    group, _ = random_group(6)
    gamma, beta = group.gamma, group.beta
    codes = np.stack([np.arange(8), np.arange(8)])
    exact = batchnorm.BatchNormCodes(codes, gamma, beta)
    before = group.loss
    group.set(exact.gamma, exact.beta)
    assert group.loss == before


@pytest.mark.parametrize(
    ("bits", "count"), [(1, 2), (1.58, 3), (2, 4), (3, 8), (4, 16)]
)
def test_levels_are_equally_spaced_between_the_extremes(bits, count):
    levels = batchnorm.uniform_levels([0.5, -1.0, 2.0], bits)
    assert levels.size == count
    assert (levels[0], levels[-1]) == (-1.0, 2.0)
    np.testing.assert_allclose(np.diff(levels), 3 / (count - 1))


def test_rounding_is_to_the_nearest_level():
    gamma, beta = np.random.default_rng(7).normal(size=(2, 50))
    rounded = batchnorm.nearest(gamma, beta, 3)
    for real, code, levels in (
        (gamma, rounded.codes[0], rounded.gamma_levels),
        (beta, rounded.codes[1], rounded.beta_levels),
    ):
        distance = np.abs(real[:, None] - levels)
        assert (distance[np.arange(50), code] == distance.min(axis=1)).all()
        assert np.abs(real - levels[code]).max() <= (levels[1] - levels[0]) / 2 + 1e-12


SEARCHES = {
    "coordinate descent": batchnorm.coordinate_descent,
    "annealing": partial(batchnorm.anneal, sweeps=20, rng=0),
    "hot annealing": partial(
        batchnorm.anneal, sweeps=5, temperature_range=(10.0, 10.0), rng=0
    ),
    "straight-through": partial(batchnorm.straight_through, steps=30),
}


@pytest.fixture(params=SEARCHES.values(), ids=SEARCHES.keys())
def search(request):
    return request.param


@pytest.mark.parametrize("bits", [1, 1.58, 3])
def test_no_search_ends_above_its_start_and_all_stay_on_the_grid(search, bits):
    group, data = random_group(8)
    start = batchnorm.nearest(group.gamma, group.beta, bits)
    kept = start.codes.copy()
    found = search(group, start)
    np.testing.assert_array_equal(start.codes, kept)
    assert np.isin(found.gamma, start.gamma_levels).all()
    assert np.isin(found.beta, start.beta_levels).all()
    lowest = loss_of(data, found.gamma, found.beta)
    assert lowest <= loss_of(data, start.gamma, start.beta) + 1e-10
    assert group.loss == pytest.approx(lowest, abs=1e-12)  # left at the result


def test_searches_take_equal_scales_and_one_channel(search):
    group, _ = random_group(9, n=5, channels=1, positions=1)
    start = batchnorm.nearest(group.gamma, group.beta, 2)
    assert search(group, start).codes.shape == (2, 1)


def test_no_single_code_lowers_the_loss_after_coordinate_descent():
    group, data = random_group(10)
    start = batchnorm.nearest(group.gamma, group.beta, 2)
    found = batchnorm.coordinate_descent(group, start)
    lowest = loss_of(data, found.gamma, found.beta)
    for kind, c, code in np.ndindex(2, 8, 4):
        codes = found.codes.copy()
        codes[kind, c] = code
        other = batchnorm.BatchNormCodes(codes, start.gamma_levels, start.beta_levels)
        assert loss_of(data, other.gamma, other.beta) >= lowest - 1e-10


def test_annealing_reaches_the_best_of_all_codes():
    """4 channels of one bit, 256 states: 50 of 50 seeds reached the best of them.

    So another seed would fail with probability below 6 % (at 95 % confidence).
    """
    group, data = random_group(11, channels=4)
    start = batchnorm.nearest(group.gamma, group.beta, 1)
    grids = start.gamma_levels, start.beta_levels
    losses = []
    for bits in np.ndindex(*(2,) * 8):
        codes = batchnorm.BatchNormCodes(np.array(bits).reshape(2, 4), *grids)
        losses.append(loss_of(data, codes.gamma, codes.beta))
    batchnorm.anneal(group, start, sweeps=200, temperature_range=(0.1, 1e-4), rng=0)
    assert group.loss == pytest.approx(min(losses), abs=1e-12)


def test_metropolis_at_one_temperature_samples_boltzmann_weights():
    """One channel, three levels of each: 9 states against their Boltzmann weights.

    Every 10th of 20 000 sweeps is counted. Independent counts would put χ² with 8
    degrees above 31.8 with probability 1e-4; 30 seeds gave a mean of 6.6, at most 19.
    """
    group, data = random_group(12, channels=1)
    start = batchnorm.nearest(np.array([0.0]), np.array([0.0]), 1.58)
    grid = np.array([-1.0, 0.0, 1.0])
    start = batchnorm.BatchNormCodes(start.codes, grid, grid)
    temperature, seen = 0.05, []

    def look(sweep, _loss):
        if sweep % 10 == 9:
            seen.append((group.arrays.gamma[0], group.arrays.beta[0]))

    batchnorm.anneal(
        group,
        start,
        sweeps=20_000,
        temperature_range=(temperature, temperature),
        rng=1,
        callback=look,
    )
    states = [(g, b) for g in grid for b in grid]
    losses = np.array([loss_of(data, np.array([g]), np.array([b])) for g, b in states])
    weights = np.exp(-(losses - losses.min()) / temperature)
    expected = len(seen) * weights / weights.sum()
    counts = np.array([seen.count(state) for state in states])
    common = expected > 5
    rest = counts[~common].sum(), expected[~common].sum()
    statistic = np.sum((counts - expected)[common] ** 2 / expected[common])
    statistic += (rest[0] - rest[1]) ** 2 / max(rest[1], 1.0)
    assert common.sum() >= 3
    assert statistic < 31.8


def test_one_seed_repeats_and_another_differs():
    def run(seed):
        group, _ = random_group(13)
        start = batchnorm.nearest(group.gamma, group.beta, 4)
        trace = []
        batchnorm.anneal(
            group, start, sweeps=10, rng=seed, callback=lambda _, f: trace.append(f)
        )
        return trace

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_real_values_reach_lower_than_their_start_and_a_zero_gradient():
    group, data = random_group(14, n=300, channels=3)
    gamma, beta = group.gamma, group.beta
    start = group.loss
    found = batchnorm.gradient_descent(group, gamma, beta, iterations=500)
    assert loss_of(data, *found) == pytest.approx(group.loss, abs=1e-12)
    assert group.loss < start
    _, gradient = batchnorm.loss_and_gradient(group, *found)
    assert np.abs(gradient).max() < 1e-3  # the loss has kinks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inputs", np.ones((5, 2))),
        ("inputs", np.full((5, 2, 3), np.nan)),
        ("inputs", np.ones((0, 2, 3))),
        ("skip", np.ones((5, 2, 2))),
        ("labels", [0, 1, 2, 3, 4]),
        ("labels", [0.0] * 5),
        ("weights", np.ones((3, 3))),
        ("bias", np.ones(2)),
        ("gamma", [1.0, np.inf]),
        ("beta", [1.0]),
    ],
)
def test_bad_data_are_refused_by_name(name, value):
    arguments = {
        "inputs": np.ones((5, 2, 3)),
        "skip": np.ones((5, 2, 3)),
        "labels": np.array([0, 1, 2, 0, 1]),
        "weights": np.ones((2, 3)),
        "bias": np.zeros(3),
        "gamma": np.ones(2),
        "beta": np.zeros(2),
    } | {name: value}
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        batchnorm.BatchNormGroup(**arguments)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("c", lambda group, start: group.change(8, 1.0, 0.0)),
        ("gamma", lambda group, start: group.apply(0, np.nan, 0.0)),
        ("beta", lambda group, start: group.change(0, 1.0, np.inf)),
        ("bits", lambda group, start: batchnorm.uniform_levels([1.0], 0.5)),
        ("values", lambda group, start: batchnorm.uniform_levels([np.nan], 1)),
        ("codes", lambda *_: batchnorm.BatchNormCodes([[2], [0]], [0, 1.0], [0, 1.0])),
        ("codes", lambda *_: batchnorm.BatchNormCodes([[0], [-1]], [0, 1.0], [0, 1.0])),
        ("codes", lambda *_: batchnorm.BatchNormCodes([0, 1], [0, 1.0], [0, 1.0])),
        ("sweeps", lambda *both: batchnorm.anneal(*both, sweeps=0)),
        ("sweeps", lambda *both: batchnorm.coordinate_descent(*both, sweeps=0)),
        (
            "temperature_range",
            lambda *both: batchnorm.anneal(*both, temperature_range=(1e-6, 1e-4)),
        ),
        (
            "temperature_range",
            lambda *both: batchnorm.anneal(*both, temperature_range=(1.0, 0.0)),
        ),
        ("steps", lambda *both: batchnorm.straight_through(*both, steps=0)),
        (
            "learning_rate",
            lambda *both: batchnorm.straight_through(*both, learning_rate=np.nan),
        ),
        (
            "iterations",
            lambda group, start: batchnorm.gradient_descent(
                group, start.gamma, start.beta, iterations=0
            ),
        ),
    ],
)
def test_bad_settings_are_refused_by_name(name, call):
    group, _ = random_group()
    start = batchnorm.nearest(group.gamma, group.beta, 2)
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        call(group, start)


def test_codes_of_another_count_of_channels_are_refused(search):
    group, _ = random_group()
    start = batchnorm.nearest(np.ones(3), np.ones(3), 1)
    with pytest.raises(ValueError, match=r"^gamma: got shape \(3,\)"):
        search(group, start)
