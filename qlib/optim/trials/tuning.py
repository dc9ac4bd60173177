"""Methods tuned alike on separate runs, then compared on fresh ones.

Alike means: every method tries the same number of settings on the same practice
problems, first its usual ones at a fixed grid of rates, then a Latin hypercube of its
ranges; the one with the smallest geometric mean of best values goes on. All of this is
repeated, so that intervals hold the luck of the settings drawn.
"""

from typing import NamedTuple

import numpy as np

from qlib import intervals
from qlib.optim.trials.problems import FLOOR, checkpoints, draw_problem

MOST = 10.0
"""A run's ratio to another counts as at most this, and at least its inverse: where one
finds the minimum and the other does not, the ratio says nothing more."""

ENOUGH = 0.1  # of the runs of some method must halve their value


class Contest(NamedTuple):
    """Methods at their best settings on one landscape.

    Attributes
    ----------
    landscape : str
    evaluations : (E,) array
        Gradients of a run.
    traces : dict
        Method to an (R, E) array: the best value of each run above the minimum, all
        runs of a replicate together.
    settings : dict
        Method to what tuning chose, one a replicate.
    practice : dict
        Method to the geometric mean of best values on all practice problems.
    start : float
        Median value at the first starting points.
    replicates : int
        Of tuning and test.
    """

    landscape: str
    evaluations: np.ndarray
    traces: dict
    settings: dict
    practice: dict
    start: float
    replicates: int

    def rival(self, name):
        """The method that did best in practice, but for `name` and its variants."""
        others = [other for other in self.practice if not other.startswith(name)]
        return min(others, key=self.practice.get)

    def medians(self):
        """Method to the `intervals.Estimate` of its median best value."""
        return {n: intervals.median(trace[:, -1]) for n, trace in self.traces.items()}

    def against_rival(self, name):
        """Geometric mean of best values over the rival's, over replicates."""
        rival = self.traces[self.rival(name)]
        return ratio(self.traces[name], rival, groups=self.replicates)

    def lower(self, name):
        """Share of runs in which `name` ends lower than its rival; equal ones half."""
        rival = log_value(self.traces[self.rival(name)])
        return float(np.mean((1 - np.sign(log_value(self.traces[name]) - rival)) / 2))

    def found(self, name):
        """Share of runs that end below `FLOOR`."""
        return float(np.mean(self.traces[name][:, -1] < FLOOR))

    def told(self, name):
        """Median best values of a method and its rival in words."""
        parts = []
        for one in (name, self.rival(name)):
            value = np.median(self.traces[one][:, -1])
            low = value < FLOOR
            parts.append(f"{one} {f'below {FLOOR:g}' if low else f'{value:.2g}'}")
        return ", ".join(parts)

    def decides(self):
        """Whether some method halves the value at the starts in a tenth of its runs.

        Otherwise all are stuck on the plateau, and who is lowest there means nothing.
        """
        halved = (trace[:, -1] < self.start / 2 for trace in self.traces.values())
        return bool(max(one.mean() for one in halved) >= ENOUGH)


def draw_settings(ranges, count, rng, usual=()):
    """Usual settings, then random ones as a Latin hypercube, so that few cover ranges.

    Parameters
    ----------
    ranges : dict
        Setting to a pair of floats (log-uniform between them, one draw in each of
        `count` equal parts) or a tuple of choices (each taken equally often, to one).
        Without any there are the usual settings alone.
    count : int
    rng : `numpy.random.Generator`
    usual : sequence of dict
        Taken first.

    Returns
    -------
    list of dict
    """
    first = list(usual)[:count]
    if not ranges:
        return first or [{}]
    count -= len(first)
    columns = {name: _draw(allowed, count, rng) for name, allowed in ranges.items()}
    return first + [{name: columns[name][k] for name in columns} for k in range(count)]


def tune(method, ranges, problem, *, tries, budget, rng, usual=()):
    """The best of several settings, and its geometric mean of best values.

    Parameters
    ----------
    method : callable
        As in `descents`.
    ranges, usual
        As for `draw_settings`.
    problem : Problem
        Practice; no comparison may use it.
    tries, budget : int
    rng : `numpy.random.Generator`
    """
    settings = draw_settings(ranges, tries, rng, usual)
    scores = [
        log_value(method(problem, one, budget=budget, rng=rng)).mean()
        for one in settings
    ]
    best = int(np.argmin(scores))
    return settings[best], float(np.exp(scores[best]))


def contest(
    methods, landscape, *, d, tries, practice_runs, runs, replicates, budget, rng
):
    """Tune every method on one draw of a landscape, run it on another, several times.

    Parameters
    ----------
    methods : dict
        Name to (method, ranges, usual settings).
    landscape : str
        Of `problems.SHAPES`.
    d, tries, practice_runs, runs, replicates, budget : int
        Dimensions; settings tried; runs that judge a setting; fresh runs of the best;
        how often all that; gradients of a run.
    rng : `numpy.random.Generator`

    Returns
    -------
    Contest
    """
    chosen, scores, traces = ({name: [] for name in methods} for _ in range(3))
    starts, effort = [], {"budget": budget, "rng": rng}
    for _ in range(replicates):
        practice, arena = (
            draw_problem(landscape, runs=count, d=d, rng=rng)
            for count in (practice_runs, runs)
        )
        starts.append(arena(arena.starts[:, :1])[0])
        done = {}
        for name, (method, ranges, usual) in methods.items():
            method = _once(method, done)
            best, score = tune(
                method, ranges, practice, tries=tries, usual=usual, **effort
            )
            chosen[name].append(best)
            scores[name].append(np.log(score))
            traces[name].append(method(arena, best, **effort))
    return Contest(
        landscape,
        checkpoints(budget),
        {name: np.concatenate(several) for name, several in traces.items()},
        chosen,
        {name: float(np.exp(np.mean(several))) for name, several in scores.items()},
        float(np.median(starts)),
        replicates,
    )


def log_value(trace):
    """Logarithm of the last best value of each run, not below that of `FLOOR`.

    A run that never met a finite value counts as the largest finite number.
    """
    return np.log(np.clip(trace[:, -1], FLOOR, np.finfo(float).max))


def ratio(first, second, groups=None):
    """Geometric mean of last best values over others', runs paired, and its interval.

    Parameters
    ----------
    first, second : (R, E) arrays, or lists of such, each of R runs
        Of several, each run's ratio is the geometric mean over them. A ratio beyond
        `MOST` either way counts as that.
    groups : int or None
        Independent groups of equally many runs in a row, whose means count; None: each
        run is independent.
    """
    first, second = (
        [one] if isinstance(one, np.ndarray) else one for one in (first, second)
    )
    logs = [log_value(a) - log_value(b) for a, b in zip(first, second, strict=True)]
    logs = np.mean(np.clip(logs, -np.log(MOST), np.log(MOST)), axis=0)
    if groups is not None:
        logs = logs.reshape(groups, -1).mean(axis=1)
    return intervals.geometric_mean(np.exp(logs))


def _once(method, done):
    """A method that runs equal settings on a problem once; `done` holds the traces."""

    def run(problem, settings, **effort):
        key = method, id(problem), str(settings)
        if key not in done:
            done[key] = method(problem, settings, **effort)
        return done[key]

    return run


def _draw(allowed, count, rng):
    order = rng.permutation(count)
    if len(allowed) == 2 and all(type(end) is float for end in allowed):
        shares = (order + rng.random(count)) / count
        low, high = np.log(allowed)
        return np.exp(low + shares * (high - low)).tolist()
    shuffled = rng.permutation(len(allowed))
    return [allowed[shuffled[place % len(allowed)]] for place in order]
