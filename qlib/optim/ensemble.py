"""The agents of a swarm as one module that predicts with all of them."""

from copy import deepcopy

import torch

from qlib.optim.substitution import occupant, places, substituted


class AgentEnsemble(torch.nn.Module):
    """N weight copies of a model, evaluated on the same inputs.

    Starts in evaluation mode. Its parameters need no gradient; those of the agents are
    copies, so the ensemble stays as it is while the optimiser goes on.

    Parameters
    ----------
    model : torch.nn.Module
        Its structure is copied, and what is in neither of the following: all agents
        share that.
    stacks : dict
        (N, *shape) weights by the names of ``model.named_parameters()``.
    buffers : dict or None
        (N, *shape) buffers by the names of ``model.named_buffers()``, as
        `VectorizedClosure.agent_buffers` returns them. None: all share the model's.

    Raises
    ------
    ValueError
        By the argument's name.

    Notes
    -----
    ``state_dict`` has the model's names below "model", stacks as (N, *shape). One pass
    an agent: bit for bit the model's own with that agent's weights.
    """

    def __init__(self, model, stacks, buffers=None):
        super().__init__()
        buffers = buffers or {}
        _check("stacks", stacks, dict(model.named_parameters()))
        _check("buffers", buffers, dict(model.named_buffers()))
        sizes = {len(stack) for stack in (*stacks.values(), *buffers.values())}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                f"stacks: got {sorted(sizes)} agents; allowed: one number >= 1 for all "
                "stacks and buffers"
            )
        self.num_agents = sizes.pop()
        self.model = deepcopy(model).requires_grad_(False)
        self.model.zero_grad()
        slots = self._slots()
        for name, stack in stacks.items():
            copy = torch.nn.Parameter(stack.detach().clone(), requires_grad=False)
            _put(slots[name], copy)
        for name, stack in buffers.items():
            _put(slots[name], stack.detach().clone())
        self.stacked = (*stacks, *buffers)
        self.eval()

    def forward(self, *inputs, **named):
        """(N, batch, ...) outputs of all agents on the same inputs."""
        slots = self._slots()
        stacks = {name: occupant(slots[name]) for name in self.stacked}
        outputs = []
        for agent in range(self.num_agents):
            rows = {name: stack[agent] for name, stack in stacks.items()}
            with substituted(slots, rows):
                outputs.append(self.model(*inputs, **named))
        return torch.stack(outputs)

    def probabilities(self, *inputs, **named):
        """(batch, ..., classes) mean over agents of softmax over the last axis."""
        return self(*inputs, **named).softmax(-1).mean(0)

    def extra_repr(self):
        return f"num_agents={self.num_agents}"

    def _slots(self):
        parameters, buffers = places(self.model)
        return parameters | buffers


def _check(argument, stacks, own):
    for name, stack in stacks.items():
        if name not in own:
            raise ValueError(
                f"{argument}: got {name!r}; allowed: {', '.join(own) or 'none'}"
            )
        shape = tuple(own[name].shape)
        if tuple(stack.shape[1:]) != shape or stack.dim() != len(shape) + 1:
            raise ValueError(
                f"{argument}: got {name!r} of shape {tuple(stack.shape)}; allowed: "
                f"(N, {', '.join(map(str, shape))})"
            )


def _put(slots, tensor):
    for kept, key in slots:
        kept[key] = tensor
