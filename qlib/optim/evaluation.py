"""Losses and gradients of agents, by calling the closure on each one's weights."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from qlib.optim.distributed import abstaining, gather, share


@dataclass
class Member:
    """One parameter in a step.

    Attributes
    ----------
    name : str
        Given with the parameter, or its place: how errors call it.
    parameter : tensor
        Of the model.
    group : dict
        Its hyperparameters as plain numbers.
    state : dict
        What the optimiser keeps; new until the step succeeds where `fresh`.
    loaded : bool
        Whether agents are evaluated on weights of their own. Not so with lr = 0: the
        model's weights are then everyone's.
    fresh : bool
    slopes : list of tensor or None
        Gradients of the agents evaluated.
    """

    name: str
    parameter: torch.Tensor
    group: dict
    state: dict
    loaded: bool
    fresh: bool
    slopes: list = field(default_factory=list)

    def matrix(self, name="agents"):
        """(N, n) view of a tensor kept for each agent."""
        kept = self.state[name]
        return kept.view(len(kept), real(self.parameter).numel())

    def names(self):
        """Names of the tensors kept for each agent, weights and buffers."""
        return [name for name in self.state if name not in ("steps", "moved", "best")]


@dataclass
class Evaluation:
    """What the closure gave for each agent that was due.

    Attributes
    ----------
    agents : list of int
    losses : (K,) float64 tensor
    gradients : list of K lists of tensor or None
        One for each member.
    values : dict
        What the closure itself returned, by agent, for those evaluated here.
    """

    agents: list
    losses: torch.Tensor
    gradients: list
    values: dict

    def finite(self, members, sign):
        """(K,) bool tensor: whether an agent is known to be finite enough to go on.

        Its loss must be finite. Gradients that are not show in the new weights, so
        they are looked for here only where that comes too late: for weights that do
        not move, and, where the best agent's is not finite, for all.

        Parameters
        ----------
        members : list of Member
        sign : {1, -1}
            -1 where larger losses are better.
        """
        fine = self.losses.isfinite()
        resting = [member for member in members if not member.loaded]
        costs = torch.where(fine, sign * self.losses, torch.inf)
        if not _steep(int(costs.argmin()), members):
            resting = members
        for position in range(len(fine)) if resting else ():
            fine[position] &= _steep(position, resting)
        return fine

    def value(self, agent, otherwise):
        """The closure's own value for an agent, else its loss in the same form."""
        if agent in self.values:
            return self.values[agent]
        if agent in self.agents:
            otherwise = float(self.losses[self.agents.index(agent)])
        kind = next(iter(self.values.values()), None)
        if kind is None:
            return torch.tensor(otherwise, dtype=torch.float64, device="cpu")
        if isinstance(kind, torch.Tensor):
            return torch.full_like(kind.detach(), otherwise)
        return otherwise


def _steep(position, members):
    """Whether an agent's gradients are finite; their sums tell first."""
    slopes = [member.slopes[position] for member in members]
    slopes = [slope for slope in slopes if slope is not None]
    sums = [real(slope).sum().to(slopes[0].device) for slope in slopes]
    if not sums or torch.stack([one.float() for one in sums]).isfinite().all():
        return True
    return all(bool(slope.isfinite().all()) for slope in slopes)


def real(tensor):
    """A tensor, complex ones as real with a last axis of 2."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def flat(gradient):
    """A gradient as one row of real numbers; copies only if it is not contiguous."""
    if gradient.is_complex():
        gradient = torch.view_as_real(gradient.resolve_conj())
    return gradient.detach().reshape(-1)


def mean_of(member):
    """The mean over agents, exactly theirs where they agree."""
    if not member.state.get("moved"):
        return real(member.parameter.detach())
    agents = member.state["agents"]
    return agents[0] + (agents - agents[0]).mean(0)


def load(members, row):
    """Put the rows ``row(member)`` of all loaded members into the model."""
    loaded = [member for member in members if member.loaded]
    if loaded:
        torch._foreach_copy_(
            [real(member.parameter.detach()) for member in loaded],
            [row(member) for member in loaded],
        )


@contextmanager
def unchanged_on_error(members, held):
    """Adopt the model's weights; all as before if what is inside raises.

    The row of agent `held` takes over what was changed in the model since the last
    step; with None nobody does.
    """
    gradients = [member.parameter.grad for member in members]
    kept = [_adopt(member, held) for member in members]
    for member in members:
        member.parameter.grad = None
    try:
        yield
    except BaseException:
        for member, gradient, (weights, row) in zip(
            members, gradients, kept, strict=True
        ):
            member.parameter.grad = gradient
            if weights is not None:
                real(member.parameter.detach()).copy_(weights)
            if row is not None:
                weights.copy_(row)
        raise


def _adopt(member, held):
    """What undoes it: where the model's weights are kept, and what was there before."""
    if not member.loaded:
        return None, None
    here = real(member.parameter.detach())
    kept = member.state.get("best") if held is None else member.state["agents"][held]
    if kept is not None and torch.equal(kept, here):
        return kept, None
    if held is None:
        return here.clone(), None
    before = kept.clone()
    return kept.copy_(here), before


def evaluate(closure, members, agents, group):
    """Losses and gradients of the agents that are due, over all ranks of a group.

    Parameters
    ----------
    closure : callable or VectorizedClosure
    members : list of Member
    agents : list of int
    group : ProcessGroup or None

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError
        If the closure returns None or anything but one number.
    ValueError
        If it leaves no gradient.
    RuntimeError
        If a gradient is sparse, or two agents' gradients share their memory.
    """
    like = [member.parameter for member in members]
    positions = share(len(agents), group)
    own = [agents[position] for position in positions]
    values, gradients = [], []
    with abstaining(num=len(agents), like=like, group=group):
        if own and at_once(closure):
            part = {} if own == agents else {"part": (positions, len(agents))}
            values, gradients = _ask_at_once(closure, members, own, **part)
        elif own:
            values, gradients = _ask_in_turn(closure, members, own)
        numbers = [number(value) for value in values]
    losses, gradients = gather(
        numbers, gradients, num=len(agents), like=like, group=group
    )
    return Evaluation(agents, losses, gradients, dict(zip(own, values, strict=True)))


def at_once(closure):
    """Whether a closure says of itself that it evaluates stacked agents."""
    return getattr(closure, "evaluates_agents", False) is True


def ask(closure):
    """The loss of the model's own weights as the closure returned it, one number."""
    if at_once(closure) and hasattr(closure, "model_loss"):
        return closure.model_loss()
    with torch.enable_grad():
        value = closure()
    if isinstance(value, torch.Tensor):
        numeric = value.numel() == 1 and not value.is_complex()
    else:
        numeric = hasattr(value, "__float__") and getattr(value, "size", 1) == 1
    if not numeric:
        raise TypeError(
            f"closure: returned {_shown(value)}; allowed: the loss, one number"
        )
    return value


def number(value):
    """What a closure returned as a float."""
    return float(value.detach() if isinstance(value, torch.Tensor) else value)


def _shown(value):
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return repr(value)


def _ask_in_turn(closure, members, agents):
    values, rows = [], []
    for agent in agents:
        load(members, lambda member, agent=agent: member.state["agents"][agent])
        for member in members:
            member.parameter.grad = None
        values.append(ask(closure))
        rows.append(_taken(members))
        _check_apart(rows)
    return values, rows


def _taken(members):
    """The gradients in the model, taken out of it."""
    gradients = [member.parameter.grad for member in members]
    _check_any(gradients)
    for member, gradient in zip(members, gradients, strict=True):
        if gradient is not None and gradient.layout != torch.strided:
            raise RuntimeError(
                f"closure: QIMAD does not support sparse gradients, got one of "
                f"{gradient.layout} for {member.name}; allowed: strided"
            )
        member.parameter.grad = None
    return gradients


def _check_any(gradients):
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            "closure: left no gradient; allowed: a call of backward() for parameters "
            "of the optimiser"
        )


def _check_apart(rows):
    if len(rows) < 2:
        return
    for first, second in zip(rows[-2], rows[-1], strict=True):
        if first is None or second is None or not first.numel():
            continue
        if first.data_ptr() == second.data_ptr():
            raise RuntimeError(
                "closure: wrote the gradients of two agents to the same memory; "
                "allowed: a new gradient each time"
            )


def _ask_at_once(closure, members, agents, **part):
    names = {id(p): name for name, p in closure.model.named_parameters()}
    stacks = {}
    for member in members:
        parameter = member.parameter
        if id(parameter) not in names:
            raise ValueError(
                f"closure: its model lacks {member.name} of the optimiser, of shape "
                f"{tuple(parameter.shape)}; allowed: a closure on the model optimised"
            )
        stacks[names[id(parameter)]] = _stack(member, agents)
    losses, slopes = closure.evaluate(stacks, agents, **part)
    keys = [names[id(member.parameter)] for member in members]
    rows = [[_row(slopes.get(key), k) for key in keys] for k in range(len(agents))]
    _check_any([gradient for row in rows for gradient in row])
    return list(losses.detach().unbind()), rows


def _row(stack, index):
    return None if stack is None else stack[index]


def _stack(member, agents):
    """(K, *shape) weights of some agents."""
    parameter = member.parameter.detach()
    if not member.loaded:
        return parameter.expand(len(agents), *parameter.shape)
    kept = member.state["agents"]
    span = range(agents[0], agents[0] + len(agents))
    rows = kept[span.start : span.stop] if agents == list(span) else kept[agents]
    return torch.view_as_complex(rows) if parameter.is_complex() else rows
