"""Free-fermion ground states against diagonalisation, closed forms, published values.

States are compared in a sector of the parity where they are degenerate without it.
"""

import itertools

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh
from scipy.special import ellipk

from qlib.entanglement import PauliSum
from qlib.entanglement import hamiltonians as models
from qlib.entanglement.freefermions import ground_state
from qlib.entanglement.spectrum import (
    features,
    schmidt_probabilities_at_all_cuts,
    schmidt_values,
)

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
        if state.degenerate:
            with pytest.raises(ValueError, match="state: got a degenerate"):
                state.entropies()
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
        assert ours.renyi2 == pytest.approx(measures[4].renyi2, abs=1e-10)
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


def quadratic_strings(num_sites, axis):
    """All Pauli strings that are bilinear in the fermions, or that times the parity."""
    a, b = {"Z": "XY", "X": "YZ", "Y": "ZX"}[axis]
    strings = {(axis, (site,)) for site in range(num_sites)}
    for but_one in itertools.combinations(range(num_sites), num_sites - 1):
        strings.add((axis * len(but_one), but_one))
    for first, last in itertools.combinations(range(num_sites), 2):
        inner, outer = (
            range(first + 1, last),
            (*range(first), *range(last + 1, num_sites)),
        )
        for left, right in itertools.product((a, b), repeat=2):
            strings.add((left + axis * len(inner) + right, (first, *inner, last)))
            strings.add((left + right + axis * len(outer), (first, last, *outer)))
    return sorted(strings)


@pytest.mark.parametrize("axis", "XYZ")
@pytest.mark.parametrize("num_sites", [4, 5])
def test_every_quadratic_string_is_solved_as_by_diagonalisation(axis, num_sites):
    rng = np.random.default_rng(num_sites)
    strings = quadratic_strings(num_sites, axis)
    H = PauliSum(num_sites, [(*string, rng.normal()) for string in strings])
    for parity in (1, -1):
        state = ground_state(H, parity=parity)
        assert state.axis == axis
        energies, vectors = np.linalg.eigh(in_sector(H, axis, parity).matrix())
        assert state.energy == pytest.approx(energies[0], abs=1e-12)
        assert state.gap == pytest.approx(energies[1] - energies[0], abs=1e-12)
        for cut, p in enumerate(schmidt_probabilities_at_all_cuts(vectors[:, 0]), 1):
            np.testing.assert_allclose(
                state.schmidt_probabilities(cut), p, atol=1e-12, rtol=0
            )


def test_blocks_inside_a_chain_have_the_entanglement_of_the_spins():
    H = models.xy(SITES, 0.5, FIELDS, coupling=BONDS, boundary="periodic")
    state = ground_state(H, parity=1)
    _, psi = lowest(H, "Z", 1)
    for block in ((3, 6), (7, 12), (1, 10)):
        p = schmidt_values(psi, range(*block)) ** 2
        measures = state.features(block, 1e-6)
        assert measures.entropy == pytest.approx(features(p).entropy, abs=1e-10)
        assert measures.rank == features(p, 1e-6).rank
        nu = state.modes(block)
        assert len(nu) == block[1] - block[0]
        assert np.all(np.diff(nu) <= 0)
        assert np.prod(0.5 + 0.5 * nu) == pytest.approx(p[0], abs=1e-12)


@pytest.mark.parametrize("num_sites", [4, 6, 100, 102])
def test_energies_of_xx_rings_are_those_of_filled_bands(num_sites):
    """Momenta (2n + 1) pi / N for an even number of fermions, else 2n pi / N."""
    state = ground_state(models.xxz(num_sites, 0.0, boundary="periodic"))
    assert state.parity == (-1) ** (num_sites // 2)
    assert state.energy == pytest.approx(-1 / np.sin(np.pi / num_sites), rel=1e-13)
    # one fermion more or less: two of them at the Fermi points, at no energy
    gap = np.tan(np.pi / (2 * num_sites))
    assert state.gap == pytest.approx(gap, rel=1e-11)


@pytest.mark.parametrize("field", [0.3, 0.5, 0.7])
def test_gap_of_the_ordered_chain_keeps_its_digits_below_rounding(field):
    state = ground_state(models.tfim(80, field=field))
    expected = 2 * field**80 * (1 - field**2)  # up to a factor 1 + O(field^160)
    assert state.gap == pytest.approx(expected, rel=1e-11)
    assert state.degenerate
    with pytest.raises(ValueError, match="allowed: parity=1 or parity=-1 named"):
        state.entropies()


@pytest.mark.parametrize(("coupling", "field"), [(0.5, 1.0), (1.0, 0.4)])
def test_levels_of_long_ising_chains_are_those_of_the_corner_transfer_matrix(
    coupling, field
):
    """Peschel, Kaulke and Legeza, Ann. Phys. (Leipzig) 8, 153 (1999)."""
    modulus = min(coupling, field) / max(coupling, field)
    spacing = np.pi * ellipk(1 - modulus**2) / ellipk(modulus**2)
    modes = range(0, 20, 2) if coupling > field else range(1, 20, 2)
    sums = [sum(c) for k in range(4) for c in itertools.combinations(modes, k)]
    state = ground_state(models.tfim(128, coupling, field), parity=1)
    p = state.schmidt_probabilities(64, 12)
    levels = -np.log(p / p[0]) / spacing
    np.testing.assert_allclose(levels, sorted(sums)[:12], atol=1e-7)
    assert state.modes(64)[0] == 1.0
    assert state.features(64).entanglement_gap / spacing == pytest.approx(
        levels[1], abs=1e-7
    )


@pytest.mark.parametrize("parity", [1, -1])
def test_ring_on_the_circle_of_product_states_is_their_superposition(parity):
    """gamma^2 + h^2 = 1: Kurmann, Thomas and Mueller, Physica A 112, 235 (1982)."""
    num_sites, gamma = 40, 0.8
    H = models.xy(num_sites, gamma, np.sqrt(1 - gamma**2), boundary="periodic")
    assert ground_state(H).degenerate
    state = ground_state(H, parity=parity)
    assert state.energy == pytest.approx(-num_sites, rel=1e-13)
    overlap = np.sqrt((1 - gamma) / (1 + gamma))  # of the two product states, per site
    for cut in (1, 3, 20):
        left, right = overlap**cut, overlap ** (num_sites - cut)
        signs = np.array([1, -1])
        p = (1 + signs * left) * (1 + signs * parity * right)
        p = np.sort(p / (2 * (1 + parity * overlap**num_sites)))[::-1]
        ours = state.schmidt_probabilities(cut, 2)
        np.testing.assert_allclose(ours, p, atol=1e-13)


def test_chain_without_field_is_a_ghz_state_in_each_parity():
    H = models.tfim(30, field=0.0)
    assert ground_state(H).gap == 0
    for parity in (1, -1):
        state = ground_state(H, parity=parity)
        np.testing.assert_allclose(state.entropies(), np.log(2), rtol=1e-14)
        assert state.features(15).rank == 2


def unique(H):
    """The ground state in the parity that holds it."""
    return ground_state(H, parity=ground_state(H).parity)


def test_strongly_decaying_rainbow_is_concentric_singlets():
    state = unique(models.rainbow_xx(40, 1e-3))
    assert state.gap < 1e-100
    bonds = np.minimum(np.arange(1, 40), np.arange(39, 0, -1))
    np.testing.assert_allclose(state.entropies(), bonds * np.log(2), rtol=1e-5)
    measures = state.features(20)
    assert measures.rank == np.inf
    assert measures.entanglement_gap == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("alpha", [0.7, 0.8])
def test_rainbow_entropy_grows_linearly_at_the_rate_of_its_conformal_map(alpha):
    """Slope -ln(alpha)/3: Rodriguez-Laguna et al., J. Phys. A 50, 164001 (2017)."""
    halves = np.array([40, 46, 52])
    chains = [models.rainbow_xx(2 * half, alpha) for half in halves]
    states = [ground_state(H, parity=1) for H in chains]
    entropies = [state.features(state.num_sites // 2).entropy for state in states]
    slopes = np.diff(entropies) / np.diff(halves)
    np.testing.assert_allclose(slopes, -np.log(alpha) / 3, rtol=2e-4)


def singlets_across_cuts(logarithms):
    """Decimation, strongest bond first: Fisher, Phys. Rev. B 50, 3799 (1994)."""
    sites, logs = list(range(len(logarithms) + 1)), list(logarithms)
    crossing = np.zeros(len(logarithms))
    while sites:
        k = int(np.argmax(logs))
        crossing[sites[k] : sites[k + 1]] += 1
        ends = k == 0 or k == len(logs) - 1
        new = [] if ends else [logs[k - 1] + logs[k + 1] - logs[k]]
        logs[max(k - 1, 0) : k + 2] = new
        del sites[k : k + 2]
    return crossing


def test_strong_disorder_makes_the_singlets_of_the_renormalisation_group():
    rng = np.random.default_rng(3)
    deviations = []
    for _ in range(10):
        uniform = 1 - rng.random(31)
        state = ground_state(models.xxz(32, 0.0, coupling=uniform**30), parity=1)
        singlets = singlets_across_cuts(np.log(uniform))
        deviations.append(np.abs(state.entropies() / np.log(2) - singlets))
    assert np.median(deviations) < 1e-9
    assert np.mean(np.array(deviations) < 0.1) > 0.9  # else two rival bonds were alike


def entropy_slope(disorder, rng):
    """3 dS / d ln sin(pi l / N) from l = 4 to 32 on an XX ring of 64 sites."""
    H = models.random_singlet(64, disorder, boundary="periodic", rng=rng)
    state = ground_state(H, parity=1)
    means = [
        np.mean([state.features((a, a + length)).entropy for a in range(0, 33, 8)])
        for length in (4, 32)
    ]
    return -3 * (means[1] - means[0]) / np.log(np.sin(np.pi / 16))


def test_disorder_lowers_the_entropy_slope_of_the_xx_ring_from_1_towards_ln2():
    """Refael and Moore, Phys. Rev. Lett. 93, 260602 (2004): ln 2 for long blocks.

    1200 rings of this size gave 0.834 +- 0.025 (95 %). The mean of 120 has a standard
    error of 0.041 and leaves the bounds in fewer than one seed in 1000.
    """
    rng = np.random.default_rng(1)
    slope = np.mean([entropy_slope(1.0, rng) for _ in range(120)])
    assert entropy_slope(0.0, rng) == pytest.approx(1, abs=0.01)
    assert np.log(2) < slope < 0.97


def test_edge_modes_of_ssh_chains_double_every_schmidt_value():
    state = unique(models.ssh(200, -0.5))
    assert state.gap < 1e-40
    for cut, multiplicity in ((100, 4), (101, 2)):  # strong bond or not
        p = state.schmidt_probabilities(cut, 5 * multiplicity).reshape(5, -1)
        np.testing.assert_allclose(p, np.repeat(p[:, :1], multiplicity, 1), rtol=1e-9)
    bulk = unique(models.ssh(200, 0.5)).features(101).entropy
    assert state.features(100).entropy == pytest.approx(bulk + np.log(2), abs=1e-12)


def test_a_parity_is_advised_only_where_it_holds_a_single_ground_state():
    H = models.ssh(80, -0.5)  # four states: two spins at the ends
    with pytest.raises(ValueError, match=r"allowed: parity=1 named$"):
        ground_state(H).entropies()
    assert ground_state(H, parity=1).entropies()[0] == pytest.approx(np.log(2))
    with pytest.raises(ValueError, match=r"state: .* allowed: a Hamiltonian"):
        ground_state(H, parity=-1).entropies()


def test_every_level_of_the_cluster_ring_is_fourfold():
    for field in (0.0, 0.3):
        state = ground_state(models.cluster(120, field, boundary="periodic"))
        p = state.schmidt_probabilities(60, 20).reshape(5, 4)
        np.testing.assert_allclose(p, np.repeat(p[:, :1], 4, 1), rtol=1e-9)
    trivial = ground_state(models.cluster(120, 1.5, boundary="periodic"))
    assert trivial.features(60).entanglement_gap > 1


def test_open_cluster_chain_is_fourfold_and_no_parity_singles_out_one():
    H = models.cluster(50)
    assert ground_state(H).gap == 0
    for parity in (1, -1):
        state = ground_state(H, parity=parity)
        assert state.energy == pytest.approx(-48)
        with pytest.raises(ValueError, match="allowed: a Hamiltonian whose sectors"):
            state.modes(25)


def test_single_site_and_constant():
    state = ground_state(PauliSum(1, [("X", (0,), -1.5), ("", (), 4.0)]))
    assert (state.energy, state.gap, state.parity) == (2.5, 3.0, 1)
    assert ground_state(PauliSum(1, [("X", (0,), 1.0)]), parity=1).gap == np.inf
    assert ground_state(PauliSum(3, [("", (), 4.0)])).degenerate


def plus(H, term):
    return PauliSum(H.num_sites, (*H.terms, term))


@pytest.mark.parametrize(
    ("H", "named"),
    [
        (models.heisenberg(6), "0.25 ZZ on sites (0, 1)"),
        (plus(models.tfim(4), ("Z", (2,), 0.5)), "0.5 Z on sites (2,)"),
        (plus(models.tfim(4), ("ZZ", (0, 2), 0.5)), "0.5 ZZ on sites (0, 2)"),
        (
            plus(models.cluster(6), ("XX", (1, 2), 2.0)),
            "2.0 XX on sites (1, 2)",
        ),
        (PauliSum(4, [("XXXX", (0, 1, 2, 3), 1.0), ("X", (1,), 1.0)]), "1.0 XXXX"),
    ],
    ids=["heisenberg", "longitudinal", "next neighbours", "cluster", "all sites"],
)
def test_terms_that_are_not_bilinear_are_named(H, named):
    with pytest.raises(ValueError, match="allowed: terms bilinear") as error:
        ground_state(H)
    assert named in str(error.value)


@pytest.mark.parametrize("cut", [0, 8, -1, 2.5, True, "1", (0, 8), (5, 3), (1, 2, 3)])
def test_cuts_outside_the_chain_are_refused(cut):
    state = ground_state(models.tfim(8))
    with pytest.raises(
        ValueError, match=r"cut: got .*; allowed: an integer in \[1, 7\]"
    ):
        state.features(cut)


def test_bad_settings_are_refused_by_name():
    with pytest.raises(ValueError, match="H: got ndarray; allowed: a PauliSum"):
        ground_state(np.eye(4))
    with pytest.raises(ValueError, match="parity: got 0; allowed: None, 1, -1"):
        ground_state(models.tfim(8), parity=0)
    state = ground_state(models.tfim(8))
    with pytest.raises(ValueError, match="count: got 0"):
        state.schmidt_probabilities(4, 0)
    with pytest.raises(ValueError, match="epsilon: got 0"):
        state.features(4, epsilon=0)
