"""The search for an architecture of blocks that holds a target."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qlib.arguments import integer_between, number_between, one_of, positive_integer
from qlib.entanglement.pauli import PauliSum
from qlib.nas.replicas import checked_blocks
from qlib.nas.search import alone, relaxed
from qlib.nas.search.checkpoint import Checkpoint
from qlib.nas.search.result import result
from qlib.nas.search.study import Study
from qlib.nas.supernet import SCHEMES as SUPERNETS
from qlib.nas.targets import ChainTarget, Target
from qlib.nas.tasks import Energy, FullSum, Sampled
from qlib.nas.training import LEARNING_RATE, check_callable, seed_list

STAGES = {  # of a scheme: what yields its states, and the least budget
    **{name: (relaxed.by_supernet, relaxed.least_by_supernet) for name in SUPERNETS},
    "successive_halving": (alone.successive_halving, alone.least_successive_halving),
    "random": (alone.random, alone.least_random),
    "exhaustive": (alone.exhaustive, alone.least_exhaustive),
}
SCHEMES = tuple(STAGES)
TRAININGS = 6  # in full, that the budget is worth unless given


def search(
    target,
    blocks,
    *,
    scheme="successive_halving",
    budget=None,
    seeds=0,
    slots=2,
    steps=400,
    penalty=0.0,
    learning_rate=LEARNING_RATE,
    folder=None,
    callback=None,
    clock=None,
):
    """Pick an architecture for a target, and train it alone.

    Parameters
    ----------
    target : Target, sequence of Target, ChainTarget, PauliSum, or a task
        A Hamiltonian is searched for its ground state. Several targets are searched
        at once, each for itself.
    blocks : dict
        Name to constructor(generator=...) of a `Block`; see `candidates`.
    scheme : str, optional
        "darts", "gumbel", "expected", "perturbation": a supernet, see
        `qlib.nas.supernet`. "random": as many architectures as the budget trains.
        "exhaustive": all of them. "successive_halving": all for a few steps, the best
        of these for more, the best of those in full; the default.
    budget : int, optional
        Evaluations a seed and target, the final training included: log psi of one
        block at one configuration with its gradient; where a supernet's architecture is
        trained, three of them without. Scores, one every twenty steps or fewer and one
        at the end, are not counted. Unless given, six trainings of one architecture or
        the scheme's least, whichever is more.
    seeds : int or sequence of int, optional
        Searches that are run side by side; 0 unless given.
    slots : int, optional
        Blocks of an architecture, in [1, 4]; 2 unless given.
    steps : int, optional
        Of the training alone; 400 unless given.
    penalty : float, optional
        λ of the entanglement term in every loss; see `train`.
    learning_rate : float, optional
        Of training alone; see `train`.
    folder : path, optional
        Each stage's state is stored there and a search with the same arguments goes on
        from it, with the same result. A stage is one architecture trained in full; a
        rung of successive halving before the last; the whole training of a supernet,
        which begins anew if interrupted.
    callback : callable, optional
        callback(stage, state), with the number of the stage just stored.
    clock : callable, optional
        Seconds, as `time.perf_counter` gives them.

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        If an argument is out of range, a constructor gives no block of complex128 log
        psi on the target's sites, the budget is below one stage of the scheme and the
        final training, a supernet is asked for a state of one configuration alone, or
        the file in `folder` is damaged.
    """
    check_callable("callback", callback)
    check_callable("clock", clock)
    study = checked_study(
        target, blocks, scheme, budget, seeds, slots, steps, penalty, learning_rate
    )
    checkpoint = Checkpoint(folder, None if folder is None else study.fingerprint())
    stored = checkpoint.load()
    stage, state = stored.get("stage", 0), stored.get("state", {})
    before, begin = stored.get("seconds", 0.0), clock() if clock else 0.0
    seconds = before
    if not stored.get("finished"):
        for done in STAGES[scheme][0](study, state):
            stage, state = stage + 1, done
            seconds = before + (clock() - begin if clock else 0.0)
            checkpoint.save({"stage": stage, "state": state, "seconds": seconds})
            if callback is not None:
                callback(stage, state)
        finished = {"stage": stage, "state": state, "seconds": seconds}
        checkpoint.save({**finished, "finished": True})
    return result(study, state, seconds if clock else None)


def task_of(target):
    """The task of holding a target: an infidelity, or an energy for a Hamiltonian."""
    if isinstance(target, PauliSum):
        return Energy(target)
    if isinstance(target, ChainTarget):
        return Sampled(target)
    if isinstance(target, Target | Sequence):
        return FullSum(target)
    if hasattr(target, "logarithmic"):
        return target
    allowed = "a Target, several, a ChainTarget, a PauliSum or a task"
    raise ValueError(f"target: got {type(target).__name__}; allowed: {allowed}")


def checked_study(
    target, blocks, scheme, budget, seeds, slots, steps, penalty, learning_rate
):
    """The `Study` of `search`'s arguments, or the error that names the wrong one."""
    one_of("scheme", scheme, SCHEMES)
    task = task_of(target)
    study = Study(
        task=task,
        blocks=checked_blocks(blocks, task.num_sites),
        scheme=scheme,
        budget=0,
        seeds=seed_list(seeds),
        slots=integer_between("slots", slots, 1, 4),
        steps=positive_integer("steps", steps),
        penalty=number_between("penalty", penalty, 0, np.inf),
        learning_rate=number_between(
            "learning_rate", learning_rate, 0, np.inf, open_low=True
        ),
    )
    least, full = STAGES[scheme][1](study), study.full_cost
    if budget is None:
        budget = max(least, TRAININGS * full)
    budget = positive_integer("budget", budget)
    if budget < least:
        allowed = f"at least {least} evaluations for {scheme}"
        raise ValueError(f"budget: got {budget}; allowed: {allowed}")
    return replace(study, budget=budget)
