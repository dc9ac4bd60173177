"""Pauli sums: their matrix by three routes, their algebra, what they refuse."""

from functools import reduce

import numpy as np
import pytest

from qlib.entanglement import PauliSum

X = np.array([[0, 1], [1, 0]])
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1])
LETTERS = {"X": X, "Y": Y, "Z": Z}


def by_kron(H):
    """The matrix as a sum of Kronecker products, site 0 leftmost."""
    total = np.zeros((2**H.num_sites,) * 2, dtype=complex)
    for letters, sites, coefficient in H.terms:
        factors = [np.eye(2)] * H.num_sites
        for letter, site in zip(letters, sites, strict=True):
            factors[site] = LETTERS[letter]
        total += coefficient * reduce(np.kron, factors)
    return total


def random_sum(N, terms, rng):
    """Strings of every length from the constant on, of all letters."""
    chosen = []
    for _ in range(terms):
        sites = rng.permutation(N)[: rng.integers(0, N + 1)]
        letters = "".join(rng.choice(list("XYZ"), len(sites)))
        chosen.append((letters, tuple(sites), rng.normal()))
    return PauliSum(N, chosen)


SUMS = [random_sum(N, 12, np.random.default_rng(N)) for N in (1, 2, 3, 5)]
SUMS += [PauliSum(3, ()), PauliSum(2, [("", (), 0.5)])]
SUMS += [PauliSum(4, [("YY", (0, 3), 0.7), ("XYZY", (0, 1, 2, 3), -1.1)])]


@pytest.fixture(params=SUMS, ids=lambda H: f"{H.num_sites} sites {len(H.terms)} terms")
def H(request):
    return request.param


def test_dense_and_sparse_matrix_are_the_sum_of_kronecker_products(H):
    np.testing.assert_allclose(H.matrix(), by_kron(H), rtol=0, atol=1e-13)
    np.testing.assert_allclose(H.sparse().toarray(), by_kron(H), rtol=0, atol=1e-13)


def test_matrix_is_hermitian_and_real_where_it_says_so(H):
    matrix = H.matrix()
    np.testing.assert_allclose(matrix, matrix.conj().T, rtol=0, atol=1e-14)
    assert np.isrealobj(matrix) == H.is_real == (abs(by_kron(H).imag).max() == 0)
    assert H.sparse().dtype == matrix.dtype


def test_masks_give_the_action_of_every_string_on_basis_states(H):
    matrix = np.zeros((2**H.num_sites,) * 2, dtype=complex)
    for flip, sign, amplitude in zip(*H.masks(), strict=True):
        for state in range(2**H.num_sites):
            parity = (state & int(sign)).bit_count() % 2
            matrix[state ^ int(flip), state] += amplitude * (-1) ** parity
    np.testing.assert_allclose(matrix, by_kron(H), rtol=0, atol=1e-13)


def test_sparse_matrix_stores_no_zeros_and_sorted_columns(H):
    matrix = H.sparse()
    assert np.all(matrix.data)
    for row in range(matrix.shape[0]):
        columns = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        assert np.all(np.diff(columns) > 0)


def test_exchange_of_two_spins_is_two_entries():
    assert PauliSum(2, [("XX", (0, 1), 0.5), ("YY", (0, 1), 0.5)]).sparse().nnz == 2


def test_traces_are_the_coefficients(H):
    matrix = H.matrix()
    for letters, sites, coefficient in H.terms:
        string = by_kron(PauliSum(H.num_sites, [(letters, sites, 1.0)]))
        overlap = np.trace(matrix @ string).real / 2**H.num_sites
        assert overlap == pytest.approx(coefficient, abs=1e-13)


def test_equal_strings_add_up_and_cancelled_ones_vanish():
    H = PauliSum(
        3,
        [
            ("ZX", (2, 0), 1.0),
            ("XZ", (0, 2), 0.5),
            ("Y", (1,), 0.25),
            ("Y", (1,), -0.25),
            ("Z", (0,), 0.0),
        ],
    )
    assert H.terms == (("XZ", (0, 2), 1.5),)


def test_order_of_terms_and_sites_does_not_matter():
    a = PauliSum(3, [("XY", (0, 1), 1.0), ("Z", (2,), 2.0)])
    b = PauliSum(3, [("Z", (np.int64(2),), 2), ("YX", [1, 0], np.float32(1.0))])
    assert a == b
    assert hash(a) == hash(b)


def test_an_odd_number_of_y_makes_the_matrix_complex():
    assert not PauliSum(2, [("Y", (0,), 1.0)]).is_real
    assert PauliSum(2, [("YY", (0, 1), 1.0)]).is_real
    np.testing.assert_array_equal(PauliSum(1, [("Y", (0,), 1.0)]).matrix(), Y)


@pytest.mark.parametrize(
    "term",
    [
        ("ZQ", (0, 1), 1.0),
        ("zz", (0, 1), 1.0),
        ("ZZ", (0, 0), 1.0),
        ("ZZ", (0,), 1.0),
        ("ZZ", (0, 3), 1.0),
        ("Z", (-1,), 1.0),
        ("Z", (0.5,), 1.0),
        ("Z", 0, 1.0),
        ("Z", (0,), np.nan),
        ("Z", (0,), np.inf),
        ("Z", (0,), 1j),
        ("Z", (0,), "1"),
        ("Z", (0,), None),
        ("Z", (0,)),
        (3, (0,), 1.0),
        "Z",
    ],
)
def test_terms_that_are_no_pauli_strings_are_refused(term):
    with pytest.raises(ValueError, match="terms: got"):
        PauliSum(3, [("Z", (0,), 1.0), term])


def test_coefficients_that_add_up_to_no_number_are_refused():
    with pytest.raises(ValueError, match=r"terms: got .* a finite real coefficient"):
        PauliSum(1, [("Z", (0,), 1e308)] * 2)


@pytest.mark.parametrize("num_sites", [0, -1, 2.0, True, None])
def test_numbers_of_sites_below_one_are_refused(num_sites):
    with pytest.raises(ValueError, match="num_sites: got"):
        PauliSum(num_sites, [])


def test_matrices_too_large_are_refused_with_their_bytes():
    with pytest.raises(ValueError, match=r"num_sites: got 15, .* 8.59e\+9 bytes"):
        PauliSum(15, [("Z", (0,), 1.0)]).matrix()
    with pytest.raises(ValueError, match=r"num_sites: got 2000, .* 1.05e\+1205 bytes"):
        PauliSum(2000, [("Z", (0,), 1.0)]).matrix()
    with pytest.raises(ValueError, match=r"num_sites: got 50, which needs .* bytes"):
        PauliSum(50, [("Z", (0,), 1.0)]).sparse()
    with pytest.raises(ValueError, match="num_sites: got 63; allowed: at most 62"):
        PauliSum(63, [("Z", (0,), 1.0)]).masks()
