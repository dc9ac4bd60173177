from functools import partial

import numpy as np
import pytest
from matplotlib import pyplot as plt

from qlib.nas.blocks import MPS, RBM, FeedForward
from qlib.nas.figures.schemes import schemes as schemes_figure
from qlib.nas.figures.supernets import gaps
from qlib.nas.figures.supernets import supernets as supernets_figure
from qlib.nas.search import search
from qlib.nas.targets import seven
from qlib.nas.trials import schemes, supernets

N = 4
BLOCKS = {
    "RBM, range 0": partial(RBM, N, range=0),
    "MPS": partial(MPS, N, bond_dim=2),
    "feed-forward": partial(FeedForward, N, width=4),
}
TARGETS = {name: seven(N, 0)[name] for name in ("gapped Ising", "rainbow")}
SEEDS, STEPS = [0, 3], 8


WAYS = (
    "expected",
    "successive_halving",
    "random",
    schemes.Way("successive_halving", screened=True),
    schemes.Way("expected", penalty=0.5),
)


@pytest.fixture(scope="module")
def found():
    return schemes.regrets(
        TARGETS,
        BLOCKS,
        ways=WAYS,
        seeds=SEEDS,
        steps=STEPS,
        clock=iter(range(99)).__next__,
    )


@pytest.fixture(scope="module")
def trained():
    return supernets.supernets(
        TARGETS,
        BLOCKS,
        schemes=("expected", "perturbation"),
        seeds=SEEDS,
        steps=12,
        alone_steps=STEPS,
    )


def test_a_pick_trained_alone_is_a_row_of_the_table(found):
    """The seed, the steps and the schedule are those of the exhaustive search."""
    for name in found.score:
        if "λ" not in name:
            near = np.isclose(found.table, found.score[name], rtol=0, atol=1e-9)
            assert near.any(0).all(), name
            assert (found.regret(name) >= 0).all()


def test_all_ways_keep_to_one_budget(found):
    full = 2 * STEPS * 2**N  # one architecture of two blocks
    assert found.exhaustive == 6 * full
    assert all(full <= spent <= 6 * full for spent in found.evaluations.values())
    assert set(found.shared) == {"expected", "expected, λ = 0.5"}
    assert all(seconds >= 1 for seconds in found.seconds.values())


def test_the_screen_leaves_out_what_cannot_hold_the_target(found):
    """A product state holds 1/2^2 of two nested singlets, and an MPS of rank 2 half."""
    assert found.left_out == {"gapped Ising": 0, "rainbow": 2}
    assert schemes.admitted(TARGETS["rainbow"], BLOCKS) == ("feed-forward",)
    assert schemes.admitted(TARGETS["rainbow"], BLOCKS, 0.5) == ("MPS", "feed-forward")
    weak = {"RBM, range 0": BLOCKS["RBM, range 0"]}
    assert schemes.admitted(TARGETS["rainbow"], weak) == ("RBM, range 0",)
    alone = search(
        TARGETS["rainbow"],
        {"feed-forward": BLOCKS["feed-forward"]},
        seeds=SEEDS,
        steps=STEPS,
    )
    np.testing.assert_allclose(
        found.score["successive halving, screened"][:, 1], np.log10(alone.score)
    )


def test_regrets_of_what_needs_no_search():
    """Three architectures, two seeds, three targets, by hand."""
    table = np.array([[[-3, -1, -2], [-3, -1, -2]], [[-2, -4, 0], [-2, -2, 0]]])
    table = np.concatenate([table, np.zeros((1, 2, 3))]).astype(float)
    score = {"random": np.array([[-3.0, -1, 0], [-2, -1, -2]])}
    found = schemes.Regrets(
        tuple("abc"), ["A", "B", "C"], table, score, {}, {"random": 1}, 3, None, {}
    )
    np.testing.assert_array_equal(found.best, [[-3, -4, -2], [-3, -2, -2]])
    np.testing.assert_array_equal(found.regret("random"), [[0, 3, 2], [1, 1, 0]])
    assert found.mean("random").value == pytest.approx(7 / 6)
    picked = table[[0, 0, 1], :, range(3)].T  # B is better on a and b, A elsewhere
    np.testing.assert_array_equal(found.regret("fixed"), picked - found.best)
    np.testing.assert_allclose(
        found.regret("any architecture"), table.mean(0) - found.best
    )
    less = found.less("random", "fixed")
    assert less.value == pytest.approx((7 - (picked - found.best).sum()) / 6)
    with pytest.raises(ValueError, match=r"^name: got 'darts'; allowed: random"):
        found.regret("darts")


def test_ways_are_named_and_ranked(found):
    assert str(schemes.Way("gumbel", 0.1, True)) == "gumbel, λ = 0.1, screened"
    means = [found.regret(name).mean() for name in found.ranked()]
    assert means == sorted(means)
    assert len(means) == len(WAYS)


@pytest.mark.parametrize("bound", [-0.1, 1.5, None])
def test_bounds_outside_the_unit_interval_are_refused(bound):
    with pytest.raises(ValueError, match=r"^bound: got .*; allowed: \[0, 1\]"):
        schemes.admitted(TARGETS["rainbow"], BLOCKS, bound)


def test_the_pick_alone_is_trained_as_a_search_trains_it(trained):
    """Seed 3 and the rainbow, by a search of the one candidate picked twice."""
    for scheme, one in trained.trained.items():
        names = one.architectures[3]
        if len(set(names)) == 1:
            alone = search(
                TARGETS["rainbow"],
                {names[0]: BLOCKS[names[0]]},
                scheme="exhaustive",
                seeds=3,
                steps=STEPS,
            )
            expected = np.log10(alone.score[0])
            assert trained.alone[scheme][1, 1] == pytest.approx(expected, abs=1e-9)
    assert any(len(set(t.architectures[3])) == 1 for t in trained.trained.values())


def test_stages_and_shares_are_those_of_the_replica(trained):
    for scheme, one in trained.trained.items():
        shares = trained.shares(scheme, "rainbow", 1)
        np.testing.assert_array_equal(shares[-1].argmax(-1), one.picks[3])
        expected = np.log10(one.score[3].item())
        assert trained.shared(scheme)[1, 1] == pytest.approx(expected)
        assert trained.gap(scheme)[1, 1] == pytest.approx(
            expected - trained.alone[scheme][1, 1]
        )
        first, second = one.architectures[:2], one.architectures[2:]
        agree = np.mean([a == b for a, b in zip(first, second, strict=True)])
        assert trained.alike(scheme) == agree


def test_figures_name_the_best_and_rows_are_finite(found, trained):
    drawn = [
        schemes_figure(found),
        supernets_figure(trained, "rainbow", seed=1),
        gaps(trained),
    ]
    titles = [ax.get_title(loc="left") for ax in drawn[0]["figure"].axes]
    assert titles[0].startswith(f"Least: {found.ranked()[0]}")
    assert {one["name"] for one in drawn} == {"schemes", "supernets", "gaps"}
    for one in drawn:
        plt.close(one["figure"])
    table = [*schemes.rows(found), *supernets.rows(trained)]
    assert all(np.isfinite(value) for _, value, _ in table)
    for rows in (schemes.rows(found), supernets.rows(trained)):
        keys = [(metric, *sorted(labels.items())) for metric, _, labels in rows]
        assert len(set(keys)) == len(keys)
