"""One synchronous step of a swarm: evaluate, judge, move, restart, load."""

import warnings
from dataclasses import dataclass

import torch

from qlib.optim.distributed import abstaining
from qlib.optim.evaluation import (
    Member,
    ask,
    at_once,
    evaluate,
    load,
    mean_of,
    number,
    real,
    unchanged_on_error,
)
from qlib.optim.inner import INNERS
from qlib.optim.movement import draw, first_best, move, restart
from qlib.optim.stagnation import (
    Progress,
    best_agent,
    copy_progress,
    forget,
    jumping,
    note_losses,
)
from qlib.optim.swarm import mixing_weights, walk_angles


@dataclass
class Turn:
    """What is decided before anything moves; masks and vectors are over N agents."""

    temperature: float
    costs: torch.Tensor  # losses, negated where larger is better; NaN if not usable
    due: torch.Tensor  # evaluated in this step
    usable: torch.Tensor  # not known to be broken
    progress: Progress
    alpha: torch.Tensor
    beta: torch.Tensor
    leader: int | None = None  # None: nobody is usable
    weights: torch.Tensor | None = None
    draws: torch.Tensor | None = None
    jumps: torch.Tensor | None = None

    @property
    def moving(self):
        """Whether an agent moves."""
        return self.due & self.usable


def take_step(optimizer, closure):
    """The step of `QIMAD.step`, after whose errors nothing has changed."""
    swarm = optimizer.param_groups[0]["swarm"]
    generator = torch.Generator("cpu")
    generator.set_state(swarm["rng_state"])
    sign = -1 if optimizer.param_groups[0]["maximize"] else 1
    members = _members(optimizer, swarm, generator)
    due, group = _due(swarm), optimizer.process_group
    like = [member.parameter for member in members]
    with unchanged_on_error(members, swarm["held"]):
        with abstaining(num=len(due), like=like, group=group):
            at_mean = ask(closure) if _holds(swarm) == "mean" else None
            _check_stored(closure, members, swarm, sign)
        found = evaluate(closure, members, due, group)
    members = _with_gradients(optimizer, members, found, swarm["held"] or 0)
    turn = _judge(swarm, members, found, sign, optimizer.temperature, generator)
    stored = _store_best(members, turn, swarm)
    diversity, failed, restarted = 0.0, ~turn.due & False, []
    if turn.leader is None:
        restarted = found.agents
    else:
        diversity, failed = move(members, found, turn, swarm, generator)
        restarted, source = restart(members, turn, failed)
        if at_once(closure) and hasattr(closure, "reseed"):
            for agent in restarted:
                closure.reseed(agent, source)
        _note(swarm, found, turn, restarted, source)
    swarm["rng_state"] = generator.get_state()
    optimizer.history.append(_record(swarm, found, turn, restarted, diversity))
    _load(members, swarm, turn, failed)
    shown = _shown(swarm, found, stored)
    _leave_gradients(members, found, shown, closure, group)
    told = shown if at_mean is None else "mean"
    if told is not None and at_once(closure) and hasattr(closure, "load_buffers"):
        closure.load_buffers(told)
    swarm["step"] += 1
    swarm["cursor"] = (swarm["cursor"] + len(found.agents)) % swarm["num_agents"]
    if not turn.moving.any():
        warnings.warn(
            "no agent had a finite loss and gradient: none moved",
            RuntimeWarning,
            stacklevel=5,
        )
    if at_mean is not None:
        return at_mean
    if shown is None:
        return found.value(None, sign * swarm["best_cost"])
    return found.value(shown, float(swarm["last_losses"][shown]))


def _holds(swarm):
    """What the model holds after a step: "agent", "mean", or the best "stored"."""
    if swarm["num_agents"] == 1 or swarm["load"] == "current":
        return "agent"
    if swarm["load"] == "mean":
        return "mean"
    return "stored" if swarm["best"] == "alltime" else "agent"


def _due(swarm):
    first, number = swarm["cursor"], swarm["num_agents"]
    return [(first + k) % number for k in range(swarm["eval_agents"])]


def _members(optimizer, swarm, generator):
    """All parameters that may get a gradient; agents take over what the model holds."""
    members = []
    for group in optimizer.param_groups:
        plain = _plain(group)
        names = group.get("param_names", [])
        for place, parameter in enumerate(group["params"]):
            if not parameter.requires_grad:
                continue
            name = names[place] if names else f"parameter {place}"
            state = optimizer.state.get(parameter, {})
            loaded = swarm["num_agents"] == 1 or plain["lr"] != 0
            fresh = "agents" not in state or (loaded and not state["moved"])
            member = Member(name, parameter, plain, state, loaded, fresh)
            if fresh:
                member.state = _first_state(member, swarm, generator)
            else:
                _follow(member)
            members.append(member)
    if not members:
        raise ValueError("params: got none that requires a gradient; allowed: some")
    return members


def _plain(group):
    names = (set(group) & set(INNERS_NAMES)) | {"lr", "maximize", "gamma", "pull"}
    plain = {name: group[name] for name in names}
    for name, value in plain.items():
        if isinstance(value, torch.Tensor):
            plain[name] = value.item()
    return plain


INNERS_NAMES = {name for inner in INNERS.values() for name in inner.defaults}


def _first_state(member, swarm, generator):
    """Agents in the model's weights, all but the one it holds with noise around it."""
    here = real(member.parameter.detach())
    agents = here.expand(swarm["num_agents"], *here.shape).contiguous()
    if swarm["spread"] and member.loaded and len(agents) > 1:
        noise = draw(agents, generator, "normal_")
        noise[swarm["held"] or 0] = 0
        agents.add_(noise, alpha=swarm["spread"])
    state = {"steps": [0] * len(agents), **member.state}
    if swarm["best"] == "alltime" and len(agents) > 1:
        state["best"] = here.clone(memory_format=torch.contiguous_format)
    return state | {"agents": agents, "moved": member.loaded}


def _follow(member):
    """Move the state along with a parameter that changed its device or dtype."""
    here = real(member.parameter.detach())
    for name in [*member.names(), *({"best"} & set(member.state))]:
        if member.state[name].dtype != here.dtype or (
            member.state[name].device != here.device
        ):
            member.state[name] = member.state[name].to(here)


def _check_stored(closure, members, swarm, sign):
    """Warn, once, if the stored best weights of a run have no loss of their own."""
    if swarm["best"] != "alltime" or swarm["num_agents"] == 1 or swarm["step"] != 1:
        return
    load(members, lambda member: member.state["best"])
    again, before = number(ask(closure)), sign * swarm["best_cost"]
    if abs(again - before) > 1e-5 * abs(before):
        warnings.warn(
            f"best='alltime': the best weights had the loss {before} and have {again} "
            "now; a stochastic closure needs best='ema'",
            UserWarning,
            stacklevel=6,
        )


def _with_gradients(optimizer, members, found, quiet):
    """The members that moved before or got a gradient now; others are left alone."""
    kept = []
    for place, member in enumerate(members):
        slopes = [row[place] for row in found.gradients]
        if member.fresh and all(slope is None for slope in slopes):
            real(member.parameter.detach()).copy_(member.state["agents"][quiet])
            continue
        if member.fresh:
            optimizer.state[member.parameter] = member.state
        member.slopes = slopes
        kept.append(member)
    return kept


def _judge(swarm, members, found, sign, temperature, generator):
    """Who is usable, leads, listens to whom, and jumps."""
    number = swarm["num_agents"]
    due = torch.zeros(number, dtype=torch.bool, device="cpu")
    due[found.agents] = True
    costs = torch.full((number,), torch.nan, dtype=torch.float64, device="cpu")
    costs[found.agents] = sign * found.losses
    usable = torch.ones_like(due)
    if number > 1:
        usable[found.agents] = found.finite(members, sign)
        costs[~usable] = torch.nan
    progress = note_losses(
        Progress(**swarm["progress"]), costs, smoothing=swarm["smoothing"], rows=due
    )
    turn = Turn(
        temperature, costs, due, usable, progress, swarm["alpha"], swarm["beta"]
    )
    if not usable.any():
        return turn
    turn.leader = first_best(usable, _criterion(swarm, turn), progress.smoothed)
    turn.alpha, turn.beta = walk_angles(
        swarm["alpha"],
        swarm["beta"],
        widths=(swarm["alpha_lr"], swarm["beta_lr"]),
        temperature=temperature,
        generator=generator,
        rows=turn.moving,
    )
    if number == 1:
        turn.jumps = torch.zeros_like(due)
        return turn
    turn.weights = mixing_weights(
        swarm["neighbours"],
        turn.alpha,
        turn.beta,
        weights=swarm["weights"],
        fidelity_power=swarm["fidelity_power"],
        usable=usable,
    )
    turn.draws = torch.empty_like(costs).uniform_(generator=generator)
    patience = swarm["patience"] if swarm["tunnelling"] else torch.inf
    turn.jumps = jumping(progress.age, patience, turn.alpha, generator, turn.moving)
    return turn


def _criterion(swarm, turn):
    return turn.costs if swarm["best"] == "current" else turn.progress.smoothed


def _store_best(members, turn, swarm):
    """Keep the weights of the least loss ever; the agent, if there is a new one."""
    if swarm["best"] != "alltime" or swarm["num_agents"] == 1:
        return None
    agent = best_agent(turn.costs, turn.moving)
    if agent is None or turn.costs[agent] >= swarm["best_cost"]:
        return None
    swarm["best_cost"] = float(turn.costs[agent])
    for member in members:
        if member.loaded:
            member.state["best"].copy_(member.state["agents"][agent])
    return agent


def _note(swarm, found, turn, restarted, source):
    """Store losses, ages and angles; who jumped or restarted begins anew."""
    jumped = turn.jumps.clone()
    jumped[restarted] = False
    progress = forget(turn.progress, jumped)
    losses = swarm["last_losses"].clone()
    losses[found.agents] = found.losses
    if restarted:
        broken = torch.zeros_like(jumped)
        broken[restarted] = True
        progress = copy_progress(progress, broken, source)
        losses[broken] = losses[source]
    swarm["progress"] = vars(progress).copy()
    swarm["last_losses"] = losses
    swarm["alpha"], swarm["beta"] = turn.alpha, turn.beta


def _load(members, swarm, turn, failed):
    """Put into the model what `load` asks for; it keeps whom it holds at rate 0."""
    if not any(member.loaded for member in members):
        return
    holds = _holds(swarm)
    if holds == "agent":
        swarm["held"] = held = _choice(swarm, turn, turn.usable & ~failed)
        load(members, lambda member: member.state["agents"][held])
        return
    swarm["held"] = None
    if holds == "mean":
        load(members, mean_of)
    else:
        load(members, lambda member: member.state["best"])


def _choice(swarm, turn, good):
    """The agent for the model: the best one that has not jumped, where there is any."""
    if swarm["num_agents"] == 1:
        return 0
    if turn.leader is None:
        return swarm["held"] or 0
    by_cost = "current" in (swarm["load"], swarm["best"])
    criterion = turn.costs if by_cost else turn.progress.smoothed
    for allowed in (good & ~turn.jumps, good):
        agent = best_agent(criterion, allowed)
        if agent is not None:
            return agent
    return first_best(good, turn.progress.smoothed) or 0


def _shown(swarm, found, stored):
    """The agent evaluated with the weights that the model now stems from, if any."""
    held = found.agents[0] if swarm["held"] is None else swarm["held"]
    return {"agent": held, "stored": stored, "mean": None}[_holds(swarm)]


def _leave_gradients(members, found, shown, closure, group):
    """The shown agent's gradient stays in the model, as torch's optimisers leave it."""
    own = shown in found.agents and not at_once(closure)
    for member in members:
        slope = member.slopes[found.agents.index(shown)] if own else None
        if slope is not None and group is not None:
            slope = slope.clone()  # not to keep those of all agents
        member.parameter.grad = slope


def _record(swarm, found, turn, restarted, diversity):
    losses = [None] * swarm["num_agents"]
    for agent, loss in zip(found.agents, found.losses.tolist(), strict=True):
        losses[agent] = loss
    jumps = [] if turn.jumps is None else turn.jumps.nonzero().flatten().tolist()
    return {
        "step": swarm["step"],
        "temperature": turn.temperature,
        "losses": losses,
        "best": turn.leader,
        "jumps": jumps,
        "reseeded": list(restarted),
        "alpha": turn.alpha.tolist(),
        "beta": turn.beta.tolist(),
        "diversity": diversity,
    }
