"""Schemes that train architectures alone: exhaustive, random, successive halving.

Each is a generator of states, one a stage, that goes on from a state it once gave. A
state holds numbers, names and tensors only, so that it can be stored.
"""

import math

import torch


def train_alone(study, state, wanted):
    """Train architectures in full, one a stage; keep each replica's best.

    Parameters
    ----------
    study : Study
    state : dict
        With "table", the scores (R,) of architectures tried, and "picks", "score" and
        "weights" of the best of each replica so far. What else it holds is kept.
    wanted : dict
        Architecture to the list of replicas that train it.

    Yields
    ------
    dict
    """
    state = {**nothing_yet(study), **state}
    for architecture, replicas in wanted.items():
        if architecture in state["table"]:
            continue
        training = study.training(architecture, replicas)
        training.advance(study.steps)
        state = record(study, state, architecture, replicas, training)
        yield state


def nothing_yet(study):
    """The state before any architecture was trained."""
    count = study.num_replicas
    return {
        "table": {},
        "picks": [None] * count,
        "score": torch.full((count,), torch.inf, dtype=torch.float64),
        "weights": [None] * count,
    }


def record(study, state, architecture, replicas, training):
    """The state with one more architecture trained for some replicas."""
    state = {**state, "table": dict(state["table"])}
    for key in ("picks", "weights"):
        state[key] = list(state[key])
    state["score"] = state["score"].clone()
    scores = torch.full((study.num_replicas,), torch.nan, dtype=torch.float64)
    scores[replicas] = training.score
    state["table"][architecture] = scores
    for row, replica in enumerate(replicas):
        first = state["picks"][replica] is None
        if first or training.score[row] < state["score"][replica]:
            state["picks"][replica] = architecture
            state["score"][replica] = training.score[row]
            state["weights"][replica] = {
                name: weight[row].clone() for name, weight in training.best.items()
            }
    return state


def exhaustive(study, state):
    """All architectures, trained in full."""
    everyone = list(range(study.num_replicas))
    wanted = {architecture: everyone for architecture in study.architectures}
    state = {"evaluations": least_exhaustive(study), **state}
    yield from train_alone(study, state, wanted)


def least_exhaustive(study):
    """Evaluations a replica that `exhaustive` spends."""
    return len(study.architectures) * study.full_cost


def random(study, state):
    """As many architectures as the budget trains in full, drawn without repetition.

    A seed draws the same ones for all its targets.
    """
    count = min(study.budget // study.full_cost, len(study.architectures))
    wanted = {architecture: [] for architecture in study.architectures}
    for replica in range(study.num_replicas):
        generator = torch.Generator().manual_seed(study.seed(replica))
        order = torch.randperm(len(wanted), generator=generator)[:count]
        for index in order.tolist():
            wanted[study.architectures[index]].append(replica)
    wanted = {name: replicas for name, replicas in wanted.items() if replicas}
    state = {"evaluations": count * study.full_cost, **state}
    yield from train_alone(study, state, wanted)


def least_random(study):
    """Evaluations a replica of one architecture in full."""
    return study.full_cost


def halved(count):
    """Numbers from `count` down to one, each half of the one before, rounded up."""
    numbers = [count]
    while numbers[-1] > 1:
        numbers.append(math.ceil(numbers[-1] / 2))
    return numbers


def rungs(study):
    """Survivors and steps of each rung of successive halving.

    Returns
    -------
    list of (int, int)
        Architectures that train up to a step; the last is (1, steps).

    Notes
    -----
    Survivors halve from rung to rung, and every rung but the last costs the same, as in
    Jamieson and Talwalkar: what the budget leaves beside the last survivor's whole
    training, divided equally. No architecture is trained beyond `steps`.
    """
    *many, one = halved(len(study.architectures))
    rest = study.budget / study.step_cost - study.steps
    share = rest / sum(1 - 1 / count for count in many) if many else 0
    stops, done = [], 0
    for count in many:
        done = min(study.steps, done + int(share / count))
        stops.append((count, done))
    return [*stops, (one, study.steps)]


def least_successive_halving(study):
    """Evaluations a replica of one step of all, and of one architecture in full."""
    count = len(study.architectures)
    steps = study.steps + count * sum(1 - 1 / number for number in halved(count))
    return math.ceil(steps * study.step_cost)


def successive_halving(study, state):
    """Train all, keep the better half, train on: each seed and target by itself.

    Jamieson and Talwalkar, AISTATS 2016. Survivors go on with their own weights and
    schedule, so that the last has been trained exactly as it would be alone.
    """
    schedule, history = rungs(study), list(state.get("history", []))
    everyone = list(range(study.num_replicas))
    alive = state.get("alive") or dict.fromkeys(study.architectures, everyone)
    trainings = {a: study.training(a, replicas) for a, replicas in alive.items()}
    for architecture, stored in state.get("trainings", {}).items():
        trainings[architecture].load_state_dict(stored)
    spent = previous = 0
    for rung, (count, stop) in enumerate(schedule):
        spent += count * (stop - previous) * study.step_cost
        previous = stop
        if rung < len(history):
            continue
        table = advance(study, alive, trainings, stop)
        history.append({"steps": stop, "scores": table})
        if rung + 1 < len(schedule):
            drop(study, alive, trainings, table, schedule[rung + 1][0])
            yield {
                "alive": dict(alive),
                "history": list(history),
                "trainings": {a: t.state_dict() for a, t in trainings.items()},
            }
    yield last(study, alive, trainings, history, spent)


def advance(study, alive, trainings, stop):
    """Train all that are left up to a step; their scores, NaN where dropped."""
    table = {}
    for architecture, training in trainings.items():
        training.advance(stop)
        scores = torch.full((study.num_replicas,), torch.nan, dtype=torch.float64)
        scores[alive[architecture]] = torch.fmin(training.score, training.score_now())
        table[architecture] = scores
    return table


def drop(study, alive, trainings, table, count):
    """Keep the `count` best architectures of every replica, in place."""
    scores = torch.stack(list(table.values()))  # (architectures, R)
    largest = torch.finfo(scores.dtype).max  # of the diverged, before the dropped
    ranked = scores.clamp(max=largest).nan_to_num(nan=torch.inf)
    order = ranked.argsort(dim=0, stable=True)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept.scatter_(0, order[:count], True)
    for architecture, row in zip(list(table), kept, strict=True):
        rows = [i for i, replica in enumerate(alive[architecture]) if row[replica]]
        if rows:
            trainings[architecture].keep(rows)
            alive[architecture] = [alive[architecture][i] for i in rows]
        else:
            del trainings[architecture], alive[architecture]


def last(study, alive, trainings, history, spent):
    """The state when one architecture is left for every replica."""
    state = {**nothing_yet(study), "evaluations": spent, "history": history}
    for architecture, training in trainings.items():
        state = record(study, state, architecture, alive[architecture], training)
    return state
