"""A swarm evaluated at once moves as one evaluated in turn; agents' own buffers."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qlib.optim import QIMAD
from qlib.optim.vectorized import VectorizedClosure

MODES = ["vectorized", "loop"]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch(size=24):
    return torch.randn(size, 6), torch.randint(0, 3, (size,))


def normalised():
    return nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
    )


def plain_closure(model, optimizer, x, y):
    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def points(model, number):
    """Starting points of agents: the model's weights with noise."""
    return [
        [p.detach() + 0.3 * torch.randn_like(p) for p in model.parameters()]
        for _ in range(number)
    ]


def swarm(model, **settings):
    """Agents that neither talk nor jump, all evaluated in each step."""
    apart = {"gamma": 0.0, "pull": 0.0, "tunnelling": False, "seed": 0}
    return QIMAD(model.parameters(), **(apart | settings))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("middle", [nn.Tanh, lambda: nn.LayerNorm(8)])
@pytest.mark.parametrize("eval_agents", [None, 2])
def test_closure_and_vectorised_paths_agree_to_1e5_after_20_steps(
    mode, middle, eval_agents
):
    model = nn.Sequential(nn.Linear(6, 8), middle(), nn.Linear(8, 3))
    twin, batches = copy.deepcopy(model), [batch() for _ in range(20)]
    settings = {"spread": 0.1, "patience": 0, "seed": 3, "eval_agents": eval_agents}
    one, other = (QIMAD(m.parameters(), **settings) for m in (model, twin))
    drawn = iter(batches)
    at_once = VectorizedClosure(model, cross_entropy, lambda: next(drawn), mode=mode)
    for x, y in batches:
        loss = one.step(at_once)
        expected = other.step(plain_closure(twin, other, x, y))
        torch.testing.assert_close(loss, expected.detach(), rtol=0, atol=1e-5)
    assert any(record["jumps"] for record in one.history)
    for agent in range(one.num_agents):
        torch.testing.assert_close(
            one.agent_parameters(agent),
            other.agent_parameters(agent),
            rtol=0,
            atol=1e-5,
        )


@pytest.mark.parametrize("mode", MODES)
def test_batchnorm_statistics_are_those_of_models_run_separately(mode):
    model = normalised()
    starts = points(model, 3)
    alone = [copy.deepcopy(model) for _ in starts]
    for own, start in zip(alone, starts, strict=True):
        nn.utils.vector_to_parameters(
            torch.cat([p.flatten() for p in start]), own.parameters()
        )
    others = [torch.optim.RMSprop(own.parameters(), lr=1e-2) for own in alone]
    optimizer = swarm(model, num_agents=3, start=starts)
    batches = [batch() for _ in range(10)]
    drawn = iter(batches)
    closure = VectorizedClosure(model, cross_entropy, lambda: next(drawn), mode=mode)
    for x, y in batches:
        optimizer.step(closure)
        for own, other in zip(alone, others, strict=True):
            other.step(plain_closure(own, other, x, y))
        held = int(torch.argmin(optimizer.agent_losses))
        torch.testing.assert_close(
            dict(model.named_buffers()),
            dict(alone[held].named_buffers()),
            rtol=0,
            atol=1e-5,
        )
    for agent, own in enumerate(alone):
        for name, buffer in own.named_buffers():
            torch.testing.assert_close(
                closure.buffers[name][agent], buffer, rtol=0, atol=1e-5
            )
        assert closure.buffers["1.num_batches_tracked"][agent] == 10
    assert closure.buffers["1.num_batches_tracked"].dtype == torch.int64


def test_agents_not_evaluated_keep_their_statistics():
    model = normalised()
    optimizer = swarm(model, num_agents=3, eval_agents=1)
    closure = VectorizedClosure(model, cross_entropy, batch(), mode="loop")
    optimizer.step(closure)
    optimizer.step(closure)
    tracked = closure.agent_buffers(3)["1.num_batches_tracked"]
    assert sorted(tracked.tolist()) == [0, 1, 1]


@pytest.mark.parametrize("settings", [{"best": "alltime"}, {"load": "mean"}, {}])
def test_statistics_count_every_evaluation_whoever_the_model_holds(settings):
    model = normalised()
    closure = VectorizedClosure(model, cross_entropy, batch(), mode="loop")
    optimizer = swarm(model, lr=0.2, num_agents=3, spread=0.3, **settings)
    for _ in range(12):
        optimizer.step(closure)
    assert closure.buffers["1.num_batches_tracked"].tolist() == [12, 12, 12]


def test_an_agent_that_restarts_takes_over_the_statistics_of_its_source():
    model = normalised()
    starts = points(model, 3)
    optimizer = swarm(model, num_agents=3, start=starts)
    optimizer.state[model[0].weight]["agents"][1] = torch.nan
    closure = VectorizedClosure(model, cross_entropy, batch(), mode="vectorized")
    optimizer.step(closure)
    assert optimizer.history[-1]["reseeded"] == [1]
    source = optimizer.history[-1]["best"]
    for stack in closure.buffers.values():
        assert stack.isfinite().all()
        assert torch.equal(stack[1], stack[source])


def test_tied_weights_are_optimised_under_their_one_name():
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    twin, (x, y) = copy.deepcopy(model), batch()
    one, other = swarm(model), swarm(twin)
    closure = VectorizedClosure(model, cross_entropy, (x, y), mode="vectorized")
    for _ in range(5):
        one.step(closure)
        other.step(plain_closure(twin, other, x, y))
    assert model[2].weight is model[0].weight
    torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_frozen_and_later_unfrozen_parameters():
    model = normalised()
    model[0].requires_grad_(False)
    before = model[0].weight.detach().clone()
    optimizer = swarm(model)
    closure = VectorizedClosure(model, cross_entropy, batch(), mode="vectorized")
    optimizer.step(closure)
    assert torch.equal(model[0].weight, before)
    model[0].requires_grad_(True)
    optimizer.step(closure)
    assert not torch.equal(model[0].weight, before)


def test_a_parameter_that_the_model_lacks_is_refused():
    model, stranger = normalised(), nn.Linear(2, 5)
    optimizer = swarm(nn.ModuleList([model, stranger]))
    closure = VectorizedClosure(model, cross_entropy, batch())
    with pytest.raises(ValueError, match="closure: its model lacks"):
        optimizer.step(closure)


@pytest.mark.parametrize("mode", MODES)
def test_a_closure_without_gradient_for_the_optimiser_is_refused(mode):
    model = nn.Linear(6, 3)
    model.unused = nn.Parameter(torch.ones(2))
    closure = VectorizedClosure(model, cross_entropy, batch(), mode=mode)
    with pytest.raises(ValueError, match="closure: left no gradient"):
        QIMAD([model.unused]).step(closure)


def trained(number=3):
    """A closure whose agents' buffers differ."""
    model = normalised()
    stacks = {
        name: torch.randn(number, *p.shape) for name, p in model.named_parameters()
    }
    closure = VectorizedClosure(model, cross_entropy, batch(), mode="loop")
    closure.evaluate(stacks, range(number))
    return model, stacks, closure


def test_buffers_are_loaded_copied_and_averaged():
    model, _, closure = trained()
    kept = copy.deepcopy(closure.buffers)
    closure.load_buffers(2)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, kept[name][2])
    closure.load_buffers("mean")
    torch.testing.assert_close(model[1].running_var, kept["1.running_var"].mean(0))
    assert model[1].num_batches_tracked == 1
    closure.reseed(0, 2)
    for name, stack in closure.buffers.items():
        assert torch.equal(stack, kept[name][[2, 1, 2]])


def test_changes_to_the_model_belong_to_the_agent_that_it_holds():
    model, _, closure = trained()
    closure.load_buffers(1)
    model[1].running_mean.fill_(5.0)
    assert torch.equal(
        closure.agent_buffers(3)["1.running_mean"][1], torch.full((8,), 5.0)
    )
    closure.load_buffers("mean")
    before = copy.deepcopy(closure.buffers)
    model[1].running_mean.fill_(7.0)
    torch.testing.assert_close(closure.agent_buffers(3), before, rtol=0, atol=0)


def test_later_agents_start_from_the_buffers_that_the_model_had_at_first():
    model, _, closure = trained(2)
    first = copy.deepcopy(model.state_dict())
    closure.load_buffers(1)
    grown = closure.agent_buffers(4)
    for name, _ in model.named_buffers():
        assert grown[name].shape == (4, *first[name].shape)
        assert torch.equal(grown[name][3], first[name])


def test_a_saved_closure_goes_on_bit_by_bit(identical):
    model, stacks, closure = trained()
    closure.load_buffers(1)
    file = io.BytesIO()
    torch.save(closure.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = copy.deepcopy(model)
    resumed = VectorizedClosure(other, cross_entropy, closure.batch)
    resumed.load_state_dict(state)
    assert resumed.mode_used == "loop"
    assert identical(
        list(closure.evaluate(stacks, range(3))),
        list(resumed.evaluate(stacks, range(3))),
    )
    assert identical(closure.state_dict(), resumed.state_dict())


def test_buffers_of_another_model_are_refused():
    _, _, closure = trained()
    other = VectorizedClosure(nn.Linear(6, 3), cross_entropy, batch())
    with pytest.raises(ValueError, match=r"state: got buffers .*1\.running_mean"):
        other.load_state_dict(closure.state_dict())


@pytest.mark.parametrize("settings", [{"load": "mean"}, {"best": "alltime"}, {}])
@pytest.mark.filterwarnings("ignore:best='alltime'")
def test_a_batch_is_drawn_once_a_step(settings):
    model, drawn = normalised(), []

    def draw():
        drawn.append(batch())
        return drawn[-1]

    optimizer = swarm(model, **settings)
    closure = VectorizedClosure(model, cross_entropy, draw)
    for steps in (1, 2, 3):
        optimizer.step(closure)
        assert len(drawn) == steps
