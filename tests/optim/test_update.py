"""What the pass over the columns does to agents: exchange, conservation, blocks."""

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD, update
from qlib.optim.inner import INNERS
from qlib.optim.update import Exchange, Scratch, advance, runs_of

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def _agents(number, columns, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(number, columns, generator=generator, dtype=torch.float64)
    return drawn.to(dtype)


def _swarm(points, **settings):
    parameter = nn.Parameter(torch.zeros_like(points[0]))
    usual = {"inner": "sgd", "tunnelling": False, "pull": 0.0, "seed": 0}
    settings = {**usual, **settings}
    return parameter, QIMAD(
        [parameter], num_agents=len(points), start=list(points), **settings
    )


def _flat(parameter):
    """A closure of gradient zero."""

    def closure():
        parameter.grad = torch.zeros_like(parameter)
        return 1.0

    return closure


def _rows(optimizer):
    agents = range(optimizer.num_agents)
    return torch.stack([optimizer.agent_parameters(agent)[0] for agent in agents])


@pytest.mark.parametrize("topology", ["complete", "ring", "grid"])
def test_uniform_mixing_over_a_regular_graph_conserves_the_mean(topology):
    points = _agents(6, 300)
    parameter, optimizer = _swarm(
        points, gamma=0.3, weights="uniform", topology=topology
    )
    spread = optimizer.diversity()
    for _ in range(20):
        optimizer.step(_flat(parameter))
    torch.testing.assert_close(optimizer.mean()[0], points.mean(0), rtol=0, atol=1e-14)
    assert optimizer.diversity() < 0.5 * spread


def test_uniform_mixing_is_the_textbook_sum_over_neighbours():
    points = _agents(5, 40)
    parameter, optimizer = _swarm(
        points, gamma=0.25, weights="uniform", topology="ring"
    )
    optimizer.step(_flat(parameter))
    for i in range(5):
        sides = (points[(i - 1) % 5] + points[(i + 1) % 5]) / 2
        expected = points[i] + 0.25 * (sides - points[i])
        torch.testing.assert_close(optimizer.agent_parameters(i)[0], expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", ["fidelity", "uniform"])
@pytest.mark.parametrize("topology", ["complete", "ring", "grid", "random"])
def test_agents_that_agree_are_moved_by_exactly_nothing(topology, weights, dtype):
    point = _agents(1, 999, dtype)[0] / 3
    parameter, optimizer = _swarm(
        point.expand(6, -1), gamma=0.7, pull=0.9, weights=weights, topology=topology
    )
    for _ in range(5):
        optimizer.step(_flat(parameter))
    assert torch.equal(_rows(optimizer), point.expand(6, -1))
    assert torch.equal(optimizer.mean()[0], point)
    assert optimizer.diversity() == 0
    assert optimizer.history[-1]["diversity"] == 0


def test_a_full_pull_brings_agents_between_themselves_and_the_best():
    points = _agents(4, 30)
    parameter, optimizer = _swarm(points, gamma=0.0, pull=1.0, best="current")
    losses = iter([3.0, 1.0, 2.0, 4.0])

    def closure():
        parameter.grad = torch.zeros_like(parameter)
        return next(losses)

    optimizer.step(closure)
    assert optimizer.history[-1]["best"] == 1
    for agent, (old, new) in enumerate(zip(points, _rows(optimizer), strict=True)):
        if agent == 1:
            assert torch.equal(old, new)
            continue
        share = (new - old) / (points[1] - old)
        torch.testing.assert_close(share, share[:1].expand(30))
        assert 0 <= share[0] <= 1


def test_half_precision_is_exchanged_in_single():
    """Differences below the resolution of bfloat16 at the reference still count."""
    points = torch.tensor([[256.0], [1.0]], dtype=torch.bfloat16)
    parameter, optimizer = _swarm(points, gamma=0.5, weights="uniform")
    optimizer.step(_flat(parameter))
    exact = torch.tensor([[256 - 127.5], [1 + 127.5]])
    assert torch.equal(_rows(optimizer), exact.to(torch.bfloat16))


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_width_of_a_block_is_of_no_account(inner, dtype, monkeypatch):
    columns, results = 1000, []
    gradients = list(_agents(3, columns, dtype, seed=1))
    rule, group = INNERS[inner], {"lr": 0.1, "maximize": True}
    group |= rule.defaults | {"weight_decay": 0.1} | {"momentum": 0.5}
    for width in (128, 384, 2048):
        monkeypatch.setattr(update, "block_width", lambda agents, width=width: width)
        agents = _agents(5, columns, dtype)
        matrix = _agents(3, 5, dtype, seed=2)
        matrix -= matrix.mean(1, keepdim=True)
        names = rule.buffers(group)
        buffers = {name: torch.zeros_like(agents) for name in names}
        scratch = Scratch()
        exchange = Exchange(matrix, 1, agents, scratch)
        advance(
            agents,
            gradients,
            buffers,
            runs=runs_of([3, 4, 0], [2, 0, 0, 1, 1]),
            rule=rule.rule,
            group=group,
            scratch=scratch,
            exchange=exchange,
        )
        results.append([agents, *buffers.values(), exchange.sums, exchange.spread()])
    for other in results[1:]:
        torch.testing.assert_close(results[0], other)


def test_sums_and_spread_are_those_of_the_whole_matrix():
    agents = _agents(4, 777)
    before, exchange = agents.clone(), Exchange(None, 2, agents, Scratch())
    advance(
        agents,
        [torch.ones(777, dtype=torch.float64)],
        {},
        runs=runs_of([1], [0] * 4),
        rule=INNERS["sgd"].rule,
        group={"lr": 0.5, "momentum": 0, "weight_decay": 0, "maximize": False},
        scratch=exchange.scratch,
        exchange=exchange,
    )
    torch.testing.assert_close(exchange.sums, agents.sum(1))
    apart = before - before.mean(0)
    torch.testing.assert_close(exchange.spread(), apart.square().sum())
    before[1] -= 0.5
    assert torch.equal(agents, before)


def test_runs_are_neighbours_of_equal_counts():
    runs = runs_of([3, 4, 0, 1, 2], [7, 7, 8, 7, 7])
    assert [(list(range(9))[rows], count) for rows, _, count in runs] == [
        ([3, 4], 7),
        ([0, 1], 7),
        ([2], 8),
    ]
    assert [list(range(5))[places] for _, places, _ in runs] == [[0, 1], [2, 3], [4]]
    assert runs_of([], [0]) == []
