"""Methods tuned alike on separate runs, then compared on fresh ones.

Alike means: every method tries the same number of settings, a Latin hypercube of its
ranges, on the same practice problems, and the one with the smallest geometric mean of
best values goes on.
"""

from typing import NamedTuple

import numpy as np

from qlib import intervals
from qlib.optim.trials.problems import FLOOR, checkpoints, draw_problem


class Contest(NamedTuple):
    """Methods at their best settings on one landscape.

    Attributes
    ----------
    landscape : str
    evaluations : (E,) array
        Gradients of a run.
    traces : dict
        Method to an (R, E) array: the best value of each run above the minimum.
    settings : dict
        Method to what tuning chose.
    practice : dict
        Method to the geometric mean of best values on the practice problems.
    """

    landscape: str
    evaluations: np.ndarray
    traces: dict
    settings: dict
    practice: dict

    def rival(self, name):
        """The method, `name` apart, that did best in practice."""
        return min((n for n in self.practice if n != name), key=self.practice.get)

    def medians(self):
        """Method to the `intervals.Estimate` of its median best value."""
        return {n: intervals.median(trace[:, -1]) for n, trace in self.traces.items()}

    def against_rival(self, name):
        """Geometric mean of best values over the rival's, run by run."""
        return ratio(self.traces[name], self.traces[self.rival(name)])


def draw_settings(ranges, count, rng):
    """Settings drawn at random as a Latin hypercube, so that few cover each range.

    Parameters
    ----------
    ranges : dict
        Setting to a pair of floats (log-uniform between them, one draw in each of
        `count` equal parts) or a tuple of choices (each taken equally often, to one).
    count : int
    rng : `numpy.random.Generator`

    Returns
    -------
    list of dict
    """
    columns = {name: _draw(allowed, count, rng) for name, allowed in ranges.items()}
    return [{name: columns[name][k] for name in columns} for k in range(count)]


def tune(method, ranges, problem, *, tries, budget, rng):
    """The best of several settings, and its geometric mean of best values.

    Parameters
    ----------
    method : callable
        As in `descents`.
    ranges : dict
        As for `draw_settings`; without any, nothing is tried.
    problem : Problem
        Practice; no comparison may use it.
    tries, budget : int
    rng : `numpy.random.Generator`
    """
    settings = draw_settings(ranges, tries if ranges else 1, rng)
    scores = [
        log_value(method(problem, one, budget=budget, rng=rng)).mean()
        for one in settings
    ]
    best = int(np.argmin(scores))
    return settings[best], float(np.exp(scores[best]))


def contest(methods, landscape, *, d, tries, practice_runs, runs, budget, rng):
    """Tune every method on one draw of a landscape, run it on another.

    Parameters
    ----------
    methods : dict
        Name to (method, ranges).
    landscape : str
        Of `problems.SHAPES`.
    d, tries, practice_runs, runs, budget : int
        Dimensions; settings tried; runs that judge a setting; fresh runs of the best;
        gradients of a run.
    rng : `numpy.random.Generator`

    Returns
    -------
    Contest
    """
    practice, arena = (
        draw_problem(landscape, runs=count, d=d, rng=rng)
        for count in (practice_runs, runs)
    )
    settings, scores, traces = {}, {}, {}
    for name, (method, ranges) in methods.items():
        effort = {"budget": budget, "rng": rng}
        settings[name], scores[name] = tune(
            method, ranges, practice, tries=tries, **effort
        )
        traces[name] = method(arena, settings[name], **effort)
    return Contest(landscape, checkpoints(budget), traces, settings, scores)


def log_value(trace):
    """Logarithm of the last best value of each run, not below that of `FLOOR`.

    A run that never met a finite value counts as the largest finite number.
    """
    return np.log(np.clip(trace[:, -1], FLOOR, np.finfo(float).max))


def ratio(first, second):
    """Geometric mean of last best values over others', runs paired, and its interval.

    Parameters
    ----------
    first, second : (R, E) arrays, or lists of such, each of R runs
        Of several, each run's ratio is the geometric mean over them.
    """
    first, second = (
        [one] if isinstance(one, np.ndarray) else one for one in (first, second)
    )
    logs = [log_value(a) - log_value(b) for a, b in zip(first, second, strict=True)]
    return intervals.geometric_mean(np.exp(np.mean(logs, axis=0)))


def _draw(allowed, count, rng):
    order = rng.permutation(count)
    if len(allowed) == 2 and all(type(end) is float for end in allowed):
        shares = (order + rng.random(count)) / count
        low, high = np.log(allowed)
        return np.exp(low + shares * (high - low)).tolist()
    shuffled = rng.permutation(len(allowed))
    return [allowed[shuffled[place % len(allowed)]] for place in order]
