"""Schemes that train a supernet first and its pick alone afterwards."""

from dataclasses import asdict

import torch

from qlib.nas.search.alone import train_alone
from qlib.nas.supernet import steps_within, supernet_evaluations, train_supernet


def by_supernet(study, state):
    """Train a supernet within the budget, then what it picked, alone."""
    if not state:
        state = supernet_stage(study)
        yield state
    wanted = {}
    for replica, architecture in enumerate(state["supernet_picks"]):
        wanted.setdefault(architecture, []).append(replica)
    yield from train_alone(study, state, wanted)


def supernet_stage(study):
    """The state after the supernet's training, as long as the budget allows."""
    given = supernet_arguments(study)
    steps = steps_within(study.budget - study.full_cost, **given)
    found = train_supernet(**given, seeds=study.seeds, steps=steps)
    trace = {key: torch.as_tensor(value) for key, value in asdict(found.trace).items()}
    return {
        "supernet_picks": found.architectures,
        "supernet_score": found.score.cpu(),
        "evaluations": supernet_evaluations(**given, steps=steps) + study.full_cost,
        "history": trace,
    }


def least_by_supernet(study):
    """Evaluations a replica of one supernet step and one architecture in full."""
    return supernet_evaluations(**supernet_arguments(study), steps=1) + study.full_cost


def supernet_arguments(study):
    """What the functions of `qlib.nas.supernet` take of a study."""
    names = ("blocks", "task", "scheme", "slots", "penalty")
    return {name: getattr(study, name) for name in names}
