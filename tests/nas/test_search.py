import re
from dataclasses import replace
from functools import partial
from itertools import count, pairwise

import numpy as np
import pytest
import torch

from qlib.entanglement import hamiltonians
from qlib.nas.blocks import MPS, RBM, FeedForward, Product
from qlib.nas.search import SCHEMES, all_architectures, search, task_of
from qlib.nas.search.alone import best_of, rungs
from qlib.nas.search.search import checked_study
from qlib.nas.targets import Target, seven
from qlib.nas.tasks import Energy, FullSum
from qlib.nas.training import train

BLOCKS = {
    "RBM": partial(RBM, 4, range=1),
    "MPS": partial(MPS, 4, bond_dim=2),
    "feed-forward": partial(FeedForward, 4, width=3),
}
SEEDS, STEPS = (0, 7), 8
FULL = STEPS * 2 * 16  # evaluations of one architecture of two slots


PLUS = [np.ones((1, 2, 1))] * 4  # all spins along X


class Interrupted(Exception):
    """What a test raises in the middle of a search."""


@pytest.fixture(scope="module")
def targets():
    found = seven(4, 0)
    return [found["critical Ising"], found["random"]]


@pytest.fixture(scope="module")
def everything(targets):
    return search(targets, BLOCKS, scheme="exhaustive", seeds=SEEDS, steps=STEPS)


@pytest.fixture(scope="module", params=SCHEMES)
def scheme(request):
    return request.param


@pytest.fixture(scope="module")
def found(scheme, targets):
    return search(targets, BLOCKS, scheme=scheme, seeds=SEEDS, steps=STEPS)


def states(result):
    return [p for block in result.blocks for p in block.state_dict().values()]


def test_architectures_are_multisets_of_names():
    """K + S − 1 over S of them, whatever the order of the names."""
    assert len(all_architectures("abcdef", 2)) == 21
    assert all_architectures("ba", 2) == [("a", "a"), ("a", "b"), ("b", "b")]
    assert len(all_architectures("abcd", 3)) == 20


def test_a_pick_scores_what_it_scores_when_trained_alone(found, targets, everything):
    for s in range(2):
        for t in range(2):
            architecture = found.architectures[s][t]
            alone = everything.table[architecture][s, t]
            assert found.score[s, t] == pytest.approx(alone, rel=1e-6)

    def build(*, generator):
        return Product([BLOCKS[n](generator=generator) for n in architecture])

    again = train(build, FullSum(targets[1]), seeds=SEEDS[1], steps=STEPS)
    assert again.score[0, 0] == pytest.approx(found.score[1, 1], rel=1e-6)


def test_the_blocks_that_come_back_are_the_states_that_were_scored(found, targets):
    for place, block in enumerate(found.blocks):
        overlap = np.vdot(targets[place % 2].vector, block.vector().detach().numpy())
        score = found.score.ravel()[place]
        assert 1 - abs(overlap) ** 2 == pytest.approx(score, abs=1e-12)


def test_no_pick_beats_the_exhaustive_one(found, everything):
    regret = found.regret(everything)
    assert regret.shape == (2, 2)
    assert (regret > -1e-6).all()
    assert (everything.regret(everything) == 0).all()
    small, smaller = (
        replace(everything, score=np.full((2, 2), score)) for score in (1e-9, 1e-11)
    )
    np.testing.assert_allclose(small.regret(smaller), 2)
    zero = replace(everything, score=np.zeros((2, 2)))
    np.testing.assert_allclose(small.regret(zero), 7)  # zero is 1e-16
    least = np.min(list(everything.table.values()), axis=0)
    np.testing.assert_array_equal(everything.score, least)


def test_the_budget_is_kept_and_one_below_the_least_is_refused(scheme, targets):
    given = {"scheme": scheme, "seeds": 0, "steps": STEPS}
    with pytest.raises(ValueError, match=r"^budget: got 10; allowed: at") as refusal:
        search(targets[0], BLOCKS, budget=10, **given)
    least = int(re.search(r"at least (\d+)", str(refusal.value))[1])
    assert search(targets[0], BLOCKS, budget=least, **given).evaluations <= least
    with pytest.raises(ValueError, match=r"^budget: got"):
        search(targets[0], BLOCKS, budget=least - 1, **given)
    more = search(targets[0], BLOCKS, budget=6 * FULL + 5, **given)
    assert least <= more.evaluations <= 6 * FULL + 5


def test_an_interrupted_search_resumes_to_the_same_result(
    scheme, found, targets, tmp_path
):
    interruption = 2 if found.supernet_score is None else 1  # each inside the search
    stages = []

    def interrupt(stage, _):
        stages.append(stage)
        if stage == interruption:
            raise Interrupted

    given = {"scheme": scheme, "seeds": SEEDS, "steps": STEPS, "folder": tmp_path}
    with pytest.raises(Interrupted):
        search(targets, BLOCKS, callback=interrupt, **given)
    resumed = search(
        targets, BLOCKS, callback=lambda stage, _: stages.append(stage), **given
    )
    assert stages == list(range(1, len(stages) + 1))
    assert resumed.architectures == found.architectures
    assert resumed.evaluations == found.evaluations
    for first, second in zip(states(found), states(resumed), strict=True):
        assert torch.equal(first, second)
    for name in ("score", "supernet_score", "gap"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(found, name))
    assert resumed.table.keys() == found.table.keys()
    for architecture, scores in found.table.items():
        np.testing.assert_array_equal(resumed.table[architecture], scores)
    again = search(targets, BLOCKS, callback=interrupt, **given)  # finished: no stage
    np.testing.assert_array_equal(again.score, found.score)


def test_a_folder_serves_many_searches_and_takes_none_for_another(targets, tmp_path):
    given = {"scheme": "random", "steps": 3, "budget": 96, "folder": tmp_path}
    wider = {**BLOCKS, "MPS": partial(MPS, 4, bond_dim=3)}
    variants = [
        (targets[0], BLOCKS, {}),
        (targets[1], BLOCKS, {}),
        (targets[0], wider, {}),
        (targets[0], BLOCKS, {"seeds": 1}),
        (targets[0], BLOCKS, {"learning_rate": 0.03}),
        (targets[0], BLOCKS, {"penalty": 0.1}),
        (targets[0], BLOCKS, {"slots": 1}),
    ]
    for target, blocks, more in variants:
        stages = []
        stored = search(
            target,
            blocks,
            callback=lambda stage, _, to=stages: to.append(stage),
            **{**given, **more},
        )
        alone = search(target, blocks, **{**given, **more, "folder": None})
        assert stages
        np.testing.assert_array_equal(stored.score, alone.score)
    assert len(list(tmp_path.iterdir())) == len(variants)


def test_a_supernet_cannot_part_a_state_of_one_configuration():
    up = Target("up", np.eye(16)[0])
    with pytest.raises(ValueError, match=r"^target: got one configuration alone"):
        search(up, BLOCKS, scheme="darts", steps=1)
    assert search(up, BLOCKS, scheme="random", steps=1).score.shape == (1,)


@pytest.mark.parametrize("length", [0, 9, 300, -200])
def test_a_damaged_file_is_named(length, targets, tmp_path):
    given = {"scheme": "random", "steps": 2, "budget": 64, "folder": tmp_path}
    search(targets[0], BLOCKS, **given)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    message = f"folder: got a damaged file {path}; allowed: a whole one; delete it"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        search(targets[0], BLOCKS, **given)
    path.unlink()
    search(targets[0], BLOCKS, **given)


class Hasty(RBM):
    rate = 1.0


def test_searches_that_differ_out_of_sight_have_files_of_their_own(targets):
    """In what the first losses on all configurations do not show."""
    cluster, H = seven(4, 0)["cluster"], hamiltonians.tfim(4)

    def fingerprint(task, blocks=BLOCKS):
        given = {"seeds": 0, "slots": 2, "penalty": 0.0, "learning_rate": 0.01}
        return checked_study(
            task, blocks, "darts", None, steps=9, **given
        ).fingerprint()

    assert fingerprint(FullSum(cluster)) == fingerprint(cluster)
    assert fingerprint(FullSum(cluster, seed=1)) != fingerprint(cluster)
    assert fingerprint(Energy(H)) == fingerprint(H)
    assert fingerprint(Energy(H, energy=-9.0)) != fingerprint(H)
    hasty = {**BLOCKS, "RBM": partial(Hasty, 4, range=1)}
    assert fingerprint(cluster, hasty) != fingerprint(cluster)


def test_a_budget_that_is_not_given_is_six_trainings_or_the_least(targets):
    names = dict.fromkeys("abcdef", BLOCKS["MPS"])
    given = {"seeds": 0, "slots": 2, "penalty": 0.0, "learning_rate": 0.01}
    for scheme, trainings in [("random", 6), ("darts", 6), ("exhaustive", 21)]:
        study = checked_study(targets, names, scheme, None, steps=400, **given)
        assert study.budget == trainings * 400 * 32


@pytest.mark.parametrize("trainings", [1.2, 2, 3, 6, 10, 21])
def test_rungs_cost_about_the_same_and_at_most_the_budget(trainings, targets):
    names = dict.fromkeys("abcdef", BLOCKS["MPS"])
    budget = int(trainings * 400 * 32)
    given = {"seeds": 0, "slots": 2, "penalty": 0.0, "learning_rate": 0.01}
    study = checked_study(
        targets, names, "successive_halving", budget, steps=400, **given
    )
    counts, steps = zip(*rungs(study), strict=True)
    assert counts[0] == 21
    assert list(counts) == sorted(counts, reverse=True)
    assert list(steps) == sorted(steps)
    assert min(steps) > 0
    assert steps[-1] == 400
    costs = np.multiply(counts, steps)
    assert 0.9 * budget / 32 <= costs.sum() <= budget / 32
    if trainings in (3, 6):
        assert np.ptp(costs) < 0.1 * costs.max()
        assert counts == {3: (21, 5, 1), 6: (21, 6, 2)}[trainings]


def test_halving_goes_on_with_the_best_of_each_replica(targets):
    found = search(targets, BLOCKS, seeds=SEEDS, steps=STEPS, budget=4 * FULL)
    rounds = [rung["scores"] for rung in found.history] + [found.table]
    assert len(rounds) == 3
    for before, after in pairwise(rounds):
        for replica in np.ndindex(2, 2):
            old, new = (
                {a: table[replica] for a, table in one.items()}
                for one in (before, after)
            )
            alive = {a for a, score in new.items() if np.isfinite(score)}
            ranked = sorted((a for a in old if np.isfinite(old[a])), key=old.get)
            assert len(alive) < len(ranked)
            assert alive == set(ranked[: len(alive)])
    best = np.nanmin(list(found.table.values()), axis=0)
    np.testing.assert_array_equal(found.score, best)


def test_random_architectures_differ_from_each_other_and_from_seed_to_seed(targets):
    given = {"scheme": "random", "seeds": range(8), "steps": 1, "budget": 2 * 32}
    found = search(targets[0], BLOCKS, **given)
    tried = np.isfinite(list(found.table.values()))  # (architectures, seeds)
    assert (tried.sum(0) == 2).all()
    assert len(found.table) > 2  # by chance all eight draw one pair in 15^−7 of cases


def test_a_rung_of_halving_is_a_training_of_its_own_steps(targets):
    found = search(targets[0], BLOCKS, seeds=SEEDS, steps=STEPS, budget=4 * FULL)
    for rung in found.history:
        assert rung["steps"] < STEPS
        names, scores = next(
            (a, scores) for a, scores in rung["scores"].items() if scores[1] > 0
        )

        def build(*, generator, names=names):
            return Product([BLOCKS[name](generator=generator) for name in names])

        given = {"seeds": SEEDS[1], "steps": rung["steps"]}
        alone = train(build, FullSum(targets[0]), **given)
        assert scores[1] == pytest.approx(alone.score[0, 0], rel=1e-6)


def test_what_diverged_goes_on_before_what_was_dropped():
    table = {
        "dropped": torch.tensor([np.nan, np.nan]),
        "diverged": torch.tensor([np.inf, np.inf]),
        "trained": torch.tensor([np.nan, 0.5]),
    }
    assert best_of(table, 1) == {"diverged": [0], "trained": [1]}


def test_halving_with_the_budget_of_all_is_exhaustive(targets, everything):
    budget = everything.evaluations
    found = search(targets, BLOCKS, seeds=SEEDS, steps=STEPS, budget=budget)
    assert found.architectures == everything.architectures
    np.testing.assert_array_equal(found.score, everything.score)


def test_one_target_gives_one_number_a_seed(targets, scheme):
    found = search(targets[0], BLOCKS, scheme=scheme, seeds=SEEDS, steps=2)
    assert found.score.shape == (2,)
    assert len(found.architectures) == 2
    assert all(name in BLOCKS for pick in found.architectures for name in pick)
    assert (found.gap is None) == (found.supernet_score is None)


def test_a_supernet_and_its_pick_alone_differ_by_the_gap(found):
    if found.scheme in ("random", "exhaustive", "successive_halving"):
        assert found.gap is None
    else:
        ratio = found.supernet_score / found.score
        np.testing.assert_allclose(10**found.gap, ratio, rtol=1e-9)


def test_a_hamiltonian_is_searched_for_its_ground_state():
    hamiltonian = hamiltonians.tfim(4)
    assert isinstance(task_of(hamiltonian), Energy)
    found = search(hamiltonian, BLOCKS, seeds=0, steps=60, slots=1)
    assert -1e-12 < found.score[0] < 0.1


def test_seconds_are_those_of_the_clock_with_those_before_the_interruption(
    targets, tmp_path
):
    ticks = count(0, 10)
    given = {
        "scheme": "random",
        "steps": 2,
        "folder": tmp_path,
        "clock": lambda: next(ticks),
    }

    def interrupt(*_):
        raise Interrupted

    with pytest.raises(Interrupted):
        search(targets[0], BLOCKS, callback=interrupt, **given)
    found = search(targets[0], BLOCKS, **given)
    assert found.seconds == 60  # six stages of ten
    assert search(targets[0], BLOCKS, scheme="random", steps=2).seconds is None


def test_bad_arguments_are_refused_by_name(targets, everything):
    refused = [
        ({"scheme": "annealing"}, "scheme: got 'annealing'; allowed: darts, gumbel"),
        ({"slots": 0}, "slots: got 0"),
        ({"steps": 0}, "steps: got 0"),
        ({"seeds": []}, "seeds: got"),
        ({"budget": 0}, "budget: got 0"),
        ({"penalty": -1}, "penalty: got -1"),
        ({"learning_rate": 0}, "learning_rate: got 0"),
        ({"blocks": {}}, "blocks: got {}"),
        (
            {"blocks": {"MPS": partial(MPS, 6)}},
            "blocks: got MPS of 6 sites; allowed: 4",
        ),
        ({"blocks": {"MPS": "MPS"}}, "blocks: got 'MPS': 'MPS'"),
        (
            {"blocks": {"no": lambda generator: 3}},
            "blocks: got 'no': int; allowed: a B",
        ),
        (
            {"blocks": {"fixed": lambda generator: MPS.from_tensors(PLUS)}},
            "blocks: got 'fixed': MPS; allowed: a Block that can be trained",
        ),
        ({"target": 3.0}, "target: got float"),
    ]
    for given, message in refused:
        with pytest.raises(ValueError, match=f"^{message}"):
            search(**{"target": targets[0], "blocks": BLOCKS, **given})
    single = search(targets[0], BLOCKS, scheme="random", steps=2)
    with pytest.raises(ValueError, match=r"^exhaustive: got a result of random"):
        everything.regret(single)
    with pytest.raises(ValueError, match=r"^exhaustive: got shape \(2, 2\)"):
        single.regret(everything)
