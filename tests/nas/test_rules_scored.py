from dataclasses import replace

import numpy as np
import pytest

from qlib.nas.rules import draw, families_held_out, measure, sizes_held_out
from qlib.nas.rules.fitted import FITTED, one_threshold, stump
from qlib.nas.rules.profile import FEATURES, Profile
from qlib.nas.rules.rules import BLOCKS, RULES
from qlib.nas.rules.scoring import (
    BASELINE,
    CHANCE,
    NAMES,
    confusion,
    noise,
    over_families,
)
from qlib.nas.rules.table import Table
from qlib.nas.trials import controls
from qlib.nas.trials.controls import Null, null, permuted, rotation
from qlib.nas.trials.table import reading, rows

ALL, SHORTEST, CHAIN = "RBM, all sites", "RBM, range 1", "MPS"


def planted(*, families=12, points=2, sizes=(6, 8), seeds=3, loud=0.0, rng=0):
    """Density alone decides: MPS below one half, all sites above, a third of all."""
    rng = np.random.default_rng(rng)
    count = families * points * len(sizes)
    names = np.repeat([f"family {k:02d}" for k in range(families)], count // families)
    levels = np.repeat(np.linspace(0.05, 0.7, families), count // families)
    density = levels + 0.01 * rng.standard_normal(count)
    decades = np.full((count, len(BLOCKS), seeds), -2.0)
    decades[density < 0.5, BLOCKS.index(CHAIN)] = -4
    decades[density >= 0.5, BLOCKS.index(ALL)] = -4
    decades += loud * rng.standard_normal(decades.shape)
    profiles = []
    for one in density:
        numbers = dict(zip(FEATURES, rng.random(len(FEATURES)), strict=True))
        numbers |= {"density": one, "growth": one}
        same = dict.fromkeys(BLOCKS, 0.0)
        profiles.append(Profile(**numbers, bounds=same, bits=same))
    return Table(
        names,
        np.tile(np.repeat(np.arange(points), len(sizes)), families),
        np.tile(sizes, families * points),
        BLOCKS,
        profiles,
        rng.random((count, 3)),
        10.0**decades,
    )


def test_regrets_are_decades_above_the_best_block_from_the_floor_on():
    found = planted(families=2, points=1, sizes=(6,), seeds=1)
    infidelity = np.full((2, len(BLOCKS), 1), 1e-2)
    infidelity[0, :3, 0] = 0.0, 1e-12, 1e-6
    infidelity[1, 1, 0] = 1e-5
    found = replace(found, infidelity=infidelity)
    np.testing.assert_allclose(found.regret[0], [0, 0, 0, 4, 4, 4], atol=1e-12)
    np.testing.assert_allclose(found.regret[1], [3, 0, 3, 3, 3, 3], atol=1e-12)


def test_a_rule_that_knows_pays_nothing_and_chance_pays_the_mean():
    found = planted()
    for scored in (families_held_out(found), sizes_held_out(found)):
        assert scored["entropy"].mean == pytest.approx((0, 0, 0), abs=1e-12)
        assert scored["entropy"].right.min() == 1
        assert scored["growth of entropy"].mean.value > 0.5
        # five blocks of six cost two decades
        assert scored[CHANCE].mean == pytest.approx([10 / 6] * 3)
        assert scored[CHANCE].right == pytest.approx(1 / 6)
        assert scored[BASELINE].mean.value == pytest.approx(2 * 4 / 12)
        assert scored["best on average"].mean == scored[BASELINE].mean
        assert scored["one threshold"].mean.value < 0.2
        assert scored["forest"].gain(scored[BASELINE]).low > 0
        choices = np.array([one.choice for one in scored.values()])
        np.testing.assert_allclose(choices.sum(-1), 1)


def test_a_family_held_out_takes_no_part_in_the_fit():
    """Where one family alone is best with all sites, no fit without it can know."""
    found = planted(families=6)
    column, odd = BLOCKS.index(ALL), found.families == "family 03"
    infidelity = np.full(found.infidelity.shape, 1e-2)
    infidelity[:, BLOCKS.index(CHAIN)] = 1e-4
    infidelity[odd, BLOCKS.index(CHAIN)] = 1e-2
    infidelity[odd, column] = 1e-4
    found = replace(found, infidelity=infidelity)
    scored = families_held_out(found, tuple(FITTED))
    for name in FITTED:
        assert scored[name].choice[odd, column].max() == 0
        assert scored[name].regret[odd].min() == pytest.approx(2)


def test_the_threshold_is_the_best_of_all_by_brute_force():
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = rng.integers(0, 6, 12).astype(float)
        regret = rng.random((12, 4))
        cost, threshold, low, high = one_threshold(values, regret)
        picked = np.where(values < threshold, low, high)
        assert regret[np.arange(12), picked].mean() == pytest.approx(cost)
        tried = [
            regret[values < t].sum(0).min(initial=np.inf) * (values < t).any()
            + regret[values >= t].sum(0).min()
            for t in np.unique(values)[1:]
        ]
        assert cost == pytest.approx(min([*tried, regret.sum(0).min()]) / 12)
    same, threshold, low, high = one_threshold(np.ones(12), regret)
    assert (same, threshold, low) == (regret.mean(0).min(), np.inf, high)


def test_the_stump_takes_the_feature_that_decides():
    rng = np.random.default_rng(0)
    features, regret = rng.random((40, 3)), np.ones((40, 2))
    above = features[:, 1] > 0.5
    regret[above, 1] = regret[~above, 0] = 0
    pick = stump(features, regret)
    np.testing.assert_array_equal(pick(features), above)
    np.testing.assert_array_equal(pick(np.array([[1, 0, 1], [0, 1, 0]])), [0, 1])


def test_over_families_weighs_families_alike():
    families = np.array(["a"] * 9 + ["b"])
    values = np.array([0.0] * 9 + [1.0])
    assert over_families(values, families).value == 0.5


def test_intervals_over_few_families_cover():
    """Of ten families: 95 % of intervals hold the mean; percentiles of resamples, 90 %.

    Below 93.5 % of 2000, a false alarm in a thousand draws of the numbers.
    """
    rng = np.random.default_rng(0)
    families = np.arange(10).astype(str)
    found = [over_families(rng.standard_normal(10), families) for _ in range(2000)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.935


def test_confusion_counts_targets():
    found = planted()
    counts = confusion(found, families_held_out(found, ["entropy"])["entropy"])
    chain, everywhere = BLOCKS.index(CHAIN), BLOCKS.index(ALL)
    assert counts[chain, chain] + counts[everywhere, everywhere] == 48 == counts.sum()
    spread = confusion(found, families_held_out(found, [CHANCE])[CHANCE])
    assert spread[chain] == pytest.approx(32 / 6)


def test_seeds_that_agree_make_no_noise_and_random_ones_much():
    assert noise(planted()).value == 0
    none = planted(families=30, loud=1.0)
    flat = replace(none, infidelity=10.0 ** (none.decades * 0 - 2))
    loud = np.random.default_rng(0).standard_normal(flat.infidelity.shape)
    assert noise(flat).value == 0
    assert noise(replace(flat, infidelity=10 ** (loud - 3))).low > 0.3


def test_shuffled_targets_take_a_rules_gain_away():
    """The planted rule gains 2/3 decades; p of 9 shuffles is a tenth at the least."""
    found = planted()
    control = null(
        found, draws=9, rng=np.random.default_rng(0), names=("entropy", "tree", CHANCE)
    )
    assert control.gain[:2] == pytest.approx(2 / 3, abs=0.2)
    assert control.chance("entropy") == control.chance("tree") == 0.1
    assert control.left("entropy").value < 0.1
    assert control.left("tree").value < 0.1
    assert control.left(CHANCE) == pytest.approx([control.gain[2]] * 3)
    assert control.chance(CHANCE) == 1
    assert control.chance_of_any("entropy") == control.chance("entropy")


def test_the_more_rules_are_tried_the_less_one_gain_says():
    """Gains of 20 rules that are all noise, and one that is not."""
    rng = np.random.default_rng(0)
    names = tuple("abcdefghijklmnopqrst")
    found = Null(names, rng.standard_normal(20), rng.standard_normal((999, 20)))
    luckiest = min(names, key=found.chance)
    assert found.chance(luckiest) < 0.1 < found.chance_of_any(luckiest)
    for name in names:
        assert found.chance_of_any(name) >= found.chance(name) - 1e-12
    sure = found._replace(gain=np.append(9.0, found.gain[1:]))
    assert sure.chance_of_any("a") == sure.chance("a") == 0.001


def test_a_permutation_hands_whole_families_on():
    found = planted()
    other = permuted(found, np.random.default_rng(1))
    first, second = found.features, other.features
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    np.testing.assert_array_equal(found.infidelity, other.infidelity)
    for family in np.unique(found.families):
        given = second[found.families == family]
        [source] = {
            found.families[np.flatnonzero((first == row).all(1))[0]] for row in given
        }
        here = found.families == source
        np.testing.assert_array_equal(first[here], given)
        np.testing.assert_array_equal(found.sizes[here], [6, 8, 6, 8])


def test_reading_finds_what_was_planted_and_nothing_in_noise():
    """Shuffled, 95 % of intervals of ρ hold 0."""
    found = planted(points=1, sizes=(6,), loud=0.2)
    told = reading(found)
    assert told.correlation.low > 0.1
    assert told.correlation.low <= told.correlation.value <= told.correlation.high
    assert told.explained["entanglement"].value > 0.3 > told.explained["basis"].value
    worth = found.score[:, BLOCKS.index(SHORTEST)] - found.score[:, BLOCKS.index(ALL)]
    np.testing.assert_allclose(told.worth, worth)
    volume = told.growth > 0.25
    difference = worth[volume].mean() - worth[~volume].mean()
    assert told.difference.value == pytest.approx(difference)
    again = reading(permuted(found, np.random.default_rng(0)))
    assert again.correlation.low < 0 < again.correlation.high
    assert again.explained["entanglement"].value < 0.2


@pytest.fixture(scope="module")
def small():
    draws = draw(["GHZ", "rainbow"], sizes=(4, 6), points=1)
    return draws, measure(draws, seeds=[0, 1], steps=3)


def test_the_table_holds_the_bounds_and_its_shapes(small):
    draws, found = small
    assert found.infidelity.shape == (4, len(BLOCKS), 2)
    assert [one.target.num_sites for one in draws] == [4, 6] * 2 == list(found.sizes)
    for profile, row in zip(found.profiles, found.infidelity, strict=True):
        least = np.array([profile.bounds[name] for name in BLOCKS])
        assert (row >= least[:, None] - 1e-12).all()
        assert (row <= 1).all()
    assert found.profiles[3].bounds[CHAIN] > 0.1


def test_a_row_does_not_depend_on_its_company(small):
    draws, found = small
    done = []
    alone = measure(draws[2:3], seeds=[1], steps=3, callback=lambda *n: done.append(n))
    np.testing.assert_allclose(
        alone.infidelity[0, :, 0], found.infidelity[2, :, 1], rtol=1e-9
    )
    assert done == [(len(BLOCKS), len(BLOCKS))]
    assert not np.allclose(found.infidelity[..., 0], found.infidelity[..., 1])


def test_rotations_change_what_is_paid_and_not_what_is_picked(small):
    draws, table = small[0][::2], small[1].rows(slice(None, None, 2))
    names = ("entropy", BASELINE)
    turned = rotation(
        draws, table, seeds=[0, 1], steps=3, rng=np.random.default_rng(0), names=names
    )
    assert turned.drift < 1e-9
    assert [RULES["entropy"](p) for p in turned.after.profiles] == [
        RULES["entropy"](p) for p in table.profiles
    ]
    assert not np.allclose(turned.after.infidelity, table.infidelity, rtol=1e-3)
    assert set(turned.paid) == set(names)
    assert turned.paid["entropy"][0] == families_held_out(table, names)["entropy"].mean
    for one in (turned.changed, turned.chance):
        assert 0 <= one.value <= 1
    first, second = table.decades[..., 0], turned.after.decades[..., 1]
    assert turned.moved.value == pytest.approx(abs(first - second).mean())
    both = first - first.min(1)[:, None] + second - second.min(1)[:, None]
    assert turned.floor.value == pytest.approx(both.min(1).mean() / 2)


def test_what_seeds_alone_cost_is_no_cost_of_a_rotation(small, monkeypatch):
    """The identity in place of a rotation: the floor is above 0, its excess is 0."""
    draws, table = small[0][::2], small[1].rows(slice(None, None, 2))
    table = replace(
        table, infidelity=10.0 ** -np.random.default_rng(0).random((2, 6, 2))
    )
    monkeypatch.setattr(controls, "measure", lambda *given, **settings: table)
    turned = controls.rotation(
        draws, table, seeds=[0, 1], steps=3, rng=np.random.default_rng(0), names=()
    )
    assert turned.floor == turned.floor_by_chance
    assert turned.floor.value > 0.01
    assert turned.excess == (0, 0, 0)


def test_names_of_rules_are_those_of_the_figures():
    assert {*RULES, *FITTED, BASELINE, CHANCE} == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) == len(RULES) + len(FITTED) + 2


def rotated(draws, table, *, seeds):
    rng = np.random.default_rng(0)
    return rotation(draws, table, seeds=seeds, steps=1, rng=rng)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: draw(points=0), "points"),
        (lambda: draw(["Ising"]), "families"),
        (lambda: draw(sizes=[5]), "num_sites"),
        (lambda: measure([], seeds=[0]), "draws"),
        (lambda: measure(draw(["GHZ"], sizes=[4]), seeds=[]), "seeds"),
        (lambda: measure(draw(["GHZ"], sizes=[4]), seeds=[0], steps=0), "steps"),
        (lambda: measure(draw(["GHZ"], sizes=[4]), seeds=[0], blocks=["X"]), "names"),
        (lambda: over_families(np.ones(3), np.array(["a"] * 3)), "families"),
        (lambda: null(planted().rows(slice(1, None)), draws=1, rng=None), "table"),
        (lambda: null(planted(), draws=0, rng=None), "draws"),
        (lambda: families_held_out(planted(), ["best"]), "names"),
        (lambda: sizes_held_out(planted(), ["best"]), "names"),
        (lambda: sizes_held_out(planted(sizes=(6,))), "table"),
        (lambda: noise(planted(seeds=1)), "table"),
        (lambda: reading(replace(planted(), blocks=("MPS",) * 6)), "table"),
        (lambda: rotated([], planted(), seeds=[0]), "seeds"),
        (lambda: rotated([], planted(), seeds=[0, 1]), "table"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()


def test_rows_say_each_number_once():
    found = planted(families=3, points=1)
    scored = families_held_out(found, ["entropy"]), sizes_held_out(found, [CHANCE])
    said = list(rows(found, *scored))
    keys = {(metric, *sorted(labels.items())) for metric, _, labels in said}
    assert len(keys) == len(said) == 2 * 6 * len(BLOCKS) + 4
    assert all(np.isfinite(value) for _, value, _ in said)
    labels = {"rule": CHANCE, "held out": "largest size"}
    assert ("share of best blocks picked", pytest.approx(1 / 6), labels) in said
