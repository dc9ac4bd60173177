"""A step that is refused leaves weights, gradients, state and random state alone."""

import math

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD

FAMILY = [
    (inner, num_agents)
    for inner in ("rmsprop", "adamw", "sgd")
    for num_agents in (1, 4)
]
over_the_family = pytest.mark.parametrize(("inner", "num_agents"), FAMILY)


def _optimizer(parameters, inner="rmsprop", num_agents=4, **settings):
    settings = {"spread": 0.1, "patience": 0, "seed": 1, **settings}
    return QIMAD(parameters, 0.05, inner=inner, num_agents=num_agents, **settings)


def _refused(optimizer, closure, error, match, snapshot, identical):
    before = snapshot(optimizer)
    with pytest.raises(error, match=match):
        optimizer.step(closure)
    assert identical(before, snapshot(optimizer))


@pytest.fixture(params=[0, 3], ids=["first step", "fourth step"])
def steps_before(request):
    return request.param


@pytest.fixture
def run(task, steps_before, request):
    """A function: a task and its optimiser, before the first or the fourth step."""

    def make(**settings):
        made = task()
        optimizer = _optimizer(made.model.parameters(), **settings)
        for _ in range(steps_before):
            optimizer.step(made.closure(optimizer))
        for weight in made.model.parameters():
            weight.grad = torch.full_like(weight, 0.25)
            weight.data.mul_(0.75)  # what the model holds is no agent's own any more
        return made, optimizer

    return make


def _none(task, optimizer):
    evaluate = task.closure(optimizer)

    def closure():
        evaluate()

    return closure


def _without_gradient(task, optimizer):
    return lambda: (task.model(task.inputs) - task.targets).square().mean()


def _detached(task, optimizer):
    def closure():
        optimizer.zero_grad()
        with torch.no_grad():
            return (task.model(task.inputs) - task.targets).square().mean()

    return closure


def _of_many_losses(task, optimizer):
    evaluate = task.closure(optimizer)
    return lambda: evaluate() * torch.ones(3)


def _of_numpy(task, optimizer):
    evaluate = task.closure(optimizer)
    return lambda: evaluate().detach().repeat(3).numpy()


def _with_output(task, optimizer):
    evaluate = task.closure(optimizer)
    return lambda: (evaluate(), task.model(task.inputs))


CLOSURES = {
    "None": (lambda task, optimizer: None, TypeError, "closure"),
    "a number": (lambda task, optimizer: 1.0, TypeError, "closure"),
    "a loss": (lambda task, optimizer: torch.tensor(1.0), TypeError, "closure"),
    "returns None": (_none, TypeError, "closure"),
    "no backward": (_without_gradient, (ValueError, RuntimeError), "gradient"),
    "no graph": (_detached, (ValueError, RuntimeError), "gradient"),
    "returns a vector": (_of_many_losses, (ValueError, TypeError), "closure"),
    "returns an array": (_of_numpy, TypeError, "closure"),
    "returns a pair": (_with_output, (ValueError, TypeError), "closure"),
}


@over_the_family
@pytest.mark.parametrize("case", CLOSURES)
def test_a_closure_that_is_none_is_refused(
    case, inner, num_agents, run, snapshot, identical
):
    made, optimizer = run(inner=inner, num_agents=num_agents)
    build, error, match = CLOSURES[case]
    closure = build(made, optimizer)
    _refused(optimizer, closure, error, match, snapshot, identical)


def test_a_step_needs_a_closure(run, snapshot, identical):
    _, optimizer = run()
    before = snapshot(optimizer)
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()
    assert identical(before, snapshot(optimizer))


@pytest.mark.parametrize("load", ["best", "mean"])
def test_a_gradient_cleared_in_place_is_restored(load, run, snapshot, identical):
    _, optimizer = run(load=load)

    def closure():
        optimizer.zero_grad(set_to_none=False)
        raise ZeroDivisionError("of the closure")

    _refused(optimizer, closure, ZeroDivisionError, "of the c", snapshot, identical)


@over_the_family
@pytest.mark.parametrize("failing", ["first", "last"])
def test_an_error_of_the_closure_passes_through(
    failing, inner, num_agents, run, snapshot, identical
):
    made, optimizer = run(inner=inner, num_agents=num_agents)
    evaluate = made.closure(optimizer)
    fatal = made.calls + (1 if failing == "first" else num_agents)

    def closure():
        loss = evaluate()
        if made.calls == fatal:
            raise ZeroDivisionError("of the closure")
        return loss

    _refused(optimizer, closure, ZeroDivisionError, "of the c", snapshot, identical)
    assert made.calls == fatal


@pytest.mark.parametrize(
    "settings",
    [
        {"eval_agents": 3},
        {"load": "mean"},
        {"load": "current"},
        {"best": "alltime"},
        {"best": "current"},
    ],
)
@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_an_interrupted_step_can_be_taken_again(
    settings, fatal, run, snapshot, identical
):
    made, optimizer = run(**settings)
    peer, unharmed = run(**settings)
    evaluate, calls = made.closure(optimizer), made.calls

    def closure():
        if made.calls == calls + fatal - 1:
            raise KeyboardInterrupt
        return evaluate()

    _refused(optimizer, closure, KeyboardInterrupt, None, snapshot, identical)
    for _ in range(3):
        again = optimizer.step(made.closure(optimizer))
        assert torch.equal(again, unharmed.step(peer.closure(unharmed)))
    assert identical(made.weights(), peer.weights())
    assert identical(optimizer.state_dict(), unharmed.state_dict())


@pytest.mark.parametrize("num_agents", [1, 4])
@pytest.mark.parametrize("named", [False, True])
def test_a_sparse_gradient_is_refused_by_name(num_agents, named, snapshot, identical):
    table = nn.Embedding(5, 3, sparse=True)
    bias = torch.zeros(3, requires_grad=True)
    parameters = [("bias", bias), ("table.weight", table.weight)]
    if not named:
        parameters = [parameter for _, parameter in parameters]
    optimizer = _optimizer(parameters, num_agents=num_agents)

    def closure():
        optimizer.zero_grad()
        loss = (table(torch.tensor([0, 2])) + bias).square().sum()
        loss.backward()
        return loss

    match = r"(?is)sparse.*table\.weight|table\.weight.*sparse" if named else "(?i)spar"
    error = (ValueError, RuntimeError, TypeError)
    _refused(optimizer, closure, error, match, snapshot, identical)


@pytest.mark.parametrize("state", ["of RMSprop", "fewer groups", "fewer parameters"])
def test_a_state_of_another_optimiser_is_refused(state, run, snapshot, identical):
    made, optimizer = run()
    parameters = list(made.model.parameters())
    if state == "of RMSprop":
        saved = torch.optim.RMSprop(parameters).state_dict()
    else:
        rest = parameters[2:] if state == "fewer groups" else parameters[3:]
        groups = [{"params": parameters[:2]}, {"params": rest}]
        saved = _optimizer(groups if state == "fewer groups" else rest).state_dict()
    before = snapshot(optimizer)
    with pytest.raises((ValueError, KeyError), match=r"group|swarm"):
        optimizer.load_state_dict(saved)
    assert identical(before, snapshot(optimizer))


@pytest.mark.parametrize("agent", [-5, 4, 1.5, True, "best", None])
def test_an_agent_that_is_not_there_is_refused(agent, run, snapshot, identical):
    _, optimizer = run()
    before = snapshot(optimizer)
    for call in (optimizer.agent_parameters, optimizer.load_agent):
        with pytest.raises((ValueError, IndexError, TypeError), match=r"agent|index"):
            call(agent)
    assert identical(before, snapshot(optimizer))


def test_a_step_without_a_finite_agent_moves_nothing_however_warnings_are_taken(
    run, identical
):
    made, optimizer = run()
    evaluate, before = made.closure(optimizer), made.weights()
    with pytest.raises(RuntimeWarning, match="finite"):
        optimizer.step(lambda: evaluate() * math.nan)
    assert identical(made.weights(), before)
    assert optimizer.step(evaluate).isfinite()


def test_a_loss_of_nan_is_no_error_for_one_agent_as_in_torch(task):
    made = task()
    optimizer = _optimizer(made.model.parameters(), num_agents=1)
    evaluate = made.closure(optimizer)
    loss = optimizer.step(lambda: evaluate() * math.nan)
    assert loss.isnan()
