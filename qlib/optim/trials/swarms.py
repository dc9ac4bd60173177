"""QIMAD on landscapes: one run a swarm, its ablation, and paths to draw."""

from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from qlib.optim import QIMAD
from qlib.optim.trials import tuning
from qlib.optim.trials.descents import COSINE, METHODS, RATE, scheduled
from qlib.optim.trials.problems import Meter, draw_problem, plain_problem

RANGES = {
    "lr": RATE,
    "cosine": COSINE,
    "alpha": (0.5, 0.9, 0.99, 0.999),
    "num_agents": (4, 8, 16, 32),
    "gamma": (1e-3, 1.0),
    "pull": (0.0, 0.01, 0.05, 0.2, 0.5),
    "spread": (1e-2, 1.0),
    "topology": ("complete", "ring", "grid", "random"),
}
"""`spread` is the distance of the starts from the first one, in shares of that to
independent points of the box; at 1 they are independent."""


class Path(NamedTuple):
    """A swarm's run in two dimensions.

    Attributes
    ----------
    name : str
        Of the landscape.
    places : (steps + 1, N, 2) array
    best : float
        Lowest value met.
    history : list of dict
        Of the optimiser.
    """

    name: str
    places: np.ndarray
    best: float
    history: list


def qimad(problem, settings, *, budget, rng):
    """QIMAD with `settings` as in `RANGES`; others go to the optimiser as they are.

    Takes and returns what the methods of `descents` do.
    """
    traces = []
    for run in range(problem.runs):
        meter = Meter(problem.one(run), budget)
        swarm(meter, settings, budget, rng)
        traces.append(meter.trace)
    return np.concatenate(traces)


METHOD = {"QIMAD": (qimad, RANGES)}


def contest(landscape, *, d=10, rng, **effort):
    """QIMAD among `descents.METHODS`; `effort` is that of `tuning.contest`."""
    return tuning.contest(METHOD | METHODS, landscape, d=d, rng=rng, **effort)


def swarm(meter, settings, budget, rng, *, callback=None):
    """One run of QIMAD on a meter of one run; returns the optimiser.

    Parameters
    ----------
    meter : Meter
    settings : dict
        As for `qimad`.
    budget : int
    rng : `numpy.random.Generator`
    callback : callable or None
        Called with the optimiser after each step.
    """
    own = dict(settings)
    unit = own.pop("lr") * meter.problem.half_width
    spread, cosine = own.pop("spread"), own.pop("cosine")
    count = own["num_agents"]
    starts = meter.problem.starts[0, :count]  # (N, d)
    starts = starts[0] + spread * (starts - starts[0])
    closure = _Closure(meter)
    steps = budget // min(count, own.get("eval_agents") or count)
    optimiser = QIMAD(
        closure.model.parameters(),
        lr=unit,
        start=[[torch.from_numpy(start)] for start in starts],
        total_steps=steps,
        seed=int(rng.integers(2**31)),
        history_size=1000 if callback else 1,
        **own,
    )
    group = optimiser.param_groups[0]
    for step in range(steps):
        group["lr"] = unit * scheduled({"cosine": cosine}, step / steps)
        optimiser.step(closure)
        if callback:
            callback(optimiser)
    return optimiser


def path(name, *, budget, rng, **settings):
    """A `Path` on the published landscape in two dimensions."""
    meter = Meter(plain_problem(name, rng=rng), budget)
    places = []

    def note(optimiser):
        agents = range(optimiser.num_agents)
        places.append([optimiser.agent_parameters(i)[0].numpy() for i in agents])

    optimiser = swarm(meter, settings, budget, rng, callback=note)
    best = float(meter.trace[0, -1])
    return Path(name, np.array(places), best, list(optimiser.history))


class Variant(NamedTuple):
    """One way to leave out what a swarm does.

    Attributes
    ----------
    weights : {"none", "uniform", "fidelity"}
        Of the communication.
    tunnelling : bool
    spread : bool
        Whether agents start apart.
    """

    weights: str
    tunnelling: bool
    spread: bool


VARIANTS = tuple(
    Variant(*one)
    for one in product(("none", "uniform", "fidelity"), (False, True), (False, True))
)


PARTS = {
    # what may help: the arguments of `gain` that ask whether it does
    "tunnelling": ("tunnelling", True, False),
    "communication": ("weights", "fidelity", "none"),
    "fidelity": ("weights", "fidelity", "uniform"),
}


def ablation(landscape, *, d, tries, practice_runs, runs, budget, rng):
    """Every `Variant` at its own best settings, on the same problems.

    All variants choose among the same settings, so that they differ in nothing but what
    they leave out.

    Returns
    -------
    dict
        Variant to an (R, E) trace.
    """
    practice, arena = (
        draw_problem(landscape, runs=count, d=d, rng=rng)
        for count in (practice_runs, runs)
    )
    drawn = tuning.draw_settings(RANGES, tries, rng)
    seed, found = int(rng.integers(2**31)), {}
    for variant in VARIANTS:
        fixed = {"weights": variant.weights, "tunnelling": variant.tunnelling}
        fixed |= {} if variant.spread else {"spread": 0.0}
        tried = [one | fixed for one in drawn]
        traces = [
            qimad(practice, one, budget=budget, rng=np.random.default_rng(seed))
            for one in tried
        ]
        best = np.argmin([tuning.log_value(trace).mean() for trace in traces])
        found[variant] = qimad(
            arena, tried[best], budget=budget, rng=np.random.default_rng(seed)
        )
    return found


def gain(found, part, one, other):
    """Geometric mean of best values with a part over those without, all else equal.

    Parameters
    ----------
    found : sequence of dict
        What `ablation` returns, a landscape each.
    part : {"weights", "tunnelling", "spread"}
    one, other
        What `part` is above and below the fraction; means go over all variants that
        differ in nothing else, whose agents start apart unless that is the part.

    Returns
    -------
    Estimate
        Below 1 where `one` finds lower values than `other`.
    """
    pairs = [
        (traces[variant], traces[variant._replace(**{part: other})])
        for traces in found
        for variant in traces
        if getattr(variant, part) == one and (variant.spread or part == "spread")
    ]
    return tuning.ratio(*zip(*pairs, strict=True))


class _Closure:
    """A meter as a closure that evaluates all agents at once, as `VectorizedClosure`.

    Its model is a point of the landscape.
    """

    evaluates_agents = True

    def __init__(self, meter):
        self._meter = meter
        point = torch.zeros(meter.problem.minima.shape[1], dtype=torch.float64)
        self.model = torch.nn.ParameterList([point])

    def __call__(self):
        values, gradients = self._meter(self.model[0].detach().numpy()[None, None])
        self.model[0].grad = torch.from_numpy(gradients[0, 0])
        return torch.tensor(values[0, 0])

    def evaluate(self, stacks, agents):
        (name,) = stacks
        values, gradients = self._meter(stacks[name].numpy()[None])
        return torch.from_numpy(values[0]), {name: torch.from_numpy(gradients[0])}
