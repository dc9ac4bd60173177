"""What a swarm keeps, adopts and resumes."""

import gc
import subprocess
import sys
import warnings
from copy import deepcopy

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


RESUME = """
import sys, torch
from torch import nn
from qlib.optim import QIMAD

def resume(path):
    saved = torch.load(path, weights_only=True)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model.load_state_dict(saved["model"])
    optimizer = QIMAD(model.parameters())
    optimizer.load_state_dict(saved["optimizer"])
    inputs, targets = saved["data"]

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(15)]
    jumps = [record["jumps"] for record in optimizer.history]
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "losses": losses, "jumps": jumps}, path + ".resumed")

for path in sys.argv[1:]:
    resume(path)
"""


def test_another_process_resumes_to_the_last_bit(task, identical, tmp_path):
    rates = {"rmsprop": 0.3, "adamw": 3.0, "sgd": 2.0}  # too large: stagnation
    begun = {inner: task() for inner in rates}
    swarms = {
        inner: _swarm(made, rates[inner], inner=inner, num_agents=5, eval_agents=3)
        for inner, made in begun.items()
    }
    for inner, made in begun.items():
        _run(made, swarms[inner], 10)
        optimizer = swarms[inner].state_dict()
        saved = {"model": made.model.state_dict(), "optimizer": optimizer}
        torch.save({**saved, "data": [made.inputs, made.targets]}, tmp_path / inner)
    files = [str(tmp_path / inner) for inner in rates]
    subprocess.run([sys.executable, "-c", RESUME, *files], check=True)
    for inner, made in begun.items():
        losses = _run(made, swarms[inner], 15)
        resumed = torch.load(tmp_path / f"{inner}.resumed", weights_only=True)
        jumps = [record["jumps"] for record in swarms[inner].history][10:]
        assert resumed["losses"] == losses, inner
        assert resumed["jumps"] == jumps, inner
        assert any(jumps), inner
        assert identical(resumed["model"], dict(made.model.state_dict())), inner
        assert identical(resumed["optimizer"], swarms[inner].state_dict()), inner


def test_agents_that_are_not_evaluated_neither_move_nor_age(task, identical):
    made = task()
    optimizer = _swarm(made, num_agents=5, eval_agents=2, patience=1)
    _run(made, optimizer, 6)
    for step in range(6, 16):
        due = {2 * step % 5, (2 * step + 1) % 5}
        before = _agents(optimizer)
        old = deepcopy(optimizer.param_groups[0]["swarm"])
        _run(made, optimizer, 1)
        new, record = optimizer.param_groups[0]["swarm"], optimizer.history[-1]
        evaluated = {i for i, loss in enumerate(record["losses"]) if loss is not None}
        assert evaluated == due
        assert set(record["jumps"]) <= due
        for agent in set(range(5)) - due:
            assert identical(before[agent], optimizer.agent_parameters(agent))
            for name in ("age", "count", "smoothed", "lowest"):
                first, second = (one["progress"][name][agent] for one in (old, new))
                assert identical(first, second)
            assert old["alpha"][agent] == new["alpha"][agent]
            assert old["beta"][agent] == new["beta"][agent]


@pytest.mark.parametrize("num_agents", [1, 4])
def test_a_rate_that_warms_up_from_zero_loses_no_spread(num_agents, task, identical):
    made = task()
    optimizer = _swarm(made, num_agents=num_agents, spread=0.5, tunnelling=False)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(k // 2, 1))
    start = made.weights()
    for _ in range(2):
        optimizer.step(made.closure(optimizer))
        assert identical(start, made.weights())
        assert all(identical(start, agent) for agent in _agents(optimizer))
        schedule.step()
    optimizer.step(made.closure(optimizer))
    assert not identical(start, made.weights())
    spread = optimizer.history[-1]["diversity"]
    assert spread == 0 if num_agents == 1 else 0.2 < spread < 0.8


def test_a_group_frozen_by_its_rate_keeps_the_models_weights(task, identical):
    made = task()
    first, *rest = made.model.parameters()
    groups = [{"params": [first]}, {"params": rest}]
    optimizer = QIMAD(groups, 0.05, **WILD)
    _run(made, optimizer, 5)
    optimizer.param_groups[0]["lr"] = 0.0
    frozen, agents = first.detach().clone(), [a[0] for a in _agents(optimizer)]
    _run(made, optimizer, 8)
    assert torch.equal(first, frozen)
    assert identical(agents, [agent[0] for agent in _agents(optimizer)])


def test_while_all_rates_are_zero_the_model_holds_the_same_agent(task, identical):
    made = task()
    optimizer = _swarm(made, tunnelling=False)
    evaluate = made.closure(optimizer)
    _run(made, optimizer, 6)
    group = optimizer.param_groups[0]
    agents, held = _agents(optimizer), group["swarm"]["held"]
    for lr in (0.0, 1e-30):
        group.update(lr=lr, gamma=0, pull=0)
        for _ in range(8):
            optimizer.step(lambda: evaluate() + made.calls**2 % 7)
            assert lr or group["swarm"]["held"] == held
    assert identical(agents, _agents(optimizer))


def test_storage_is_twice_the_agents_and_twice_the_model(task):
    for best, copies in (("ema", 8), ("alltime", 9)):
        made = task()
        optimizer = _swarm(made, best=best)
        _run(made, optimizer, 3)
        weights = sum(weight.numel() for weight in made.model.parameters())
        kept = sum(
            value.numel()
            for state in optimizer.state.values()
            for value in state.values()
            if isinstance(value, torch.Tensor)
        )
        assert kept == copies * weights
        assert kept + weights <= (2 * 4 + 2) * weights


@pytest.fixture
def newcomers():
    """The collector tracks only what is made from here on."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _alive():
    """Bytes of all tensors that the collector tracks."""
    storages = {
        thing.untyped_storage().data_ptr(): thing.untyped_storage().nbytes()
        for thing in gc.get_objects()
        if type(thing) in (torch.Tensor, nn.Parameter)
        and thing.layout is torch.strided  # a sparse one has no storage of its own
    }
    return sum(storages.values())


@pytest.mark.usefixtures("newcomers")
@pytest.mark.parametrize("load", ["best", "mean", "current"])
@pytest.mark.parametrize("best", ["ema", "alltime"])
def test_nothing_else_is_kept_while_the_agents_are_evaluated(best, load):
    assert _alive() == 0
    peak = 0
    place = nn.Parameter(torch.ones(50_000))
    optimizer = QIMAD([place], best=best, load=load, spread=0.1, seed=0)

    def closure():
        nonlocal peak
        optimizer.zero_grad()
        peak = max(peak, _alive())
        place.grad = 0.1 * place.detach()
        return place.detach().square().sum()

    for _ in range(3):
        optimizer.zero_grad()
        optimizer.step(closure)
    copies = 2 * 4 + 1 + (best == "alltime") + (load == "mean")
    gradients = 3  # of the agents evaluated before
    assert copies + gradients <= peak / place.nbytes < copies + gradients + 0.2


@pytest.mark.parametrize("num_agents", [1, 4])
@pytest.mark.parametrize("load", ["best", "current"])
def test_changes_made_to_the_model_between_steps_are_adopted(num_agents, load, task):
    made = task()
    optimizer = _swarm(made, 1e-6, num_agents=num_agents, load=load, gamma=0, pull=0)
    _run(made, optimizer, 3)
    held = optimizer.param_groups[0]["swarm"]["held"]
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.fill_(0.25)
    seen = []
    evaluate = made.closure(optimizer)

    def closure():
        seen.append(made.weights())
        return evaluate()

    optimizer.step(closure)
    adopted = [all(w.eq(0.25).all() for w in weights) for weights in seen]
    assert adopted == [agent == held for agent in range(num_agents)]


def test_jumps_are_bounded_and_are_made_by_the_stagnating_only(task):
    made = task()
    optimizer = _swarm(made, 1e-12, gamma=0, pull=0, spread=0.5, cooling=None)
    jumped = 0
    for _ in range(30):
        before = _agents(optimizer)
        _run(made, optimizer, 1)
        record = optimizer.history[-1]
        if record["step"] == 0:
            continue
        for agent, old in enumerate(before):
            for a, b in zip(old, optimizer.agent_parameters(agent), strict=True):
                moved = (a - b).abs().max()
                if agent in record["jumps"]:
                    assert 1e-3 < moved <= 1.0001 * (0.8 * a.abs().mean() + 0.1)
                else:
                    assert moved < 1e-6
        jumped += len(record["jumps"])
    assert jumped > 5


def test_the_stored_best_is_the_least_loss_ever_and_is_what_the_model_holds(task):
    made = task()
    optimizer = _swarm(made, 0.2, best="alltime", spread=0.5)
    lowest = torch.inf
    for _ in range(30):
        loss = _run(made, optimizer, 1)[0]
        losses = optimizer.history[-1]["losses"]
        lowest = min(lowest, *losses)
        assert loss == pytest.approx(lowest, rel=1e-6)
        with torch.no_grad():
            held = (made.model(made.inputs) - made.targets).square().mean().item()
        assert held == pytest.approx(lowest, rel=1e-6)


def test_a_stochastic_closure_is_warned_about_where_the_best_is_stored(task):
    made = task()
    optimizer = _swarm(made, best="alltime")
    noise = torch.Generator().manual_seed(0)
    evaluate = made.closure(optimizer)

    def closure():
        return evaluate() + torch.rand((), generator=noise)

    optimizer.step(closure)
    with pytest.warns(UserWarning, match="alltime"):
        optimizer.step(closure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step(closure)


@pytest.mark.parametrize("load", ["best", "mean", "current"])
def test_the_model_holds_what_load_says(load, task, identical):
    made = task()
    optimizer = _swarm(made, load=load, best="current", tunnelling=False)
    for _ in range(5):
        _run(made, optimizer, 1)
        expected = optimizer.mean()
        if load != "mean":
            losses = optimizer.history[-1]["losses"]
            expected = optimizer.agent_parameters(losses.index(min(losses)))
        assert identical(made.weights(), expected)


def test_an_agent_can_be_loaded_and_is_then_held(task, identical):
    made = task()
    optimizer = _swarm(made)
    _run(made, optimizer, 3)
    optimizer.load_agent(2)
    assert identical(made.weights(), optimizer.agent_parameters(2))
    agents = _agents(optimizer)
    optimizer.agent_parameters(1)[0].zero_()
    assert identical(agents, _agents(optimizer))


def test_diversity_and_smoothed_losses_are_their_definitions(task):
    made = task()
    optimizer = _swarm(made, tunnelling=False, smoothing=0.5)
    assert optimizer.agent_losses.isnan().all()
    assert optimizer.diversity() == 0
    frozen = QIMAD(made.model.parameters(), 0.0)
    _run(made, frozen, 1)
    with torch.no_grad():
        made.model[0].weight.mul_(2)
    assert frozen.diversity() == 0  # all agents share the model
    _run(made, optimizer, 2)
    before = optimizer.diversity()
    first, second = (record["losses"] for record in optimizer.history)
    mean = (torch.tensor(first) * 0.5 + torch.tensor(second)) / 1.5
    torch.testing.assert_close(optimizer.agent_losses, mean.double())
    stacked = torch.stack(
        [torch.cat([part.flatten() for part in agent]) for agent in _agents(optimizer)]
    )
    expected = (stacked - stacked.mean(0)).square().mean().sqrt().item()
    assert before == pytest.approx(expected, rel=1e-5)
    _run(made, optimizer, 1)
    assert optimizer.history[-1]["diversity"] == pytest.approx(before, rel=1e-5)


def test_the_history_is_bounded(task):
    made = task()
    optimizer = _swarm(made, history_size=3)
    _run(made, optimizer, 7)
    assert [record["step"] for record in optimizer.history] == [4, 5, 6]


def test_agents_start_from_the_points_given(identical):
    points = torch.linspace(-2, 2, 8, dtype=torch.float64).view(4, 2)
    place = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = QIMAD([place], num_agents=4, start=list(points), seed=0)
    assert identical([agent[0] for agent in _agents(optimizer)], list(points))
    assert torch.equal(place, torch.zeros(2, dtype=torch.float64))
    seen = []

    def closure():
        optimizer.zero_grad()
        seen.append(place.detach().clone())
        loss = place.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert identical(seen, list(points))


@pytest.mark.parametrize("load", ["best", "mean", "current"])
@pytest.mark.parametrize("best", ["ema", "current", "alltime"])
def test_points_given_survive_a_rate_of_zero(best, load, identical):
    points = torch.linspace(1, 2, 8).view(4, 2)
    place = nn.Parameter(torch.zeros(2))
    settings = {"start": list(points), "best": best, "load": load, "seed": 0}
    optimizer = QIMAD([place], 0.0, num_agents=4, **settings)

    def closure():
        optimizer.zero_grad()
        loss = (place - 1).square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        assert optimizer.step(closure) == 2
        assert torch.equal(place, torch.zeros(2))
    assert identical([agent[0] for agent in _agents(optimizer)], list(points))
    optimizer.param_groups[0]["lr"] = 0.01
    optimizer.step(closure)
    costs = (points - 1).square().sum(1).tolist()
    assert optimizer.history[-1]["losses"] == pytest.approx(costs)


def test_two_gradients_in_the_same_memory_are_refused():
    place, buffer = nn.Parameter(torch.ones(3)), torch.zeros(3)
    optimizer = QIMAD([place], spread=0.1, seed=0)

    def closure():
        place.grad = buffer.copy_(2 * place.detach())
        return place.detach().square().sum()

    with pytest.raises(RuntimeError, match="same memory"):
        optimizer.step(closure)
    assert torch.equal(place, torch.ones(3))


def test_a_copy_of_several_processes_is_refused():
    optimizer = QIMAD([nn.Parameter(torch.ones(3))])
    optimizer.process_group = object()
    with pytest.raises(TypeError, match="process_group"):
        deepcopy(optimizer)
