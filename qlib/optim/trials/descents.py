"""What an expert would run instead of a swarm, by equal numbers of gradients.

Every method takes (problem, settings, *, budget, rng) and returns the trace of a
`problems.Meter`: best values of all runs. Learning rates are in units of the box's half
width. Elementwise optimisers move all runs as one tensor, which changes none of them.
"""

from math import cos, pi

import numpy as np
import torch
from scipy.optimize import minimize

from qlib.optim.trials.problems import Meter, Spent


def adam(problem, settings, *, budget, rng=None):
    """Adam from one point, or from several at once with `starts` among the settings."""
    betas = (settings["beta1"], settings["beta2"])
    make = {"make": torch.optim.Adam, "betas": betas}
    return _descend(problem, settings, budget, unit=problem.half_width, **make)


def rmsprop(problem, settings, *, budget, rng=None):
    """RMSprop from one point."""
    make = {"make": torch.optim.RMSprop, "alpha": settings["alpha"]}
    return _descend(problem, settings, budget, unit=problem.half_width, **make)


def sgd(problem, settings, *, budget, rng=None):
    """Gradient descent with momentum from one point.

    Its rate is in half widths over the median length of the gradient at the starts:
    landscapes differ in steepness by orders of magnitude.
    """
    _, gradients = problem(problem.starts)
    steepness = np.median(np.linalg.norm(gradients, axis=-1))
    make = {"make": torch.optim.SGD, "momentum": settings["momentum"]}
    return _descend(
        problem, settings, budget, unit=problem.half_width / steepness, **make
    )


def lbfgs(problem, settings, *, budget, rng):
    """scipy's L-BFGS-B without bounds, started anew at a random point when it ends."""
    traces = []
    for run in range(problem.runs):
        meter, start = Meter(problem.one(run), budget), problem.starts[run, 0]

        def value_and_gradient(x, meter=meter):
            values, gradients = meter(x[None, None])
            return values[0, 0], gradients[0, 0]

        options = {name: settings[name] for name in ("maxfun", "maxcor", "ftol")}
        try:
            while True:
                minimize(
                    value_and_gradient,
                    start,
                    jac=True,
                    method="L-BFGS-B",
                    options={**options, "maxfun": int(options["maxfun"])},
                )
                start = problem.one(run).uniform(1, rng)[0, 0]
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
BETAS = {"beta1": (0.0, 0.5, 0.9, 0.99), "beta2": (0.9, 0.99, 0.999)}
METHODS = {
    # name: (method, ranges of its settings as for `tuning.draw_settings`)
    "Adam": (adam, {"lr": RATE, "cosine": COSINE, **BETAS}),
    "multi-start Adam": (
        adam,
        {"lr": RATE, "cosine": COSINE, **BETAS, "starts": (2, 4, 8, 16, 32, 64)},
    ),
    "RMSprop": (
        rmsprop,
        {"lr": RATE, "cosine": COSINE, "alpha": (0.5, 0.9, 0.99, 0.999)},
    ),
    "SGD": (
        sgd,
        {"lr": RATE, "cosine": COSINE, "momentum": (0.0, 0.5, 0.9, 0.97, 0.99)},
    ),
    "L-BFGS": (
        lbfgs,
        {"maxfun": (20.0, 2000.0), "maxcor": (3, 10, 30), "ftol": (1e-15, 1e-2)},
    ),
    "random search": (random_search, {}),
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
