"""Blocks alone: bounds that hold and are met, Marshall's signs, rows and the figure."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from matplotlib import pyplot as plt

from qlib.entanglement import hamiltonians
from qlib.entanglement.pauli import PauliSum
from qlib.nas.blocks import MPS, RBM, FeedForward
from qlib.nas.figures.solo import solo as drawn
from qlib.nas.targets import seven
from qlib.nas.tasks import FullSum
from qlib.nas.training import train
from qlib.nas.trials.solo import bipartite, solo

FEED_FORWARD = {"feed-forward": partial(FeedForward, 4, width=4)}


@pytest.fixture(scope="module")
def found():
    blocks = {"MPS": partial(MPS, 4, bond_dim=2), "RBM": partial(RBM, 4, range=1)}
    return solo(seven(4, 0), blocks | FEED_FORWARD, seeds=(0, 1), steps=20)


def test_no_run_falls_below_its_bound(found):
    assert found.infidelity.shape == (7, 3, 2)
    assert found.margin >= -1e-12
    assert (found.infidelity >= found.bound[..., None] - 1e-12).all()
    for target, runs in found.ruled.items():
        bound = found.bound[found.targets.index(target)]
        assert (runs >= bound[:, None] - 1e-12).all()


def test_margin_sees_a_broken_bound_with_and_without_signs(found):
    below = found.infidelity.copy()
    below[4, 0, 1] = found.bound[4, 0] - 0.25
    assert replace(found, infidelity=below).margin == pytest.approx(-0.25)
    below = found.ruled["rainbow"].copy()
    below[0, 1] = found.bound[found.targets.index("rainbow"), 0] - 0.125
    ruled = found.ruled | {"rainbow": below}
    assert replace(found, ruled=ruled).margin == pytest.approx(-0.125)


def test_positive_blocks_need_marshalls_signs_on_the_antiferromagnet():
    # psi > 0 overlaps with one sign's amplitudes at most; with the rule with all
    target = seven(4, 0)["Heisenberg"]
    positive = (target.vector.real[target.vector.real > 0] ** 2).sum()
    most = max(positive, 1 - positive)
    blocks = {"positive": partial(RBM, 4, alpha=4, real=True)}
    found = solo({"Heisenberg": target}, blocks, seeds=(0,), steps=60)
    assert found.infidelity.min() >= 1 - most - 1e-12
    assert found.ruled["Heisenberg"].max() < 1 - most


def test_signs_on_the_target_are_signs_on_the_block(found):
    task = FullSum(seven(4, 0)["Heisenberg"])
    build = partial(MPS, 4, bond_dim=2, marshall=True)
    turned = train(build, task, seeds=(0, 1), steps=20)
    place = found.blocks.index("MPS")
    runs = found.ruled["Heisenberg"][place]
    np.testing.assert_allclose(runs, turned.score[:, 0], rtol=1e-7)


@pytest.mark.parametrize(
    ("hamiltonian", "expected"),
    [
        (hamiltonians.heisenberg(6), True),
        (hamiltonians.heisenberg(6, boundary="periodic"), True),
        (hamiltonians.heisenberg(5, boundary="periodic"), False),
        (hamiltonians.tfim(6), False),
        (PauliSum(3, [("ZZ", (0, 1), 1.0), ("Z", (2,), 0.5)]), False),
        (PauliSum(2, [("XX", (0, 1), 1.0), ("YY", (0, 1), 0.5)]), False),
        (PauliSum(2, [("XX", (0, 1), -1.0), ("YY", (0, 1), -1.0)]), False),
        (PauliSum(3, [("XX", (0, 2), 1.0), ("YY", (0, 2), 1.0)]), False),
        (
            PauliSum(
                2, [("XX", (0, 1), 1.0), ("YY", (0, 1), 1.0), ("ZZ", (0, 1), -9.0)]
            ),
            True,
        ),
        (None, False),
    ],
)
def test_which_hamiltonians_follow_marshalls_rule(hamiltonian, expected):
    assert bipartite(hamiltonian) is expected


@pytest.mark.parametrize("name", ["Heisenberg", "rainbow"])
def test_marshalls_rule_makes_the_ground_state_positive(name):
    target = seven(6, 0)[name]
    assert bipartite(target.hamiltonian)
    down = np.array([f"{index:06b}"[1::2].count("1") for index in range(64)])
    turned = (-1.0) ** down * target.vector.real
    turned *= np.sign(turned[np.argmax(abs(turned))])
    assert turned.min() >= -1e-10


def test_rows_tell_every_block_on_every_target(found):
    rows = list(found.rows())
    assert set(found.ruled) == {"Heisenberg", "rainbow"}
    assert len(rows) == 7 * 3 * 2 + 2 * 3
    metric, value, labels = rows[0]
    assert metric == "infidelity"
    assert value == np.median(found.infidelity[0, 0])
    assert labels == {"target": "critical Ising", "block": "MPS", "sites": 4}
    signs = [value for _, value, labels in rows if labels.get("signs") == "Marshall"]
    medians = [np.median(runs, axis=-1) for runs in found.ruled.values()]
    np.testing.assert_array_equal(signs, np.concatenate(medians))


def test_the_same_seeds_give_the_same_infidelities_block_by_block(found):
    again = solo(seven(4, 0), FEED_FORWARD, seeds=(0, 1), steps=20)
    place = found.blocks.index("feed-forward")
    np.testing.assert_allclose(
        again.infidelity[:, 0], found.infidelity[:, place], rtol=1e-9
    )


def test_the_figure_draws_every_bound_that_excludes_something(found):
    result = drawn(found)
    ax = result["figure"].axes[0]
    bars = [line for line in ax.lines if line.get_linewidth() == 6]
    assert len(bars) == np.count_nonzero(found.bound > 1e-10) > 0
    ends = sorted(line.get_xdata()[1] for line in bars)
    np.testing.assert_allclose(ends, sorted(found.bound[found.bound > 1e-10]))
    barred = np.count_nonzero(found.bound > 1e-2)
    assert f"keeps {barred} of 21 pairs" in ax.get_title(loc="left")
    assert result["alt"]
    plt.close(result["figure"])


def test_no_block_and_no_target_are_refused_by_name():
    with pytest.raises(ValueError, match="blocks: got none"):
        solo(seven(4, 0), {}, seeds=(0,), steps=1)
    with pytest.raises(ValueError, match="targets: got"):
        solo({}, FEED_FORWARD, seeds=(0,), steps=1)
