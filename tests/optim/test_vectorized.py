"""All agents in one pass are what each would be alone: losses, gradients, buffers."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qlib.optim.vectorized import VectorizedClosure

AGENTS = 3


class TiedAutoencoder(nn.Module):
    """One weight under two names, as in language models; no plain `Sequential`."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(6, 6, bias=False)
        self.decode = nn.Linear(6, 6)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


class TwiceUsed(nn.Module):
    """One module under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = self.first

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class Branching(nn.Module):
    """The path depends on values, which vmap refuses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        y = self.layer(x)
        return y if y.sum() > 0 else 2 * y


class Reassigning(nn.Module):
    """A buffer that is assigned anew, not changed in place."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        y = self.layer(x)
        self.mean = (self.mean + y.detach().mean(0)) / 2
        return y - self.mean


def dense(*hidden):
    return nn.Sequential(nn.Linear(6, 8), *hidden, nn.Linear(8, 3))


def normalised():
    return nn.Sequential(
        nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
    )


MODELS = {
    "dense": lambda: dense(nn.ReLU()),
    "dense without bias": lambda: nn.Sequential(nn.Linear(6, 3, bias=False), nn.Tanh()),
    "dense, nested": lambda: nn.Sequential(nn.Identity(), dense(nn.GELU()), nn.Tanh()),
    "one layer": lambda: nn.Linear(6, 3),
    "layer norm": lambda: dense(nn.LayerNorm(8), nn.ReLU()),
    "batch norm": lambda: dense(nn.BatchNorm1d(8), nn.ReLU()),
    "tied": TiedAutoencoder,
    "module used twice": TwiceUsed,
    "buffer assigned anew": Reassigning,
    "flattened": lambda: nn.Sequential(nn.Flatten(), dense(nn.SiLU())),
    "convolution": normalised,
}
INPUTS = {"flattened": (2, 3), "convolution": (1, 2, 3)}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch(shape=(6,), size=12):
    return torch.randn(size, *shape), torch.randint(0, 3, (size,))


def stacks_around(model, number=AGENTS, spread=0.3):
    return {
        name: p.detach() + spread * torch.randn(number, *p.shape)
        for name, p in model.named_parameters()
    }


def alone(model, stacks, agent):
    """A separate copy of the model with an agent's weights."""
    own = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if name in stacks:
                parameter.copy_(stacks[name][agent])
    return own


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["vectorized", "loop"])
@pytest.mark.parametrize("same_batch", [True, False])
def test_each_agent_is_a_model_of_its_own(name, mode, same_batch):
    model = MODELS[name]()
    x, y = batch(INPUTS.get(name, (6,)))
    closure = VectorizedClosure(
        model, cross_entropy, (x, y), mode=mode, same_batch=same_batch
    )
    stacks = stacks_around(model)
    agents = [4, 0, 2]
    separate = [alone(model, stacks, k) for k in range(AGENTS)]
    xs = [x] * AGENTS if same_batch else x.chunk(AGENTS)
    ys = [y] * AGENTS if same_batch else y.chunk(AGENTS)
    for _ in range(2):
        losses, gradients = closure.evaluate(stacks, agents)
        assert losses.shape == (AGENTS,)
        assert not losses.requires_grad
        assert gradients.keys() == stacks.keys()
        for k, own in enumerate(separate):
            own.zero_grad()
            loss = cross_entropy(own(xs[k]), ys[k])
            loss.backward()
            torch.testing.assert_close(losses[k], loss.detach())
            for key, parameter in own.named_parameters():
                torch.testing.assert_close(gradients[key][k], parameter.grad)
            for key, buffer in own.named_buffers():
                torch.testing.assert_close(closure.buffers[key][agents[k]], buffer)


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
@pytest.mark.parametrize("name", MODELS)
def test_evaluation_leaves_the_model_and_the_stacks_as_they_were(name, mode):
    model = MODELS[name]()
    stacks = stacks_around(model)
    before = copy.deepcopy((model.state_dict(), stacks))
    identities = [id(tensor) for tensor in (*model.parameters(), *model.buffers())]
    closure = VectorizedClosure(
        model, cross_entropy, batch(INPUTS.get(name, (6,))), mode=mode
    )
    closure.evaluate(stacks, range(AGENTS))
    torch.testing.assert_close((model.state_dict(), stacks), before, rtol=0, atol=0)
    after = [id(tensor) for tensor in (*model.parameters(), *model.buffers())]
    assert after == identities
    assert all(parameter.grad is None for parameter in model.parameters())


def test_called_it_is_an_ordinary_closure():
    model, (x, y) = dense(nn.Tanh()), batch()
    closure = VectorizedClosure(model, cross_entropy, (x, y))
    reference = copy.deepcopy(model)
    optimizer, other = (torch.optim.LBFGS(m.parameters()) for m in (model, reference))

    def plain():
        other.zero_grad()
        loss = cross_entropy(reference(x), y)
        loss.backward()
        return loss

    assert torch.equal(optimizer.step(closure), other.step(plain))
    pairs = zip(model.parameters(), reference.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
@pytest.mark.parametrize("place", ["hidden", "input", "general", "input twice"])
def test_agents_with_the_same_weights_draw_their_own_dropout(mode, place):
    model = {
        "hidden": dense(nn.ReLU(), nn.Dropout()),
        "input": nn.Sequential(nn.Dropout(), nn.Linear(6, 3)),
        "general": dense(nn.LayerNorm(8), nn.Dropout()),
        "input twice": nn.Sequential(nn.Dropout(), nn.Dropout(), nn.Linear(6, 3)),
    }[place]
    closure = VectorizedClosure(model, cross_entropy, batch(), mode=mode)
    losses, _ = closure.evaluate(stacks_around(model, spread=0.0), range(AGENTS))
    assert len(set(losses.tolist())) == AGENTS
    model.eval()
    losses, _ = closure.evaluate(stacks_around(model, spread=0.0), range(AGENTS))
    torch.testing.assert_close(losses, losses[:1].expand(AGENTS))


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
def test_frozen_parameters_are_shared_and_get_no_gradient(mode):
    model, (x, y) = dense(nn.ReLU()), batch()
    model[0].requires_grad_(False)
    stacks = {k: v for k, v in stacks_around(model).items() if k.startswith("2.")}
    closure = VectorizedClosure(model, cross_entropy, (x, y), mode=mode)
    losses, gradients = closure.evaluate(stacks, range(AGENTS))
    assert gradients.keys() == {"2.weight", "2.bias"}
    for k in range(AGENTS):
        expected = cross_entropy(alone(model, stacks, k)(x), y)
        torch.testing.assert_close(losses[k], expected.detach())
    frozen_too = stacks_around(model)
    _, gradients = closure.evaluate(frozen_too, range(AGENTS))
    assert gradients.keys() == {"2.weight", "2.bias"}


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
def test_dense_networks_with_hooks_are_run_as_they_stand(mode):
    model, (x, y) = dense(nn.ReLU()), batch()
    model[1].register_forward_hook(lambda module, args, output: output + args[0])
    closure = VectorizedClosure(model, cross_entropy, (x, y), mode=mode)
    stacks = stacks_around(model)
    losses, _ = closure.evaluate(stacks, range(AGENTS))
    for k in range(AGENTS):
        expected = cross_entropy(alone(model, stacks, k)(x), y)
        torch.testing.assert_close(losses[k], expected.detach())


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
def test_unused_parameters_have_no_gradient(mode):
    model = nn.ModuleDict({"used": nn.Linear(6, 3), "idle": nn.Linear(2, 2)})
    model.forward = lambda x: model["used"](x)
    closure = VectorizedClosure(model, cross_entropy, batch(), mode=mode)
    _, gradients = closure.evaluate(stacks_around(model), range(AGENTS))
    assert gradients.keys() == {"used.weight", "used.bias"}


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
def test_outputs_may_be_nested(mode):
    model = nn.Linear(6, 3)
    named = copy.deepcopy(model)
    named.forward = lambda x: {"logits": nn.functional.linear(x, named.weight)}
    data = batch()
    closure = VectorizedClosure(
        named, lambda out, y: cross_entropy(out["logits"], y), data, mode=mode
    )
    stacks = {"weight": stacks_around(model)["weight"]}
    losses, _ = closure.evaluate(stacks, range(AGENTS))
    for k in range(AGENTS):
        expected = cross_entropy(data[0] @ stacks["weight"][k].T, data[1])
        torch.testing.assert_close(losses[k], expected)


@pytest.mark.parametrize("mode", ["vectorized", "loop"])
def test_agents_of_several_processes_take_their_parts_of_the_batch(mode):
    model, data = dense(nn.ReLU()), batch()
    stacks = stacks_around(model, 4)
    closure = VectorizedClosure(model, cross_entropy, data, mode=mode, same_batch=False)
    whole, _ = closure.evaluate(stacks, range(4))
    for own in ([0, 2], [1, 3]):
        rows = {name: stack[own] for name, stack in stacks.items()}
        losses, _ = closure.evaluate(rows, own, part=(own, 4))
        torch.testing.assert_close(losses, whole[own])


def test_auto_keeps_one_mode_and_has_no_other_effect(identical):
    model = dense(nn.BatchNorm1d(8), nn.Dropout())
    drawn = []

    def draw():
        drawn.append(batch())
        return drawn[-1]

    closure = VectorizedClosure(model, cross_entropy, draw)
    assert closure.mode_used is None
    stacks, state = stacks_around(model), torch.get_rng_state()
    losses, gradients = closure.evaluate(stacks, range(AGENTS))
    after = torch.get_rng_state()
    assert len(drawn) == 1
    assert closure.mode_used in ("vectorized", "loop")
    fixed = VectorizedClosure(model, cross_entropy, draw, mode=closure.mode_used)
    torch.set_rng_state(state)
    again, slopes = fixed.evaluate(stacks, range(AGENTS))
    assert torch.equal(torch.get_rng_state(), after)
    assert torch.equal(losses, again)
    assert identical(gradients, slopes)
    torch.testing.assert_close(closure.buffers, fixed.buffers, rtol=0, atol=0)
    used = closure.mode_used
    closure.evaluate(stacks, range(AGENTS))
    assert closure.mode_used == used


def test_auto_says_that_vmap_refuses_the_model():
    model, (x, y) = Branching(), batch()
    closure = VectorizedClosure(model, cross_entropy, (x, y))
    stacks = stacks_around(model)
    with pytest.warns(UserWarning, match="mode: 'loop' is used"):
        losses, _ = closure.evaluate(stacks, range(AGENTS))
    assert closure.mode_used == "loop"
    torch.testing.assert_close(
        losses[1], cross_entropy(alone(model, stacks, 1)(x), y).detach()
    )
    with pytest.raises(RuntimeError, match="vmap"):
        VectorizedClosure(model, cross_entropy, (x, y), mode="vectorized").evaluate(
            stacks, range(AGENTS)
        )


def test_model_loss_is_on_the_batch_of_the_evaluation_that_follows():
    model = dense(nn.BatchNorm1d(8), nn.Dropout())
    drawn = []

    def draw():
        drawn.append(batch())
        return drawn[-1]

    closure = VectorizedClosure(model, cross_entropy, draw, mode="loop")
    before = copy.deepcopy(model.state_dict())
    first = closure.model_loss()
    state = torch.get_rng_state()
    assert torch.equal(first, closure.model_loss())
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    closure.evaluate(stacks_around(model), range(AGENTS))
    assert len(drawn) == 1
    closure.evaluate(stacks_around(model), range(AGENTS))
    assert len(drawn) == 2


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"model": "net"}, TypeError, "model: got 'net'"),
        ({"loss_fn": None}, TypeError, "loss_fn: got None"),
        ({"batch": torch.zeros(2, 6)}, ValueError, "batch: got a Tensor"),
        ({"batch": (torch.zeros(2, 6),)}, ValueError, "batch: got a tuple of 1"),
        ({"mode": "fast"}, ValueError, "mode: got 'fast'; allowed: auto"),
        ({"mode": None}, ValueError, "mode: got None; allowed: auto"),
        ({"same_batch": 1}, ValueError, "same_batch: got 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(changed, error, match):
    given = {"model": dense(), "loss_fn": cross_entropy, "batch": batch()} | changed
    with pytest.raises(error, match=match):
        VectorizedClosure(**given)


@pytest.mark.parametrize("mode", ["auto", "vectorized", "loop"])
@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"batch": lambda: torch.zeros(2)}, ValueError, "batch: got a Tensor"),
        ({"loss_fn": lambda o, y: None}, TypeError, "loss_fn: got None"),
        ({"loss_fn": lambda o, y: 1.5}, TypeError, "loss_fn: got 1.5"),
        (
            {"loss_fn": lambda o, y: o.sum(1)},
            ValueError,
            r"loss_fn: got a loss of shape \(12,\)",
        ),
        ({"loss_fn": lambda o, y: o.detach().sum()}, ValueError, "without gradient"),
        ({"agents": [0, 0, 1]}, ValueError, r"agents: got \[0, 0, 1\]"),
        ({"agents": [0, -1, 1]}, ValueError, r"agents: got \[0, -1, 1\]"),
        ({"agents": [0, 1]}, ValueError, r"stacks: got '0.weight' of shape \(3, 8, 6"),
        ({"stacks": {"lost": torch.zeros(3)}}, ValueError, "stacks: got 'lost'"),
        (
            {"same_batch": False, "batch": (torch.zeros(10, 6), torch.zeros(10))},
            ValueError,
            r"batch: got inputs \(10, 6\).*divisible by the 3 agents",
        ),
        (
            {"same_batch": False, "batch": (torch.zeros(12, 6), [0] * 12)},
            ValueError,
            "batch: got targets list",
        ),
    ],
)
def test_refused_evaluations_leave_the_buffers(mode, changed, error, match):
    model = dense(nn.BatchNorm1d(8))
    changed = dict(changed)
    stacks = changed.pop("stacks", stacks_around(model))
    agents = changed.pop("agents", [0, 1, 2])
    given = {"loss_fn": cross_entropy, "batch": batch()} | changed
    closure = VectorizedClosure(model, mode=mode, **given)
    before = copy.deepcopy(closure.agent_buffers(AGENTS))
    with pytest.raises(error, match=match):
        closure.evaluate(stacks, agents)
    torch.testing.assert_close(closure.buffers, before, rtol=0, atol=0)
