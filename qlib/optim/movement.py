"""All agents of all parameters moved from one snapshot, and broken ones restarted."""

from dataclasses import dataclass, field

import torch

from qlib.optim.evaluation import flat
from qlib.optim.inner import INNERS
from qlib.optim.stagnation import best_agent
from qlib.optim.swarm import exchange_matrix
from qlib.optim.update import Exchange, Scratch, advance, runs_of, wide_dtype


@dataclass
class Shared:
    """What the parameters of one step share: scratch and exchanges."""

    moving: set  # agents with gradients to follow
    jumping: set
    scratch: Scratch = field(default_factory=Scratch)
    exchanges: dict = field(default_factory=dict)
    weights: int = 0


def draw(like, generator, method, *arguments):
    """Random numbers shaped as `like`, drawn on the CPU in its dtype or float32."""
    drawn = torch.empty(like.shape, dtype=wide_dtype(like), device="cpu")
    getattr(drawn, method)(*arguments, generator=generator)
    return drawn.to(like)


def first_best(allowed, *criteria):
    """The allowed agent that is best by the first criterion that knows any, or any."""
    for criterion in criteria:
        agent = best_agent(criterion, allowed)
        if agent is not None:
            return agent
    return int(allowed.nonzero()[0]) if allowed.any() else None


def move(members, found, turn, swarm, generator):
    """Exchange, inner rule and jumps for all that have a gradient.

    Returns
    -------
    diversity : float
        Root mean square distance to the mean, per weight, of the snapshot.
    failed : (N,) bool tensor
        Agents whose new weights are not finite.
    """
    moving, jumping = (
        set(mask.nonzero().flatten().tolist()) for mask in (turn.moving, turn.jumps)
    )
    shared = Shared(moving, jumping)
    broken = (~turn.usable).nonzero().flatten().tolist()
    for member in members:
        if member.loaded:
            _copy_rows(member.state["agents"], turn.leader, broken)
        _move_member(member, found.agents, turn, swarm, generator, shared)
    return _diversity(shared), _failed(members, shared, len(turn.due))


def _move_member(member, agents, turn, swarm, generator, shared):
    pairs = zip(agents, member.slopes, strict=True)
    pairs = [(a, g) for a, g in pairs if g is not None and a in shared.moving]
    if not pairs:
        return
    rows = [agent for agent, _ in pairs]
    group, state, inner = member.group, member.state, INNERS[swarm["inner"]]
    names = inner.buffers(group)
    for name in names:
        if name not in state:
            state[name] = torch.zeros_like(state["agents"])
    matrix = member.matrix()
    together = member.loaded and len(matrix) > 1
    jumps = [row for row in rows if together and row in shared.jumping]
    sizes = [matrix[row].abs().mean() for row in jumps]
    exchange = _exchange(member, rows, turn, swarm, shared) if together else None
    advance(
        matrix,
        [flat(gradient) for _, gradient in pairs],
        {name: member.matrix(name) for name in names},
        runs=runs_of(rows, state["steps"]),
        rule=inner.rule,
        group=group,
        scratch=shared.scratch,
        exchange=exchange,
    )
    if exchange:
        shared.weights += matrix.numel()
    for row, size in zip(jumps, sizes, strict=True):
        reach = (0.8 * size + 0.1) * turn.temperature
        noise = draw(matrix[row], generator, "uniform_", -1.0, 1.0)
        matrix[row].addcmul_(noise, reach)
    if names:
        for row in rows:
            state["steps"][row] += 1


def _exchange(member, rows, turn, swarm, shared):
    matrix, group = member.matrix(), member.group
    wide, place = wide_dtype(matrix), matrix.device
    stored = swarm["best"] == "alltime"
    key = (group["gamma"], group["pull"], tuple(rows), wide, place)
    if key not in shared.exchanges:
        full = exchange_matrix(
            turn.weights,
            gamma=group["gamma"],
            pull=group["pull"],
            best=len(matrix) if stored else turn.leader,
            draws=turn.draws,
        )
        own = full[rows].to(place, wide) if full.any() else None
        shared.exchanges[key] = Exchange(own, turn.leader, matrix, shared.scratch)
    exchange = shared.exchanges[key]
    exchange.target = member.state["best"].view(-1) if stored else None
    return exchange


def _diversity(shared):
    """Root mean square distance to the mean, per weight, as evaluated."""
    spreads = _together([exchange.spread() for exchange in shared.exchanges.values()])
    return (max(float(spreads.sum()), 0.0) / max(shared.weights, 1)) ** 0.5


def _failed(members, shared, number):
    """Agents with new weights that are not finite; sums tell where to look."""
    failed = torch.zeros(number, dtype=torch.bool, device="cpu")
    exchanges = shared.exchanges.values()
    sums = _together([exchange.sums.double() for exchange in exchanges])
    for agent in (
        (~sums.reshape(-1, number).isfinite().all(0)).nonzero().flatten().tolist()
    ):
        rows = [member.state["agents"][agent] for member in members]
        failed[agent] = not all(row.isfinite().all() for row in rows)
    return failed


def _together(tensors):
    """Small tensors of all devices stacked on the CPU, one transfer a device."""
    if not tensors:
        return torch.zeros(0, dtype=torch.float64, device="cpu")
    return torch.stack([tensor.to(tensors[0].device) for tensor in tensors]).cpu()


def restart(members, turn, failed):
    """Broken agents copied from the best of the others, with all their buffers.

    Returns
    -------
    restarted : list of int
    source : int or None
        None if there is no agent to copy.
    """
    good = turn.usable & ~failed
    source = first_best(good & ~turn.jumps, turn.progress.smoothed)
    if source is None:
        source = first_best(good, turn.progress.smoothed)
    broken = (~good).nonzero().flatten().tolist()
    if source is None or not broken:
        return [], source
    for member in members:
        for name in member.names():
            if name != "agents" or member.loaded:
                _copy_rows(member.state[name], source, broken)
        for agent in broken:
            member.state["steps"][agent] = member.state["steps"][source]
    return broken, source


def _copy_rows(rows, source, agents):
    for agent in agents:
        rows[agent].copy_(rows[source])
