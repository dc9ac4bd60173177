"""DMRG: exact operators, exact energies, exact spectra, and what it admits."""

import importlib

import numpy as np
import pytest

from qlib.entanglement import freefermions
from qlib.entanglement import hamiltonians as models
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.dmrg.effective import lowest
from qlib.entanglement.dmrg.mpo import automaton, bond_dims, mpo
from qlib.entanglement.pauli import PauliSum
from qlib.entanglement.spectrum import schmidt_values

N = 8
CHAINS = {
    "tfim": models.tfim(N, field=0.8),
    "tfim ring": models.tfim(N, boundary="periodic"),
    "tfim, random": models.tfim(
        N, np.linspace(0.5, 1.5, N - 1), np.linspace(1.4, 0.6, N)
    ),
    "xxz": models.xxz(N, 0.5, 0.3),
    "heisenberg ring": models.heisenberg(N, boundary="periodic"),
    "xy": models.xy(N, 0.3, 0.7),
    "j1j2": models.j1j2(N, 0.3),
    "j1j2 ring": models.j1j2(N, 0.3, boundary="periodic"),
    "ssh": models.ssh(N, 0.3),
    "cluster": models.cluster(N, 0.5),
    "cluster ring": models.cluster(N, 0.3, boundary="periodic"),
    "toric code": models.toric_code(2, 2, 0.3),
    "lmg": models.lmg(N),
    "rainbow": models.rainbow_xx(N, 0.7),
    "random singlet": models.random_singlet(N, rng=0),
    "long range": models.long_range_ising(N, 2.0),
    "complex": PauliSum(
        N,
        [("XY", (i, i + 1), 1.0 + 0.1 * i) for i in range(N - 1)]
        + [("ZYX", (i, i + 1, i + 2), -0.6) for i in range(N - 2)]
        + [("X", (i,), 0.4) for i in range(N)]
        + [("Z", (i,), 0.2 + 0.1 * i) for i in range(N)],
    ),
    "far and constant": PauliSum(
        N,
        [
            *(("XYZY", (0, 2, 3, 7), 1.0), ("XX", (1, 6), 0.7), ("", (), 2.5)),
            *models.tfim(N).terms,
        ],
    ),
}
every_chain = pytest.mark.parametrize("H", CHAINS.values(), ids=CHAINS.keys())


def dense(tensors):
    """Matrix of an MPO, its tensors contracted one after the other."""
    operator = tensors[0][0]  # wR i* i
    for tensor in tensors[1:]:
        # [wL] I* I, [wL] wR i* i -> wR (I* i*) (I i)
        operator = np.einsum("aij,abkl->bikjl", operator, tensor)
        dim = operator.shape[1] * 2
        operator = operator.reshape(-1, dim, dim)
    return operator[0]


# --- the operator ---------------------------------------------------------------------


@every_chain
def test_mpo_contracted_is_the_matrix(H):
    tensors = mpo(H)
    np.testing.assert_allclose(dense(tensors), H.matrix(), atol=1e-12)
    assert all(np.isrealobj(tensor) == H.is_real for tensor in tensors)


@pytest.mark.parametrize(
    ("H", "dim"),
    [
        (models.tfim(12), 3),
        (models.xy(12, 0.5), 4),
        (models.xxz(12), 5),
        (models.cluster(12), 4),
        (models.j1j2(12), 8),
        (models.lmg(30), 3),
    ],
    ids=["tfim", "xy", "xxz", "cluster", "j1j2", "lmg"],
)
def test_mpo_has_the_fewest_states(H, dim):
    assert max(bond_dims(mpo(H))) == dim


def test_long_range_couplings_are_compressed_without_loss():
    H = models.long_range_ising(40, 2.0)
    assert max(bond_dims(automaton(H))) == 41
    assert max(bond_dims(mpo(H))) < 18
    small = models.long_range_ising(10, 2.0)
    assert max(bond_dims(automaton(small))) > max(bond_dims(mpo(small)))
    np.testing.assert_allclose(dense(mpo(small)), small.matrix(), atol=1e-11)


# --- the ground state -----------------------------------------------------------------


@every_chain
def test_energy_and_spectra_equal_those_of_exact_diagonalisation(H):
    energies, vectors = np.linalg.eigh(H.matrix())
    result = dmrg(H, energy_tol=1e-12, truncation=1e-15)
    assert result.converged, result.message
    assert not result.broken_symmetries
    assert abs(result.energy - energies[0]) < 1e-10
    assert abs(result.variance) < 1e-10
    overlap = abs(np.vdot(vectors[:, 0], result.mps.vector()))
    assert overlap == pytest.approx(1, abs=1e-9)
    for cut, found in enumerate(result.probabilities, start=1):
        exact = schmidt_values(vectors[:, 0], cut) ** 2
        np.testing.assert_allclose(found, exact[: len(found)], atol=1e-6)
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert np.all(np.diff(found) <= 0)


@every_chain
def test_energy_and_variance_are_those_of_the_vector(H):
    result = dmrg(H, max_bond_dim=2, max_sweeps=1)
    vector, matrix = result.mps.vector(), H.matrix()
    energy = np.vdot(vector, matrix @ vector).real
    variance = np.linalg.norm(matrix @ vector - energy * vector) ** 2
    assert result.energy == pytest.approx(energy, abs=1e-11)
    assert result.variance == pytest.approx(variance, abs=1e-10)
    assert result.variance > 1e-5


def test_critical_ising_chain_of_64_sites():
    result = dmrg(models.tfim(64), max_bond_dim=32, truncation=1e-13)
    p = result.probabilities[31]
    assert abs(result.energy - -81.1259801231) < 1e-9
    assert -p @ np.log(p) == pytest.approx(0.5458269308, abs=1e-8)
    np.testing.assert_allclose(p[:2], [0.798338513, 0.192394019], atol=1e-8)
    assert result.converged
    assert result.variance < 1e-8


def test_heisenberg_chain_of_50_sites():
    result = dmrg(models.xxz(50, delta=1.0), max_bond_dim=64, energy_tol=1e-8)
    assert abs(result.energy - -21.9721102719) < 1e-7
    assert not result.broken_symmetries
    assert 0 < result.variance < 1e-6


@pytest.mark.parametrize(
    "H",
    [
        models.tfim(24, np.linspace(0.6, 1.4, 23), np.linspace(1.5, 0.7, 24)),
        models.ssh(24, 0.2),
        models.xy(16, 0.5, 1.3, boundary="periodic"),
        models.random_singlet(20, 0.5, rng=1),
    ],
    ids=["tfim, random", "ssh", "xy ring", "random singlet"],
)
def test_long_free_chains_equal_free_fermions(H):
    result, exact = dmrg(H), freefermions.ground_state(H)
    assert result.energy == pytest.approx(exact.energy, abs=1e-8)
    half = H.num_sites // 2
    p = exact.schmidt_probabilities(half, count=4)
    np.testing.assert_allclose(result.probabilities[half - 1][:4], p, atol=1e-5)


def test_majumdar_ghosh_chain_is_dimers():
    result = dmrg(models.j1j2(32, 0.5))
    assert result.energy == pytest.approx(-3 * 32 / 8, abs=1e-9)
    assert result.bond_dims == [2, 1] * 15 + [2]
    for p in result.probabilities[::2]:
        np.testing.assert_allclose(p, [0.5, 0.5], atol=1e-5)


def test_cluster_ring_has_four_equal_schmidt_values_at_each_cut_of_two_bonds():
    result = dmrg(models.cluster(12, boundary="periodic"))
    assert result.energy == pytest.approx(-12, abs=1e-9)
    for p in result.probabilities[1:-1]:
        np.testing.assert_allclose(p, 0.25, atol=1e-6)


def test_product_ground_state_has_bond_dimension_one():
    result = dmrg(models.tfim(20, coupling=0.0))
    assert result.energy == pytest.approx(-20)
    assert result.bond_dims == [1] * 19


@pytest.mark.parametrize("terms", [(), (("", (), 2.5),)], ids=["zero", "constant"])
def test_no_interaction_at_all_leaves_a_product(terms):
    result = dmrg(PauliSum(5, terms))
    assert result.energy == pytest.approx(sum(term[2] for term in terms), abs=1e-12)
    assert result.bond_dims == [1] * 4
    assert result.converged


def test_two_sites_are_solved_at_once():
    result = dmrg(models.heisenberg(2))
    assert result.energy == pytest.approx(-0.75, abs=1e-12)
    np.testing.assert_allclose(result.probabilities, [[0.5, 0.5]], atol=1e-9)


def test_variance_falls_and_energy_approaches_from_above_as_the_bond_dimension_grows():
    exact = 1 - 1 / np.sin(np.pi / (4 * 24 + 2))
    results = [dmrg(models.tfim(24), max_bond_dim=chi) for chi in (2, 4, 8, 16)]
    errors = [result.energy - exact for result in results]
    variances = [result.variance for result in results]
    assert all(error > -1e-12 for error in errors)
    assert errors == sorted(errors, reverse=True)
    assert variances == sorted(variances, reverse=True)
    assert errors[-1] < 1e-9


def test_state_is_left_canonical():
    tensors = dmrg(models.xxz(10, 0.7, 0.1)).mps.tensors
    for tensor in tensors:
        # [vL i] a, [vL i] b -> a b
        overlaps = np.einsum("lia,lib->ab", tensor.conj(), tensor)
        np.testing.assert_allclose(overlaps, np.eye(len(overlaps)), atol=1e-12)


def test_expectations_of_strings_equal_those_of_the_vector():
    state = dmrg(CHAINS["complex"]).mps
    vector = state.vector()
    for letters, sites in (("Z", (3,)), ("XY", (2, 5)), ("YZX", (0, 4, 7))):
        string = PauliSum(N, [(letters, sites, 1.0)]).matrix()
        exact = np.vdot(vector, string @ vector).real
        assert state.expectation(letters, sites) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(
    ("letters", "sites"), [("Z", (6,)), ("Z", (-1,)), ("Q", (1,)), ("ZZ", (1,))]
)
def test_strings_beyond_the_chain_are_refused(letters, sites):
    state = dmrg(models.tfim(6), max_bond_dim=2, max_sweeps=1).mps
    with pytest.raises(ValueError, match=r"terms: got .* allowed: "):
        state.expectation(letters, sites)


def test_same_seed_gives_the_same_result():
    first, second = (dmrg(models.tfim(10), rng=3).mps.vector() for _ in range(2))
    assert np.array_equal(first, second)


# --- what it admits -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("H", "broken"),
    [
        (models.tfim(32, field=0.3), "X on all sites"),
        (models.heisenberg(9), "Z on all sites"),
        (models.cluster(10), "X on even sites"),
        (models.xy(16, 0.5, 0.8, boundary="periodic"), "Z on all sites"),
    ],
    ids=["ordered Ising", "odd number of spins", "edge modes", "ordered XY ring"],
)
def test_degenerate_levels_are_told_by_the_symmetry_that_the_state_lacks(H, broken):
    assert broken in dmrg(H).broken_symmetries


def test_one_of_two_dimer_states_of_a_ring_goes_unnoticed():
    found = dmrg(models.j1j2(12, 0.5, boundary="periodic"))
    assert found.energy == pytest.approx(-4.5)
    first, second = found.entropies()[:2]  # the second cuts no dimer or two
    assert first == pytest.approx(np.log(2), abs=1e-3)
    assert abs(second - np.log(2)) == pytest.approx(np.log(2), abs=1e-3)
    assert found.broken_symmetries == ()


def test_ordered_ising_state_is_one_of_two_without_their_common_ln2():
    result = dmrg(models.tfim(32, field=0.3))
    p = result.probabilities[15]
    assert -p @ np.log(p) < 0.1
    assert result.variance < 1e-8


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_bond_dim": 1, "energy_tol": 1e-3}, "max_bond_dim=1"),
        ({"max_bond_dim": 3}, "max_bond_dim=3"),
        ({"max_sweeps": 1}, "the last sweep"),
    ],
)
def test_what_is_not_converged_says_why(settings, reason):
    result = dmrg(models.heisenberg(12), **settings)
    assert not result.converged
    assert result.message.startswith("not converged")
    assert reason in result.message
    assert result.variance > 0


def test_what_is_stationary_but_no_eigenstate_is_not_converged(monkeypatch):
    """Sweeps of single bonds, without mixing, get stuck on the torus."""
    module = importlib.import_module("qlib.entanglement.dmrg.ground_state")
    monkeypatch.setattr(module, "MIXING", 0.0)
    result = dmrg(models.toric_code(2, 2))
    assert result.energy > -7
    assert result.variance > 1
    assert not result.converged
    assert "stationary, but no eigenstate" in result.message


def test_no_krylov_space_beyond_an_eigenstate():
    matrix = np.diag([-1.0, 0.0, 2.0, 3.0])
    start = np.array([[1.0, 0.0], [0.0, 0.0]])
    products = []

    def operator(theta):
        products.append(1)
        return (matrix @ theta.ravel()).reshape(theta.shape)

    energy, state = lowest(operator, start, 8, 1e-6)
    assert energy == -1.0
    assert len(products) == 1
    np.testing.assert_array_equal(state, start)


@pytest.mark.parametrize(
    ("H", "settings", "message"),
    [
        (models.tfim(8).matrix(), {}, "H: got ndarray; allowed: a PauliSum"),
        (PauliSum(1, [("X", (0,), 1.0)]), {}, "H: got num_sites=1; allowed: at least"),
        (CHAINS["tfim"], {"max_bond_dim": 0}, "max_bond_dim: got 0"),
        (CHAINS["tfim"], {"max_bond_dim": 2.5}, "max_bond_dim: got 2.5"),
        (CHAINS["tfim"], {"truncation": -1e-9}, "truncation: got -1e-09"),
        (CHAINS["tfim"], {"truncation": np.nan}, "truncation: got nan"),
        (CHAINS["tfim"], {"energy_tol": 0.0}, "energy_tol: got 0.0"),
        (CHAINS["tfim"], {"max_sweeps": 0}, "max_sweeps: got 0"),
    ],
)
def test_bad_input_is_refused_by_name(H, settings, message):
    with pytest.raises(ValueError, match=message):
        dmrg(H, **settings)


def test_vector_of_a_long_chain_is_refused_with_its_bytes():
    state = dmrg(models.tfim(30, coupling=0.0)).mps
    with pytest.raises(ValueError, match=r"num_sites: got 30, .* 8.59e\+09 bytes"):
        state.vector()
