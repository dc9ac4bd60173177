"""Who is whose neighbour in a swarm of agents."""

import math

import torch

from qlib.arguments import one_of, positive_integer

TOPOLOGIES = ("complete", "ring", "grid", "random")


def neighbours(topology, num_agents, generator=None):
    """The adjacency matrix of a swarm's graph.

    Parameters
    ----------
    topology : {"complete", "ring", "grid", "random"}
        "grid": periodic in both directions, rows x columns as square as N allows, a
        ring for prime N. "random": Erdős and Rényi's G(N, 1/2); an agent left alone
        is tied to one other, drawn uniformly.
    num_agents : int
        N >= 1; one agent has no neighbours.
    generator : `torch.Generator`, optional
        On the CPU. Needed by "random" with N > 1, drawn from by nothing else.

    Returns
    -------
    (N, N) bool tensor
        Symmetric, False on the diagonal.

    Raises
    ------
    ValueError
        By the argument's name.
    """
    one_of("topology", topology, TOPOLOGIES)
    num_agents = positive_integer("num_agents", num_agents)
    if topology == "random" and num_agents > 1:
        return _random(num_agents, generator)
    if topology == "complete":
        return ~torch.eye(num_agents, dtype=torch.bool, device="cpu")
    rows = _grid_rows(num_agents) if topology == "grid" else 1
    return _torus(rows, num_agents // rows)


def _grid_rows(num_agents):
    """The largest divisor of N that does not exceed its square root."""
    root = math.isqrt(num_agents)
    return next(rows for rows in range(root, 0, -1) if num_agents % rows == 0)


def _torus(rows, columns):
    agents = torch.arange(rows * columns, device="cpu")
    grid = agents.view(rows, columns)
    tied = torch.zeros(len(agents), len(agents), dtype=torch.bool, device="cpu")
    for axis in (0, 1):
        tied[agents, grid.roll(1, axis).flatten()] = True
    return (tied | tied.T).fill_diagonal_(False)


def _random(num_agents, generator):
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator: got {generator!r}; allowed: a torch.Generator")
    shape = (num_agents, num_agents)
    draws = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
    upper = (draws < 0.5).triu(diagonal=1)
    tied = upper | upper.T
    for agent in range(num_agents):
        if not tied[agent].any():
            skip = int(
                torch.randint(1, num_agents, (), generator=generator, device="cpu")
            )
            other = (agent + skip) % num_agents
            tied[agent, other] = tied[other, agent] = True
    return tied
