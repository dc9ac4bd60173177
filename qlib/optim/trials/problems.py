"""Landscapes with gradients, moved and turned at random, many runs at once.

The formulas are those of `qlib.annealing.landscapes`, with gradients by hand: a step of
an optimiser in ten dimensions costs less than automatic differentiation would.
"""

from dataclasses import dataclass, replace
from math import e, pi
from typing import NamedTuple

import numpy as np

STARTS = 64
"""Points drawn for each run; a method that starts from k takes the first k."""
FLOOR = 1e-6
"""Best values below this count as equal: the minimum is found."""


class Spent(Exception):
    """A method asked for more gradients than its budget."""


def rastrigin(x):
    """Values (…) and gradients (…, d) of Rastrigin's function at points (…, d)."""
    angle = 2 * pi * x
    values = np.sum(x * x + 10 * (1 - np.cos(angle)), axis=-1)
    return values, 2 * x + 20 * pi * np.sin(angle)


def ackley(x):
    """Values (…) and gradients (…, d) of Ackley's function; 0 at the minimum itself."""
    d = x.shape[-1]
    angle = 2 * pi * x
    radius = np.sqrt(np.mean(x * x, axis=-1, keepdims=True))
    funnel = np.exp(-0.2 * radius)
    ripple = np.exp(np.mean(np.cos(angle), axis=-1, keepdims=True))
    slope = 4 * funnel * x / (d * np.maximum(radius, 1e-300))
    values = (20 - 20 * funnel + e - ripple)[..., 0]
    return values, slope + 2 * pi / d * ripple * np.sin(angle)


def rosenbrock(x):
    """Values (…) and gradients (…, d) of Rosenbrock's function."""
    head, tail = x[..., :-1], x[..., 1:]
    bend, gap = tail - head * head, 1 - head
    gradients = np.zeros_like(x)
    gradients[..., :-1] = -400 * head * bend - 2 * gap
    gradients[..., 1:] += 200 * bend
    return np.sum(100 * bend**2 + gap**2, axis=-1), gradients


class Shape(NamedTuple):
    """A landscape before it is moved.

    Attributes
    ----------
    function : callable
        Points (…, d) to values and gradients.
    low, high : float
        Edges of the box, each coordinate.
    minimiser : float
        Each coordinate of the minimum, whose value is 0.
    """

    function: object
    low: float
    high: float
    minimiser: float


SHAPES = {
    "Rastrigin": Shape(rastrigin, -5.12, 5.12, 0.0),
    "Ackley": Shape(ackley, -32.768, 32.768, 0.0),
    "Rosenbrock": Shape(rosenbrock, -5.0, 10.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Problem:
    """R runs, each on a landscape of its own: f(minimiser + Q (x − x_new)).

    Attributes
    ----------
    name : str
        Of `SHAPES`.
    minima : (R, d) array
        x_new of each run.
    rotations : (R, d, d) array
        Q of each run.
    starts : (R, `STARTS`, d) array
        Uniform in the box.
    """

    name: str
    minima: np.ndarray
    rotations: np.ndarray
    starts: np.ndarray

    @property
    def runs(self):
        return len(self.minima)

    @property
    def half_width(self):
        shape = SHAPES[self.name]
        return (shape.high - shape.low) / 2

    def __call__(self, x):
        """Values (R, K) and gradients (R, K, d) at K points (R, K, d) of each run."""
        shape = SHAPES[self.name]
        turned = (x - self.minima[:, None]) @ self.rotations.transpose(0, 2, 1)
        values, gradients = shape.function(shape.minimiser + turned)
        return values, gradients @ self.rotations

    def one(self, run):
        """The problem of a single run."""
        rows = slice(run, run + 1)
        parts = {
            part: getattr(self, part)[rows]
            for part in ("minima", "rotations", "starts")
        }
        return replace(self, **parts)

    def uniform(self, count, rng):
        """Points (R, count, d), uniform in the box."""
        shape = SHAPES[self.name]
        size = (self.runs, count, self.minima.shape[1])
        return rng.uniform(shape.low, shape.high, size)


def draw_problem(name, *, runs, d=10, rng):
    """A `Problem` whose minima are uniform in the central 80 % of the box.

    Rotations are from the Haar measure, so that no method gains from the axes, from the
    origin or from the middle of the box.

    Parameters
    ----------
    name : str
        Of `SHAPES`.
    runs : int
    d : int
    rng : `numpy.random.Generator`
    """
    shape = _shape(name)
    middle, half = (shape.low + shape.high) / 2, (shape.high - shape.low) / 2
    minima = middle + 0.8 * half * rng.uniform(-1, 1, (runs, d))
    q, r = np.linalg.qr(rng.standard_normal((runs, d, d)))
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    starts = rng.uniform(shape.low, shape.high, (runs, STARTS, d))
    return Problem(name, minima, q * signs[:, None, :], starts)


def plain_problem(name, *, d=2, rng):
    """A single run on the landscape as published, neither moved nor turned."""
    shape = _shape(name)
    starts = rng.uniform(shape.low, shape.high, (1, STARTS, d))
    return Problem(name, np.full((1, d), shape.minimiser), np.eye(d)[None], starts)


class Meter:
    """A problem whose gradients are counted and whose best values are noted.

    Parameters
    ----------
    problem : Problem
    budget : int
        Gradients that each run may take.

    Attributes
    ----------
    spent : int
        Gradients taken by each run.
    trace : (R, len(checkpoints(budget))) array
        Best value of each run after so many gradients; inf before the first.
    """

    def __init__(self, problem, budget):
        self.problem, self.budget, self.spent = problem, budget, 0
        self._counts = checkpoints(budget)
        self._best = np.full(problem.runs, np.inf)
        self.trace = np.full((problem.runs, len(self._counts)), np.inf)

    def __call__(self, x):
        """Values and gradients as the problem gives them.

        Raises
        ------
        Spent
            If fewer than K gradients are left.
        """
        if self.spent + x.shape[1] > self.budget:
            raise Spent
        with np.errstate(over="ignore", invalid="ignore"):
            values, gradients = self.problem(x)
        self.spent += x.shape[1]
        lowest = np.where(np.isnan(values), np.inf, values).min(axis=1)
        np.minimum(self._best, lowest, out=self._best)
        self.trace[:, self._counts >= self.spent] = self._best[:, None]
        return values, gradients


def checkpoints(budget):
    """Numbers of gradients at which traces are noted: 40 from `STARTS` to `budget`."""
    first = min(STARTS, budget)
    return np.unique(np.geomspace(first, budget, 40).round().astype(int))


def _shape(name):
    if name not in SHAPES:
        raise ValueError(f"name: got {name!r}; allowed: {', '.join(SHAPES)}")
    return SHAPES[name]
