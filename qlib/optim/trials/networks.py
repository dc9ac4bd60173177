"""Networks trained by a swarm and by what an expert would use, at equal gradients.

A gradient is one backward pass over one batch. Every method tries the same number of
settings, its usual ones at a fixed grid of rates first, judged on validation images
with seeds of their own; test images are seen by what was chosen alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qlib.optim import QIMAD
from qlib.optim.trials.descents import scheduled
from qlib.optim.trials.tuning import draw_settings
from qlib.optim.vectorized import VectorizedClosure

AGENTS = 4
"""Of a swarm, and networks of an ensemble."""


class Score(NamedTuple):
    """Mean cross-entropy in nats, and share of images classified wrongly."""

    loss: float
    error: float


class Trained(NamedTuple):
    """What one training run gave.

    Attributes
    ----------
    models : dict
        Readout to the networks whose probabilities it averages.
    seconds : float
        Of training, by the caller's clock.
    history : list of dict
        Of a swarm; empty otherwise.
    """

    models: dict
    seconds: float
    history: list

    def score(self, readout, part):
        """The `Score` of a readout on a `Part`.

        Where it is not finite, as of weights that ran away, it is that of guessing.
        """
        with torch.no_grad():
            logs = [model(part.inputs).log_softmax(1) for model in self.models[readout]]
            mean = torch.logsumexp(torch.stack(logs), 0) - np.log(len(logs))
            loss = cross_entropy(mean, part.labels)
            error = (mean.argmax(1) != part.labels).double().mean()
        if not torch.isfinite(loss):
            classes = mean.shape[1]
            return Score(float(np.log(classes)), 1 - 1 / classes)
        return Score(float(loss), float(error))


def classical(task, settings, *, gradients, seed, clock, networks=1):
    """`networks` trained one after the other, each with its share of the gradients.

    Parameters
    ----------
    task : Task
    settings : dict
        ``lr``, and what the optimiser takes; ``make`` is its class.
    gradients, seed : int
    clock : callable
        Seconds, monotonic.
    networks : int

    Returns
    -------
    Trained
        Its readout "model" averages the networks' probabilities.
    """
    rest = dict(settings)
    make, models, began = rest.pop("make"), [], clock()
    for number in range(networks):
        own = seed * networks + number
        model, batches = task.model(own), task.batches(own)
        optimiser = make(model.parameters(), **rest)
        steps = gradients // networks
        for step in range(steps):
            _anneal(optimiser, rest["lr"], step / steps)
            inputs, labels = next(batches)
            optimiser.zero_grad()
            cross_entropy(model(inputs), labels).backward()
            optimiser.step()
        models.append(model)
    return Trained({"model": models}, clock() - began, [])


def swarm(task, settings, *, gradients, seed, clock, steps=None):
    """One swarm; its readouts are the best agent, their mean and their ensemble.

    Parameters
    ----------
    task, gradients, seed, clock
        As for `classical`.
    settings : dict
        Of the optimiser, and ``same_batch`` of its closure.
    steps : int or None
        Instead of as many as `gradients` allow.
    """
    rest = {"num_agents": AGENTS, **settings}
    same = rest.pop("same_batch", True)
    due = rest.get("eval_agents") or rest["num_agents"]
    steps = gradients // due if steps is None else steps
    model, stream, began = task.model(seed), task.batches(seed), clock()

    def batch():
        if same:
            return next(stream)
        parts = [next(stream) for _ in range(due)]
        return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    optimiser = QIMAD(model.parameters(), total_steps=steps, seed=seed, **rest)
    closure = VectorizedClosure(
        model, cross_entropy, batch, mode=task.mode, same_batch=same
    )
    for step in range(steps):
        _anneal(optimiser, rest["lr"], step / steps)
        optimiser.step(closure)
    seconds = clock() - began
    return Trained(_readouts(task, model, optimiser), seconds, list(optimiser.history))


RATES, DECAYS = (1e-4, 3e-1), (1e-7, 1e-3)
GRID = (3e-3, 1e-2, 3e-2)
"""Rates that every method tries first, at its usual settings; SGD ten times as much."""


def _at_rates(factor=1, **settings):
    return [{**settings, "lr": factor * lr} for lr in GRID]


SWARM = {
    "lr": RATES,
    "weight_decay": DECAYS,
    "gamma": (1e-6, 0.3),
    "pull": (0.0, 0.0, 0.05, 0.2),
    "spread": (1e-3, 1e-1),
    "same_batch": (True, False),
    "tunnelling": (True, False),
}
PUBLISHED = _at_rates(gamma=0.05, pull=0.2, spread=0.01)
"""The settings of QIMAD's documentation, agents apart by a little noise."""
ADAMW = (
    {
        "make": (torch.optim.AdamW,),
        "lr": RATES,
        "weight_decay": (1e-5, 1.0),
        "fused": (True,),
    },
    _at_rates(make=torch.optim.AdamW, fused=True),
)
RMSPROP = (
    {"make": (torch.optim.RMSprop,), "lr": RATES, "weight_decay": DECAYS},
    _at_rates(make=torch.optim.RMSprop),
)
SGD = (
    {
        "make": (torch.optim.SGD,),
        "lr": (1e-3, 1.0),
        "momentum": (0.9,),
        "nesterov": (True,),
        "weight_decay": (1e-5, 1e-2),
    },
    _at_rates(10, make=torch.optim.SGD, momentum=0.9, nesterov=True),
)


def _together(ranges, usual):
    """As many networks as a swarm has agents, with the settings of one."""
    count = {"networks": AGENTS}
    return ranges | {"networks": (AGENTS,)}, [one | count for one in usual]


METHODS = {
    # name: (training, ranges of settings, usual settings, readout)
    "QIMAD": (swarm, SWARM, PUBLISHED, "best"),
    "QIMAD mean": (swarm, SWARM, PUBLISHED, "mean"),
    "QIMAD ensemble": (swarm, SWARM, PUBLISHED, "ensemble"),
    "QIMAD as published": (swarm, {}, PUBLISHED, "best"),
    "AdamW": (classical, *ADAMW, "model"),
    "RMSprop": (classical, *RMSPROP, "model"),
    "SGD": (classical, *SGD, "model"),
    "AdamW ensemble": (classical, *_together(*ADAMW), "model"),
    "RMSprop ensemble": (classical, *_together(*RMSPROP), "model"),
}
SINGLE = "AdamW", "RMSprop", "SGD"
ENSEMBLES = "AdamW ensemble", "RMSprop ensemble"


class Tuned(NamedTuple):
    """What a method's tuning chose.

    Attributes
    ----------
    train : callable
        `classical` or `swarm`.
    settings : dict
    readout : str
    loss : float
        On the validation images.
    """

    train: object
    settings: dict
    readout: str
    loss: float = np.nan


def rival(tuned, names):
    """The one of several methods with the least validation loss.

    Parameters
    ----------
    tuned : dict
        Method to `Tuned`.
    names : sequence of str
        `SINGLE` or `ENSEMBLES`.
    """
    return min(names, key=lambda name: tuned[name].loss)


def tune(task, *, gradients, tries, seeds, clock, rng):
    """The best settings of every method by validation loss, averaged over seeds.

    Methods of equal settings share their training runs, and each chooses for itself.

    Parameters
    ----------
    task : Task
    gradients, tries : int
    seeds : sequence of int
        No comparison may use them.
    clock : callable
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to `Tuned`.
    """
    found, drawn, done = {}, {}, {}
    for name, (train, ranges, usual, readout) in METHODS.items():
        if id(ranges) not in drawn:
            drawn[id(ranges)] = draw_settings(ranges, tries, rng, usual)
        tried = []
        for settings in drawn[id(ranges)]:
            one, losses = Tuned(train, settings, readout), []
            for seed in seeds:
                key = train, str(settings), seed
                if key not in done:
                    done[key] = run(one, task, gradients, seed, clock)
                losses.append(done[key].score(readout, task.validation).loss)
            tried.append(one._replace(loss=float(np.mean(losses))))
        found[name] = min(tried, key=lambda one: one.loss)
    return found


def run(tuned, task, gradients, seed, clock, **changed):
    """One training run of a `Tuned`, with some of its settings changed."""
    settings = tuned.settings | changed
    apart = {
        name: settings.pop(name) for name in ("networks", "steps") if name in settings
    }
    effort = {"gradients": gradients, "seed": seed, "clock": clock}
    return tuned.train(task, settings, **effort, **apart)


class Outcomes(NamedTuple):
    """A method's results over seeds: arrays of (seeds,)."""

    loss: np.ndarray
    error: np.ndarray
    seconds: np.ndarray


def compare(task, tuned, *, gradients, seeds, clock, **changed):
    """Train every method with fresh seeds and score it on the test images.

    Each has a short training before the first that is timed, and their order rotates
    from seed to seed.

    Parameters
    ----------
    task : Task
    tuned : dict
        Method to `Tuned`.
    gradients : int
    seeds : sequence of int
    clock : callable
    **changed
        Settings that replace those of all methods.

    Returns
    -------
    dict
        Method to `Outcomes`.
    """
    for one in tuned.values():
        _warm(one, task, clock, **changed)
    results = {name: [] for name in tuned}
    for place, seed in enumerate(seeds):  # methods in turn: slow minutes hit them all
        done = {}
        for name in _rotated(tuned, place):
            one = tuned[name]
            key = one.train, str(one.settings)
            if key not in done:
                done[key] = run(one, task, gradients, seed, clock, **changed)
            score = done[key].score(one.readout, task.test)
            results[name].append([*score, done[key].seconds])
    return {name: Outcomes(*np.transpose(rows)) for name, rows in results.items()}


def _warm(tuned, task, clock, **changed):
    """A training of a few steps, for what is done once."""
    settings = {key: tuned.settings[key] for key in tuned.settings if key != "steps"}
    run(tuned._replace(settings=settings), task, 16, 0, clock, **changed)


def _rotated(names, by):
    names = list(names)
    by %= len(names)
    return names[by:] + names[:by]


def _anneal(optimiser, lr, progress):
    """The learning rate on a half cosine to zero."""
    for group in optimiser.param_groups:
        group["lr"] = lr * scheduled({"cosine": True}, progress)


def _readouts(task, model, optimiser):
    """The agents as networks, the best of them, and the network of their mean."""

    def network(parameters):
        made = task.model(0)
        with torch.no_grad():
            for ours, theirs in zip(made.parameters(), parameters, strict=True):
                ours.copy_(theirs)
        return made

    agents = range(optimiser.num_agents)
    return {
        "best": [model],
        "mean": [network(optimiser.mean())],
        "ensemble": [network(optimiser.agent_parameters(i)) for i in agents],
    }
