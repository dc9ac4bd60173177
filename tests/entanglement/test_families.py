"""Families of chains: their phases, sectors and ground states."""

from dataclasses import replace
from math import log

import numpy as np
import pytest

from qlib.entanglement import exact, freefermions
from qlib.entanglement.dataset import FAMILIES, PHASES
from qlib.entanglement.spectrum import features, schmidt_values

CENTRAL_CHARGE = {
    "xx_in_field": 1.0,
    "tfim_critical": 0.5,
    "xy_critical": 0.5,
    "cluster_critical": 1.0,
    "cluster_ising_critical": 0.5,
    "ssh_critical": 1.0,
}
EVERY = pytest.mark.parametrize("name", FAMILIES)


def _draws(name, count=3):
    """Points of a family: at least one of each boundary that it has."""
    rng = np.random.default_rng(7)
    family = FAMILIES[name]
    for k in range(count * len(family.boundaries)):
        boundary = family.boundaries[k % len(family.boundaries)]
        yield family, family.draw(rng) | {"boundary": boundary}


@EVERY
def test_sector_holds_the_ground_state_of_the_whole_space(name):
    for family, parameters in _draws(name):
        H = family.build(6, **parameters)
        state = exact.ground_state(H, sector=family.sector(6, parameters))
        assert not state.degenerate
        assert state.energies[0] == pytest.approx(exact.spectrum(H)[0], abs=1e-9)


@EVERY
def test_free_families_agree_with_free_fermions_and_the_others_are_refused(name):
    for family, parameters in _draws(name, 1):
        H = family.build(8, **parameters)
        if not family.free:
            with pytest.raises(ValueError, match="bilinear"):
                freefermions.ground_state(H)
            continue
        free = freefermions.ground_state(H, parity=family.parity(8, parameters))
        state = exact.ground_state(H, sector=family.sector(8, parameters))
        assert free.energy == pytest.approx(state.energies[0], abs=1e-9)
        entropy = features(schmidt_values(state.vector, 4) ** 2).entropy
        assert free.features(4).entropy == pytest.approx(entropy, abs=1e-8)


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.free])
def test_sector_of_free_families_holds_the_lowest_state_at_every_size(name):
    for family, parameters in _draws(name, 1):
        for N in (4, 10, 16, 64):
            H = family.build(N, **parameters)
            parity = family.parity(N, parameters)
            named = freefermions.ground_state(H, parity=parity).energy
            other = freefermions.ground_state(H, parity=-parity).energy
            assert named < other + 1e-11 * N


def test_odd_blocks_of_flip_symmetric_chains_have_every_probability_twice():
    for name, family in FAMILIES.items():
        _, parameters = next(_draws(name))
        sector = family.sector(6, parameters)
        if sector.sz == 0 and sector.x_parity:
            psi = exact.ground_state(family.build(6, **parameters), 2, sector).vector
            values = schmidt_values(psi, 3)
            assert np.allclose(values[::2], values[1::2], atol=1e-12)


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.free])
def test_entropy_of_free_families_grows_as_their_phase_says(name):
    """By c/6 ln sin(πl/N) for each end of the block (Calabrese, Cardy 2004), or not."""
    if name == "random_xx":  # a law of averages, not of one sample
        return
    for family, parameters in _draws(name, 1):
        H = family.build(96, **parameters)
        state = freefermions.ground_state(H, parity=family.parity(96, parameters))
        cuts = np.arange(16, 49, 4)
        entropies = [state.features(cut).entropy for cut in cuts]
        slope = np.polyfit(np.log(np.sin(np.pi * cuts / 96)), entropies, 1)[0]
        ends = 1 if parameters["boundary"] == "open" else 2
        expected = CENTRAL_CHARGE.get(name, 0.0)
        assert (family.phase in ("gapless", "critical")) == (expected > 0)
        assert 6 / ends * slope == pytest.approx(expected, abs=0.05 + 0.1 * expected)
        if family.phase == "topological":
            # two or four equal probabilities
            assert state.features(48).entanglement_gap < 1e-3
        if family.phase == "gapped" and name != "tfim_ferromagnet":  # a cat of two
            assert state.features(48).entanglement_gap > 1.0


@pytest.mark.parametrize(
    ("name", "charge"),
    [("xxz_luttinger", 1.0), ("j1j2_gapless", 1.0), ("self_dual_ising", 0.5)],
)
def test_interacting_families_without_a_gap_have_their_central_charge(name, charge):
    """From 8 to 16 sites, where corrections of a third are left."""
    for family, parameters in _draws(name, 1):
        halves = []
        for N in (8, 16):
            H, sector = family.build(N, **parameters), family.sector(N, parameters)
            psi = exact.ground_state(H, sector=sector).vector
            p = schmidt_values(psi, N // 2) ** 2
            halves.append(features(p / p.sum()).entropy)
        ends = 1 if parameters["boundary"] == "open" else 2
        slope = 6 / ends * np.diff(halves)[0] / log(2)
        assert slope == pytest.approx(charge, rel=0.4)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("j1j2_dimer", 4.0, np.inf),
        ("heisenberg_dimer", 4.0, np.inf),
        ("heisenberg_edge_spins", 0.0, 0.25),  # tends to a doublet, as does a cat
        ("xxz_neel", 0.0, 0.25),
        ("xxz_luttinger", 1.0, 3.5),
        ("j1j2_gapless", 1.0, 3.5),
    ],
)
def test_entanglement_gap_of_interacting_families_is_that_of_their_phase(
    name, low, high
):
    """In the middle of their ranges, at 16 sites."""
    family = FAMILIES[name]
    middle = {key: sum(ends) / 2 for key, ends in family.ranges.items()}
    for boundary in family.boundaries:
        parameters = middle | {"boundary": boundary}
        H, sector = family.build(16, **parameters), family.sector(16, parameters)
        p = schmidt_values(exact.ground_state(H, sector=sector).vector, 8) ** 2
        assert low <= features(p / p.sum()).entanglement_gap <= high


def test_every_phase_is_drawn_and_has_a_free_family():
    assert {family.phase for family in FAMILIES.values()} == set(PHASES)
    assert {family.phase for family in FAMILIES.values() if family.free} == set(PHASES)


@EVERY
def test_longer_chains_continue_shorter_ones(name):
    for family, parameters in _draws(name, 1):
        if parameters["boundary"] == "open":
            inner = [
                {t for t in family.build(N, **parameters).terms if max(t[1]) < 7}
                for N in (8, 12)
            ]
            assert inner[0] == inner[1]


@EVERY
def test_version_changes_with_the_definition_of_the_family(name):
    family = FAMILIES[name]
    variants = [
        replace(family, phase="another"),
        replace(family, sector=lambda N, parameters: exact.Sector(sz=1.0)),
    ]
    for parameter, (low, high) in family.ranges.items():
        ranges = family.ranges | {parameter: (low, (low + high) / 2)}
        variants.append(replace(family, ranges=ranges))
    versions = [variant.definition for variant in (family, *variants)]
    assert len(set(versions)) == len(versions)
    assert replace(family).definition == family.definition
