import numpy as np
import pytest
import torch

from qlib.entanglement.exact import ground_state
from qlib.entanglement.hamiltonians import tfim
from qlib.entanglement.spectrum import (
    entanglement_spectrum,
    features,
    legacy_moments,
    renyi,
    schmidt_probabilities_at_all_cuts,
    schmidt_values,
)


def random_state(num_sites, dtype, rng):
    rng = np.random.default_rng(rng)
    psi = rng.standard_normal(2**num_sites).astype(dtype)
    if dtype is complex:
        psi += 1j * rng.standard_normal(2**num_sites)
    return psi / np.linalg.norm(psi)


def weakly_entangled_state(num_sites, rng):
    """Schmidt values that fall over ten decades: small rotations of a product."""
    psi = np.zeros((2,) * num_sites)
    psi[(0,) * num_sites] = 1
    rng = np.random.default_rng(rng)
    for site in range(num_sites - 1):
        gate, _ = np.linalg.qr(np.eye(4) + 0.1 * rng.standard_normal((4, 4)))
        psi = np.tensordot(gate.reshape(2, 2, 2, 2), psi, ((2, 3), (site, site + 1)))
        psi = np.moveaxis(psi, (0, 1), (site, site + 1))
    return psi.ravel()


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("num_sites", [2, 3, 6, 9])
def test_a_density_matrix_has_the_squared_schmidt_values(num_sites, dtype):
    psi = random_state(num_sites, dtype, 0)
    for cut in range(1, num_sites):
        matrix = psi.reshape(2**cut, -1)
        eigenvalues = np.linalg.eigvalsh(matrix @ matrix.conj().T)[::-1]
        squares = schmidt_values(psi, cut) ** 2
        np.testing.assert_allclose(eigenvalues[: squares.size], squares, atol=1e-14)


@pytest.mark.parametrize("num_sites", [2, 3, 4, 7, 10])
@pytest.mark.parametrize("kind", ["real", "complex", "weakly entangled"])
def test_all_cuts_at_once_equal_each_cut_alone_tails_included(num_sites, kind):
    if kind == "weakly entangled":
        psi = weakly_entangled_state(num_sites, 1)
    else:
        psi = random_state(num_sites, float if kind == "real" else complex, 1)
    together = schmidt_probabilities_at_all_cuts(psi)
    assert len(together) == num_sites - 1
    for cut, p in enumerate(together, start=1):
        alone = schmidt_values(psi, cut)
        np.testing.assert_allclose(np.sqrt(p), alone, rtol=0, atol=4e-15)
        assert p.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("cut", [1, 3, 4, 7, (0, 2, 5), (6, 1, 3, 4)])
@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("symmetry", ["sz", "even flip", "odd flip", "flip and sz"])
def test_blocks_of_a_symmetric_state_hold_its_whole_spectrum(symmetry, dtype, cut):
    """Against an equal state whose symmetry local rotations hide."""
    num_sites = 8
    psi = random_state(num_sites, dtype, np.random.default_rng(3))
    down = np.bitwise_count(np.arange(2**num_sites))
    if "sz" in symmetry:
        psi[down != (4 if "flip" in symmetry else 3)] = 0
    if "flip" in symmetry:
        psi += (-1 if "odd" in symmetry else 1) * psi[::-1]
    psi /= np.linalg.norm(psi)
    hidden = psi.reshape((2,) * num_sites)
    for site in range(num_sites):
        c, s = np.cos(0.3 + site), np.sin(0.3 + site)
        hidden = np.moveaxis(
            np.tensordot([[c, -s], [s, c]], hidden, axes=(1, site)), 0, site
        )
    np.testing.assert_allclose(
        schmidt_values(psi, cut),
        schmidt_values(hidden.reshape(-1), cut),
        rtol=0,
        atol=1e-14,
    )


def test_a_pure_state_has_one_spectrum_on_both_sides_of_any_subset():
    psi = random_state(7, complex, 2)
    for sites in [(3,), (0, 4), (6, 1, 2)]:
        rest = tuple(site for site in range(7) if site not in sites)
        inside, outside = schmidt_values(psi, sites), schmidt_values(psi, rest)
        np.testing.assert_allclose(inside, outside, atol=1e-14)


def test_site_zero_is_the_leftmost_leg():
    pair = np.array([1, 0, 0, 1]) / np.sqrt(2)
    psi = np.kron(pair, [1, 0])
    assert features(schmidt_values(psi, 1) ** 2).entropy == pytest.approx(np.log(2))
    assert features(schmidt_values(psi, 2) ** 2).entropy == pytest.approx(0, abs=1e-14)
    np.testing.assert_allclose(schmidt_values(psi, [2]), [1, 0], atol=1e-15)
    np.testing.assert_array_equal(schmidt_values(psi, range(2)), schmidt_values(psi, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_a_torch_vector_has_the_spectrum_of_its_numpy_twin(dtype):
    psi = torch.randn(2**8, dtype=dtype, generator=torch.Generator().manual_seed(0))
    psi = (psi / torch.linalg.vector_norm(psi)).conj()
    values = schmidt_values(psi, 3)
    assert values.dtype == np.float64
    twin = psi.resolve_conj().numpy().astype(complex)
    exact = np.linalg.svd(twin.reshape(8, -1), compute_uv=False)
    np.testing.assert_allclose(values, exact, atol=1e-12)


def test_entanglement_energies_are_minus_logarithms_of_probabilities():
    psi = np.diag(np.sqrt([0.6, 0.3, 0.1, 0.0])).ravel()
    expected = [-np.log(0.6), -np.log(0.3), -np.log(0.1), np.inf]
    np.testing.assert_allclose(entanglement_spectrum(psi, 2), expected, rtol=1e-12)


def test_features_are_cumulants_of_the_renyi_generating_function():
    """ln sum p^n has the derivatives -S, C, -kappa_3 in n at n = 1."""
    p = np.random.default_rng(3).dirichlet(np.full(12, 0.5))
    found = features(p)
    step = 1e-2
    orders = 1 + step * np.arange(-3, 4)
    log_moment = np.log((p ** orders[:, None]).sum(axis=1))
    polynomial = np.polynomial.Polynomial.fit(orders - 1, log_moment, 6)
    slopes = [polynomial.deriv(k)(0.0) for k in (1, 2, 3)]
    assert found.entropy == pytest.approx(-slopes[0], rel=1e-9)
    assert found.capacity == pytest.approx(slopes[1], rel=1e-6)
    assert found.third_cumulant == pytest.approx(-slopes[2], rel=1e-3)
    assert found.skewness == found.third_cumulant / found.capacity**1.5
    assert found.renyi2 == pytest.approx(renyi(p, 2), rel=1e-12)


@pytest.mark.parametrize("n", [0.1, 0.5, 1 - 1e-9, 1, 1 + 1e-9, 2, 7.5, 300, np.inf])
def test_a_flat_spectrum_has_the_same_renyi_entropy_at_every_order(n):
    assert renyi(np.full(8, 1 / 8), n) == pytest.approx(np.log(8), rel=1e-12)


def test_renyi_entropies_fall_with_the_order_and_are_smooth_at_one():
    p = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    orders = [0.01, 0.3, 0.9, 1, 1.1, 2, 5, 50, np.inf]
    entropies = [renyi(p, n) for n in orders]
    assert (np.diff(entropies) < 0).all()
    assert entropies[-1] == pytest.approx(np.log(2))
    assert renyi(p, 3) == pytest.approx(np.log((p**3).sum()) / -2, rel=1e-14)
    slope = (renyi(p, 1 + 1e-6) - renyi(p, 1 - 1e-6)) / 2e-6
    assert slope == pytest.approx(-features(p).capacity / 2, rel=1e-6)


@pytest.mark.parametrize("p", [[1.0], [1.0, 0.0, 0.0], [1 - 1e-16, 1e-33, 3e-34]])
def test_a_product_state_has_no_entropy_no_skewness_and_an_infinite_gap(p):
    found = features(p)
    assert found.entropy == pytest.approx(0, abs=1e-15)
    assert found.capacity == pytest.approx(0, abs=1e-25)
    assert (found.skewness, found.entanglement_gap, found.rank) == (0.0, np.inf, 1)
    assert renyi(p, 2) == pytest.approx(0, abs=1e-15)
    assert legacy_moments(p, 1e-6).variance == 0


def test_a_product_vector_is_recognised_at_every_cut():
    psi = np.ones(1)
    for angle in (0.3, 1.1, 2.0, -0.4, 0.9, 0.1):
        psi = np.kron(psi, [np.cos(angle), np.sin(angle)])
    for p in schmidt_probabilities_at_all_cuts(psi):
        assert features(p).entanglement_gap == np.inf
        assert features(p).skewness == 0.0


def test_the_gap_parts_the_two_lowest_entanglement_energies():
    assert features([0.1, 0.6, 0.3]).entanglement_gap == pytest.approx(
        np.log(2), rel=1e-14
    )
    assert features([0.4, 0.2, 0.4]).entanglement_gap == 0.0


def test_the_rank_is_the_fewest_values_that_leave_at_most_epsilon():
    p = [0.01, 0.5, 0.04, 0.25, 0.2]
    epsilons = [0.0, 0.0099, 0.0101, 0.0501, 0.26, 0.49, 0.51, 0.99]
    assert [features(p, e).rank for e in epsilons] == [5, 5, 4, 3, 2, 2, 1, 1]
    assert features([0.25] * 4).rank == 4
    assert features([0.25] * 4, 0.25).rank == 3  # the rest may be epsilon itself


def test_moments_that_do_not_weigh_by_p_grow_with_the_cut_off():
    """A geometric p = (1-q) q^k: cumulants under p are fixed, these are not."""
    q = 0.3
    p = (1 - q) * q ** np.arange(200.0)
    step = -np.log(q)
    assert features(p).capacity == pytest.approx(step**2 * q / (1 - q) ** 2)
    for cutoff in (1e-6, 1e-10, 1e-14):
        found = legacy_moments(p, cutoff)
        assert found.count == np.ceil(np.log(cutoff / (1 - q)) / np.log(q))
        assert found.variance == pytest.approx(step**2 * (found.count**2 - 1) / 12)
        assert found.skewness == pytest.approx(0, abs=1e-12)
    found = legacy_moments([0.5, 0.5 / 9, 4 / 9], 0.5 / 9)
    assert found.count == 2  # above the cut-off, not at it
    xi = -np.log([0.5, 0.1, 0.4])
    third = np.mean((xi - xi.mean()) ** 3) / xi.std() ** 3
    assert legacy_moments([0.5, 0.1, 0.4], 0.0).skewness == pytest.approx(third)


def test_the_unweighted_variance_of_one_state_is_23_61_or_101():
    """Twelve sites of the critical Ising chain, cut in half: 22.99, 61.55, 100.85."""
    psi = ground_state(tfim(12)).vector
    p = schmidt_probabilities_at_all_cuts(psi)[5]
    variances = [legacy_moments(p, c).variance for c in (1e-6, 1e-10, 1e-14)]
    np.testing.assert_allclose(variances, [23, 61, 101], rtol=0.01)
    capacities = [features(p[p > c] / p[p > c].sum()).capacity for c in (1e-6, 1e-14)]
    assert capacities[0] == pytest.approx(capacities[1], rel=1e-3)


GOOD = np.full(16, 0.25)


@pytest.mark.parametrize(
    "psi",
    [
        np.ones(12) / np.sqrt(12),
        np.ones(2) / np.sqrt(2),
        np.ones(1),
        np.ones(0),
        GOOD.reshape(4, 4),
        GOOD * (1 + 1e-7),
        GOOD.astype(np.float32) * np.float32(1.001),
        np.zeros(16),
        np.where(np.arange(16) == 3, np.nan, GOOD),
        np.where(np.arange(16) == 3, np.inf, GOOD),
        np.array(["a"] * 16),
    ],
)
def test_what_is_no_normalised_state_of_qubits_is_refused_by_name(psi):
    with pytest.raises(ValueError, match=r"^psi: got .*; allowed: "):
        schmidt_values(psi, 1)
    with pytest.raises(ValueError, match=r"^psi: got .*; allowed: "):
        schmidt_probabilities_at_all_cuts(psi)


@pytest.mark.parametrize(
    "cut",
    [
        0,
        4,
        -1,
        1.5,
        "2",
        True,
        None,
        [],
        [0, 0],
        [4],
        [-1],
        [0, 1, 2, 3],
        [0.5],
        [True],
        "ab",
    ],
)
def test_a_cut_that_separates_nothing_is_refused_by_name(cut):
    with pytest.raises(ValueError, match=r"^cut: got .*; allowed: "):
        schmidt_values(GOOD, cut)


@pytest.mark.parametrize(
    "p", [[], [[1.0]], [0.5, 0.6], [0.5, 0.4], [1.1, -0.1], [np.nan, 1.0], 1.0]
)
@pytest.mark.parametrize("measure", [features, lambda p: renyi(p, 2)])
def test_what_are_no_probabilities_are_refused_by_name(measure, p):
    with pytest.raises(ValueError, match=r"^p: got .*; allowed: "):
        measure(p)


def test_singular_values_in_place_of_probabilities_are_told_so():
    values = schmidt_values(np.full(4, 0.5) * [1, 1, 1, -1], 1)
    with pytest.raises(ValueError, match=r"^p: got a sum of 1\.41.* squares of the"):
        features(values)


@pytest.mark.parametrize("epsilon", [-1e-3, 1.0, np.nan, "x"])
def test_a_discarded_weight_outside_its_range_is_refused_by_name(epsilon):
    with pytest.raises(ValueError, match=r"^epsilon: got "):
        features([0.5, 0.5], epsilon)


@pytest.mark.parametrize("n", [0, -1, np.nan, "x"])
def test_an_order_that_is_not_positive_is_refused_by_name(n):
    with pytest.raises(ValueError, match=r"^n: got "):
        renyi([0.5, 0.5], n)


@pytest.mark.parametrize("cutoff", [-0.1, 1.0, 0.7, np.nan])
def test_a_cut_off_above_every_probability_is_refused_by_name(cutoff):
    with pytest.raises(ValueError, match=r"^cutoff: got "):
        legacy_moments([0.5, 0.5], cutoff)
