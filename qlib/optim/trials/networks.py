"""Networks trained by a swarm and by what an expert would use, at equal gradients.

A gradient is one backward pass over one batch. Every method tries the same number of
settings, judged on validation images with seeds of their own; test images are seen by
what was chosen alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qlib import intervals
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
        """The `Score` of a readout on a `Part`."""
        with torch.no_grad():
            logs = [model(part.inputs).log_softmax(1) for model in self.models[readout]]
            mean = torch.logsumexp(torch.stack(logs), 0) - np.log(len(logs))
            loss = cross_entropy(mean, part.labels)
            error = (mean.argmax(1) != part.labels).double().mean()
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


RATES, DECAYS = (1e-4, 1e-1), (1e-5, 1.0)
ADAMW = {"make": (torch.optim.AdamW,), "lr": RATES, "weight_decay": DECAYS}
SWARM = {
    "lr": RATES,
    "weight_decay": (1e-7, 1e-3),
    "gamma": (1e-3, 0.3),
    "pull": (0.0, 0.01, 0.05, 0.2),
    "spread": (1e-3, 1e-1),
    "same_batch": (True, False),
}
METHODS = {
    # name: (training, ranges of settings, readout)
    "QIMAD": (swarm, SWARM, "best"),
    "QIMAD mean": (swarm, SWARM, "mean"),
    "QIMAD ensemble": (swarm, SWARM, "ensemble"),
    "AdamW": (classical, ADAMW, "model"),
    "RMSprop": (
        classical,
        {"make": (torch.optim.RMSprop,), "lr": RATES, "weight_decay": (1e-7, 1e-3)},
        "model",
    ),
    "SGD": (
        classical,
        {
            "make": (torch.optim.SGD,),
            "lr": (1e-3, 1.0),
            "momentum": (0.9,),
            "nesterov": (True,),
            "weight_decay": (1e-5, 1e-2),
        },
        "model",
    ),
    "AdamW ensemble": (classical, ADAMW | {"networks": (AGENTS,)}, "model"),
}


class Tuned(NamedTuple):
    """What a method's tuning chose: a training function, its settings, a readout."""

    train: object
    settings: dict
    readout: str


def tune(task, *, gradients, tries, seeds, clock, rng):
    """The best settings of every method by validation loss, averaged over seeds.

    Methods that differ in the readout alone share their training runs, and each
    chooses for itself.

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
    found, shared = {}, {}
    for name, (train, ranges, readout) in METHODS.items():
        if id(ranges) not in shared:
            settings = draw_settings(ranges, tries, rng)
            shared[id(ranges)] = (
                settings,
                [
                    [
                        run(Tuned(train, one, readout), task, gradients, seed, clock)
                        for seed in seeds
                    ]
                    for one in settings
                ],
            )
        settings, runs = shared[id(ranges)]
        losses = [
            np.mean([one.score(readout, task.validation).loss for one in several])
            for several in runs
        ]
        best = int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
        found[name] = Tuned(train, settings[best], readout)
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

    Parameters
    ----------
    task : Task
    tuned : dict
        Method to `Tuned`.
    gradients : int, or dict by method of one a seed
    seeds : sequence of int
    clock : callable
    **changed
        Settings that replace those of all methods.

    Returns
    -------
    dict
        Method to `Outcomes`.
    """
    results = {name: [] for name in tuned}
    for place, seed in enumerate(seeds):  # methods in turn: slow minutes hit them all
        done = {}
        for name, one in tuned.items():
            own = gradients[name][place] if isinstance(gradients, dict) else gradients
            key = one.train, str(one.settings), own
            if key not in done:
                done[key] = run(one, task, int(own), seed, clock, **changed)
            score = done[key].score(one.readout, task.test)
            results[name].append([*score, done[key].seconds])
    return {name: Outcomes(*np.transpose(rows)) for name, rows in results.items()}


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
        "all eight": {"steps": steps},
        "two, equal steps": {"eval_agents": 2, "steps": steps},
        "two, equal gradients": {"eval_agents": 2, "steps": 4 * steps},
    }
    forms = {
        name: tuned._replace(settings=tuned.settings | {"num_agents": 8} | form)
        for name, form in forms.items()
    }
    return compare(task, forms, gradients=8 * steps, seeds=seeds, clock=clock)


def equal_seconds(found, name, other, gradients):
    """Gradients that `other` could take in the seconds that `name` took, a seed each.

    Parameters
    ----------
    found : dict
        What `compare` returned for `gradients` of both.
    name, other : str
    gradients : int
    """
    share = found[name].seconds / found[other].seconds
    return np.maximum(1, np.round(gradients * share)).astype(int)


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
