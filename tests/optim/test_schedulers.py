"""Every scheduler of torch drives QIMAD as it drives torch's own optimisers."""

from copy import deepcopy

import pytest
import torch
from torch.optim import lr_scheduler as sched
from torch.optim.swa_utils import SWALR

from qlib.optim import QIMAD

PEERS = {
    "rmsprop": torch.optim.RMSprop,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
STEPS = 14


def _cyclic(optimizer, **settings):
    settings = {"step_size_up": 3, "step_size_down": 4, **settings}
    return sched.CyclicLR(optimizer, 1e-3, 0.05, **settings)


def _one_cycle(optimizer, **settings):
    return sched.OneCycleLR(optimizer, 0.05, total_steps=STEPS + 1, **settings)


def _sequential(optimizer):
    parts = [
        sched.LinearLR(optimizer, start_factor=0.1, total_iters=4),
        sched.ExponentialLR(optimizer, 0.8),
    ]
    return sched.SequentialLR(optimizer, parts, milestones=[5])


def _chained(optimizer):
    parts = [
        sched.ConstantLR(optimizer, factor=0.3, total_iters=3),
        sched.ExponentialLR(optimizer, 0.9),
    ]
    return sched.ChainedScheduler(parts)


SCHEDULERS = {
    "LambdaLR": lambda optimizer: sched.LambdaLR(optimizer, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: sched.MultiplicativeLR(o, lambda step: 0.95),
    "StepLR": lambda optimizer: sched.StepLR(optimizer, step_size=3, gamma=0.5),
    "MultiStepLR": lambda o: sched.MultiStepLR(o, milestones=[2, 7], gamma=0.1),
    "ConstantLR": lambda o: sched.ConstantLR(o, factor=0.4, total_iters=4),
    "LinearLR": lambda o: sched.LinearLR(o, start_factor=0.2, total_iters=6),
    "LinearLR from 0": lambda o: sched.LambdaLR(o, lambda step: min(step / 4, 1)),
    "ExponentialLR": lambda optimizer: sched.ExponentialLR(optimizer, 0.85),
    "CosineAnnealingLR": lambda o: sched.CosineAnnealingLR(o, T_max=8),
    "PolynomialLR": lambda o: sched.PolynomialLR(o, total_iters=9, power=2),
    "WarmRestarts": lambda o: sched.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "CyclicLR": lambda optimizer: _cyclic(optimizer, cycle_momentum=False),
    "CyclicLR with momentum": _cyclic,
    "OneCycleLR": lambda optimizer: _one_cycle(optimizer, cycle_momentum=False),
    "OneCycleLR with momentum": _one_cycle,
    "ReduceLROnPlateau": lambda o: sched.ReduceLROnPlateau(o, patience=1, factor=0.5),
    "SWALR": lambda o: SWALR(o, swa_lr=0.05, anneal_epochs=4),
    "SequentialLR": _sequential,
    "ChainedScheduler": _chained,
}
over_all = pytest.mark.parametrize("name", SCHEDULERS)
over_peers = pytest.mark.parametrize("inner", PEERS)


def _groups(model, lr):
    first, *rest = model.parameters()
    return [{"params": [first], "lr": lr}, {"params": rest, "weight_decay": 0.1}]


def _trace(task, optimizer, scheduler):
    """Learning rates, momenta and weights along a run under one scheduler."""
    trace = []
    for step in range(STEPS):
        optimizer.step(task.closure(optimizer))
        if isinstance(scheduler, sched.ReduceLROnPlateau):
            scheduler.step(1 / (1 + step) if step < 4 else 1.0)
        else:
            scheduler.step()
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        cycled = [(g.get("momentum"), g.get("betas")) for g in optimizer.param_groups]
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        trace.append((rates, cycled, task.weights()))
    return trace


@over_peers
@over_all
def test_one_agent_under_a_scheduler_is_torchs_optimiser(name, inner, task, identical):
    traces = []
    for build in (
        lambda g, **k: QIMAD(g, inner=inner, num_agents=1, **k),
        PEERS[inner],
    ):
        made = task()
        settings = {} if inner == "adamw" else {"momentum": 0.9}
        optimizer = build(_groups(made.model, 0.02), lr=0.01, **settings)
        traces.append(_trace(made, optimizer, SCHEDULERS[name](optimizer)))
    assert identical(*traces)


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        *((name, "rmsprop") for name in SCHEDULERS),
        ("OneCycleLR with momentum", "adamw"),
        ("CyclicLR with momentum", "sgd"),
    ],
)
def test_a_swarm_takes_the_rates_and_momenta_of_torchs_optimiser(name, inner, task):
    traces = []
    settings = {} if inner == "adamw" else {"momentum": 0.9}
    swarm = {"inner": inner, "num_agents": 4, "eval_agents": 2, "seed": 3}
    for build in (lambda g, **k: QIMAD(g, **swarm, **k), PEERS[inner]):
        made = task()
        optimizer = build(_groups(made.model, 0.02), lr=0.01, **settings)
        traces.append(_trace(made, optimizer, SCHEDULERS[name](optimizer)))
    ours, theirs = traces
    assert [line[:2] for line in ours] == [line[:2] for line in theirs]
    assert all(weight.isfinite().all() for _, _, step in ours for weight in step)


@pytest.mark.parametrize(
    ("name", "num_agents"), [*((name, 1) for name in SCHEDULERS), ("OneCycleLR", 4)]
)
def test_a_tensor_as_rate_is_scheduled_like_a_number(name, num_agents, task):
    traces = []
    for lr in (0.01, torch.tensor(0.01, dtype=torch.float64)):
        made = task()
        optimizer = QIMAD(
            made.model.parameters(), lr, num_agents=num_agents, momentum=0.5, seed=1
        )
        traces.append(_trace(made, optimizer, SCHEDULERS[name](optimizer)))
    for (rates, _, weights), (others, _, of_tensor) in zip(*traces, strict=True):
        assert rates == pytest.approx(others, rel=1e-12)
        torch.testing.assert_close(weights, of_tensor)


@pytest.mark.parametrize("num_agents", [1, 4])
def test_a_scheduled_run_resumes_to_the_last_bit(num_agents, task, identical):
    def build():
        made = task()
        optimizer = QIMAD(
            made.model.parameters(), 0.02, num_agents=num_agents, spread=0.1, seed=2
        )
        return made, optimizer, sched.CosineAnnealingLR(optimizer, T_max=2 * STEPS)

    made, optimizer, scheduler = build()
    _trace(made, optimizer, scheduler)
    other, resumed, its_scheduler = build()
    other.model.load_state_dict(made.model.state_dict())
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    its_scheduler.load_state_dict(scheduler.state_dict())
    assert identical(
        _trace(made, optimizer, scheduler), _trace(other, resumed, its_scheduler)
    )


@over_peers
def test_a_rate_set_by_hand_holds_from_the_next_step(inner, task, identical):
    weights = []
    for build in (lambda p: QIMAD(p, 0.02, inner=inner, num_agents=1), PEERS[inner]):
        made = task()
        optimizer = build(made.model.parameters())
        for lr in (0.02, 0.1, 0.0, 0.001):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step(made.closure(optimizer))
        weights.append(made.weights())
    assert identical(*weights)


def test_a_second_scheduler_starts_from_the_rates_given(task):
    made = task()
    optimizer = QIMAD(_groups(made.model, 0.02), 0.01)
    sched.StepLR(optimizer, 1)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.02, 0.01]
