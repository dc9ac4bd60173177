"""What notebook 03 asks of trained networks: ratios, equal seconds, two of eight."""

from dataclasses import replace

import numpy as np

from qlib import intervals
from qlib.optim.trials import networks

LEFT_OUT = {
    # part of `swarms.PARTS`: what a swarm without it is called, its settings
    "tunnelling": ("no tunnelling", {"tunnelling": False}),
    "communication": ("no exchange", {"weights": "none", "pull": 0.0}),
    "fidelity": ("equal weights", {"weights": "uniform"}),
    "spread": ("starting together", {"spread": 0.0}),
}


def learnt(found):
    """Whether some method errs on less than three quarters of what guessing does.

    Parameters
    ----------
    found : dict
        What `compare` returns, of ten classes.
    """
    return min(one.error.mean() for one in found.values()) < 0.9 * 3 / 4


def loss_ratio(one, other, name="QIMAD"):
    """Geometric mean over seeds and tasks of a method's test loss over another's.

    Parameters
    ----------
    one : dict
        Task to what `compare` returns.
    other : dict
        Task to `Outcomes` of the same seeds.
    name : str
        The method in `one`.

    Returns
    -------
    Estimate
        With Student's interval over seeds.
    """
    logs = [np.log(one[task][name].loss / other[task].loss) for task in other]
    return intervals.geometric_mean(np.exp(np.mean(logs, axis=0)))


def partial_evaluation(task, tuned, *, steps, seeds, clock):
    """Eight agents with all evaluated at each step, and with two, at equal steps.

    Parameters
    ----------
    task : Task
    tuned : Tuned
        Of QIMAD.
    steps : int
    seeds : sequence of int
    clock : callable

    Returns
    -------
    dict
        "all eight", "two, equal steps" and "two, equal gradients" to `Outcomes`.
    """
    forms = {
        name: tuned._replace(settings=tuned.settings | {"num_agents": 8} | form)
        for name, form in (
            ("all eight", {"steps": steps}),
            ("two, equal steps", {"eval_agents": 2, "steps": steps}),
            ("two, equal gradients", {"eval_agents": 2, "steps": 4 * steps}),
        )
    }
    return networks.compare(task, forms, gradients=8 * steps, seeds=seeds, clock=clock)


def speed_up(task, tuned, *, steps, seeds, clock):
    """Seconds of equal steps with eight agents evaluated over those with two.

    Agents are evaluated in turn, one pass each: evaluated together, eight cost little
    more than two where passes are small.

    Parameters
    ----------
    task, tuned, steps, seeds, clock
        As for `partial_evaluation`.

    Returns
    -------
    (seeds,) array
        Of pairs of trainings, one after the other.
    """
    task, eight = replace(task, mode="loop"), {"num_agents": 8, "steps": steps}
    forms = {
        name: tuned._replace(settings=tuned.settings | eight | form)
        for name, form in (("eight", {}), ("two", {"eval_agents": 2}))
    }
    found = networks.compare(task, forms, gradients=8 * steps, seeds=seeds, clock=clock)
    return found["eight"].seconds / found["two"].seconds


def equal_seconds(found, name, other, gradients):
    """Gradients that `other` could take in the seconds that `name` took, by medians.

    Parameters
    ----------
    found : dict
        What `compare` returned for `gradients` of both.
    name, other : str
    gradients : int
    """
    ours, theirs = (np.median(found[one].seconds) for one in (name, other))
    return max(1, round(gradients * ours / theirs))
