"""What an expert would run instead of a swarm, by equal numbers of gradients.

Every method takes (problem, settings, *, budget, rng) and returns the trace of a
`problems.Meter`: best values of all runs. Learning rates are in units of the box's half
width. Elementwise optimisers move all runs as one tensor, which changes none of them.
"""

from functools import cache
from math import cos, pi

import numpy as np
import torch
from scipy.optimize import minimize

from qlib.optim.trials.problems import Meter, Spent, draw_problem


def adam(problem, settings, *, budget, rng=None):
    """Adam from one point, or from several at once with `starts` among the settings."""
    betas = (settings["beta1"], settings["beta2"])
    make = {"make": torch.optim.Adam, "betas": betas}
    return _descend(problem, settings, budget, unit=problem.half_width, **make)


def rmsprop(problem, settings, *, budget, rng=None):
    """RMSprop from one point, or from several at once."""
    make = {"make": torch.optim.RMSprop, "alpha": settings["alpha"]}
    return _descend(problem, settings, budget, unit=problem.half_width, **make)


def sgd(problem, settings, *, budget, rng=None):
    """Gradient descent with momentum from one point.

    Its rate is in half widths over the median length of the gradient in the box, of
    other instances: landscapes differ in steepness by orders of magnitude.
    """
    steepness = _steepness(problem.name, problem.minima.shape[1])
    make = {"make": torch.optim.SGD, "momentum": settings["momentum"]}
    return _descend(
        problem, settings, budget, unit=problem.half_width / steepness, **make
    )


def lbfgs(problem, settings, *, budget, rng):
    """scipy's L-BFGS-B without bounds, started anew whenever it ends.

    From a random point of the box; with `near` among the settings from the best minimum
    so far, moved by normal noise of `near` half widths, which is basin hopping.
    """
    traces, near = [], settings.get("near")
    for run in range(problem.runs):
        meter, start = Meter(problem.one(run), budget), problem.starts[run, 0]
        lowest, home = np.inf, start

        def value_and_gradient(x, meter=meter):
            values, gradients = meter(x[None, None])
            return values[0, 0], gradients[0, 0]

        options = {name: settings[name] for name in ("maxfun", "maxcor", "ftol")}
        try:
            while True:
                ended = minimize(
                    value_and_gradient,
                    start,
                    jac=True,
                    method="L-BFGS-B",
                    options={**options, "maxfun": int(options["maxfun"])},
                )
                if ended.fun < lowest:
                    lowest, home = ended.fun, ended.x
                start = problem.one(run).uniform(1, rng)[0, 0]
                if near:
                    noise = rng.standard_normal(len(home))
                    start = home + near * problem.half_width * noise
        except Spent:
            traces.append(meter.trace)
    return np.concatenate(traces)


def random_search(problem, settings, *, budget, rng):
    """Uniform points in the box; their gradients are not used."""
    meter = Meter(problem, budget)
    while meter.spent < budget:
        meter(problem.uniform(min(50, budget - meter.spent), rng))
    return meter.trace


RATE, COSINE = (1e-4, 1.0), (True, False)
GRID = (3e-3, 3e-2, 3e-1)
"""Rates that every method tries first, at its usual settings."""


def at_rates(**settings):
    """Usual settings at every rate of `GRID`, on a half cosine."""
    return [{"lr": lr, "cosine": True, **settings} for lr in GRID]


STARTS = (2, 4, 8, 16, 32, 64)
ADAM = {
    "lr": RATE,
    "cosine": COSINE,
    "beta1": (0.0, 0.5, 0.9, 0.99),
    "beta2": (0.9, 0.99, 0.999),
}
RMSPROP = {"lr": RATE, "cosine": COSINE, "alpha": (0.5, 0.9, 0.99, 0.999)}
MOMENTUM = {"lr": RATE, "cosine": COSINE, "momentum": (0.0, 0.5, 0.9, 0.97, 0.99)}
QUASI = {"maxfun": (20.0, 2000.0), "maxcor": (3, 10, 30), "ftol": (1e-15, 1e-2)}
SCIPY = {"maxfun": 15000.0, "maxcor": 10, "ftol": 2.2e-9}
METHODS = {
    # name: (method, ranges as for `tuning.draw_settings`, usual settings)
    "Adam": (adam, ADAM, at_rates(beta1=0.9, beta2=0.999)),
    "multi-start Adam": (
        adam,
        ADAM | {"starts": STARTS},
        at_rates(beta1=0.9, beta2=0.999, starts=8),
    ),
    "RMSprop": (rmsprop, RMSPROP, at_rates(alpha=0.99)),
    "multi-start RMSprop": (
        rmsprop,
        RMSPROP | {"starts": STARTS},
        at_rates(alpha=0.99, starts=8),
    ),
    "SGD": (sgd, MOMENTUM, at_rates(momentum=0.9)),
    "L-BFGS": (lbfgs, QUASI, [SCIPY]),
    "basin hopping": (
        lbfgs,
        QUASI | {"near": (1e-2, 1.0)},
        [SCIPY | {"near": near} for near in (3e-2, 1e-1, 3e-1)],
    ),
    "random search": (random_search, {}, []),
}


def scheduled(settings, progress):
    """Factor of the learning rate: a half cosine to zero, or 1."""
    return (1 + cos(pi * progress)) / 2 if settings["cosine"] else 1.0


def _descend(problem, settings, budget, *, make, unit, **options):
    """All runs and starts as one tensor under one of torch's optimisers."""
    meter, count = Meter(problem, budget), settings.get("starts", 1)
    x = torch.from_numpy(problem.starts[:, :count].copy())  # (R, K, d)
    optimiser = make([x], lr=settings["lr"] * unit, **options)
    group, steps = optimiser.param_groups[0], budget // count
    for step in range(steps):
        _, gradients = meter(x.numpy())
        x.grad = torch.from_numpy(gradients)
        group["lr"] = settings["lr"] * unit * scheduled(settings, step / steps)
        optimiser.step()
    return meter.trace


@cache
def _steepness(name, d):
    """Median length of the gradient in the box, of eight instances of their own."""
    problem = draw_problem(name, runs=8, d=d, rng=np.random.default_rng(0))
    _, gradients = problem(problem.starts)
    return float(np.median(np.linalg.norm(gradients, axis=-1)))
