"""Parameters of every form, layout and dtype; groups with settings of their own."""

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD

PEERS = {
    "rmsprop": torch.optim.RMSprop,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
over_sizes = pytest.mark.parametrize("num_agents", [1, 4])
over_peers = pytest.mark.parametrize("inner", PEERS)


def _draw(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def _closure(optimizer, parameters):
    """A loss whose gradient differs for every element: sum of squares about 1, 2, .."""

    def evaluate():
        optimizer.zero_grad()
        loss = torch.zeros((), dtype=torch.float64)
        for parameter in parameters:
            real = parameter
            if parameter.is_complex():
                real = torch.view_as_real(parameter)
            aim = torch.arange(1.0, 1 + real.numel()).reshape(real.shape).to(real)
            loss = loss + (real - aim).square().double().sum().cpu()
        loss.backward()
        return loss

    return evaluate


def _run(optimizer, parameters, steps=8):
    for _ in range(steps):
        optimizer.step(_closure(optimizer, parameters))
    return [parameter.detach().clone() for parameter in parameters]


LAYOUTS = {
    "contiguous": lambda: [_draw(3, 4), _draw(5)],
    "transposed": lambda: [_draw(3, 4).t(), _draw(2, 3, 4).permute(2, 0, 1)],
    "channels last": lambda: [_draw(2, 3, 4, 4).to(memory_format=torch.channels_last)],
    "strided": lambda: [_draw(6, 4)[::2, 1::2], _draw(3, 4)],
    "a scalar": lambda: [_draw(), _draw(2)],
    "empty": lambda: [_draw(0, 3), _draw(2, 2), _draw(0)],
    "one element": lambda: [_draw(1)],
    "several dtypes": lambda: [
        _draw(3, 2, dtype=torch.bfloat16),
        _draw(4),
        _draw(2, 2, dtype=torch.float64),
        _draw(3, dtype=torch.float16),
    ],
    "complex": lambda: [_draw(2, 3, dtype=torch.complex64), _draw(2)],
    "longer than a block": lambda: [_draw(70_001), _draw(3)],
}


@over_peers
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_agent_is_torchs_optimiser_for_parameters_of_every_layout(
    layout, inner, identical
):
    results = []
    for build in (lambda *a, **k: QIMAD(*a, inner=inner, num_agents=1, **k), None):
        build = build or (lambda *a, **k: PEERS[inner](*a, foreach=False, **k))
        parameters = [value.requires_grad_() for value in LAYOUTS[layout]()]
        strides = [parameter.stride() for parameter in parameters]
        results.append(_run(build(parameters, lr=0.03), parameters))
        assert [parameter.stride() for parameter in parameters] == strides
    if (layout, inner) == ("complex", "sgd"):  # torch: a product of complex numbers
        torch.testing.assert_close(*results, rtol=1e-6, atol=0.0)
    else:
        assert identical(*results)


@over_peers
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_swarm_moves_parameters_of_every_layout(layout, inner):
    parameters = [value.requires_grad_() for value in LAYOUTS[layout]()]
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = QIMAD(parameters, 0.03, inner=inner, spread=0.1, patience=0, seed=0)
    places = [parameter.data_ptr() for parameter in parameters]
    after = _run(optimizer, parameters)
    for old, new in zip(before, after, strict=True):
        assert new.isfinite().all()
        assert old.numel() == 0 or not torch.equal(old, new)
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
    assert [parameter.data_ptr() for parameter in parameters] == places
    for agent in range(4):
        kept = optimizer.agent_parameters(agent)
        assert [(part.shape, part.dtype) for part in kept] == [
            (part.shape, part.dtype) for part in parameters
        ]


@pytest.mark.parametrize("layout", ["transposed", "channels last", "strided"])
def test_the_layout_of_a_parameter_is_of_no_account(layout, identical):
    results = []
    for make in (lambda value: value, torch.Tensor.contiguous):
        parameters = [make(value).requires_grad_() for value in LAYOUTS[layout]()]
        optimizer = QIMAD(parameters, 0.03, spread=0.1, patience=0, seed=0)
        results.append(_run(optimizer, parameters, 16))
    assert identical(*results)


@over_peers
@over_sizes
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_complex_parameter_moves_as_its_real_view(
    dtype, num_agents, inner, identical
):
    settings = {"inner": inner, "num_agents": num_agents, "weight_decay": 0.1}
    settings |= {"spread": 0.1, "patience": 0, "seed": 0}
    start = torch.view_as_complex(_draw(3, 2, 2)).to(dtype)
    number = start.clone().requires_grad_()
    pair = torch.view_as_real(start).clone().requires_grad_()
    agents = []
    for parameter in (number, pair):
        optimizer = QIMAD([parameter], 0.03, **settings)
        _run(optimizer, [parameter], 16)
        agents.append([optimizer.agent_parameters(i)[0] for i in range(num_agents)])
        assert {agent.dtype for agent in agents[-1]} == {parameter.dtype}
    assert identical([torch.view_as_real(agent) for agent in agents[0]], agents[1])
    assert identical(torch.view_as_real(number.detach()), pair.detach())


@over_sizes
@pytest.mark.parametrize("form", ["generator", "named", "groups", "named groups"])
def test_the_form_in_which_parameters_come_is_of_no_account(
    form, num_agents, task, identical
):
    weights = []
    for kind in ("list", form):
        made = task()
        named = list(made.model.named_parameters())
        plain = [parameter for _, parameter in named]
        parameters = {
            "list": plain,
            "generator": made.model.parameters(),
            "named": made.model.named_parameters(),
            "groups": [{"params": plain[:1]}, {"params": iter(plain[1:])}],
            "named groups": [{"params": named[:2]}, {"params": named[2:]}],
        }[kind]
        optimizer = QIMAD(parameters, num_agents=num_agents, spread=0.1, seed=0)
        names = [
            name
            for group in optimizer.param_groups
            for name in group.get("param_names", [])
        ]
        assert names == ([name for name, _ in named] if "named" in kind else [])
        for _ in range(5):
            optimizer.step(made.closure(optimizer))
        weights.append(made.weights())
    assert identical(*weights)


@over_peers
def test_settings_of_a_group_are_those_of_torchs_groups(inner, task, identical):
    weights = []
    for build in (
        lambda g, **k: QIMAD(g, inner=inner, num_agents=1, **k),
        PEERS[inner],
    ):
        made = task()
        first, second, third, last = made.model.parameters()
        own = {"betas": (0.5, 0.9)} if inner == "adamw" else {"momentum": 0.9}
        groups = [
            {"params": [first], "lr": 0.1, "weight_decay": 0.3},
            {"params": [second], "maximize": True},
            {"params": [third], **own},
            {"params": [last], "lr": 0.0},
        ]
        optimizer = build(groups, lr=0.01)
        for _ in range(8):
            optimizer.step(made.closure(optimizer))
        weights.append(made.weights())
    assert identical(*weights)


@over_peers
@over_sizes
def test_a_group_of_rate_zero_stays_to_the_last_bit(num_agents, inner, task, identical):
    made = task()
    first, *rest = made.model.parameters()
    groups = [{"params": [first], "lr": 0.0}, {"params": rest}]
    optimizer = QIMAD(
        groups, 0.05, inner=inner, num_agents=num_agents, spread=0.5, patience=0, seed=0
    )
    before = made.weights()
    for _ in range(12):
        optimizer.step(made.closure(optimizer))
    after = made.weights()
    assert identical(before[0], after[0])
    assert not any(map(torch.equal, before[1:], after[1:]))
    for agent in range(num_agents):
        assert identical(optimizer.agent_parameters(agent)[0], before[0])


def test_without_its_forces_a_group_is_its_agents_own_descent(task, identical):
    """gamma = pull = 0 in one group only: its agents move as one agent alone does."""
    steps, made, alone = 6, task(), task()
    first, *rest = made.model.parameters()
    groups = [{"params": [first], "gamma": 0.0, "pull": 0.0}]
    groups.append({"params": rest, "lr": 0.0, "gamma": 0.5})
    optimizer = QIMAD(groups, 0.05, tunnelling=False, num_agents=4, seed=0)
    for _ in range(steps):
        optimizer.step(made.closure(optimizer))
    peer = torch.optim.RMSprop([alone.model[0].weight], 0.05)
    for _ in range(steps):
        peer.step(alone.closure(peer))
    for agent in range(4):
        kept = optimizer.agent_parameters(agent)[0]
        assert identical(kept, alone.model[0].weight.detach())


@over_peers
def test_a_group_may_be_added_after_steps(inner, task, identical):
    weights = []
    for build in (
        lambda p, **k: QIMAD(p, inner=inner, num_agents=1, **k),
        PEERS[inner],
    ):
        made = task()
        optimizer = build(made.model[2].parameters(), lr=0.02)
        for step in range(8):
            if step == 3:
                added = {"params": made.model[0].parameters(), "lr": 0.005}
                optimizer.add_param_group(added)
            optimizer.step(made.closure(optimizer))
        weights.append(made.weights())
    assert identical(*weights)


@over_peers
@over_sizes
def test_frozen_parameters_stay_and_move_once_unfrozen(
    num_agents, inner, task, identical
):
    made = task()
    made.model[0].requires_grad_(False)
    optimizer = QIMAD(
        made.model.parameters(),
        0.05,
        inner=inner,
        num_agents=num_agents,
        patience=0,
        seed=0,
    )
    start = made.weights()
    for _ in range(4):
        optimizer.step(made.closure(optimizer))
    frozen = made.weights()
    assert identical(start[:2], frozen[:2])
    made.model[0].requires_grad_(True)
    for _ in range(4):
        optimizer.step(made.closure(optimizer))
    moved = made.weights()
    assert not any(map(torch.equal, frozen, moved))
    assert all(weight.isfinite().all() for weight in moved)


@over_peers
def test_one_agent_freezes_and_unfreezes_as_torch_does(inner, task, identical):
    weights = []
    for build in (lambda p: QIMAD(p, 0.02, inner=inner, num_agents=1), PEERS[inner]):
        made = task()
        settings = {} if build is not PEERS[inner] else {"lr": 0.02}
        optimizer = build(made.model.parameters(), **settings)
        for step in range(9):
            made.model[0].requires_grad_(step // 3 != 1)
            optimizer.step(made.closure(optimizer))
        weights.append(made.weights())
    assert identical(*weights)


@over_sizes
def test_a_parameter_without_gradient_is_left_alone_whatever_its_dtype(num_agents):
    counts, weight = torch.arange(3), _draw(2, 2).requires_grad_()
    unused = _draw(3).requires_grad_()
    optimizer = QIMAD(
        [counts, unused, weight], 0.03, num_agents=num_agents, spread=0.1, patience=0
    )
    _run(optimizer, [weight])
    assert torch.equal(counts, torch.arange(3))
    assert torch.equal(unused, _draw(3))
    assert not torch.equal(weight, _draw(2, 2))


@over_sizes
def test_parameters_that_share_storage_between_modules_count_once(num_agents):
    tied = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        tied.weight.copy_(_draw(3, 3))
    model = nn.Sequential(tied, nn.Tanh(), tied)
    optimizer = QIMAD(model.parameters(), 0.02, num_agents=num_agents, seed=0)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.eye(3)).square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert len(optimizer.agent_parameters(0)) == 1
    assert model[0].weight is model[2].weight
    assert model[0].weight.isfinite().all()


@over_sizes
def test_the_same_seed_gives_the_same_run_and_none_a_fresh_one(
    num_agents, task, identical
):
    def run(seed):
        made = task()
        optimizer = QIMAD(
            made.model.parameters(), num_agents=num_agents, spread=0.1, seed=seed
        )
        for _ in range(4):
            optimizer.step(made.closure(optimizer))
        return [optimizer.agent_parameters(agent) for agent in range(num_agents)]

    assert identical(run(3), run(3))
    assert identical(run(3), run(4)) == (num_agents == 1)
    assert identical(run(None), run(None)) == (num_agents == 1)
