"""QIMAD on landscapes: one run a swarm, its ablation, and paths to draw."""

from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from qlib.optim import QIMAD
from qlib.optim.trials import tuning
from qlib.optim.trials.descents import (
    COSINE,
    GRID,
    METHODS,
    RATE,
    at_rates,
    scheduled,
)
from qlib.optim.trials.problems import Meter, draw_problem, plain_problem

RANGES = {
    "lr": RATE,
    "cosine": COSINE,
    "alpha": (0.5, 0.9, 0.99, 0.999),
    "num_agents": (4, 8, 16, 32),
    "gamma": (1e-3, 0.4),
    "pull": (0.0, 0.01, 0.05, 0.2, 0.5),
    "spread": (1e-2, 1.0),
    "topology": ("complete", "ring", "grid", "random"),
    "tunnelling": (True, False),
}
"""gamma + pull stays below 1, where the swarm is stable. `spread` is the distance of
the starts from the first one, in shares of that to independent points of the box."""
PUBLISHED = at_rates(num_agents=8, gamma=0.05, pull=0.2, spread=1.0)
"""The settings of QIMAD's documentation, which names no rate for landscapes."""


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


METHOD = {
    "QIMAD": (qimad, RANGES, PUBLISHED),
    "QIMAD as published": (qimad, {}, PUBLISHED),
}


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
    cosine, count = own.pop("cosine"), own["num_agents"]
    starts = _starts(meter.problem, count, own.pop("spread"))
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
    swarm_of = settings["num_agents"], settings["spread"]
    places = [_starts(meter.problem, *swarm_of)]

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
        Of the communication. With "none" there is no pull either: no exchange at all.
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
    "spread": ("spread", True, False),
}


def ablation(landscape, *, d, runs, budget, rng):
    """Every `Variant` on the same problems, at the same random settings.

    Nothing is tuned: each run has a landscape and settings of its own, both common to
    all variants, so that pairs differ in nothing but what is left out. Rates are drawn
    from within the grid of usual ones.

    Returns
    -------
    dict
        Variant to an (R, E) trace.
    """
    arena = draw_problem(landscape, runs=runs, d=d, rng=rng)
    ranges = RANGES | {"lr": (min(GRID), max(GRID))}
    drawn = tuning.draw_settings(ranges, runs, rng)
    seeds, found = rng.integers(2**31, size=runs), {}
    for variant in VARIANTS:
        fixed = {"weights": variant.weights, "tunnelling": variant.tunnelling}
        fixed |= {} if variant.spread else {"spread": 0.0}
        fixed |= {} if variant.weights != "none" else {"pull": 0.0}
        traces = []
        for run in range(runs):
            own, draws = drawn[run] | fixed, np.random.default_rng(seeds[run])
            traces.append(qimad(arena.one(run), own, budget=budget, rng=draws))
        found[variant] = np.concatenate(traces)
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


def _starts(problem, count, spread):
    """Where the agents of the first run start, (count, d)."""
    starts = problem.starts[0, :count]
    return starts[0] + spread * (starts - starts[0])


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
