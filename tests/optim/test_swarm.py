"""Bloch states and their overlaps, mixing as a matrix, temperature."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import chi2, kstest

from qlib.optim.swarm import (
    COOLINGS,
    exchange_matrix,
    fidelity,
    first_angles,
    mixing_weights,
    temperature,
    walk_angles,
)
from qlib.optim.topology import TOPOLOGIES, neighbours

FALSE_ALARM = 1e-4
REGULAR = [topology for topology in TOPOLOGIES if topology != "random"]
SIZES = [2, 3, 4, 6, 7, 12]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _uniform(*shape, seed=0):
    return torch.rand(shape, generator=_generator(seed), dtype=torch.float64)


def _normal(*shape, seed=0):
    return torch.randn(shape, generator=_generator(seed), dtype=torch.float64)


def _overlaps(alpha, beta):
    """|⟨ψᵢ|ψⱼ⟩| of explicit two-component vectors."""
    up = torch.cos(alpha / 2).to(torch.complex128)
    down = torch.polar(torch.sin(alpha / 2), beta)
    states = torch.stack([up, down], dim=1)  # (agent, component)
    return (states.conj() @ states.T).abs()


def _weights(topology, num_agents, weights, *, power=2, usable=None, seed=0):
    alpha, beta = first_angles(num_agents, _generator(seed))
    everyone = torch.ones(num_agents, dtype=torch.bool)
    return mixing_weights(
        neighbours(topology, num_agents, _generator(seed)),
        alpha,
        beta,
        weights=weights,
        fidelity_power=power,
        usable=everyone if usable is None else usable,
    )


# Bloch states


def test_fidelity_is_the_overlap_of_state_vectors():
    alpha, beta = first_angles(300, _generator())
    expected = _overlaps(alpha, beta) ** 2
    torch.testing.assert_close(fidelity(alpha, beta), expected, rtol=0, atol=1e-14)


def test_fidelity_is_symmetric_one_with_itself_and_a_probability():
    alpha, beta = first_angles(300, _generator(1))
    overlap = fidelity(alpha, beta)
    assert torch.equal(overlap, overlap.T)
    assert torch.equal(overlap.diagonal(), torch.ones(300, dtype=torch.float64))
    assert overlap.min() >= 0
    assert overlap.max() <= 1 + 4e-16


def test_antipodal_states_are_orthogonal():
    alpha, beta = first_angles(100, _generator(2))
    alpha, beta = torch.cat([alpha, math.pi - alpha]), torch.cat([beta, beta + math.pi])
    assert fidelity(alpha, beta)[:100, 100:].diagonal().max() < 1e-29


def test_known_fidelities():
    """The poles, and the equator at phases 0, π/2, π."""
    alpha = torch.tensor([0, math.pi, *[math.pi / 2] * 3], dtype=torch.float64)
    beta = torch.tensor([0, 0, 0, math.pi / 2, math.pi], dtype=torch.float64)
    half = 0.5
    expected = torch.tensor(
        [
            [1, 0, half, half, half],
            [0, 1, half, half, half],
            [half, half, 1, half, 0],
            [half, half, half, 1, half],
            [half, half, 0, half, 1],
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(fidelity(alpha, beta), expected, rtol=0, atol=4e-16)


def test_first_angles_are_uniform():
    alpha, beta = first_angles(20_000, _generator(3))
    assert kstest(alpha, "uniform", (0, math.pi)).pvalue > FALSE_ALARM
    assert kstest(beta, "uniform", (0, 2 * math.pi)).pvalue > FALSE_ALARM


# Walks


def _walk(alpha, beta, *, widths, temperature=1.0, seed=0, rows=None):
    everyone = torch.ones(len(alpha), dtype=torch.bool)
    return walk_angles(
        alpha,
        beta,
        widths=widths,
        temperature=temperature,
        generator=_generator(seed),
        rows=everyone if rows is None else rows,
    )


@pytest.mark.parametrize("width", [1e-20, 0.03, 1.0, 100.0])
@pytest.mark.parametrize("start", [0.0, 1e-17, 1.0, math.pi])
def test_walks_stay_on_the_sphere(width, start):
    alpha = torch.full((2000,), start, dtype=torch.float64)
    beta = 2 * alpha % (2 * math.pi)
    for seed in range(10):
        alpha, beta = _walk(alpha, beta, widths=(width, width), seed=seed)
        assert alpha.min() >= 0
        assert alpha.max() <= math.pi
        assert beta.min() >= 0
        assert beta.max() < 2 * math.pi


@pytest.mark.parametrize("heat", [1.0, 0.25])
def test_a_step_has_the_variance_of_width_times_temperature(heat):
    """From the middle, where nothing is reflected: chi-square of the sample variance,
    at one false alarm in 10⁴ for each angle.
    """
    agents = 20_000
    alpha = torch.full((agents,), math.pi / 2, dtype=torch.float64)
    beta = torch.full((agents,), math.pi, dtype=torch.float64)
    moved = _walk(alpha, beta, widths=(0.03, 0.2), temperature=heat, seed=4)
    for before, after, width in zip((alpha, beta), moved, (0.03, 0.2), strict=True):
        ratio = float(((after - before) ** 2).sum()) / (width * heat) ** 2
        low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], agents)
        assert low < ratio < high


@pytest.mark.parametrize("pole", [0.0, math.pi])
def test_a_step_from_a_pole_is_reflected_to_half_a_normal(pole):
    alpha = torch.full((5000,), pole, dtype=torch.float64)
    moved, _ = _walk(alpha, alpha, widths=(0.03, 0.03), seed=5)
    assert kstest((moved - pole).abs(), "halfnorm", (0, 0.03)).pvalue > FALSE_ALARM


def test_walks_leave_uniform_angles_uniform():
    alpha, beta = first_angles(5000, _generator(6))
    for seed in range(20):
        alpha, beta = _walk(alpha, beta, widths=(1.0, 1.0), seed=100 + seed)
    assert kstest(alpha, "uniform", (0, math.pi)).pvalue > FALSE_ALARM
    assert kstest(beta, "uniform", (0, 2 * math.pi)).pvalue > FALSE_ALARM


def test_agents_that_rest_keep_their_angles_and_others_do_not_notice():
    alpha, beta = first_angles(6, _generator(7))
    rows = torch.tensor([True, False, True, False, False, True])
    everyone = _walk(alpha, beta, widths=(0.5, 0.5))
    some = _walk(alpha, beta, widths=(0.5, 0.5), rows=rows)
    for before, all_moved, moved in zip((alpha, beta), everyone, some, strict=True):
        assert torch.equal(moved[rows], all_moved[rows])
        assert torch.equal(moved[~rows], before[~rows])
        assert not (moved[rows] == before[rows]).any()


def test_no_temperature_no_walk():
    alpha, beta = first_angles(50, _generator(8))
    still = _walk(alpha, beta, widths=(1.0, 1.0), temperature=0.0)
    assert torch.equal(still[0], alpha)
    assert torch.equal(still[1], beta)


# Mixing


@pytest.mark.parametrize("num_agents", SIZES)
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("power", [0, 1, 2, 5.5])
def test_weights_are_powers_of_overlaps_shared_among_neighbours(
    topology, num_agents, power
):
    alpha, beta = first_angles(num_agents, _generator())
    overlaps = _overlaps(alpha, beta).tolist()
    tied = neighbours(topology, num_agents, _generator()).tolist()
    weights = _weights(topology, num_agents, "fidelity", power=power)
    for i in range(num_agents):
        raw = [overlaps[i][j] ** power * tied[i][j] for j in range(num_agents)]
        expected = [value / sum(raw) for value in raw]
        assert weights[i].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("num_agents", SIZES)
@pytest.mark.parametrize("topology", REGULAR)
def test_uniform_weights_of_regular_graphs_are_doubly_stochastic(topology, num_agents):
    weights = _weights(topology, num_agents, "uniform")
    for axis in (0, 1):
        assert weights.sum(dim=axis).tolist() == pytest.approx([1] * num_agents)
    theta = _normal(num_agents, 50, seed=1)
    exchange = exchange_matrix(
        weights, gamma=0.3, pull=0.0, best=None, draws=_uniform(num_agents)
    )
    moved = theta + exchange @ (theta - theta[0])
    torch.testing.assert_close(moved.mean(0), theta.mean(0), rtol=0, atol=1e-15)
    assert (moved - theta).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["fidelity", "uniform", "none"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_bad_agent_has_no_weight_anywhere(topology, kind):
    usable = torch.ones(7, dtype=torch.bool)
    usable[2] = False
    weights = _weights(topology, 7, kind, usable=usable)
    assert not weights[2].any()
    assert not weights[:, 2].any()
    tied = neighbours(topology, 7, _generator())
    listens = (tied & usable).any(dim=1) & usable & (kind != "none")
    assert weights.sum(dim=1).tolist() == pytest.approx(listens.double().tolist())
    assert not weights[~tied].any()


def test_nobody_usable_leaves_no_weight():
    nobody = torch.zeros(4, dtype=torch.bool)
    assert not _weights("complete", 4, "fidelity", usable=nobody).any()
    alone = torch.tensor([False, True, False, False])
    assert not _weights("complete", 4, "fidelity", usable=alone).any()


def test_an_agent_orthogonal_to_all_its_neighbours_hears_them_equally():
    alpha = torch.tensor([0, math.pi, math.pi], dtype=torch.float64)
    beta = torch.tensor([0, 1, 2], dtype=torch.float64)
    weights = mixing_weights(
        neighbours("complete", 3),
        alpha,
        beta,
        weights="fidelity",
        fidelity_power=2,
        usable=torch.ones(3, dtype=torch.bool),
    )
    expected = [[0, 0.5, 0.5], [0, 0, 1], [0, 1, 0]]
    for row, shares in zip(weights.tolist(), expected, strict=True):
        assert row == pytest.approx(shares, abs=1e-30)


def test_a_huge_power_leaves_the_nearest_state():
    weights = _weights("complete", 6, "fidelity", power=1e6)
    overlaps = _overlaps(*first_angles(6, _generator())).fill_diagonal_(0)
    assert torch.equal(weights.argmax(dim=1), overlaps.argmax(dim=1))
    assert weights.sum(dim=1).tolist() == pytest.approx([1] * 6)


@pytest.mark.parametrize("best", [None, 0, 3, 5])
@pytest.mark.parametrize("kind", ["fidelity", "uniform", "none"])
def test_exchange_matrix_is_the_rule(kind, best):
    """Best 5 of five agents is a stored point, the further last column."""
    weights, draws = _weights("ring", 5, kind), _uniform(5, seed=2)
    exchange = exchange_matrix(weights, gamma=0.05, pull=0.2, best=best, draws=draws)
    points = _normal(exchange.shape[1], 40, seed=3)
    assert exchange.shape == (5, 6 if best == 5 else 5)
    assert exchange.sum(dim=1).abs().max() < 1e-16
    moved = exchange @ (points - points[0])
    for i in range(5):
        expected = sum(0.05 * weights[i, j] * (points[j] - points[i]) for j in range(5))
        if best is not None:
            expected = expected + 0.2 * draws[i] * (points[best] - points[i])
        torch.testing.assert_close(moved[i], expected, rtol=0, atol=1e-15)


def test_agents_that_agree_are_not_moved_at_all():
    exchange = exchange_matrix(
        _weights("complete", 5, "fidelity"),
        gamma=0.05,
        pull=0.2,
        best=1,
        draws=_uniform(5),
    )
    theta = _normal(1, 100).expand(5, -1)
    assert torch.equal(exchange @ (theta - theta[0]), torch.zeros_like(theta))


@pytest.mark.parametrize("num_agents", SIZES)
def test_uniform_mixing_of_all_shrinks_deviations_by_one_factor(num_agents):
    exchange = exchange_matrix(
        _weights("complete", num_agents, "uniform"),
        gamma=0.05,
        pull=0.0,
        best=None,
        draws=_uniform(num_agents),
    )
    theta = _normal(num_agents, 30)
    deviation = theta - theta.mean(dim=0)
    expected = (1 - 0.05 * num_agents / (num_agents - 1)) * deviation
    moved = deviation + exchange @ deviation
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("best", [None, 0])
def test_one_agent_exchanges_nothing_and_draws_nothing(best):
    generator = _generator()
    before = generator.get_state()
    alpha, beta = first_angles(1, generator)
    rows = torch.ones(1, dtype=torch.bool)
    moved = walk_angles(
        alpha, beta, widths=(1, 1), temperature=1, generator=generator, rows=rows
    )
    assert [angle.tolist() for angle in (alpha, beta, *moved)] == [[0.0]] * 4
    assert torch.equal(generator.get_state(), before)
    weights = _weights("complete", 1, "fidelity")
    assert weights.tolist() == [[0.0]]
    draws = torch.ones(1, dtype=torch.float64)
    exchange = exchange_matrix(weights, gamma=1.0, pull=1.0, best=best, draws=draws)
    assert exchange.tolist() == [[0.0]]


# Temperature


@pytest.mark.parametrize("min_temp", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("cooling", COOLINGS)
def test_temperature_falls_from_one_to_its_floor(cooling, min_temp):
    values = [temperature(cooling, step / 100, min_temp) for step in range(101)]
    last = 1.0 if cooling is None else min_temp
    assert values[0] == pytest.approx(1.0, abs=1e-15)
    assert values[-1] == pytest.approx(last, abs=1e-15)
    flat = last == 1.0
    assert all(b == a if flat else b < a for a, b in pairwise(values))
    assert temperature(cooling, 1.7, min_temp) == values[-1]
    assert temperature(cooling, -0.1, min_temp) == values[0]


def test_temperatures_halfway():
    assert temperature("cosine", 0.5, 0.04) == pytest.approx(0.52)
    assert temperature("linear", 0.5, 0.04) == pytest.approx(0.52)
    assert temperature("exponential", 0.5, 0.04) == pytest.approx(0.2)
    assert temperature("cosine", 1 / 3, 0.0) == pytest.approx(0.75)


# Wrong arguments


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("cooling", lambda: temperature("geometric", 0.0, 0.05)),
        ("cooling", lambda: temperature(3, 0.0, 0.05)),
        ("min_temp", lambda: temperature("cosine", 0.0, -0.1)),
        ("min_temp", lambda: temperature("linear", 0.0, 1.5)),
        ("min_temp", lambda: temperature(None, 0.0, math.nan)),
        ("min_temp", lambda: temperature("exponential", 0.0, 0.0)),
        ("weights", lambda: _weights("ring", 4, "equal")),
        ("weights", lambda: _weights("ring", 4, None)),
        (
            "best",
            lambda: exchange_matrix(
                _uniform(4, 4), gamma=0, pull=1, best=5, draws=_uniform(4)
            ),
        ),
        (
            "best",
            lambda: exchange_matrix(
                _uniform(4, 4), gamma=0, pull=1, best=-1, draws=_uniform(4)
            ),
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}: got .*; allowed: "):
        call()
