"""Known cuts, known lattices, known ground states; files refused line by line."""

import networkx as nx
import numpy as np
import pytest

from qlib.annealing.ising import (
    max_cut,
    random_pm_j,
    read_gset,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.exact import all_states, ground_states

KNOWN_CUTS = {
    "complete 7": (nx.complete_graph(7), 12),  # floor(n / 2) ceil(n / 2)
    "complete 8": (nx.complete_graph(8), 16),
    "even cycle": (nx.cycle_graph(10), 10),
    "odd cycle": (nx.cycle_graph(11), 10),
    "Petersen": (nx.petersen_graph(), 12),
    "bipartite": (nx.complete_bipartite_graph(4, 5), 20),
    "cube": (nx.hypercube_graph(3), 12),
    "no edge": (nx.empty_graph(4), 0),
    "one vertex": (nx.empty_graph(1), 0),
}


@pytest.mark.parametrize(
    ("graph", "cut"), KNOWN_CUTS.values(), ids=list(KNOWN_CUTS.keys())
)
def test_ground_energy_is_minus_the_known_maximum_cut(graph, cut):
    energy, _ = ground_states(max_cut(graph))
    assert energy == -cut


def test_every_energy_is_minus_the_weight_of_the_cut():
    rng = np.random.default_rng(0)
    graph = nx.gnp_random_graph(8, 0.5, seed=1)
    for u, v in graph.edges:
        graph[u][v]["weight"] = float(rng.integers(-5, 6))
    states = all_states(8)
    cuts = [
        nx.cut_size(graph, np.flatnonzero(state > 0), weight="weight")
        for state in states
    ]
    np.testing.assert_array_equal(max_cut(graph).energy(states), -np.array(cuts))


def test_parallel_edges_add_up():
    graph = nx.MultiGraph([(0, 1), (0, 1), (1, 2)])
    assert max_cut(graph).energy([1, -1, 1]) == -3.0
    assert max_cut(graph).energy([1, 1, -1]) == -1.0


def test_gset_file_is_the_maximum_cut_of_its_graph(tmp_path):
    graph = nx.petersen_graph()
    lines = [f"{u + 1} {v + 1} 1" for u, v in graph.edges]
    path = tmp_path / "petersen.txt"
    path.write_text("\n".join(["10 15", *lines, ""]))
    model = read_gset(path)
    assert model.variables == tuple(range(1, 11))
    assert model.is_sparse
    states = all_states(10)
    np.testing.assert_array_equal(model.energy(states), max_cut(graph).energy(states))


def test_gset_weights_may_be_negative_and_vertices_alone(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("4 2\n1 3 -1\n\n3 2 2.5\n")
    model = read_gset(path)
    assert model.energy([1, -1, -1, 1]) == 1.0
    assert model.energy([1, -1, 1, 1]) == -2.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "allowed: 'vertices edges' first"),
        ("3\n1 2 1\n", "line 1: got '3'"),
        ("3 1\n1 2\n", "line 2: got '1 2'; allowed: 'vertex vertex weight'"),
        ("3 1\n1 2 one\n", "line 2: got '1 2 one'"),
        ("3 1\n1 2 nan\n", "line 2: got '1 2 nan'"),
        ("3 2\n1 2 1\n\n1 x 1\n", "line 4: got '1 x 1'"),
        ("3 1\n0 2 1\n", "line 2: got edge 0 2; allowed: .* 1 to 3"),
        ("3 1\n1 4 1\n", "line 2: got edge 1 4"),
        ("3 1\n2 2 1\n", "line 2: got edge 2 2"),
        ("3 2\n1 2 1\n2 1 1\n", "line 3: got edge 2 1; .* once"),
        ("3 2\n1 2 1\n", "got 1 edges; allowed: 2"),
    ],
)
def test_gset_lines_are_refused_by_number(tmp_path, text, message):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_gset(path)


@pytest.mark.parametrize("L", [3, 4, 16])
def test_torus_has_four_couplings_of_size_one_at_every_spin(L):
    model = random_pm_j(L, rng=0)
    indptr, indices, weights = model.neighbours()
    np.testing.assert_array_equal(np.diff(indptr), 4)
    np.testing.assert_array_equal(np.abs(weights), 1.0)
    site = np.arange(L * L).reshape(L, L)
    around = [np.roll(site, d, axis=a).ravel() for a in (0, 1) for d in (1, -1)]
    np.testing.assert_array_equal(
        indices.reshape(-1, 4), np.sort(np.stack(around, 1), axis=1)
    )


@pytest.mark.parametrize("L", [1, 2, 5])
def test_open_lattice_is_planar_with_its_number_of_edges(L):
    model = random_pm_j(L, periodic=False, rng=0)
    graph = nx.from_scipy_sparse_array(model.J)
    assert graph.number_of_edges() == 2 * L * (L - 1)
    assert nx.check_planarity(graph)[0]
    assert nx.is_isomorphic(graph, nx.grid_2d_graph(L, L))


def test_signs_are_even_and_follow_the_seed():
    weights = random_pm_j(64, rng=3).neighbours().weights
    # 8192 couplings, each counted twice: |mean| < 5 σ but for 6e-7 of the seeds
    assert abs(weights.mean()) < 5 / np.sqrt(8192)
    np.testing.assert_array_equal(weights, random_pm_j(64, rng=3).neighbours().weights)
    assert (weights != random_pm_j(64, rng=4).neighbours().weights).any()


def test_a_frustrated_plaquette_cannot_satisfy_its_last_bond():
    seen = set()
    for seed in range(8):
        model = random_pm_j(2, periodic=False, rng=seed)
        J = model.J.toarray()
        product = J[0, 1] * J[1, 3] * J[3, 2] * J[2, 0]
        assert ground_states(model)[0] == (-4 if product > 0 else -2)
        seen.add(product)
    assert seen == {-1.0, 1.0}


def test_mean_field_couplings_have_variance_one_over_n():
    N = 200
    J = sherrington_kirkpatrick(N, rng=0).J
    values = J[np.triu_indices(N, 1)] * np.sqrt(N)
    # 19900 normal numbers: mean and variance within 5 σ but for 1e-6 of the seeds
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size)


def test_mean_field_ground_energies_approach_parisis_as_published():
    """e(N) = −0.7632 + 0.70 N^(−2/3), S. Boettcher, Eur. Phys. J. B 46, 501 (2005)."""
    for N, instances in ((8, 200), (14, 100)):
        energies = np.array(
            [
                ground_states(sherrington_kirkpatrick(N, rng=seed))[0] / N
                for seed in range(instances)
            ]
        )
        error = energies.std() / np.sqrt(instances)
        expected = -0.7632 + 0.70 * N ** (-2 / 3)
        assert abs(energies.mean() - expected) < 4 * error + 0.02


@pytest.mark.parametrize("L", [0, -1, 2, 2.5, True])
def test_bad_torus_is_refused(L):
    with pytest.raises(ValueError, match="L: got"):
        random_pm_j(L)


@pytest.mark.parametrize("N", [0, -3, 1.5])
def test_bad_number_of_spins_is_refused(N):
    with pytest.raises(ValueError, match="N: got"):
        sherrington_kirkpatrick(N)
