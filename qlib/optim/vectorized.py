"""A closure that evaluates all agents of a swarm in one vectorised pass."""

import time
import warnings

import torch
from torch.func import vmap

from qlib.arguments import one_of
from qlib.optim.dense import FeaturesFirst, dense_layers, dense_outputs
from qlib.optim.substitution import occupant, places, substituted

MODES = ("auto", "vectorized", "loop")


class VectorizedClosure:
    """Loss and gradient of a model on a batch, for one set of weights or for many.

    Called, it is an ordinary closure on the model's own weights. `QIMAD.step` instead
    asks `evaluate` for all agents at once. Every agent has its own buffers, as the
    running statistics of batch normalisation, and its own draws of dropout.

    Parameters
    ----------
    model : torch.nn.Module
        Parameters that are not evaluated in stacks, as frozen ones, are shared.
    loss_fn : callable
        ``loss_fn(model(inputs), targets)`` is one number.
    batch : (inputs, targets), or a callable that returns them
        A callable is called once a step.
    mode : {"auto", "vectorized", "loop"}
        "vectorized": one pass under `torch.func.vmap`, which helps where an agent's
        pass is short, as with small dense networks, or on a GPU. "loop": one agent
        after the other, which on a CPU is faster for convolutions. "auto": the first
        `evaluate` times both and keeps the faster, or the loop, with a warning, where
        vmap refuses the model.
    same_batch : bool
        Whether all agents see the whole batch. Else it is cut along the first axis of
        its tensors into one equal part for each agent evaluated.

    Attributes
    ----------
    mode_used : {"vectorized", "loop", None}
        None until "auto" has chosen.
    buffers : dict
        (N, *shape) tensors by name, made at first use from the model's, a row an agent.

    Raises
    ------
    ValueError, TypeError
        By the argument's name; what `batch` and `loss_fn` return, once they are called.
    """

    evaluates_agents = True  # by which `QIMAD` tells it from an ordinary closure

    def __init__(self, model, loss_fn, batch, *, mode="auto", same_batch=True):
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: got {model!r}; allowed: a torch.nn.Module")
        if not callable(loss_fn):
            raise TypeError(f"loss_fn: got {loss_fn!r}; allowed: a callable")
        if mode is None:
            raise ValueError(f"mode: got None; allowed: {', '.join(MODES)}")
        if not isinstance(same_batch, bool):
            raise ValueError(f"same_batch: got {same_batch!r}; allowed: True, False")
        self.mode = one_of("mode", mode, MODES)
        self.mode_used = None if mode == "auto" else mode
        self.model, self.loss_fn, self.same_batch = model, loss_fn, same_batch
        self.batch = batch if callable(batch) else _pair(batch)
        self.buffers, self._first = {}, {}
        self._held = None  # whose buffers the model has
        self._drawn = None  # a batch that the next `evaluate` is to use

    def __call__(self):
        """The loss of the model's own weights, its gradient left in ``.grad``."""
        inputs, targets = self._next()
        self.model.zero_grad()
        with torch.enable_grad():
            loss = self._loss(self.model(inputs), targets)
            _check_gradient(loss)
            loss.backward()
        return loss

    @torch.no_grad()
    def model_loss(self):
        """The loss of the model's own weights on the batch of the next `evaluate`.

        No gradient is made; buffers and torch's global generators stay as they were.
        """
        self._drawn = inputs, targets = self._drawn or self._next()
        slots = places(self.model)[1]
        copies = {name: tensor.clone() for name, tensor in self.model.named_buffers()}
        with torch.random.fork_rng(self._gpus()), substituted(slots, copies):
            return self._loss(self.model(inputs), targets)

    def evaluate(self, stacks, agents, *, part=None):
        """Losses and gradients of some agents, each at its own weights and buffers.

        Parameters
        ----------
        stacks : dict
            (K, *shape) tensors by the names of ``model.named_parameters()``. Unchanged.
        agents : sequence of int
            The K agents' numbers, which tell whose buffers are used and updated.
        part : (positions, total) or None
            With ``same_batch=False``, which of `total` parts of the batch these agents
            take, where other processes evaluate more of them. None: (0 … K−1, K).

        Returns
        -------
        losses : (K,) tensor
        gradients : dict
            By name, a list of K tensors of the parameter's shape, or None where the
            loss does not depend on it. Frozen and unused parameters are left out.

        Raises
        ------
        ValueError, TypeError
            By the argument's name; the agents' buffers are then as they were.
        """
        agents, parameters = list(agents), dict(self.model.named_parameters())
        _check(stacks, agents, parameters)
        rows = self._rows(agents)
        inputs, targets = self._drawn or self._next()
        self._drawn = None
        if not self.same_batch:
            inputs = _cut("inputs", inputs, len(agents), part)
            targets = _cut("targets", targets, len(agents), part)
        work = (parameters, stacks, rows, inputs, targets)
        if self.mode_used is None:
            self.mode_used = self._faster(work)
        losses, gradients, rows = self._run(self.mode_used, work)
        for name, values in rows.items():
            self.buffers[name][agents] = values.detach()
        if self._held in agents:
            self._held = None  # the model has its buffers of before
        return losses, gradients

    def load_buffers(self, agent):
        """Put an agent's buffers into the model, or with "mean" their mean.

        The model's buffers are from then on that agent's: changes made to them between
        steps, as by loading a checkpoint, count. In the mean of all agents, buffers
        that are not floating are those of the first agent.
        """
        if agent != "mean":
            self._grow(agent + 1)
        for name, tensor in self.model.named_buffers():
            stack = self.buffers.get(name)
            if stack is None:
                continue
            if agent != "mean":
                value = stack[agent]
            elif stack.is_floating_point() or stack.is_complex():
                value = stack.mean(0)
            else:
                value = stack[0]
            tensor.detach().copy_(value)
        self._held = None if agent == "mean" else agent

    def agent_buffers(self, number):
        """The buffers of at least `number` agents, (N, *shape) by name, not copied."""
        self._grow(number)
        if self._held is not None:
            for name, tensor in self.model.named_buffers():
                self.buffers[name][self._held] = tensor.detach()
        return self.buffers

    def reseed(self, agent, other):
        """Give an agent the buffers of another one."""
        self._grow(max(agent, other) + 1)
        for stack in self.buffers.values():
            stack[agent] = stack[other]

    def state_dict(self):
        """Copies of the agents' buffers, and the mode in use."""
        return {
            "mode_used": self.mode_used,
            "held": self._held,
            "buffers": _copied(self.buffers),
            "first": _copied(self._first),
        }

    def load_state_dict(self, state):
        """Continue from what `state_dict` returned.

        Raises
        ------
        ValueError
            If the state's buffers are not those of the model.
        """
        expected = {name: tensor.shape for name, tensor in self.model.named_buffers()}
        given = {name: stack.shape[1:] for name, stack in state["buffers"].items()}
        if given and given != expected:
            wrong = sorted(
                name
                for name in given.keys() | expected.keys()
                if given.get(name) != expected.get(name)
            )
            raise ValueError(
                f"state: got buffers that differ from the model's in {wrong}; allowed: "
                "a state of a closure on such a model"
            )
        self.mode_used = state["mode_used"]
        self._held = state["held"]
        self.buffers, self._first = _copied(state["buffers"]), _copied(state["first"])

    def _next(self):
        return _pair(self.batch() if callable(self.batch) else self.batch)

    def _loss(self, output, targets):
        return _number(self.loss_fn(output, targets))

    def _rows(self, agents):
        """Copies of the buffers of some agents, the model's own ones adopted."""
        stacks = self.agent_buffers(max(agents) + 1)
        return {name: stack[agents] for name, stack in stacks.items()}

    def _grow(self, number):
        """Make buffers for at least `number` agents, as the model's were at first."""
        for name, tensor in self.model.named_buffers():
            first = self._first.setdefault(name, tensor.detach().clone()).to(tensor)
            stack = self.buffers.get(name, first.new_empty((0, *first.shape)))
            more = max(number - len(stack), 0)
            if more or stack.device != first.device or stack.dtype != first.dtype:
                new = first.expand(more, *first.shape)
                self.buffers[name] = torch.cat([stack.to(first), new])

    def _gpus(self):
        tensors = (*self.model.parameters(), *self.model.buffers())
        return sorted({t.get_device() for t in tensors if t.is_cuda})

    def _faster(self, work):
        """The mode that took less time, both tried with what has no other effect."""
        seconds = {}
        with torch.random.fork_rng(self._gpus()):
            for mode in ("vectorized", "loop"):
                try:
                    self._run(mode, work)
                except RuntimeError as error:
                    if mode == "loop":
                        raise
                    warnings.warn(
                        f"mode: 'loop' is used, as 'vectorized' failed: {error}",
                        stacklevel=4,
                    )
                    continue
                start = self._clock()
                self._run(mode, work)
                seconds[mode] = self._clock() - start
        return min(seconds, key=seconds.get)

    def _clock(self):
        for gpu in self._gpus():
            torch.cuda.synchronize(gpu)
        return time.perf_counter()

    @torch.enable_grad()
    def _run(self, mode, work):
        return self._at_once(*work) if mode == "vectorized" else self._in_turn(*work)

    def _at_once(self, parameters, stacks, rows, inputs, targets):
        number = len(next(iter(stacks.values())))
        leaves = _leaves(stacks, parameters)
        part = None if self.same_batch else 0
        layers = dense_layers(self.model, inputs) if self.same_batch else None
        if layers is not None:
            copies = {id(parameters[name]): leaf for name, leaf in leaves.items()}
            outputs = dense_outputs(layers, copies, number, inputs)
        else:
            rows = {name: row.clone() for name, row in rows.items()}
            run = vmap(self._apply, in_dims=(0, 0, part), randomness="different")
            outputs, rows = run(leaves, rows, inputs)
        if torch.is_tensor(outputs):
            shares = [targets] * number if self.same_batch else targets
            pairs = zip(outputs.unbind(), shares, strict=True)
            losses = [self._loss(output, target) for output, target in pairs]
        else:
            assess = vmap(self._loss, in_dims=(0, part), randomness="different")
            losses = assess(outputs, targets).unbind()
        gradients = _slopes(losses, leaves)
        gradients = {name: list(g.unbind()) for name, g in gradients.items()}
        return torch.stack(losses).detach(), gradients, rows

    def _in_turn(self, parameters, stacks, rows, inputs, targets):
        number = len(next(iter(stacks.values())))
        losses, slopes, after = [], [], []
        for k in range(number):
            row = {name: stack[k] for name, stack in stacks.items()}
            leaves = _leaves(row, parameters)
            own = {name: row[k].clone() for name, row in rows.items()}
            x, y = (inputs, targets) if self.same_batch else (inputs[k], targets[k])
            output, own = self._apply(leaves, own, x, features_first=False)
            loss = self._loss(output, y)
            slopes.append(_slopes([loss], leaves))
            losses.append(loss.detach())
            after.append(own)
        names = [name for name in stacks if any(name in slope for slope in slopes)]
        gradients = {name: [slope.get(name) for slope in slopes] for name in names}
        rows = {name: torch.stack([own[name] for own in after]) for name in rows}
        return torch.stack(losses), gradients, rows

    def _apply(self, parameters, buffers, inputs, features_first=True):
        """The model's output, and its buffers afterwards."""
        slots, buffer_slots = places(self.model)
        slots = slots | buffer_slots
        with substituted(slots, parameters | buffers):
            if features_first:
                with FeaturesFirst():
                    output = self.model(inputs)
            else:
                output = self.model(inputs)
            after = {name: occupant(slots[name]) for name in buffers}
        return output, after


def _check(stacks, agents, parameters):
    for name, stack in stacks.items():
        if name not in parameters:
            raise ValueError(f"stacks: got {name!r}; allowed: {', '.join(parameters)}")
        expected = (len(agents), *parameters[name].shape)
        if stack.shape != expected:
            raise ValueError(
                f"stacks: got {name!r} of shape {tuple(stack.shape)}; "
                f"allowed: {expected}"
            )
    if not agents or len(set(agents)) < len(agents) or min(agents) < 0:
        raise ValueError(f"agents: got {agents!r}; allowed: distinct, at least one")


def _pair(batch):
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise ValueError(
            f"batch: got a {type(batch).__name__}{size}; allowed: (inputs, targets), "
            "or a callable that returns them"
        )
    return tuple(batch)


def _cut(name, tensor, number, part):
    """(K, size / total, ...) parts of a tensor along its first axis."""
    positions, total = (list(range(number)), number) if part is None else part
    if not torch.is_tensor(tensor) or tensor.dim() == 0 or len(tensor) % total:
        got = tuple(tensor.shape) if torch.is_tensor(tensor) else type(tensor).__name__
        raise ValueError(
            f"batch: got {name} {got} with same_batch=False; allowed: a tensor whose "
            f"first axis is divisible by the {total} agents evaluated"
        )
    return tensor.unflatten(0, (total, len(tensor) // total))[list(positions)]


def _copied(tensors):
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _number(loss):
    if not torch.is_tensor(loss):
        raise TypeError(f"loss_fn: got {loss!r}; allowed: a scalar tensor")
    if loss.numel() != 1:
        raise ValueError(
            f"loss_fn: got a loss of shape {tuple(loss.shape)}; allowed: a scalar"
        )
    return loss.reshape(())


def _check_gradient(loss):
    if not loss.requires_grad:
        raise ValueError(
            "loss_fn: got a loss without gradient; allowed: one that depends on "
            "parameters of the model"
        )


def _leaves(stacks, parameters):
    return {
        name: stack.detach().requires_grad_(parameters[name].requires_grad)
        for name, stack in stacks.items()
    }


def _slopes(losses, leaves):
    """Gradients by name of the sum of losses, of those leaves that have one."""
    for loss in losses:
        _check_gradient(loss)
    free = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    found = torch.autograd.grad(losses, list(free.values()), allow_unused=True)
    pairs = zip(free, found, strict=True)
    return {name: slope for name, slope in pairs if slope is not None}
