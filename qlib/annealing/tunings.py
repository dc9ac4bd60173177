"""Methods tuned alike, and what is then compared at the best settings of each.

Alike means: the same number of settings tried, with the same number of runs, drawn from
the same ranges but for what a method has of its own. The best setting tried is lucky,
so all comparisons measure it again with fresh runs.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from qlib import intervals
from qlib.annealing.measure import running_time_ratio
from qlib.annealing.trials import last_times, running_times, tune


class Comparison(NamedTuple):
    """What repeated tunings of several methods found, each a dict by method.

    Attributes
    ----------
    ratios : dict
        The `intervals.Estimate` of the running time over the baseline's: geometric
        mean over tunings. The baseline has none.
    settings : dict
        The best of all tunings.
    times : dict
        `trials.Times` with them, of runs that chose nothing.
    """

    ratios: dict
    settings: dict
    times: dict


class Lead(NamedTuple):
    """One entrant of a race beside the fastest of the others.

    Attributes
    ----------
    ert : dict
        Entrant to the `intervals.Estimate` of its expected running time.
    rival : str
        The fastest of the others; of equals the first by name.
    ratio : Estimate
        Running time of the one over the rival's.
    """

    ert: dict
    rival: str
    ratio: intervals.Estimate


def best_settings(method, landscape, **effort):
    """The settings that `trials.tune`, which takes the same arguments, puts first."""
    return tune(method, landscape, **effort)[0][0]


def compare(
    methods,
    landscape,
    *,
    baseline,
    ranges,
    repeats,
    fresh_runs,
    gap,
    count,
    runs,
    rng,
):
    """Tune methods, measure each again at its best, and repeat all of it.

    An interval over repeated tunings holds the luck of the choice as well as that of
    the runs.

    Parameters
    ----------
    methods : dict
        Name to callable.
    landscape : Landscape
    baseline : str
        The method by whose running time the others' is divided.
    ranges : dict
        Name to the ranges of `trials.tune`.
    repeats : int
        Tunings, >= 2.
    fresh_runs : int
        Runs that measure the best settings again.
    gap, count, runs, rng
        As in `trials.tune`.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a ratio is not finite and positive: a method never reached the gap.
    """
    fresh = {"gap": gap, "runs": fresh_runs, "rng": rng}
    tuning = {"gap": gap, "count": count, "runs": runs, "rng": rng}

    def measured(settings):
        return {
            name: running_times(methods[name], landscape, **fresh, **settings[name])
            for name in methods
        }

    ratios = {name: [] for name in methods if name != baseline}
    found = {name: [] for name in methods}
    for _ in range(repeats):
        best = {
            name: best_settings(method, landscape, ranges=ranges[name], **tuning)
            for name, method in methods.items()
        }
        times = measured(best)
        for name in methods:
            found[name].append((times[name].ert, best[name]))
        for name in ratios:
            ratio = running_time_ratio(times[name], times[baseline])
            ratios[name].append(ratio.value)
    settings = {
        name: min(pairs, key=lambda pair: pair[0])[1] for name, pairs in found.items()
    }
    means = {name: intervals.geometric_mean(values) for name, values in ratios.items()}
    return Comparison(means, settings, measured(settings))


def widened(settings, factor):
    """Settings with the widths of all proposals, thermal and tunnelling, multiplied."""
    widths = {"step", "tunnelling"} & settings.keys()
    return settings | {name: factor * settings[name] for name in widths}


def without_forces(settings):
    """Settings of quantum-inspired annealing with its forces switched off one by one.

    Without tunnelling the step is widened to the same total: where it narrows as the
    walk cools, as it does by default, the proposals stay the same.

    Parameters
    ----------
    settings : dict
        With ``step`` and ``tunnelling``.

    Returns
    -------
    dict
        What is left to settings.
    """
    total = float(np.hypot(settings["step"], settings["tunnelling"]))
    return {
        "all forces": settings,
        "no tunnelling": settings | {"tunnelling": 0, "step": total},
        "no pull": settings | {"pull": 0},
        "one particle": settings | {"particles": 1},
    }


def expected_times(method, landscape, variants, **fresh):
    """Expected running time of a method with each of several settings.

    Parameters
    ----------
    variants : dict
        Label to settings.
    **fresh
        Of `trials.running_times`.

    Returns
    -------
    dict
        Label to `intervals.Estimate`.
    """
    return {
        label: running_times(method, landscape, **fresh, **settings).ert
        for label, settings in variants.items()
    }


def springs(
    method,
    landscape,
    *,
    ranges,
    wavelengths,
    confidence,
    fresh_runs,
    gap,
    count,
    runs,
    rng,
):
    """Running time of path-integral annealing with springs over that without.

    Both are tuned alike and measured again.

    Parameters
    ----------
    method : callable
        With ``coupling=``, such as `path_integral_annealing`.
    landscape : Landscape
    ranges : dict
        Of both, as in `trials.tune`.
    wavelengths : dict
        Further ranges of what only slices that are tied have.
    confidence : float
        Coverage of the interval, in (0, 1).
    fresh_runs, gap, count, runs, rng
        As in `compare`.

    Returns
    -------
    Estimate
    """
    tuning = {"gap": gap, "count": count, "runs": runs, "rng": rng}
    times = []
    for tied in (True, False):
        ring = partial(method, coupling=tied)
        drawn = ranges | wavelengths if tied else ranges
        best = best_settings(ring, landscape, ranges=drawn, **tuning)
        fresh = {"gap": gap, "runs": fresh_runs, "rng": rng}
        times.append(running_times(ring, landscape, **fresh, **best))
    return running_time_ratio(*times, confidence=confidence)


def lead(times, name, budget):
    """How one entrant of a race does beside the fastest of the others.

    Parameters
    ----------
    times : dict
        Entrant to evaluations (runs, targets), as `trials.peer_times` returns them; the
        race is to the last target.
    name : str
        The one.
    budget : int
        Of every run, evaluations.

    Returns
    -------
    Lead
    """
    last = {entrant: last_times(reached, budget) for entrant, reached in times.items()}
    ert = {entrant: one.ert for entrant, one in last.items()}
    rival = min(ert.keys() - {name}, key=lambda other: (ert[other], other))
    return Lead(ert, rival, running_time_ratio(last[name], last[rival]))
