"""Quantum-inspired multi-agent descent (QIMAD) as a `torch.optim.Optimizer`."""

from collections import deque
from math import inf

import torch

from qlib.optim import settings
from qlib.optim.distributed import check_group, common_seed, synchronise
from qlib.optim.evaluation import Member, mean_of, real
from qlib.optim.inner import INNERS
from qlib.optim.stagnation import Progress
from qlib.optim.step import take_step
from qlib.optim.swarm import first_angles, temperature
from qlib.optim.topology import neighbours


class QIMAD(torch.optim.Optimizer):
    """A swarm of N weight copies ("agents") that descend, talk and jump together.

    From one snapshot, every agent i that was evaluated becomes

        theta_i + inner(theta_i, g_i) + gamma sum_j w_ij (theta_j - theta_i)
                + pull u_i (theta_best - theta_i),    u_i uniform in [0, 1],

    with the update of a usual optimiser as inner(). Classically this is consensus, or
    diffusion, over a graph (Sayed 2014) with a pull to the best of the swarm. What is
    quantum-inspired: neighbours j are weighted by the overlap |<psi_i|psi_j>| of
    two-level states that walk at random over the Bloch sphere (angles alpha, beta); and
    an agent that stagnates tunnels, i.e. it is thrown uniformly by about the mean size
    of its weights, with probability sin^2(alpha_i / 2).

    One agent is torch's RMSprop (AdamW, SGD) bit for bit, on a CPU, if not vectorized.

    Parameters
    ----------
    params : iterable
        As in all of torch: tensors, (name, tensor) pairs, or groups. A group may have
        its own `lr`, `maximize`, `gamma`, `pull` and hyperparameters of the inner
        optimiser. With lr = 0 it keeps its bits, and all agents share the model's.
    lr : float or tensor
        1e-2, the default of `torch.optim.RMSprop`.
    num_agents : int
        N. 4: the least for which the topologies differ.
    inner : {"rmsprop", "adamw", "sgd"}
        RMSProp (Tieleman & Hinton 2012) by default, as in QIMAD's prior art.
    alpha, betas, eps, momentum, weight_decay
        Of the inner optimiser; torch's defaults. A hyperparameter that it does not
        have is refused. `weight_decay` None is torch's default: 0, AdamW 1e-2.
    maximize : bool
        Larger losses are better, as in torch. The first group's decides who is best.
    gamma, pull : float
        Strengths of communication (.05) and of the pull (.2), QIMAD's published ones.
        Stable for gamma + pull < 1.
    weights : {"fidelity", "uniform", "none"}
        w_ij, over neighbours, normalised; "none": no communication.
    fidelity_power : float
        Power of |<psi_i|psi_j>|; 2 is the fidelity itself.
    topology : {"complete", "ring", "grid", "random"}
        Who is a neighbour, `qlib.optim.topology`.
    alpha_lr, beta_lr : float
        Widths of the angles' walks in radians a step, .03, times the temperature.
    tunnelling : bool
        Whether stagnating agents jump by up to (0.8 mean|theta| + 0.1) T, per tensor.
    patience : int
        An agent stagnates after more than 3 evaluations of its own without a new low
        of its smoothed loss.
    smoothing : float
        Of the exponential moving average of each agent's loss, bias-corrected; .9
        averages ten mini-batches.
    cooling : {"cosine", "linear", "exponential", None}
        How the temperature T, which scales jumps and walks but not descent, falls from
        1 to `min_temp` (.05) over `total_steps` (1000).
    eval_agents : int or None
        Agents evaluated a step, in turn; None: all. The others neither move nor age.
    spread : float
        Standard deviation of the normal noise around the model from which the agents
        start, but for the first. 0: all start in the model's weights.
    start : sequence or None
        Points to start from instead, one an agent: sequences of tensors in the order
        of the parameters.
    best : {"ema", "current", "alltime"}
        Who is pulled to: the least smoothed loss, the least loss of this step, or the
        stored weights of the least loss ever, for deterministic closures: a closure
        that gives these weights two losses is warned about in the second step.
    load : {"best", "mean", "current"}
        What the model holds after a step: the best agent (of those that did not jump),
        the mean of all, or the agent with the least loss in this step.
    history_size : int
        Steps that `history` remembers.
    process_group : torch.distributed.ProcessGroup or None
        Divides the agents over its ranks, `qlib.optim.distributed`.
    seed : int or None
        Of the optimiser's own generator. None: a fresh one.

    Attributes
    ----------
    history : collections.deque of dict
        For each step: ``step``, ``temperature``, ``losses`` (None where not evaluated),
        ``best``, ``jumps``, ``reseeded`` (agents that were not finite), ``alpha``,
        ``beta``, and ``diversity`` of the agents as evaluated.

    Notes
    -----
    Storage: N copies of the weights and N of each buffer of the inner optimiser, and
    one with best="alltime": (2N + 2) P floats with RMSProp and the model; load="mean"
    keeps one more while closures run. Agents are made in a parameter's first step, so
    that weights loaded before it count. Changes made to the model's weights between
    steps are adopted by the agent it holds; not with load="mean" or the stored best.

    An agent whose loss, gradient or new weights are not finite restarts from the best
    in the same step. Buffers of the model, as in batch normalisation, are shared by all
    agents, the broken ones too, unless the closure is a `VectorizedClosure`.

    `state_dict` has all but `history`, the swarm's in ``param_groups[0]["swarm"]``.
    With it, the model's and the closure's, a resumed run repeats the old bit by bit.

    References
    ----------
    T. Tieleman and G. Hinton, Lecture 6.5, Neural Networks for Machine Learning (2012).
    A. H. Sayed, Found. Trends Mach. Learn. 7, 311 (2014). QIMAD: metamatematico/QUIMAD.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        *,
        num_agents=4,
        inner="rmsprop",
        alpha=0.99,
        betas=(0.9, 0.999),
        eps=1e-8,
        momentum=0.0,
        weight_decay=None,
        maximize=False,
        gamma=0.05,
        pull=0.2,
        weights="fidelity",
        fidelity_power=2,
        topology="complete",
        alpha_lr=0.03,
        beta_lr=0.03,
        tunnelling=True,
        patience=3,
        smoothing=0.9,
        cooling="cosine",
        total_steps=1000,
        min_temp=0.05,
        eval_agents=None,
        spread=0.0,
        start=None,
        best="ema",
        load="best",
        history_size=1000,
        process_group=None,
        seed=None,
    ):
        given = {name: value for name, value in locals().items() if name != "self"}
        chosen = settings.check_swarm(given)
        defaults = settings.check_defaults(chosen["inner"], given)
        self.history = deque(maxlen=settings.check_history_size(history_size))
        self.process_group = check_group(process_group)
        seed = settings.check_seed(seed)
        if start is not None and chosen["spread"]:
            raise ValueError(f"spread: got {spread!r} with start; allowed: 0.0")
        super().__init__(params, defaults)
        if start is not None:
            points = settings.check_start(start, self._parameters(), num_agents)
        seed = common_seed(seed, process_group)
        self.param_groups[0]["swarm"] = chosen | _first_state(chosen, seed)
        synchronise(self._parameters(), process_group)
        if start is not None:
            self._swarm["held"] = None
            for parameter, *places in zip(self._parameters(), *points, strict=True):
                rows = real(torch.stack(places).to(parameter)).contiguous()
                state = self.state[parameter]
                state.update(agents=rows, moved=True, steps=[0] * num_agents)
                if chosen["best"] == "alltime" and num_agents > 1:
                    state["best"] = real(parameter.detach()).clone().contiguous()

    @property
    def _swarm(self):
        return self.param_groups[0]["swarm"]

    def _parameters(self):
        return [part for group in self.param_groups for part in group["params"]]

    def add_param_group(self, param_group):
        """Add a group of parameters; its agents start in the model's weights.

        Raises
        ------
        ValueError
            By the hyperparameter's name.
        """
        if isinstance(param_group, dict):
            param_group = settings.check_group(param_group)
            if "swarm" in (self.param_groups or [{}])[0]:
                own = INNERS[self._swarm["inner"]].defaults
                for name, value in own.items():
                    param_group.setdefault(name, self.defaults.get(name, value))
        before = len(self.param_groups)
        super().add_param_group(param_group)
        try:
            for parameter in self.param_groups[-1]["params"]:
                settings.check_parameter(parameter)
        except ValueError:
            del self.param_groups[before:]
            raise

    def step(self, closure=None):
        """Evaluate the agents that are due, move them all, and load the model.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss and its gradients, returns the loss;
            called once for each agent that is due. Or a `VectorizedClosure`. With
            load="mean" it is called once more, at the mean that the model held, and
            with best="alltime" once more in the second step.

        Returns
        -------
        The closure's own value for the agent that the model now holds, at the weights
        before the step, as in torch. With load="mean": at the mean before the step.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If the closure is none, returns no number, leaves no or sparse gradients.
            The weights, gradients and all state are then as before the step.
        """
        if not callable(closure):
            raise TypeError(
                f"closure: got {closure!r}; allowed: a callable that computes the "
                "gradients and returns the loss"
            )
        with torch.no_grad():
            return take_step(self, closure)

    @property
    def num_agents(self):
        """N."""
        return self._swarm["num_agents"]

    @property
    def temperature(self):
        """The temperature of the next step."""
        swarm = self._swarm
        progress = swarm["step"] / swarm["total_steps"]
        return temperature(swarm["cooling"], progress, swarm["min_temp"])

    @property
    def agent_losses(self):
        """(N,) float64 tensor of smoothed losses; NaN before an agent's first one."""
        sign = -1 if self.param_groups[0]["maximize"] else 1
        return sign * self._swarm["progress"]["smoothed"]

    def agent_parameters(self, agent):
        """Copies of an agent's weights, in the order and shapes of the parameters."""
        self._check_agent(agent)
        return [self._row(parameter, agent) for parameter in self._parameters()]

    @torch.no_grad()
    def load_agent(self, agent):
        """Put an agent into the model, which holds it from now on."""
        self._check_agent(agent)
        for parameter in self._parameters():
            parameter.copy_(self._row(parameter, agent))
        self._swarm["held"] = agent

    @torch.no_grad()
    def mean(self):
        """The mean of the agents, tensors as `agent_parameters`."""
        means = []
        for parameter in self._parameters():
            mean = mean_of(self._member(parameter)).clone()
            means.append(
                torch.view_as_complex(mean) if parameter.is_complex() else mean
            )
        return means

    def as_ensemble(self, model, closure=None):
        """The agents as one module, evaluated on the same inputs.

        Parameters
        ----------
        model : torch.nn.Module
            The one whose parameters are optimised.
        closure : VectorizedClosure or None
            Gives each agent its own buffers; else all share the model's.

        Returns
        -------
        qlib.optim.ensemble.AgentEnsemble
            Gives (N, batch, ...) outputs; `probabilities` averages their softmax.
        """
        from qlib.optim.ensemble import AgentEnsemble

        own = {id(parameter): parameter for parameter in self._parameters()}
        stacks = {
            name: torch.stack(
                [self._row(own[id(part)], i) for i in range(self.num_agents)]
            )
            for name, part in model.named_parameters()
            if id(part) in own
        }
        if not stacks:
            raise ValueError(
                f"model: got {type(model).__name__} without a parameter of the "
                "optimiser; allowed: the model that it optimises"
            )
        buffers = closure and closure.agent_buffers(self.num_agents)
        return AgentEnsemble(model, stacks, buffers)

    @torch.no_grad()
    def diversity(self):
        """Root mean square distance of the agents to their mean, per weight."""
        total, weights = 0.0, 0
        for parameter in self._parameters():
            member = self._member(parameter)
            if member.state.get("moved"):
                apart = member.state["agents"] - mean_of(member)
                total += float(torch.linalg.vector_norm(apart, dtype=torch.double)) ** 2
                weights += apart.numel()
        return (total / weights) ** 0.5 if weights else 0.0

    def __repr__(self):
        hidden = self.param_groups[0].get("swarm", {})
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            shown = {k: v for k, v in group.items() if k not in ("params", "swarm")}
            lines += [f"    {name}: {shown[name]}" for name in sorted(shown)]
        lines.append("Swarm")
        plain = (bool, int, float, str, type(None))
        lines += [
            f"    {name}: {value}"
            for name, value in hidden.items()
            if isinstance(value, plain) and name not in STATE
        ]
        return "\n".join([*lines, ")"])

    def __getstate__(self):
        if self.process_group is not None:
            raise TypeError(
                "process_group: a QIMAD of several processes cannot be copied or "
                "pickled; allowed: state_dict()"
            )
        return super().__getstate__() | {"history": self.history, "process_group": None}

    def __setstate__(self, state):
        if "swarm" not in state["param_groups"][0]:
            raise ValueError(
                "state_dict: got one without a swarm; allowed: a state of QIMAD"
            )
        super().__setstate__(state)
        swarm = self._swarm
        for name in ("rng_state", "neighbours", "alpha", "beta", "last_losses"):
            swarm[name] = swarm[name].cpu()
        swarm["progress"] = {k: v.cpu() for k, v in swarm["progress"].items()}

    def _check_agent(self, agent):
        if isinstance(agent, bool) or agent not in range(self.num_agents):
            raise ValueError(
                f"agent: got {agent!r}; allowed: 0 to {self.num_agents - 1}"
            )

    def _member(self, parameter):
        return Member("", parameter, {}, self.state.get(parameter, {}), False, False)

    def _row(self, parameter, agent):
        state = self.state.get(parameter, {})
        if not state.get("moved"):
            return parameter.detach().clone()
        row = state["agents"][agent].to(real(parameter.detach()), copy=True)
        return torch.view_as_complex(row) if parameter.is_complex() else row


STATE = ("step", "held", "cursor", "best_cost")
"""What changes in the swarm beside its tensors."""


def _first_state(chosen, seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    num_agents = chosen["num_agents"]
    tied = neighbours(chosen["topology"], num_agents, generator)
    alpha, beta = first_angles(num_agents, generator)
    progress = vars(Progress.start(num_agents)).copy()
    return {
        "seed": seed,
        "step": 0,
        "held": 0,
        "cursor": 0,
        "best_cost": inf,
        "neighbours": tied,
        "alpha": alpha,
        "beta": beta,
        "progress": progress,
        "last_losses": torch.full_like(progress["smoothed"], torch.nan),
        "rng_state": generator.get_state(),
    }
