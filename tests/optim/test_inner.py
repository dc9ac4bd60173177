"""One agent is torch's own optimiser, bit for bit, in the weights of the model."""

import pytest
import torch
from torch import nn

from qlib.optim import QIMAD

PEERS = {
    "rmsprop": (torch.optim.RMSprop, {}),
    "rmsprop with momentum": (torch.optim.RMSprop, {"momentum": 0.9}),
    "adamw": (torch.optim.AdamW, {}),
    "sgd": (torch.optim.SGD, {}),
    "sgd with momentum": (torch.optim.SGD, {"momentum": 0.9}),
}
STEPS = 60


def _network(dtype):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 5, 3),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(5 * 36, 7),
        )
        inputs, targets = torch.randn(16, 1, 8, 8), torch.randint(0, 7, (16,))
    return model.to(dtype), inputs.to(dtype), targets


def _trained(build, dtype, maximize=False):
    """The weights after 60 steps in two groups under a scheduler."""
    model, inputs, targets = _network(dtype)
    groups = [
        {"params": model[:2].parameters(), "weight_decay": 0.1},
        {"params": model[2:].parameters(), "lr": 3e-3},
    ]
    optimizer = build(groups, 1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS // 2)
    sign = -1 if maximize else 1

    def closure():
        optimizer.zero_grad()
        loss = sign * nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    losses = []
    for _ in range(STEPS):
        losses.append(optimizer.step(closure).item())
        scheduler.step()
    return losses, [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", PEERS)
def test_one_agent_is_torchs_optimiser_to_the_last_bit(
    name, dtype, maximize, identical
):
    peer, settings = PEERS[name]
    settings = {**settings, "maximize": maximize}
    inner = name.split()[0]
    ours = _trained(
        lambda groups, lr: QIMAD(groups, lr, inner=inner, num_agents=1, **settings),
        dtype,
        maximize,
    )
    theirs = _trained(lambda groups, lr: peer(groups, lr, **settings), dtype, maximize)
    assert identical(ours, theirs)


@pytest.mark.parametrize("name", PEERS)
def test_agents_without_forces_are_as_many_of_torchs_optimisers(name, identical):
    """No communication, no pull, no jumps: each agent alone, from its own start."""
    peer, settings = PEERS[name]
    starts = torch.randn(3, 70, generator=torch.Generator().manual_seed(0))
    scales = torch.logspace(-2, 1, 70)

    def trained(build, parameter):
        optimizer = build([parameter])

        def closure():
            optimizer.zero_grad()
            loss = (scales * parameter.square()).sum() + parameter.sin().sum()
            loss.backward()
            return loss

        for _ in range(STEPS):
            optimizer.step(closure)
        return optimizer

    swarm = trained(
        lambda parts: QIMAD(
            parts,
            1e-2,
            inner=name.split()[0],
            num_agents=3,
            start=[[row] for row in starts],
            gamma=0.0,
            pull=0.0,
            tunnelling=False,
            **settings,
        ),
        nn.Parameter(torch.zeros(70)),
    )
    for agent, start in enumerate(starts):
        alone = nn.Parameter(start.clone())
        trained(lambda parts: peer(parts, 1e-2, **settings), alone)
        assert identical(swarm.agent_parameters(agent), [alone.detach()])


@pytest.mark.parametrize(
    ("inner", "setting"),
    [
        ("adamw", {"momentum": 0.9}),
        ("adamw", {"alpha": 0.9}),
        ("sgd", {"betas": (0.5, 0.9)}),
        ("sgd", {"eps": 1e-6}),
        ("rmsprop", {"betas": (0.5, 0.9)}),
    ],
)
def test_a_hyperparameter_that_the_inner_optimiser_lacks_is_refused(inner, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=rf"^{name}: .*{inner}"):
        QIMAD([nn.Parameter(torch.zeros(2))], inner=inner, **setting)
