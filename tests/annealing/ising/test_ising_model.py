"""Energies in every notation, over all states of small models."""

import dimod
import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from qlib.annealing.ising import IsingModel
from qlib.annealing.ising.exact import all_states
from qlib.annealing.ising.sampler import default_beta_range


def random_model(n, *, make=np.asarray, labels=None, seed=0):
    """Normal fields and couplings, an offset, about half of the couplings zero."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)) * rng.integers(0, 2, (n, n)), 1)
    return IsingModel(rng.normal(size=n), make(upper + upper.T), rng.normal(), labels)


@pytest.fixture(params=[np.asarray, sparse.csr_array, sparse.coo_matrix])
def make(request):
    """How the matrix of couplings is stored."""
    return request.param


def sum_by_definition(model, spins):
    """offset + Σ h_i s_i + Σ_{i<j} J_ij s_i s_j, term by term."""
    J = model.J.toarray() if model.is_sparse else model.J
    energy = model.offset
    for i in range(len(spins)):
        energy += model.h[i] * spins[i]
        for j in range(i):
            energy += J[i, j] * spins[i] * spins[j]
    return energy


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_energy_is_the_sum_over_fields_and_pairs(n, make):
    model = random_model(n, make=make)
    states = all_states(n)
    expected = [sum_by_definition(model, state) for state in states]
    np.testing.assert_allclose(model.energy(states), expected, atol=1e-12)


def test_energy_keeps_the_shape_of_the_batch(make):
    model = random_model(5, make=make)
    states = all_states(5).reshape(4, 8, 5)
    assert model.energy(states).shape == (4, 8)
    assert model.energy(states[1, 2]) == pytest.approx(model.energy(states)[1, 2])
    assert np.ndim(model.energy(states[0, 0])) == 0
    assert model.energy(np.empty((3, 0, 5))).shape == (3, 0)
    assert model.local_fields(np.empty((0, 5))).shape == (0, 5)


def test_energies_of_integer_biases_are_exact_integers():
    rng = np.random.default_rng(0)
    upper = np.triu(rng.integers(-9, 10, (60, 60)), 1)
    model = IsingModel(rng.integers(-9, 10, 60), upper + upper.T)
    spins = rng.choice([-1, 1], (50, 60)).astype(np.int64)
    exact = spins @ model.h.astype(int) + np.sum((spins @ upper) * spins, axis=1)
    np.testing.assert_array_equal(model.energy(spins.astype(np.int8)), exact)


def test_a_flip_changes_the_energy_by_minus_two_spins_times_fields(make):
    model = random_model(6, make=make)
    states = all_states(6)
    fields = model.local_fields(states)
    for i in range(6):
        flipped = states.copy()
        flipped[:, i] *= -1
        change = model.energy(flipped) - model.energy(states)
        np.testing.assert_allclose(change, -2 * states[:, i] * fields[:, i], atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_qubo_round_trip_keeps_every_energy(n, make):
    model = random_model(n, make=make, seed=n)
    Q, offset = model.to_qubo()
    assert sparse.issparse(Q) == model.is_sparse
    dense = Q.toarray() if sparse.issparse(Q) else Q
    np.testing.assert_array_equal(dense, np.triu(dense))
    states = all_states(n)
    x = (1 + states) // 2
    energies = model.energy(states)
    by_qubo = offset + np.einsum("ri,ij,rj->r", x, dense, x)
    np.testing.assert_allclose(by_qubo, energies, atol=1e-12)
    back = IsingModel.from_qubo(Q, offset)
    assert back.is_sparse == model.is_sparse
    np.testing.assert_allclose(back.energy(states), energies, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_any_square_matrix_is_a_qubo(seed):
    rng = np.random.default_rng(seed)
    Q = rng.normal(size=(6, 6))  # neither symmetric nor triangular
    states = all_states(6)
    x = (1 + states) / 2
    expected = 0.5 + np.einsum("ri,ij,rj->r", x, Q, x)
    model = IsingModel.from_qubo(Q, 0.5)
    np.testing.assert_allclose(model.energy(states), expected, atol=1e-12)


def test_qubo_of_labelled_pairs_is_dimods():
    Q = {("a", "a"): 1.5, ("a", 3): -2.0, (3, "a"): 0.5, (("b",), 3): 4.0}
    model = IsingModel.from_qubo(Q, -1.0)
    assert model.variables == ("a", 3, ("b",))
    bqm = dimod.BinaryQuadraticModel.from_qubo(Q, -1.0).spin
    states = all_states(3)
    expected = bqm.energies((states, model.variables))
    np.testing.assert_allclose(model.energy(states), expected, atol=1e-12)


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
@pytest.mark.parametrize("kind", [dimod.Float64BQM, dimod.DictBQM])
@pytest.mark.parametrize("labels", [None, ["z", 0, (1, 2), "a", 9]])
def test_bqm_round_trip_keeps_every_energy_and_label(kind, vartype, labels, make):
    model = random_model(5, make=make, labels=labels)
    bqm = kind(model.to_bqm().change_vartype(vartype, inplace=False))
    assert tuple(bqm.variables) == model.variables
    back = IsingModel.from_bqm(bqm)
    assert back.variables == model.variables
    states = all_states(5)
    energies = model.energy(states)
    values = states if vartype == "SPIN" else (1 + states) // 2
    np.testing.assert_allclose(back.energy(states), energies, atol=1e-12)
    by_dimod = bqm.energies((values, list(model.variables)))
    np.testing.assert_allclose(by_dimod, energies, atol=1e-12)


def test_empty_bqm_has_no_spins_and_one_energy():
    model = IsingModel.from_bqm(dimod.BinaryQuadraticModel({}, {}, 2.5, "BINARY"))
    assert model.num_spins == 0
    assert model.energy(np.empty((1, 0))) == [2.5]
    assert model.to_bqm().offset == 2.5


def test_couplings_of_a_graph_are_its_weights_and_one_without():
    graph = nx.Graph([("a", "b"), ("b", "c")])
    graph["a"]["b"]["weight"] = -3.0
    graph.add_node("alone")
    model = IsingModel.from_networkx(graph)
    assert model.variables == ("a", "b", "c", "alone")
    expected = [[0, -3, 0, 0], [-3, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(model.J.toarray(), expected)
    assert not model.h.any()
    assert IsingModel.from_networkx(nx.Graph()).num_spins == 0


def test_neighbours_hold_every_coupling_in_both_directions(make):
    model = random_model(9, make=make)
    indptr, indices, weights = model.neighbours()
    matrix = sparse.csr_array((weights, indices, indptr), shape=(9, 9)).toarray()
    J = model.J.toarray() if model.is_sparse else model.J
    np.testing.assert_array_equal(matrix, J)
    assert indptr.dtype == indices.dtype == np.int32
    assert weights.size == np.count_nonzero(J)


def test_a_hundred_thousand_spins_in_a_ring_stay_sparse():
    n = 100_000
    i = np.arange(n)
    bqm = dimod.BinaryQuadraticModel.from_numpy_vectors(
        np.zeros(n), (i, (i + 1) % n, -np.ones(n)), 0.0, "SPIN"
    )
    model = IsingModel.from_bqm(bqm)
    assert model.is_sparse
    assert model.neighbours().weights.size == 2 * n
    rows = np.stack([np.ones(n, np.int8), np.where(i < n // 2, 1, -1)])
    np.testing.assert_array_equal(model.energy(rows), [-n, -n + 4])
    quadratic, offset = model.to_qubo()
    assert quadratic.nnz == 2 * n
    assert offset == -n


def test_rounding_asymmetry_is_averaged_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6))
    product = X.T @ X
    product[0, 1] += 1e-15
    np.fill_diagonal(product, 0.0)
    model = IsingModel(None, product)
    np.testing.assert_array_equal(model.J, model.J.T)
    np.testing.assert_allclose(model.J, product, rtol=1e-12)


def test_stored_zeros_are_no_couplings():
    rows, columns, values = [0, 1, 1, 2], [1, 0, 2, 1], [0.0, 0.0, 3.0, 3.0]
    J = sparse.csr_array((values, (rows, columns)), shape=(3, 3))
    neighbours = IsingModel(None, J).neighbours()
    assert neighbours.weights.tolist() == [3.0, 3.0]
    assert neighbours.indptr.tolist() == [0, 0, 1, 2]


def test_a_qubo_of_labels_that_are_no_pairs_is_refused():
    with pytest.raises(ValueError, match=r"Q: got key \('a',\); allowed: pairs"):
        IsingModel.from_qubo({("a", "b"): 1.0, ("a",): 2.0})


def test_the_model_does_not_share_memory_with_its_arguments():
    h, J = np.zeros(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    model = IsingModel(h, J)
    h[0], J[0, 1] = 5.0, 7.0
    assert model.energy(np.ones(2)) == 1.0


PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("J: got 2.0 at .* allowed: a symmetric", ([0, 0], [[0, 2], [1, 0]])),
        ("J: got nan", ([0, 0], [[0, np.nan], [np.nan, 0]])),
        ("J: got inf", ([0, 0], [[0, np.inf], [np.inf, 0]])),
        (r"J: got 1e\+101; .* up to 1e\+100", ([0, 0], PAIR * 1e101)),
        ("J: got 3.0 on the diagonal at 1", ([0, 0], [[0, 1], [1, 3]])),
        ("J: got shape", ([0, 0], [[0, 1, 0], [1, 0, 0]])),
        ("J: got shape", ([0, 0], [1, 2])),
        ("h: got shape", ([0, 0, 0], PAIR)),
        ("h: got nan", ([0, np.nan], PAIR)),
        ("offset: got nan", ([0, 0], PAIR, np.nan)),
        ("variables: got 2 labels, 1 distinct", ([0, 0], PAIR, 0.0, "aa")),
        ("variables: got 3 labels", ([0, 0], PAIR, 0.0, "abc")),
    ],
)
def test_bad_models_are_refused_by_name(message, arguments):
    with pytest.raises(ValueError, match=message):
        IsingModel(*arguments)


@pytest.mark.parametrize("wrap", [sparse.csr_array, sparse.coo_array])
def test_bad_sparse_couplings_are_refused_by_name(wrap):
    for matrix, message in (
        ([[0.0, 2.0], [1.0, 0.0]], "symmetric"),
        ([[0.0, np.nan], [np.nan, 0.0]], "J: got nan"),
        ([[1.0, 2.0], [2.0, 0.0]], "diagonal"),
    ):
        with pytest.raises(ValueError, match=message):
            IsingModel(None, wrap(np.array(matrix)))


@pytest.mark.parametrize("Q", [np.ones((2, 3)), np.ones(4), np.ones((2, 2, 2))])
def test_non_square_qubos_are_refused(Q):
    with pytest.raises(ValueError, match="Q: got shape"):
        IsingModel.from_qubo(Q)


def test_nan_in_a_qubo_is_refused():
    with pytest.raises(ValueError, match="Q: got nan"):
        IsingModel.from_qubo([[np.nan, 0.0], [0.0, 0.0]])


def test_directed_graphs_and_loops_are_refused():
    with pytest.raises(ValueError, match="graph: got a directed graph"):
        IsingModel.from_networkx(nx.DiGraph([(0, 1)]))
    with pytest.raises(ValueError, match="on the diagonal"):
        IsingModel.from_networkx(nx.Graph([(0, 1), (1, 1)]))


@pytest.mark.parametrize(
    "spins", [[0, 1], [1, 2], [np.nan, 1], [[1, -1, 1]], 1, [0.5, 1]]
)
def test_bad_spins_are_refused(spins):
    with pytest.raises(ValueError, match="spins: got"):
        IsingModel(None, PAIR).energy(spins)


def test_default_range_of_one_spin_in_a_field():
    hot, cold = default_beta_range(IsingModel([-2.0], [[0.0]]))
    assert np.exp(-hot * 4.0) == pytest.approx(0.5)
    assert np.exp(-cold * 4.0) == pytest.approx(0.01)


@pytest.mark.parametrize("factor", [1e-8, 3.0, 1e8])
def test_default_range_scales_inversely_with_the_energies(factor):
    model = random_model(8)
    scaled = IsingModel(factor * model.h, factor * model.J)
    expected = np.array(default_beta_range(model)) / factor
    np.testing.assert_allclose(default_beta_range(scaled), expected)


def test_default_range_of_no_biases_is_finite_and_increasing():
    assert default_beta_range(IsingModel(None, np.zeros((3, 3)))) == (0.1, 1.0)
    assert default_beta_range(IsingModel(None, np.zeros((0, 0)))) == (0.1, 1.0)
