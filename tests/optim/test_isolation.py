"""Agents that are not finite are isolated and start again from the others."""

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD

WILD = {"spread": 0.1, "patience": 0, "smoothing": 0.5, "total_steps": 40, "seed": 3}


def _run(task, optimizer, steps):
    return [optimizer.step(task.closure(optimizer)).item() for _ in range(steps)]


def _swarm(task, lr=0.05, **settings):
    return QIMAD(task.model.parameters(), lr, **{**WILD, **settings})


def _agents(optimizer):
    return [optimizer.agent_parameters(i) for i in range(optimizer.num_agents)]


BREAKS = {
    "a loss of NaN": lambda loss, grads: (loss * torch.nan, grads),
    "an infinite loss": lambda loss, grads: (loss + torch.inf, grads),
    "a gradient of NaN": lambda loss, grads: (loss, [grads[0] * torch.nan, *grads[1:]]),
    "an infinite gradient": lambda loss, grads: (loss, [*grads[:-1], grads[-1] / 0.0]),
}


def _breaking(task, optimizer, broken, how):
    """A closure whose calls numbered in `broken` break."""
    evaluate, calls = task.closure(optimizer), [-1]

    def closure():
        calls[0] += 1
        loss = evaluate()
        if calls[0] in broken:
            weights = list(task.model.parameters())
            with torch.no_grad():
                loss, slopes = BREAKS[how](loss, [weight.grad for weight in weights])
            for weight, slope in zip(weights, slopes, strict=True):
                weight.grad = slope
        return loss

    return closure


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("inner", ["rmsprop", "adamw", "sgd"])
@pytest.mark.parametrize("broken", [{0}, {2}, {0, 1, 3}])
def test_what_is_not_finite_is_isolated_and_restarted_in_the_same_step(
    broken, inner, how, task, identical
):
    made = task()
    optimizer = _swarm(made, inner=inner, tunnelling=False)
    _run(made, optimizer, 3)
    optimizer.step(_breaking(made, optimizer, broken, how))
    agents = _agents(optimizer)
    assert all(weight.isfinite().all() for agent in agents for weight in agent)
    record = optimizer.history[-1]
    assert record["reseeded"] == sorted(broken)
    healthy = [agents[i] for i in set(range(4)) - broken]
    for agent in broken:
        assert any(identical(agents[agent], other) for other in healthy)
    assert all(map(torch.isfinite, map(torch.tensor, _run(made, optimizer, 5))))
    assert all(record["reseeded"] == [] for record in list(optimizer.history)[-5:])


def test_the_others_move_as_if_a_broken_gradient_beside_them_were_healthy(
    task, identical
):
    """It is the worst agent's, so that nobody would copy the one that is broken."""
    agents, worst = [], None
    for broken in (False, True):
        made = task()
        optimizer = _swarm(made, tunnelling=False)
        _run(made, optimizer, 2)
        numbers = {worst} if broken else set()
        optimizer.step(_breaking(made, optimizer, numbers, "a gradient of NaN"))
        losses = optimizer.history[-1]["losses"]
        worst = losses.index(max(losses))
        agents.append(_agents(optimizer))
    for agents_apart in agents:
        del agents_apart[worst]
    assert identical(*agents)
    assert optimizer.history[-1]["reseeded"] == [worst]


@pytest.mark.parametrize("how", BREAKS)
def test_nobody_moves_where_all_are_broken(how, task, identical):
    made = task()
    optimizer = _swarm(made)
    _run(made, optimizer, 3)
    before, weights = _agents(optimizer), made.weights()
    with pytest.warns(RuntimeWarning, match="none moved"):
        optimizer.step(_breaking(made, optimizer, range(4), how))
    assert identical(before, _agents(optimizer))
    assert identical(weights, made.weights())
    assert optimizer.history[-1]["reseeded"] == [0, 1, 2, 3]
    assert torch.tensor(_run(made, optimizer, 2)).isfinite().all()


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("eval_agents", [1, 2])
def test_who_breaks_in_its_turn_restarts_from_those_that_rest(
    eval_agents, how, task, identical
):
    made = task()
    optimizer = _swarm(made, eval_agents=eval_agents, tunnelling=False)
    _run(made, optimizer, 4)
    before = _agents(optimizer)
    with pytest.warns(RuntimeWarning, match="none moved"):
        optimizer.step(_breaking(made, optimizer, {0, 1}, how))
    broken = list(range(eval_agents))
    assert optimizer.history[-1]["reseeded"] == broken
    resting = before[eval_agents:]
    assert identical(_agents(optimizer)[eval_agents:], resting)
    for agent in broken:
        restarted = optimizer.agent_parameters(agent)
        assert not identical(restarted, before[agent])
        assert any(identical(restarted, other) for other in resting)


def test_noise_of_a_step_that_nobody_survived_is_not_drawn_again():
    first, second = (nn.Parameter(torch.zeros(50)) for _ in range(2))
    optimizer = QIMAD([first], lr=1e-9, gamma=0, pull=0, spread=1.0, seed=0)

    def closure(factor=1.0):
        optimizer.zero_grad()
        loss = sum(part.sum() for part in (first, second)) * factor
        loss.backward()
        return loss

    with pytest.warns(RuntimeWarning, match="none moved"):
        optimizer.step(lambda: closure(torch.nan))
    optimizer.add_param_group({"params": [second]})
    optimizer.step(closure)
    noise, other = optimizer.agent_parameters(1)
    assert not torch.allclose(noise, other, atol=1e-3)
