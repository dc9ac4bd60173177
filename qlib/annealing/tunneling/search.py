"""What the arms of `tunneling_annealing` share: problem, randomness, incumbent."""

import numpy as np


class Finished(Exception):
    """Nothing more may be evaluated: budget, target or callback."""


class Search:
    """One run over one box; points are the columns of (d, S) arrays.

    Parameters
    ----------
    problem : `qlib.annealing.problem.Problem`
        With a single run on NumPy arrays.
    rng : numpy.random.Generator

    Attributes
    ----------
    low, high, width, extent : (d,) array
        The box; `extent` is its largest |coordinate|.
    minima : list of (value, x)
        Ends of all descents, in the order found.
    moved : bool
        Whether the last descent left its start.
    funnel : bool
        Whether the envelope of the minima has proved to predict where low ones lie.
    """

    def __init__(self, problem, rng):
        self.problem, self.rng = problem, rng
        self.low, self.high = problem.low[:, 0, 0], problem.high[:, 0, 0]
        self.width = self.high - self.low
        self.extent = np.maximum(np.abs(self.low), np.abs(self.high))
        self.d = problem.d
        self.minima, self.moved, self.funnel = [], True, False

    @property
    def fun(self):
        """Best value so far."""
        return float(self.problem.fun[0])

    @property
    def nfev(self):
        """Evaluations so far."""
        return self.problem.maxfun - self.problem.remaining

    def evaluate(self, points):
        """Values (S,) of points (d, S) in the box; raises `Finished` at the end."""
        values = self.problem.evaluate(points[:, None, :])[0]
        if self.problem.done:
            raise Finished
        return values

    def uniform(self):
        """A random point of the box, (d,)."""
        return self.rng.uniform(self.low, self.high)

    def best_of(self, count):
        """The best of `count` random points of the box, (d,)."""
        box = self.low[:, None], self.high[:, None]
        points = self.rng.uniform(*box, (self.d, count))
        return points[:, self.evaluate(points).argmin()]

    def clip(self, x):
        """The nearest point of the box."""
        return np.clip(x, self.low, self.high)
