"""Errors of samplers compared head by head, and settings that are surely right."""

import numpy as np

from qlib import intervals
from qlib.attention.trials.errors import sampling_errors
from qlib.attention.trials.inputs import heads_of
from qlib.attention.trials.samplers import SAMPLERS, performer


def over_multinomial(heads, method):
    """Error over multinomial's at equally many values read, over heads.

    Parameters
    ----------
    heads : sequence of SamplingErrors
        One head each.
    method : str

    Returns
    -------
    `qlib.intervals.Estimate`
        Geometric mean over budgets and heads, Student's interval of logs over heads.
    """
    ratios = [np.exp(np.log(one.advantage(method)).mean()) for one in heads]
    return intervals.geometric_mean(ratios)


def over_rival(heads, method, rival, budget):
    """Error over that of a rival at one budget, over heads; see `over_multinomial`."""
    pairs = [(one.at(method, budget), one.at(rival, budget)) for one in heads]
    return intervals.geometric_mean([ours.mean() / its.mean() for ours, its in pairs])


def mean_error(heads, method, budget):
    """Mean error over seeds, then over heads with Student's interval."""
    return intervals.student_mean([one.at(method, budget).mean() for one in heads])


def fastest_surely_within(front, errors, boundary):
    """The fastest point of a front whose mean error elsewhere is surely small, or None.

    Parameters
    ----------
    front : Pareto
    errors : dict
        Of `errors_elsewhere`.
    boundary : float
        Above the upper end of Student's interval over the inputs there.
    """
    sure = {
        name
        for name, found in errors.items()
        if intervals.student_mean(found).high < boundary
    }
    points = [one for one in front.points if one.configuration.name in sure]
    return min(points, key=lambda point: point.seconds.min(), default=None)


def by_head(inputs, count, *, seeds):
    """`sampling_errors` of the first `count` heads, each by itself, beside Performer.

    Returns
    -------
    list of SamplingErrors
    """
    return [
        sampling_errors(head, samplers=SAMPLERS | performer(head), seeds=seeds)
        for head in heads_of(inputs)[:count]
    ]
