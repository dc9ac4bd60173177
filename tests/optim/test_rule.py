"""Whole steps of a swarm against the rule written out agent by agent."""

import math
import random

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD
from qlib.optim.swarm import temperature, walk_angles

STEPS = 15


def _loss(weights, sign):
    return sign * sum((w - 1).square().sum() + (5 * w).sin().sum() for w in weights)


def _overlaps(alpha, beta):
    """|<psi_i|psi_j>| of explicit state vectors."""
    up, down = torch.cos(alpha / 2) + 0j, torch.exp(1j * beta) * torch.sin(alpha / 2)
    states = torch.stack([up, down], 1)
    return (states.conj() @ states.T).abs()


class Agent:
    """Weights, RMSProp's averages, and what its own losses were since its last jump."""

    def __init__(self, weights):
        self.weights = weights
        self.squares = [torch.zeros_like(weight) for weight in weights]
        self.losses, self.lowest, self.age = [], math.inf, 0

    def smoothed(self, smoothing):
        if not self.losses:
            return math.inf
        powers = [smoothing**k for k in range(len(self.losses))][::-1]
        return sum(map(math.prod, zip(powers, self.losses, strict=True))) / sum(powers)


def _expected(swarm, groups, parameters, sign):
    """For each step: agents' weights, the model's, and who jumped."""
    number, best_cost, best = swarm["num_agents"], math.inf, None
    generator = torch.Generator()
    generator.set_state(swarm["rng_state"])
    agents = [Agent([p.detach().clone() for p in parameters]) for _ in range(number)]
    for place, weight in enumerate(parameters):
        noise = torch.empty(number, *weight.shape, dtype=weight.dtype)
        noise.normal_(generator=generator)
        for i in range(1, number):
            agents[i].weights[place] += swarm["spread"] * noise[i]
    alpha, beta = swarm["alpha"], swarm["beta"]
    for step in range(STEPS):
        progress = step / swarm["total_steps"]
        heat = temperature(swarm["cooling"], progress, swarm["min_temp"])
        first = step * swarm["eval_agents"]
        due = [(first + k) % number for k in range(swarm["eval_agents"])]
        costs, slopes = {}, {}
        for i in due:
            leaves = [w.clone().requires_grad_() for w in agents[i].weights]
            loss = _loss(leaves, sign)
            slopes[i] = torch.autograd.grad(loss, leaves)
            costs[i] = sign * loss.item()
            agents[i].losses.append(costs[i])
            now = agents[i].smoothed(swarm["smoothing"])
            agents[i].age = 0 if now < agents[i].lowest else agents[i].age + 1
            agents[i].lowest = min(now, agents[i].lowest)
        rows = torch.zeros(number, dtype=torch.bool)
        rows[due] = True
        widths = swarm["alpha_lr"], swarm["beta_lr"]
        settings = {"temperature": heat, "generator": generator, "rows": rows}
        alpha, beta = walk_angles(alpha, beta, widths=widths, **settings)
        smoothed = [agent.smoothed(swarm["smoothing"]) for agent in agents]
        lowest = min(costs, key=costs.get)
        leader = smoothed.index(min(smoothed))
        leader = lowest if swarm["best"] == "current" else leader
        if costs[lowest] < best_cost:
            best_cost = costs[lowest]
            best = [w.clone() for w in agents[lowest].weights]
        target = best if swarm["best"] == "alltime" else agents[leader].weights
        listens = (
            swarm["neighbours"]
            * {
                "fidelity": _overlaps(alpha, beta) ** swarm["fidelity_power"],
                "uniform": torch.ones(number, number),
                "none": torch.zeros(number, number),
            }[swarm["weights"]].double()
        )
        listens = listens / listens.sum(1, keepdim=True).clamp_min(1e-300)
        draws, chances = (
            torch.empty(number, dtype=torch.float64).uniform_(generator=generator)
            for _ in range(2)
        )
        jumps = [
            i
            for i in due
            if agents[i].age > swarm["patience"]
            and chances[i] < torch.sin(alpha[i] / 2) ** 2
        ]
        new = {i: [] for i in due}
        for place, group in enumerate(groups):
            old = [agent.weights[place] for agent in agents]
            for i in due:
                square = agents[i].squares[place]
                slope = sign * slopes[i][place] + group["weight_decay"] * old[i]
                square.mul_(0.99).add_(0.01 * slope**2)
                talk = sum(listens[i, j] * (old[j] - old[i]) for j in range(number))
                new[i].append(
                    old[i]
                    - group["lr"] * slope / (square.sqrt() + 1e-8)
                    + group["gamma"] * talk
                    + group["pull"] * draws[i] * (target[place] - old[i])
                )
            for i in jumps:
                reach = (0.8 * old[i].abs().mean() + 0.1) * heat
                noise = torch.empty_like(old[i]).uniform_(-1, 1, generator=generator)
                new[i][place] += reach * noise
        for i in due:
            agents[i].weights = new[i]
        model = {
            "best": _best(swarm, agents, smoothed, costs, jumps, best),
            "current": agents[_first(costs, jumps)].weights,
            "mean": [sum(a.weights[k] for a in agents) / number for k in range(2)],
        }[swarm["load"]]
        yield [agent.weights for agent in agents], model, sorted(jumps)
        for i in jumps:
            agents[i].losses, agents[i].lowest, agents[i].age = [], math.inf, 0


def _best(swarm, agents, smoothed, costs, jumps, best):
    if swarm["best"] == "alltime":
        return best
    by_smoothed = {i: s for i, s in enumerate(smoothed) if s < math.inf}
    scores = costs if swarm["best"] == "current" else by_smoothed
    return agents[_first(scores, jumps)].weights


def _first(scores, jumps):
    stayed = {i: score for i, score in scores.items() if i not in jumps}
    return min(stayed or scores, key=(stayed or scores).get)


@pytest.mark.parametrize("load", ["best", "mean", "current"])
@pytest.mark.parametrize("best", ["ema", "current", "alltime"])
@pytest.mark.parametrize("weights", ["fidelity", "uniform", "none"])
def test_a_step_is_the_rule(weights, best, load):
    chance = random.Random(f"{weights} {best} {load}")
    jumped = 0
    for seed in range(4):
        place = {"generator": torch.Generator().manual_seed(seed)}
        parameters = [
            nn.Parameter(torch.randn(shape, dtype=torch.float64, **place))
            for shape in ((3, 4), (5,))
        ]
        number, sign = chance.randint(2, 6), chance.choice([1, -1])
        groups = [{"params": [p], "gamma": chance.random() / 3} for p in parameters]
        groups[0]["weight_decay"] = 0.1
        optimizer = QIMAD(
            groups,
            0.1,
            num_agents=number,
            eval_agents=chance.randint(1, number),
            weights=weights,
            best=best,
            load=load,
            topology=chance.choice(["complete", "ring", "grid", "random"]),
            fidelity_power=chance.choice([1, 2, 3.5]),
            smoothing=chance.choice([0, 0.5, 0.9]),
            cooling=chance.choice(["cosine", "linear", "exponential", None]),
            patience=chance.choice([0, 1]),
            total_steps=2 * STEPS,
            spread=0.3,
            maximize=sign < 0,
            seed=seed,
        )
        swarm = dict(optimizer.param_groups[0]["swarm"])
        rule = _expected(swarm, optimizer.param_groups, parameters, sign)

        def closure(optimizer=optimizer, parameters=parameters, sign=sign):
            optimizer.zero_grad()
            loss = _loss(parameters, sign)
            loss.backward()
            return loss

        for agents, model, jumps in list(rule):
            optimizer.step(closure)
            assert optimizer.history[-1]["jumps"] == jumps
            jumped += len(jumps)
            for i, expected in enumerate(agents):
                torch.testing.assert_close(optimizer.agent_parameters(i), expected)
            torch.testing.assert_close([p.detach() for p in parameters], model)
    assert jumped > 0
