from functools import cache

import numpy as np
import pytest
import torch

from qlib.entanglement import closed_forms
from qlib.entanglement.spectrum import schmidt_values
from qlib.nas.candidates import candidates
from qlib.nas.rules import FAMILIES, FEATURES, RULES, profile, target
from qlib.nas.rules.families import GROUND_STATES, STATES
from qlib.nas.rules.profile import basis_features
from qlib.nas.rules.rules import BLOCKS
from qlib.nas.targets import Target


@cache
def blocks(num_sites):
    built = candidates(num_sites, names=BLOCKS)
    seed = torch.Generator().manual_seed(0)
    return {name: build(generator=seed) for name, build in built.items()}


def profile_of(vector):
    one = Target("", vector)
    return profile(one.spectra(), blocks(one.num_sites))


def ghz(num_sites):
    vector = np.zeros(2**num_sites)
    vector[[0, -1]] = 0.5**0.5
    return vector


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_is_normalised_and_the_same_when_drawn_again(family):
    first, again, other = (target(family, 6, point).vector for point in (1, 1, 2))
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-12)
    assert abs(np.vdot(first, again)) ** 2 == pytest.approx(1, abs=1e-12)
    assert abs(np.vdot(first, other)) ** 2 < 1 - 1e-9 or family == "xx_in_field"


@pytest.mark.parametrize("family", GROUND_STATES)
def test_a_ground_state_has_the_energy_that_it_is_told_to_have(family):
    one = target(family, 6, 0)
    H = one.hamiltonian.sparse()
    energy = np.vdot(one.vector, H @ one.vector).real
    assert energy == pytest.approx(one.energy, abs=1e-9)


def test_states_given_by_formula_have_the_entanglement_of_the_formula():
    """Nested pairs: cos², sin² once for each pair cut; GHZ two; MPS at most two."""
    one = target("rainbow", 8, 0)
    pair = schmidt_values(one.vector, 1) ** 2
    expected = pair
    for cut in (1, 2, 3, 4):
        found = schmidt_values(one.vector, cut) ** 2
        np.testing.assert_allclose(found, np.sort(expected)[::-1], atol=1e-14)
        expected = np.kron(expected, pair)
    for name, rank in [("GHZ", 2), ("W", 2), ("random MPS", 2), ("product", 1)]:
        for cut in (2, 3, 4):
            p = schmidt_values(target(name, 8, 0).vector, cut) ** 2
            assert p[rank:].sum() < 1e-25
            assert p[rank - 1] > 1e-4
    half = profile_of(target("graph", 6, 0).vector)
    assert half.capacity == pytest.approx(0, abs=1e-12)
    assert abs(target("graph", 6, 0).vector) == pytest.approx(0.5**3)


@pytest.mark.parametrize("name", STATES)
def test_a_rotation_of_all_qubits_leaves_the_profile_as_it_is(name):
    one = target(name, 6, 0)
    first, second = profile_of(one.vector), profile_of(one.rotated(3).vector)
    for feature in FEATURES:
        expected = pytest.approx(getattr(first, feature), abs=1e-9)
        assert getattr(second, feature) == expected, feature
    assert second.bounds == pytest.approx(first.bounds, abs=1e-12)
    if name != "Haar":
        before, after = (basis_features(v.vector) for v in (one, one.rotated(3)))
        assert max(abs(before[key] - after[key]) for key in before) > 1e-3


@pytest.mark.parametrize("family", ["j1j2_dimer", "heisenberg_edge_spins"])
def test_singlets_are_what_they_were_after_any_rotation(family):
    one = target(family, 6, 0)
    overlap = np.vdot(one.vector, one.rotated(3).vector)
    assert abs(overlap) == pytest.approx(1, abs=1e-9)


def test_profiles_of_known_states():
    flat = profile_of(ghz(8))
    assert (flat.density, flat.growth, flat.roughness) == pytest.approx((1 / 4, 0, 0))
    assert (flat.capacity, flat.skewness, flat.gap) == pytest.approx((0, 0, 0))
    assert flat.rank == pytest.approx(1 / 4)
    pairs = profile_of(target("rainbow", 8, 0).vector)
    bit = pairs.density  # of one pair
    assert (pairs.growth, pairs.roughness) == pytest.approx((bit, bit))
    none = profile_of(target("product", 8, 0).vector)
    assert (none.density, none.gap, none.rank) == pytest.approx((0, 12, 0), abs=1e-9)
    assert max(none.bounds.values()) < 1e-12


def test_bounds_and_bits_are_those_of_the_blocks():
    """MPS of bond dimension 4 on eight sites: log2 1, 2, 2, … ; rainbow at θ = π/4."""
    pairs = np.ones((1, 1))
    for _ in range(4):
        pairs = np.kron(pairs, np.array([[0, 1], [-1, 0]]) / 2**0.5)
    vector = pairs.reshape((2,) * 8).transpose(0, 1, 2, 3, 7, 6, 5, 4).ravel()
    found = profile_of(vector)
    assert found.bounds["MPS"] == pytest.approx(1 - 4 / 16)
    assert found.bits["MPS"] == pytest.approx(1 + 5 * 2 + 1)
    assert found.bounds["attention"] == 0
    assert found.bits["attention"] == pytest.approx(1 + 2 + 3 + 4 + 3 + 2 + 1)


def test_signs_and_participation_of_known_states():
    def values(vector):
        return tuple(basis_features(np.array(vector)).values())

    uniform = np.full(16, 0.25)
    assert values(uniform) == pytest.approx((1, 0, 1))
    assert values(np.eye(16)[3] * 1j) == pytest.approx((1, 1, 0))
    singlet = np.array([0, 1, -1, 0]) / 2**0.5
    assert values(singlet) == pytest.approx((0, 1, 0.5))
    assert values(ghz(4)) == pytest.approx((1, 1, 1 / 4))


class Asked:
    """A profile of which some numbers are set; the others take no part."""

    def __init__(self, **numbers):
        vars(self).update(numbers)


@pytest.mark.parametrize(
    ("rule", "feature", "steps"),
    [
        ("entropy", "density", [("MPS", 0.49), ("RBM, all sites", 0.5)]),
        (
            "entropy, three steps",
            "density",
            [("RBM, range 2", 0.33), ("MPS", 0.34), ("attention", 0.67)],
        ),
        (
            "growth of entropy",
            "growth",
            [("RBM, range 2", 0.24), ("RBM, all sites", 0.26)],
        ),
        ("flat spectrum", "capacity", [("RBM, all sites", 0.09), ("MPS", 0.11)]),
        ("wide spectrum", "capacity", [("MPS", 0.49), ("attention", 0.51)]),
        ("gap", "gap", [("RBM, all sites", 1.9), ("MPS", 2.1)]),
        ("rank", "rank", [("MPS", 0.5), ("RBM, all sites", 0.51)]),
    ],
)
def test_declared_rules_part_where_they_say(rule, feature, steps):
    for block, value in steps:
        assert RULES[rule](Asked(**{feature: value})) == block


def test_rules_on_bounds_take_the_least_capacity_that_will_do():
    bits = dict(zip(BLOCKS, (5, 8, 6, 9, 9, 9), strict=True))

    def picked(rule, *bounds):
        return RULES[rule](
            Asked(bounds=dict(zip(BLOCKS, bounds, strict=True)), bits=bits)
        )

    for rule in ("least bound", "least capacity"):
        assert picked(rule, 0, 0, 0, 0, 0, 0) == "RBM, range 1"
        assert picked(rule, 0.1, 0, 0, 0, 0, 0) == "MPS"
        assert picked(rule, 0.1, 0.1, 0.1, 0, 0, 0) == "RBM, all sites"
    assert picked("least bound", 5e-4, 0, 2e-4, 0, 0, 0) == "RBM, range 2"
    assert picked("least capacity", 5e-4, 0, 2e-4, 0, 0, 0) == "RBM, range 1"
    assert picked("least capacity", 0.5, 0.4, 0.3, 0.2, 0.1, 0.2) == "feed-forward"


def test_every_rule_names_a_block_for_every_family():
    for family in FAMILIES:
        found = profile_of(target(family, 6, 0).vector)
        assert {rule(found) for rule in RULES.values()} <= set(BLOCKS)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: target("ising", 6, 0), "families"),
        (lambda: target("GHZ", 7, 0), "num_sites"),
        (lambda: target("GHZ", 2, 0), "num_sites"),
        (lambda: target("GHZ", 16, 0), "num_sites"),
        (lambda: target("GHZ", 6, -1), "point"),
        (lambda: target("GHZ", 6, 0.5), "point"),
    ],
)
def test_what_is_no_target_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()


def test_w_states_have_the_spectrum_of_their_amplitudes():
    vector = target("W", 6, 0).vector
    places = 2 ** np.arange(5, -1, -1)
    left = (abs(vector[places[:2]]) ** 2).sum()
    found = schmidt_values(vector, 2) ** 2
    np.testing.assert_allclose(found[:2], sorted([left, 1 - left])[::-1], atol=1e-13)
    even = np.zeros(64)
    even[places] = 6**-0.5
    np.testing.assert_allclose(
        schmidt_values(even, 2)[:2] ** 2, closed_forms.w_state(6, 2)[:2]
    )
