"""Two cases whose answer is known: a swarm of one, and agents that only talk."""

import copy
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qlib.optim import QIMAD
from qlib.optim.topology import neighbours

PEERS = {
    # inner rule: (torch's optimiser, arguments of both)
    "rmsprop": (torch.optim.RMSprop, {"lr": 1e-2, "weight_decay": 1e-2}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 1e-2}),
    "sgd": (torch.optim.SGD, {"lr": 1e-1, "momentum": 0.9, "weight_decay": 1e-3}),
}


def single_agent_difference(inner, *, steps, seed):
    """Largest difference of any weight between one agent and torch's optimiser.

    A network of two layers on random data, the same batches for both.

    Parameters
    ----------
    inner : str
        Of `PEERS`.
    steps, seed : int

    Returns
    -------
    float
        0 where both agree bit for bit.
    """
    make, arguments = PEERS[inner]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ours = torch.nn.Sequential(
            torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4)
        )
    theirs = copy.deepcopy(ours)
    swarm = QIMAD(ours.parameters(), num_agents=1, inner=inner, **arguments)
    peer = make(theirs.parameters(), **arguments)
    for _ in range(steps):
        inputs = torch.randn(64, 16, generator=generator)
        labels = torch.randint(4, (64,), generator=generator)
        for model, optimiser in ((ours, swarm), (theirs, peer)):
            optimiser.step(partial(_pass, model, inputs, labels))
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    return max((one - other).abs().max().item() for one, other in pairs)


class Mixing(NamedTuple):
    """Agents that neither descend nor jump, only move towards their neighbours.

    Attributes
    ----------
    diversity : (steps + 1,) array
        Root mean square distance from the mean of the agents, over that at the start.
    exact : (steps + 1,) array
        Of powers of the mixing matrix 1 + γ (W − 1), applied to the starts.
    rate : float
        Second largest eigenvalue in size: the factor of each step in the end.
    drift : float
        Largest distance that the mean has moved, over the first root mean square.
    """

    diversity: np.ndarray
    exact: np.ndarray
    rate: float
    drift: float


def mixing(topology, *, agents, gamma, steps, rng):
    """Communication alone, with equal weights: `Mixing` of a swarm.

    Parameters
    ----------
    topology : {"complete", "ring", "grid"}
        Each agent has equally many neighbours, so that the mean is conserved.
    agents, steps : int
    gamma : float
    rng : `numpy.random.Generator`
    """
    starts = rng.standard_normal((agents, 50))
    starts -= starts.mean(axis=0)
    x = torch.from_numpy(starts[0].copy()).requires_grad_()
    optimiser = QIMAD(
        [x],
        num_agents=agents,
        start=[[torch.from_numpy(one)] for one in starts],
        gamma=gamma,
        pull=0.0,
        weights="uniform",
        topology=topology,
        tunnelling=False,
        seed=0,
    )

    def closure():
        x.grad = torch.zeros_like(x)
        return torch.zeros(())

    measured = [starts]
    for _ in range(steps):
        optimiser.step(closure)
        rows = [optimiser.agent_parameters(i)[0].numpy() for i in range(agents)]
        measured.append(np.array(rows))
    tied = neighbours(topology, agents).numpy().astype(float)
    matrix = np.eye(agents) + gamma * (tied / tied.sum(axis=1) - np.eye(agents))
    exact = [np.linalg.matrix_power(matrix, k) @ starts for k in range(steps + 1)]
    size = _spread(starts)
    sizes = np.sort(np.abs(np.linalg.eigvalsh(matrix)))
    drift = max(np.abs(rows.mean(axis=0)).max() for rows in measured) / size
    return Mixing(
        np.array([_spread(rows) for rows in measured]) / size,
        np.array([_spread(rows) for rows in exact]) / size,
        float(sizes[-2]),
        float(drift),
    )


def _pass(model, inputs, labels):
    model.zero_grad()
    loss = cross_entropy(model(inputs), labels)
    loss.backward()
    return loss


def _spread(rows):
    return np.sqrt(np.mean((rows - rows.mean(axis=0)) ** 2))
