"""Trials on the dataset: what they say of data whose answer is known."""

import numpy as np
import pytest

from qlib.entanglement import claims
from qlib.entanglement.dataset import make_dataset
from qlib.entanglement.trials import cutoffs, phases, sectors
from qlib.intervals import Estimate

PHASES = np.array(["gapped", "gapless", "critical", "topological"])


@pytest.fixture(scope="module")
def dataset():
    names = ("tfim_ferromagnet", "tfim_paramagnet", "cluster_phase")
    return make_dataset(6, names, sizes=(4, 8), seed=3)


def made_up(rows, rng, *, parted=True):
    """Levels that tell the phase, or say nothing of it."""
    kind = np.arange(rows) % 4
    levels = np.sort(rng.random((rows, phases.LEVELS)), axis=1)
    levels += 3.0 * kind[:, None] * parted
    family = np.char.add("f", (kind + 4 * (np.arange(rows) // 4 % 3)).astype(str))
    return phases.Spectra(levels, PHASES[kind], family)


def test_spectra_are_the_lowest_levels_of_every_row_of_a_size(dataset):
    found = phases.spectra(dataset, 8)
    assert found.levels.shape == (6, phases.LEVELS)
    assert (np.diff(found.levels, axis=1) >= 0).all()
    assert found.family.tolist()[:2] == ["tfim_ferromagnet", "tfim_paramagnet"]
    row = dataset.table.index[dataset.table["size"] == 8][0]
    p = dataset.probabilities(row, 4)
    np.testing.assert_allclose(found.levels[0, :2], -np.log(p[:2]))


def test_a_forest_names_parted_phases_and_only_guesses_at_others(monkeypatch):
    monkeypatch.setattr(phases, "TREES", 8)
    rng = np.random.default_rng(0)
    parted, blind = made_up(96, rng), made_up(96, rng, parted=False)
    for held_out in (phases.points_held_out, phases.families_held_out):
        named = held_out(parted)
        assert named.accuracy.low > claims.TOLD_APART
        np.testing.assert_array_equal(named.named, parted.phase)
        assert held_out(blind).accuracy.high < 0.6  # of 96 guesses at four phases


def test_doublets_are_counted_by_family():
    levels = np.array([[0.7, 0.7001], [0.7, 0.705], [0.1, 2.0], [1.4, 1.4]])
    phase = np.array(["gapped", "topological", "gapped", "topological"])
    family = np.array(["a", "b", "c", "b"])
    found = phases.doublets(phases.Spectra(levels, phase, family))
    assert found == {"a": ("gapped", 1), "b": ("topological", 2)}
    none = phases.Spectra(levels[2:3], phase[2:3], family[2:3])
    assert phases.doublets(none) == {}


def test_entropy_and_capacity_stand_for_the_same_ground_states(dataset):
    levels, numbers = (f(dataset, 8) for f in (phases.spectra, phases.two_numbers))
    assert numbers.levels.shape == (6, 2)
    np.testing.assert_array_equal(levels.family, numbers.family)
    p = np.exp(-levels.levels[0])
    assert numbers.levels[0, 0] == pytest.approx(-p @ np.log(p), abs=1e-6)


def test_always_the_commonest_phase_is_right_in_its_families():
    phase = np.array(["gapped"] * 6 + ["critical"] * 3)
    family = np.array(["a"] * 3 + ["b"] * 3 + ["c"] * 3)
    found = phases.Spectra(np.zeros((9, 8)), phase, family)
    assert phases.majority(found).value == pytest.approx(2 / 3)
    merged = phases.massless(np.array(["gapless", "critical", "gapped"]))
    assert merged.tolist() == ["massless", "massless", "gapped"]


def test_the_gap_among_all_states_is_no_wider_than_in_the_sector(dataset):
    found = sectors.gaps(dataset, 8)
    assert (found.every <= found.named + 1e-9).all()
    assert (found.every < 0.1 * found.named).any()  # the ferromagnet's two orders
    assert not found.still.any()


def test_a_cut_off_moves_moments_that_count_every_level_alike():
    geometric = 0.5 ** np.arange(1, 60)
    flat = np.full(8, 1 / 8)
    found = cutoffs.moments(
        [geometric / geometric.sum(), flat, np.array([0.9, 0.1])], (1e-6, 1e-14)
    )
    assert found.unweighted[0, 1] > 4 * found.unweighted[0, 0]
    np.testing.assert_allclose(found.weighted[:, 1], found.weighted[:, 0], rtol=1e-3)
    np.testing.assert_allclose(found.unweighted[1], 0, atol=1e-12)
    assert cutoffs.change(found.unweighted).value > 0.3
    assert cutoffs.change(found.weighted).high < claims.UNCHANGED


@pytest.mark.parametrize(
    ("estimate", "target", "expected"),
    [
        (Estimate(0.505, 0.49, 0.52), 0.5, (0.01, 0.0, 0.04)),
        (Estimate(1.1, 1.05, 1.15), 1.0, (0.1, 0.05, 0.15)),
        (Estimate(0.9, 0.8, 0.95), 1.0, (0.1, 0.05, 0.2)),
    ],
)
def test_distance_is_relative_and_zero_at_the_target(estimate, target, expected):
    assert claims.distance(estimate, target) == pytest.approx(expected)


def test_rules_name_the_boundaries_that_decide():
    bounds = {
        ("short", "long", "any"): claims.SHARE_OF_LN2,
        ("Ising", "XX"): claims.RELATIVE,
        ("variance", "capacity"): claims.UNCHANGED,
        ("points", "families", "reached", "filled"): claims.TOLD_APART,
        ("calibrated", "calibrated families"): claims.COVERED,
    }
    for keys, bound in bounds.items():
        assert all(str(bound) in claims.CLAIMS[key]["reason"] for key in keys)
