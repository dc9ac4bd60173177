"""Each closed form against a state vector made without it."""

from functools import reduce
from itertools import pairwise, product

import numpy as np
import pytest

from qlib.entanglement import closed_forms as exact
from qlib.entanglement import hamiltonians
from qlib.entanglement.spectrum import features, schmidt_values

SPINS = 1 - 2 * np.array(list(product((0, 1), repeat=8)))  # (2^8, 8), of +-1


def assert_spectrum(psi, cut, p, **tolerance):
    """The squared Schmidt values are p, followed by zeros."""
    measured = schmidt_values(psi, cut) ** 2
    expected = np.zeros(max(measured.size, len(p)))
    expected[: len(p)] = p
    measured = np.pad(measured, (0, expected.size - measured.size))
    np.testing.assert_allclose(measured, expected, atol=1e-12, **tolerance)
    assert np.sum(p) == pytest.approx(1, abs=1e-12)


def product_of_pairs(N, pairs, pair):
    """The same two-site state on each pair, for instance a singlet."""
    tensor = reduce(np.multiply.outer, [np.reshape(pair, (2, 2))] * len(pairs))
    order = np.argsort([site for sites in pairs for site in sites])
    return tensor.transpose(order).ravel() / np.linalg.norm(pair) ** len(pairs)


def vector_of_controlled_z(N, edges):
    """Signs (-1)^(number of edges with both sites down) on equal amplitudes."""
    down = SPINS[: 2**N, -N:] == -1
    both = sum((down[:, i] & down[:, j]).astype(int) for i, j in edges)
    return (-1.0) ** both / 2 ** (N / 2)


@pytest.mark.parametrize("N", [2, 3, 6])
def test_ghz_and_w(N):
    one_up = np.zeros(2**N)
    one_up[2 ** np.arange(N)] = N**-0.5
    all_equal = np.zeros(2**N)
    all_equal[[0, -1]] = 0.5**0.5
    for cut in range(1, N):
        assert_spectrum(all_equal, cut, exact.ghz(N, cut))
        assert_spectrum(one_up, cut, exact.w_state(N, cut))


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 7), (1, 6), (2, 5), (3, 4)],
        [(3, 0), (1, 2), (7, 5), (4, 6)],
        [(0, 1), (2, 3), (4, 5), (6, 7)],
    ],
)
@pytest.mark.parametrize("pair", [[1, 0, 0, 1], [0, 1, -1, 0]])
def test_bell_pairs_and_singlets(pairs, pair):
    psi = product_of_pairs(8, pairs, pair)
    for cut in range(1, 8):
        assert_spectrum(psi, cut, exact.bell_pairs(8, pairs, cut))


@pytest.mark.parametrize("covering", [0, 1])
def test_majumdar_ghosh_dimers_are_ground_states(covering):
    N = 8
    dimers = [((i + covering) % N, (i + covering + 1) % N) for i in range(0, N, 2)]
    psi = product_of_pairs(N, dimers, [0, 1, -1, 0])
    ring = hamiltonians.j1j2(N, 0.5, boundary="periodic").sparse()
    energy = exact.majumdar_ghosh_energy(N)
    assert energy == -3 * N / 8
    np.testing.assert_allclose(ring @ psi, energy * psi, atol=1e-12)
    for cut in range(1, N):
        p = exact.majumdar_ghosh(N, cut, covering=covering)
        assert_spectrum(psi, cut, p)
        bonds_cut = 1 if cut % 2 else 2 * covering
        assert features(p).entropy == pytest.approx(bonds_cut * np.log(2))


def valence_bonds(N, boundary):
    """AKLT: singlets between spins 1/2, each pair of one site made symmetric."""
    spins = 2 * N + 2 * (boundary == "open")
    first = 0 if boundary == "open" else 1
    bonds = [((i + first) % spins, (i + first + 1) % spins) for i in range(0, spins, 2)]
    psi = product_of_pairs(spins, bonds, [0, 1, -1, 0]).reshape((2,) * spins)
    for site in range(1 - first, spins - 1, 2):
        psi = psi + psi.swapaxes(site, site + 1)
    return psi.ravel() / np.linalg.norm(psi)


@pytest.mark.parametrize("N", [3, 4, 6])
def test_aklt_ring_of_projected_valence_bonds(N):
    psi = valence_bonds(N, "periodic")
    for cut in range(1, N):
        assert_spectrum(psi, 2 * cut, exact.aklt(N, cut))


@pytest.mark.parametrize("N", [2, 3, 4])
def test_aklt_chain_ended_by_halves(N):
    psi = valence_bonds(N, "open")
    for cut in range(1, N):
        assert_spectrum(psi, 2 * cut + 1, exact.aklt(N, cut, boundary="open"))


def test_aklt_published_half_ring():
    p = exact.aklt(6, 3)
    np.testing.assert_allclose(p, [0.267760] * 3 + [0.196721], atol=5e-7)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
@pytest.mark.parametrize("N", [3, 4, 5, 8])
def test_cluster_states_are_ground_states(N, boundary):
    psi = vector_of_controlled_z(N, exact.chain_edges(N, boundary=boundary))
    H = hamiltonians.cluster(N, boundary=boundary)
    energy = -N if boundary == "periodic" else -(N - 2)
    np.testing.assert_allclose(H.sparse() @ psi, energy * psi, atol=1e-12)
    for cut in range(1, N):
        assert_spectrum(psi, cut, exact.cluster(N, cut, boundary=boundary))


def test_the_half_ring_of_a_cluster_state_has_four_quarters():
    for N in (4, 8, 400):
        np.testing.assert_array_equal(exact.cluster(N, N // 2), [0.25] * 4)


def test_graph_states_of_any_graph():
    rng = np.random.default_rng(0)
    for chance in (0.2, 0.5, 0.8):
        edges = np.argwhere(np.triu(rng.random((8, 8)) < chance, 1)).tolist()
        psi = vector_of_controlled_z(8, edges)
        for cut in range(1, 8):
            assert_spectrum(psi, cut, exact.graph_state(8, edges, cut))


def test_an_edge_named_twice_cancels():
    assert exact.cut_rank(4, [(0, 3), (3, 0), (1, 2)], 2) == 1


def test_half_chain_edges_fill_the_half_chain_at_any_size():
    for N in (2, 8, 400):
        assert exact.cut_rank(N, exact.half_chain_edges(N), N // 2) == N // 2


def test_the_mean_entropy_of_haar_vectors_is_pages():
    """Twenty vectors: 4 standard errors, a false alarm in 1 of 16000 seeds."""
    assert exact.page_entropy(12, 6) == pytest.approx(3.659025, abs=5e-7)
    rng = np.random.default_rng(0)
    for N, cut in [(2, 1), (7, 2), (12, 6)]:
        vectors = [exact.haar_vector(N, rng) for _ in range(20)]
        S = [features(schmidt_values(psi, cut) ** 2).entropy for psi in vectors]
        error = np.std(S, ddof=1) / np.sqrt(len(S))
        assert np.mean(S) == pytest.approx(exact.page_entropy(N, cut), abs=4 * error)


@pytest.mark.parametrize("N", [20, 60, 400, 1023])
def test_pages_entropy_is_that_of_the_half_less_a_half(N):
    half = N // 2
    deficit = half * np.log(2) - exact.page_entropy(N, half)
    assert deficit == pytest.approx(0.5 * 2.0 ** (2 * half - N), abs=1e-5)
    assert exact.page_entropy(N, 3) == exact.page_entropy(N, N - 3)


@pytest.mark.parametrize("N", [2, 3, 6, 7])
@pytest.mark.parametrize("field", [0.2, 1.0, 3.0])
def test_lmg_by_dicke_states_is_lmg_by_spins(N, field):
    H = hamiltonians.lmg(N, field, coupling=1.3).matrix()
    even = (np.eye(2**N) + np.eye(2**N)[::-1]) / 2  # prod X = 1
    energies, vectors = np.linalg.eigh(even @ H.real @ even)
    assert exact.lmg_energy(N, field, coupling=1.3) == pytest.approx(energies[0])
    for cut in range(1, N):
        p = exact.lmg(N, cut, field, coupling=1.3)
        assert p.size == min(cut, N - cut) + 1
        assert_spectrum(vectors[:, 0], cut, p)


def test_lmg_entropy_at_the_critical_point_grows_as_a_sixth_of_the_logarithm():
    """Barthel, Dusuel and Vidal, Phys. Rev. Lett. 97, 220402 (2006)."""
    S = [features(exact.lmg(N, N // 2)).entropy for N in (250, 500, 1000)]
    slopes = np.diff(S) / np.log(2)
    limit = slopes[1] + (slopes[1] - slopes[0]) / (2 ** (1 / 3) - 1)  # error N^(-1/3)
    assert limit == pytest.approx(1 / 6, rel=0.03)


def test_lmg_is_a_cat_at_low_field_and_a_product_at_high_field():
    np.testing.assert_allclose(exact.lmg(300, 100, 1e-3)[:2], 0.5, atol=1e-5)
    assert exact.lmg(300, 100, 1e3)[0] == pytest.approx(1, abs=1e-5)
    sides = exact.lmg(301, 100, 0.7), exact.lmg(301, 201, 0.7)
    np.testing.assert_allclose(*sides, atol=1e-12)


CUT_FORMS = {
    "ghz": exact.ghz,
    "w": exact.w_state,
    "pairs": lambda N, cut: exact.bell_pairs(N, [], cut),
    "dimers": exact.majumdar_ghosh,
    "AKLT": exact.aklt,
    "cluster": exact.cluster,
    "Page": exact.page_entropy,
    "LMG": exact.lmg,
}


@pytest.mark.parametrize("form", CUT_FORMS.values(), ids=CUT_FORMS)
@pytest.mark.parametrize("cut", [0, 6, -1, 2.5, None])
def test_a_cut_that_separates_nothing_is_refused_by_name(form, cut):
    with pytest.raises(ValueError, match=r"^cut: got .*; allowed: "):
        form(6, cut)


@pytest.mark.parametrize("form", CUT_FORMS.values(), ids=CUT_FORMS)
@pytest.mark.parametrize("N", [0, 1, -4, 2.5, "6"])
def test_a_chain_of_no_two_sites_is_refused_by_name(form, N):
    with pytest.raises(ValueError, match=r"^N: got .*; allowed: "):
        form(N, 1)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: exact.majumdar_ghosh(7, 3), "N"),
        (lambda: exact.majumdar_ghosh(6, 3, covering=2), "covering"),
        (lambda: exact.half_chain_edges(7), "N"),
        (lambda: exact.page_entropy(2000, 3), "N"),
        (lambda: exact.bell_pairs(6, [(0, 1), (1, 2)], 3), "pairs"),
        (lambda: exact.bell_pairs(6, [(0, 6)], 3), "edges"),
        (lambda: exact.graph_state(6, [(2, 2)], 3), "edges"),
        (lambda: exact.graph_state(6, [(-1, 2)], 3), "edges"),
        (lambda: exact.cluster(6, 3, boundary="ring"), "boundary"),
        (lambda: exact.aklt(6, 3, boundary=None), "boundary"),
        (lambda: exact.lmg(6, 3, 0.0), "field"),
        (lambda: exact.lmg(6, 3, coupling=-1.0), "coupling"),
        (lambda: exact.lmg(6, 3, np.nan), "field"),
        (lambda: exact.graph_state(400, exact.half_chain_edges(400), 200), "cut"),
        (lambda: exact.haar_vector(60, 0), "N"),
        (lambda: exact.haar_vector(2000, 0), "N"),
        (lambda: exact.majumdar_ghosh_energy(7), "N"),
        (lambda: exact.majumdar_ghosh_energy(6, j1=np.nan), "j1"),
        (lambda: exact.lmg(10**6, 10**5), "N"),
    ],
)
def test_what_has_no_closed_form_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()


def test_neighbouring_cuts_differ_by_at_most_one_bit():
    edges = exact.next_neighbour_edges(9)
    ranks = [exact.cut_rank(9, edges, cut) for cut in range(1, 9)]
    assert ranks == [1, 2, 2, 2, 2, 2, 2, 1]
    assert all(abs(a - b) <= 1 for a, b in pairwise(ranks))
