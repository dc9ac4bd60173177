"""An ensemble is its agents: same outputs, averaged probabilities, saved and loaded."""

import copy
import io

import pytest
import torch
from torch import nn

from qlib.optim.ensemble import AgentEnsemble

AGENTS = 3


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(6, 6, bias=False)
        self.decode = nn.Linear(6, 6)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


MODELS = {
    "dense": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    "batch norm and dropout": lambda: nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)
    ),
    "tied": Tied,
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def stacked(named):
    """A stack of noise for each floating tensor, of ones for others; variances > 0."""
    return {
        name: torch.rand(AGENTS, *t.shape) + 0.5
        if t.is_floating_point()
        else torch.arange(AGENTS)
        for name, t in named
    }


@pytest.fixture(params=MODELS)
def parts(request):
    model = MODELS[request.param]()
    return model, stacked(model.named_parameters()), stacked(model.named_buffers())


def agent_outputs(model, stacks, buffers, x):
    outputs = []
    for agent in range(AGENTS):
        own = copy.deepcopy(model).eval()
        named = {**dict(own.named_parameters()), **dict(own.named_buffers())}
        with torch.no_grad():
            for name, stack in {**stacks, **buffers}.items():
                named[name].copy_(stack[agent])
            outputs.append(own(x))
    return torch.stack(outputs)


@pytest.mark.parametrize("own_buffers", [True, False])
def test_outputs_are_those_of_the_agents(parts, own_buffers):
    model, stacks, buffers = parts
    buffers = buffers if own_buffers else {}
    x = torch.randn(5, 6)
    ensemble = AgentEnsemble(model, stacks, buffers or None)
    assert not ensemble.training
    outputs = ensemble(x)
    assert torch.equal(outputs, agent_outputs(model, stacks, buffers, x))
    probabilities = ensemble.probabilities(x)
    torch.testing.assert_close(probabilities, outputs.softmax(-1).mean(0))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(5))


def test_nothing_is_shared_with_the_model_or_the_stacks(parts):
    model, stacks, buffers = parts
    x, before = torch.randn(5, 6), copy.deepcopy(model.state_dict())
    ensemble = AgentEnsemble(model, stacks, buffers)
    outputs = ensemble(x)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    for tensor in (*stacks.values(), *buffers.values(), *model.state_dict().values()):
        tensor.zero_()
    assert torch.equal(ensemble(x), outputs)


def test_no_parameter_requires_a_gradient_but_inputs_may(parts):
    ensemble = AgentEnsemble(*parts)
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())
    x = torch.randn(5, 6, requires_grad=True)
    ensemble.probabilities(x)[:, 0].sum().backward()
    assert x.grad.isfinite().all()


def test_saved_weights_are_the_stacks_and_restore_the_ensemble(parts):
    model, stacks, buffers = parts
    ensemble, x = AgentEnsemble(model, stacks, buffers), torch.randn(5, 6)
    file = io.BytesIO()
    torch.save(ensemble.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    for name, stack in {**stacks, **buffers}.items():
        assert torch.equal(state[f"model.{name}"], stack)
    other = AgentEnsemble(
        model,
        {name: torch.zeros_like(stack) for name, stack in stacks.items()},
        {name: torch.zeros_like(stack) for name, stack in buffers.items()},
    )
    other.load_state_dict(state)
    assert torch.equal(other(x), ensemble(x))


def test_it_moves_and_copies_as_any_module(parts):
    ensemble, x = AgentEnsemble(*parts), torch.randn(5, 6)
    outputs = ensemble(x)
    assert torch.equal(copy.deepcopy(ensemble)(x), outputs)
    torch.testing.assert_close(ensemble.double()(x.double()).float(), outputs)
    assert f"num_agents={AGENTS}" in repr(ensemble)


def test_weights_outside_the_stacks_are_shared():
    model = MODELS["dense"]()
    stacks = stacked(model[2].named_parameters(prefix="2"))
    ensemble, x = AgentEnsemble(model, stacks), torch.randn(5, 6)
    assert torch.equal(ensemble(x), agent_outputs(model, stacks, {}, x))
    assert ensemble.state_dict()["model.0.weight"].shape == (8, 6)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"stacks": {}}, r"stacks: got \[\] agents"),
        (
            {"stacks": {"9.weight": torch.zeros(3, 2)}},
            "stacks: got '9.weight'; allowed",
        ),
        ({"stacks": {"0.bias": torch.zeros(3, 9)}}, r"'0.bias' of shape \(3, 9\)"),
        ({"stacks": {"0.bias": torch.zeros(8)}}, r"'0.bias' of shape \(8,\)"),
        ({"stacks": {"0.bias": torch.zeros(0, 8)}}, r"stacks: got \[0\] agents"),
        (
            {"stacks": {"0.bias": torch.zeros(2, 8), "2.bias": torch.zeros(4, 3)}},
            r"stacks: got \[2, 4\] agents",
        ),
        (
            {"buffers": {"mean": torch.zeros(3, 1)}},
            "buffers: got 'mean'; allowed: none",
        ),
    ],
)
def test_wrong_stacks_are_refused_by_name(changed, match):
    model = MODELS["dense"]()
    given = {"stacks": stacked(model.named_parameters()), "buffers": None} | changed
    with pytest.raises(ValueError, match=match):
        AgentEnsemble(model, **given)
