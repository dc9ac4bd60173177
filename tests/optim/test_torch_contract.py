"""What torch's users expect of any optimiser, stated of QIMAD."""

import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from qlib.optim import QIMAD

PEERS = {
    "rmsprop": torch.optim.RMSprop,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
FAMILY = [(inner, num_agents) for inner in PEERS for num_agents in (1, 4)]
over_the_family = pytest.mark.parametrize(("inner", "num_agents"), FAMILY)
over_sizes = pytest.mark.parametrize("num_agents", [1, 4])
over_peers = pytest.mark.parametrize("inner", PEERS)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
over_places = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=needs_cuda)]
)


def _run(task, optimizer, steps=6):
    return [optimizer.step(task.closure(optimizer)) for _ in range(steps)]


def _wild(parameters, lr=0.05, **settings):
    """Every force at work: spread, jumps from the first worse loss, some agents."""
    return QIMAD(
        parameters, lr, **{"spread": 0.1, "patience": 0, "seed": 7, **settings}
    )


@over_places
@over_the_family
def test_the_loss_falls(inner, num_agents, device, task):
    made = task(device=device)
    optimizer = QIMAD(
        made.model.parameters(),
        0.02,
        inner=inner,
        num_agents=num_agents,
        spread=0.01,
        total_steps=40,
        seed=0,
    )
    losses = [loss.item() for loss in _run(made, optimizer, 40)]
    assert losses[-1] < 0.9 * losses[0]


@over_the_family
def test_hooks_fire_once_a_step(inner, num_agents, task):
    made, fired = task(), []
    optimizer = _wild(made.model.parameters(), inner=inner, num_agents=num_agents)

    def note(name):
        return lambda *arguments: fired.append(name)

    handles = [
        register_optimizer_step_pre_hook(note("global pre")),
        optimizer.register_step_pre_hook(note("pre")),
        optimizer.register_step_post_hook(note("post")),
        register_optimizer_step_post_hook(note("global post")),
    ]
    _run(made, optimizer, 2)
    assert fired == ["global pre", "pre", "post", "global post"] * 2
    for handle in handles:
        handle.remove()
    _run(made, optimizer, 1)
    assert len(fired) == 8


def test_a_pre_hook_may_give_the_closure(task):
    made = task()
    optimizer = _wild(made.model.parameters())
    closure = made.closure(optimizer)
    optimizer.register_step_pre_hook(lambda *_: ((optimizer, closure), {}))
    assert optimizer.step().isfinite()


@over_sizes
@pytest.mark.parametrize("steps", [0, 2])
def test_repr_lists_the_groups_with_their_hyperparameters_only(num_agents, steps, task):
    made = task()
    first, *rest = made.model.parameters()
    groups = [{"params": [first], "lr": 0.25}, {"params": rest, "gamma": 0.125}]
    optimizer = _wild(groups, num_agents=num_agents)
    _run(made, optimizer, steps)
    text = repr(optimizer)
    assert text.startswith("QIMAD (\nParameter Group 0\n")
    assert "Parameter Group 1\n" in text
    for setting in ("lr: 0.25\n", "lr: 0.05\n", "gamma: 0.05\n", "gamma: 0.125\n"):
        assert text.count(f" {setting}") == 1
    assert "tensor" not in text
    assert len(text) < 3000


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        ({"num_agents": 1}, 1),
        ({"num_agents": 4}, 4),
        ({"num_agents": 4, "eval_agents": 3}, 3),
        ({"num_agents": 4, "eval_agents": 1, "load": "current"}, 1),
        ({"num_agents": 4, "load": "mean"}, 5),
    ],
)
def test_the_closure_is_called_once_an_evaluated_agent(settings, calls, task):
    made = task()
    optimizer = _wild(made.model.parameters(), **settings)
    _run(made, optimizer, 3)
    assert made.calls == 3 * calls


@over_sizes
def test_zero_grad_clears_the_gradients(num_agents, task):
    made = task()
    optimizer = _wild(made.model.parameters(), num_agents=num_agents)
    _run(made, optimizer, 1)
    for weight in made.model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.zero_grad(set_to_none=False)
    assert all(weight.grad.eq(0).all() for weight in made.model.parameters())
    optimizer.zero_grad()
    assert all(weight.grad is None for weight in made.model.parameters())


@over_peers
def test_one_agent_leaves_the_gradients_that_torch_leaves(inner, task, identical):
    gradients = []
    for build in (lambda p: QIMAD(p, 0.02, inner=inner, num_agents=1), PEERS[inner]):
        made = task()
        optimizer = build(made.model.parameters())
        optimizer.step(made.closure(optimizer))
        gradients.append([weight.grad.clone() for weight in made.model.parameters()])
    assert identical(*gradients)


@over_sizes
def test_step_returns_what_the_closure_returned(num_agents, task):
    made, returned = task(), []
    optimizer = _wild(made.model.parameters(), num_agents=num_agents)
    evaluate = made.closure(optimizer)

    def closure():
        returned.append(evaluate().item())
        return returned[-1]

    for _ in range(3):
        returned.clear()
        loss = optimizer.step(closure)
        assert isinstance(loss, float)
        assert loss in returned


@over_sizes
def test_step_returns_the_loss_of_the_weights_that_the_model_held(num_agents, task):
    made = task()
    optimizer = QIMAD(
        made.model.parameters(), num_agents=num_agents, best="current", load="current"
    )
    with torch.no_grad():
        held = (made.model(made.inputs) - made.targets).square().mean()
    assert torch.equal(optimizer.step(made.closure(optimizer)).detach(), held)


@over_sizes
@pytest.mark.parametrize("guard", [nullcontext, torch.no_grad, torch.enable_grad])
def test_the_gradient_mode_around_a_step_is_of_no_account(
    guard, num_agents, task, identical
):
    made, peer = task(), task()
    optimizer, other = (
        _wild(one.model.parameters(), num_agents=num_agents) for one in (made, peer)
    )
    _run(made, optimizer)
    with guard():
        inside = torch.is_grad_enabled()
        _run(peer, other)
        assert torch.is_grad_enabled() == inside
    assert torch.is_grad_enabled()
    assert identical(made.weights(), peer.weights())


@over_sizes
@pytest.mark.parametrize("cooling", ["cosine", "linear", "exponential", None])
def test_a_swarm_leaves_the_global_random_state_alone(num_agents, cooling, task):
    made = task()
    before = torch.get_rng_state()
    settings = {"num_agents": num_agents, "cooling": cooling, "seed": None}
    _run(made, _wild(made.model.parameters(), topology="random", **settings))
    assert torch.equal(torch.get_rng_state(), before)


@over_the_family
def test_the_default_dtype_is_of_no_account(inner, num_agents, task, identical):
    weights = []
    for dtype in (torch.float32, torch.float64):
        made = task()
        torch.set_default_dtype(dtype)
        try:
            optimizer = _wild(
                made.model.parameters(), inner=inner, num_agents=num_agents
            )
            _run(made, optimizer)
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)
        weights.append(made.weights())
    assert identical(*weights)


@over_sizes
@pytest.mark.parametrize("topology", ["complete", "random"])
def test_the_default_device_is_of_no_account(num_agents, topology, task, identical):
    weights = []
    for device in ("cpu", "meta"):
        made = task()
        with torch.device(device):
            optimizer = _wild(
                made.model.parameters(), num_agents=num_agents, topology=topology
            )
            _run(made, optimizer)
            optimizer.load_agent(0)
            kept = [optimizer.diversity(), optimizer.agent_losses, optimizer.mean()]
        weights.append([kept, made.weights()])
    assert identical(*weights)


def test_a_closure_may_be_an_object_with_methods_of_its_own(task, identical):
    class Trainer:
        def __init__(self, evaluate):
            self.closure = evaluate

        def __call__(self):
            return self.closure()

        def evaluate(self):
            raise AssertionError("validation is not asked for")

        reseed = load_buffers = state_dict = evaluate

    weights = []
    for wrap in (lambda closure: closure, Trainer):
        made = task()
        optimizer = _wild(made.model.parameters())
        for _ in range(6):
            optimizer.step(wrap(made.closure(optimizer)))
        weights.append(made.weights())
    assert identical(*weights)


@over_peers
def test_gradients_clipped_in_the_closure_are_the_ones_applied(inner, task, identical):
    weights = []
    for build in (lambda p: QIMAD(p, 0.02, inner=inner, num_agents=1), PEERS[inner]):
        made = task()
        settings = {} if build is not PEERS[inner] else {"lr": 0.02}
        optimizer = build(made.model.parameters(), **settings)
        evaluate = made.closure(optimizer)

        def closure(evaluate=evaluate, made=made):
            loss = evaluate()
            nn.utils.clip_grad_norm_(made.model.parameters(), 0.1)
            return loss

        for _ in range(6):
            optimizer.step(closure)
        weights.append(made.weights())
    assert identical(*weights)


def test_clipped_gradients_bound_the_step_of_every_agent(task):
    made = task()
    optimizer = _wild(
        made.model.parameters(), 0.5, inner="sgd", tunnelling=False, gamma=0.0, pull=0.0
    )
    evaluate, before = made.closure(optimizer), None

    def closure():
        loss = evaluate()
        nn.utils.clip_grad_norm_(made.model.parameters(), 0.1)
        return loss

    for _ in range(3):
        optimizer.step(closure)
        agents = [
            torch.cat([part.flatten() for part in optimizer.agent_parameters(i)])
            for i in range(4)
        ]
        if before is not None:
            for old, new in zip(before, agents, strict=True):
                assert (new - old).norm() <= 0.5 * 0.1 * (1 + 1e-4)
        before = agents


@over_the_family
def test_weights_where_the_gradient_vanishes_stay(inner, num_agents, task, identical):
    made = task()
    settings = {"tunnelling": False, "weight_decay": 0.0, "seed": 1}
    optimizer = QIMAD(
        made.model.parameters(), inner=inner, num_agents=num_agents, **settings
    )
    evaluate, before = made.closure(optimizer), made.weights()

    def closure():
        loss = evaluate() * 0
        optimizer.zero_grad(set_to_none=False)
        return loss

    for _ in range(4):
        optimizer.step(closure)
    assert identical(made.weights(), before)


@over_the_family
def test_maximising_is_minimising_the_negative(inner, num_agents, task, identical):
    weights = []
    for sign, maximize in ((1, False), (-1, True)):
        made = task()
        optimizer = _wild(
            made.model.parameters(),
            inner=inner,
            num_agents=num_agents,
            maximize=maximize,
            total_steps=8,
        )

        def closure(made=made, sign=sign, optimizer=optimizer):
            optimizer.zero_grad()
            loss = sign * (made.model(made.inputs) - made.targets).square().mean()
            loss.backward()
            return loss

        for _ in range(10):
            optimizer.step(closure)
        weights.append(made.weights())
    assert identical(*weights)


@over_peers
def test_gradients_of_several_backward_passes_add_up(inner, task, identical):
    weights = []
    for build in (lambda p: QIMAD(p, 0.02, inner=inner, num_agents=1), PEERS[inner]):
        made = task()
        settings = {} if build is not PEERS[inner] else {"lr": 0.02}
        optimizer = build(made.model.parameters(), **settings)

        def closure(made=made, optimizer=optimizer):
            optimizer.zero_grad()
            total = 0.0
            for half in (slice(0, 8), slice(8, 16)):
                error = made.model(made.inputs[half]) - made.targets[half]
                loss = error.square().mean() / 2
                loss.backward()
                total += loss.item()
            return total

        for _ in range(5):
            optimizer.step(closure=closure)
        weights.append(made.weights())
    assert identical(*weights)


@over_sizes
def test_a_graph_made_before_a_step_is_stale_after_it(num_agents, task):
    made = task()
    optimizer = _wild(made.model.parameters(), num_agents=num_agents)
    loss = made.model(made.inputs).sum()
    _run(made, optimizer, 1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@over_sizes
def test_an_optimiser_goes_with_its_last_reference(num_agents, task):
    made = task()
    optimizer = _wild(made.model.parameters(), num_agents=num_agents)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    _run(made, optimizer, 3)
    alive = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert alive() is None
    finally:
        gc.enable()
