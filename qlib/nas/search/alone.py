"""Schemes that train architectures alone: exhaustive, random, successive halving.

Each is a generator of states, one a stage, that goes on from a state it once gave. A
state holds numbers, names and tensors only, so that it can be stored.
"""

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


def rungs(study):
    """Architectures and steps of each rung of successive halving.

    Returns
    -------
    list of (int, int)
        Architectures and the steps that each is trained; the last are trained in full.

    Notes
    -----
    At most three rungs, of about equal cost, the numbers of architectures in geometric
    progression: with 21 of them and a budget of six trainings 21, 6 and 2.
    """
    many, steps = len(study.architectures), study.steps
    total = study.budget // study.step_cost  # steps of one architecture
    if many == 1 or total >= many * steps:
        return [(many, steps)]
    last = max(1, min(total // (3 * steps), (total - 2 * many) // steps))
    middle = round((many * last) ** 0.5)
    counts = [many, middle] if last < middle < many else [many]
    share = (total - last * steps) // len(counts)
    return [*((count, min(steps, share // count)) for count in counts), (last, steps)]


def least_successive_halving(study):
    """Evaluations a replica of two steps of all, and of one architecture in full."""
    many = len(study.architectures)
    return (study.steps + 2 * many * (many > 1)) * study.step_cost


def successive_halving(study, state):
    """Train all a little, the better ones longer, the best in full; each from anew.

    For every seed and target by itself. Each rung's trainings run through a schedule
    of their own, so that scores are those of trained states (Jamieson and Talwalkar,
    AISTATS 2016, with a third kept as in Hyperband, Li et al., JMLR 18, 185, 2018).

    Chosen among a dozen variants on the seven targets at N = 6, two seeds, a budget of
    six trainings of 300 steps: a regret of 0.1 decades there. Five rungs that halve had
    0.5, survivors that go on with their one schedule 0.9, with restarts 1.0, random
    architectures 1.0. On eight other states it had 0.1 again (0.4 with half the
    budget), random architectures 1.2.
    """
    schedule = rungs(study)
    everyone = list(range(study.num_replicas))
    cost = sum(count * steps for count, steps in schedule) * study.step_cost
    state = {
        "alive": dict.fromkeys(study.architectures, everyone),
        "history": [],
        "evaluations": cost,
        **state,
    }
    for rung in range(len(state["history"]), len(schedule) - 1):
        steps, kept = schedule[rung][1], schedule[rung + 1][0]
        table = {
            architecture: scores_after(study, architecture, replicas, steps)
            for architecture, replicas in state["alive"].items()
        }
        history = [*state["history"], {"steps": steps, "scores": table}]
        state = {**state, "alive": best_of(table, kept), "history": history}
        yield state
    yield from train_alone(study, state, state["alive"])


def scores_after(study, architecture, replicas, steps):
    """Scores (R,) of an architecture after a training of some steps; NaN elsewhere."""
    training = study.training(architecture, replicas, steps)
    training.advance(steps)
    scores = torch.full((study.num_replicas,), torch.nan, dtype=torch.float64)
    scores[replicas] = training.score
    return scores


def best_of(table, count):
    """The `count` best architectures of every replica: architecture to replicas."""
    scores = torch.stack(list(table.values()))  # (architectures, R)
    largest = torch.finfo(scores.dtype).max  # of the diverged, before the dropped
    ranked = scores.clamp(max=largest).nan_to_num(nan=torch.inf)
    order = ranked.argsort(dim=0, stable=True)
    kept = torch.zeros_like(scores, dtype=torch.bool).scatter_(0, order[:count], True)
    rows = {a: row.nonzero()[:, 0].tolist() for a, row in zip(table, kept, strict=True)}
    return {
        architecture: replicas for architecture, replicas in rows.items() if replicas
    }
