"""Free-fermion ground states against diagonalisation, closed forms and published ones.

All the states here are compared in a sector of the parity, where they are unique.
"""

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from qlib.entanglement import PauliSum
from qlib.entanglement import hamiltonians as models
from qlib.entanglement.freefermions import ground_state
from qlib.entanglement.spectrum import features, schmidt_probabilities_at_all_cuts

SITES = 12
DRAWS = np.random.default_rng(5)
BONDS, FIELDS = DRAWS.uniform(0.3, 2.0, SITES), DRAWS.uniform(0.3, 2.0, SITES)


def bonds_of(boundary):
    return BONDS if boundary == "periodic" else BONDS[:-1]


FAMILIES = {
    "ordered": lambda b: models.tfim(SITES, field=0.8, boundary=b),
    "critical": lambda b: models.tfim(SITES, boundary=b),
    "paramagnet": lambda b: models.tfim(SITES, field=-1.7, boundary=b),
    "antiferromagnet": lambda b: models.tfim(SITES, -1.0, 0.9, boundary=b),
    "random tfim": lambda b: models.tfim(SITES, bonds_of(b), FIELDS, boundary=b),
    "xy": lambda b: models.xy(SITES, 0.6, 0.7, boundary=b),
    "xy in a staggered field": lambda b: models.xy(
        SITES, -0.4, FIELDS * (-1) ** np.arange(SITES), boundary=b
    ),
    "random xy": lambda b: models.xy(
        SITES, 0.5, FIELDS, coupling=bonds_of(b), boundary=b
    ),
    "xx": lambda b: models.xxz(SITES, 0.0, boundary=b),
    "xx in a field": lambda b: models.xxz(SITES, 0.0, 0.3, boundary=b),
    "xx, 13 sites": lambda b: models.xxz(SITES + 1, 0.0, 0.2, boundary=b),
    "ssh": lambda b: models.ssh(SITES, 0.3, boundary=b),
    "ssh with edge modes": lambda b: models.ssh(SITES, -0.2, boundary=b),
    "random singlet": lambda b: models.random_singlet(SITES, 0.7, boundary=b, rng=2),
    "cluster": lambda b: models.cluster(SITES, 0.6, boundary=b),
}
CHAINS = {
    f"{name}, {boundary}": build(boundary)
    for name, build in FAMILIES.items()
    for boundary in ("open", "periodic")
} | {"rainbow": models.rainbow_xx(SITES, 0.8)}


def in_sector(H, axis, parity):
    """H plus a penalty on the states of the other parity."""
    sites = tuple(range(H.num_sites))
    penalty = 10.0 * H.num_sites
    terms = (("", (), penalty), (axis * H.num_sites, sites, -parity * penalty))
    return PauliSum(H.num_sites, H.terms + terms)


def lowest(H, axis, parity):
    """Two lowest energies of a sector and the ground state, by Lanczos on 2^N rows."""
    start = np.random.default_rng(0).normal(size=2**H.num_sites)
    energies, vectors = eigsh(
        in_sector(H, axis, parity).sparse(), 2, which="SA", v0=start, tol=0
    )
    order = np.argsort(energies)
    return energies[order], vectors[:, order[0]]


@pytest.mark.parametrize("H", CHAINS.values(), ids=CHAINS)
def test_free_fermions_agree_with_diagonalisation(H):
    levels = []
    for parity in (1, -1):
        state = ground_state(H, parity=parity)
        energies, psi = lowest(H, state.axis, parity)
        assert state.energy == pytest.approx(energies[0], abs=1e-10)
        assert state.gap == pytest.approx(energies[1] - energies[0], abs=1e-9)
        levels += [*energies]
        if state.refusal:
            assert state.gap < 1e-8
            continue
        exact = schmidt_probabilities_at_all_cuts(psi)
        for cut, p in enumerate(exact, 1):
            ours = state.schmidt_probabilities(cut, 4096)
            np.testing.assert_allclose(ours, p, atol=1e-10)
        measures = [features(p) for p in exact]
        entropies = [measure.entropy for measure in measures]
        np.testing.assert_allclose(state.entropies(), entropies, atol=1e-10)
        ours = state.features(5)
        assert ours.capacity == pytest.approx(measures[4].capacity, abs=1e-9)
        assert ours.third_cumulant == pytest.approx(
            measures[4].third_cumulant, abs=1e-8
        )
    both = ground_state(H)
    levels.sort()
    assert both.energy == pytest.approx(levels[0], abs=1e-10)
    assert both.gap == pytest.approx(levels[1] - levels[0], abs=1e-9)


def test_published_values_of_64_site_ising_chains():
    critical = ground_state(models.tfim(64))
    assert critical.energy == pytest.approx(-81.1259801231, abs=5e-11)
    measures = critical.features(32)
    assert measures.entropy == pytest.approx(0.5458269308, abs=5e-11)
    p = critical.schmidt_probabilities(32, 2)
    np.testing.assert_allclose(p, [0.798338513, 0.192394019], atol=5e-10)
    ordered = ground_state(models.tfim(64, field=0.5), parity=1)
    assert ordered.features(32).entropy == pytest.approx(0.6960673545, abs=5e-11)


@pytest.mark.parametrize("num_sites", [3, 12, 64, 201])
def test_critical_ising_energies_are_those_of_pfeuty(num_sites):
    chain = ground_state(models.tfim(num_sites))
    exact = 1 - 1 / np.sin(np.pi / (4 * num_sites + 2))
    assert chain.energy == pytest.approx(exact, rel=1e-13)
    ring = ground_state(models.tfim(num_sites, boundary="periodic"))
    exact = -2 / np.sin(np.pi / (2 * num_sites))
    assert ring.energy == pytest.approx(exact, rel=1e-13)
    # first the odd sector's zero mode, at the energy of its vacuum
    odd = -2 / np.tan(np.pi / (2 * num_sites))
    assert ring.gap == pytest.approx(odd - exact, abs=1e-11)
