from itertools import product

import numpy as np
import pytest

from qlib.entanglement import closed_forms
from qlib.entanglement.rbm import (
    RBM,
    graph_state_rbm,
    long_range_rbm,
    short_range_rbm,
)
from qlib.entanglement.spectrum import (
    features,
    schmidt_probabilities_at_all_cuts,
    schmidt_values,
)

KINDS = ("complex", "imaginary", "real")


def amplitudes(rbm):
    """The defining formula, spin configuration by spin configuration."""
    spins = np.array(list(product([1, -1], repeat=rbm.num_sites)))
    hidden = np.cosh(rbm.hidden_bias + spins @ rbm.weights.T)
    psi = np.exp(spins @ rbm.visible_bias) * hidden.prod(axis=1)
    return psi / np.linalg.norm(psi)


def random_rbm(num_sites, hidden, chance, rng):
    rng = np.random.default_rng(rng)
    weights, hidden_bias, visible_bias = (
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        for shape in [(hidden, num_sites), hidden, num_sites]
    )
    kept = rng.random(weights.shape) < chance
    return RBM(weights * kept, hidden_bias, visible_bias)


@pytest.mark.parametrize("chance", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("sizes", [(2, 1), (3, 5), (7, 4), (5, 0)])
def test_the_vector_is_the_defining_product(sizes, chance):
    rbm = random_rbm(*sizes, chance, 0)
    expected = amplitudes(rbm)
    overlap = np.vdot(expected, rbm.vector())
    np.testing.assert_allclose(rbm.vector(), overlap * expected, atol=1e-13)
    assert abs(overlap) == pytest.approx(1, abs=1e-13)


def test_large_weights_do_not_overflow():
    """At weights w, psi is the all-up and all-down pair as w grows: GHZ."""
    psi = RBM(np.full((3, 4), 500.0)).vector()
    np.testing.assert_allclose(psi[[0, -1]], 0.5**0.5)
    np.testing.assert_allclose(psi[1:-1], 0, atol=1e-300)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reach", [1, 2, 3])
def test_no_short_range_rbm_exceeds_its_rank_bound_and_each_reaches_it(reach, kind):
    rbm = short_range_rbm(8, reach, kind=kind, rng=reach)
    ranks = []
    for cut, p in enumerate(schmidt_probabilities_at_all_cuts(rbm.vector()), start=1):
        bound = rbm.rank_bound(cut)
        assert p[bound:].sum() < 1e-28
        assert p[bound - 1] > 1e-24
        assert bound <= 2 ** min(rbm.crossing(cut), cut, 8 - cut)
        ranks.append(bound)
    assert max(ranks) == 2 ** min(2 * reach, 4)


def test_rank_bounds_hold_for_any_graph():
    for seed, chance in enumerate([0.1, 0.2, 0.3, 0.5]):
        rbm = random_rbm(8, 6, chance, seed)
        for cut, p in enumerate(schmidt_probabilities_at_all_cuts(rbm.vector()), 1):
            assert p[rbm.rank_bound(cut) :].sum() < 1e-28


def test_hidden_units_that_cross_a_cut_are_counted():
    rbm = short_range_rbm(9, 2, rng=0)
    assert [rbm.crossing(cut) for cut in range(1, 9)] == [3, 4, 4, 4, 4, 4, 4, 3]
    assert [rbm.rank_bound(cut) for cut in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert long_range_rbm(9, 0.5, rng=0).rank_bound(4) == 2**4
    assert RBM(np.eye(5)).rank_bound(2) == 1


@pytest.mark.parametrize("N", [3, 6, 9])
def test_the_range_one_rbm_of_rank_four(N):
    rbm = graph_state_rbm(N, closed_forms.next_neighbour_edges(N))
    seen = [np.ptp(np.flatnonzero(row)) for row in rbm.weights]
    assert max(seen) == 2
    for cut, p in enumerate(schmidt_probabilities_at_all_cuts(rbm.vector()), start=1):
        expected = closed_forms.graph_state(
            N, closed_forms.next_neighbour_edges(N), cut
        )
        np.testing.assert_allclose(p[: expected.size], expected, atol=1e-14)
        assert expected.size == rbm.rank_bound(cut) <= 4


@pytest.mark.parametrize("N", [2, 4, 8, 14])
def test_half_as_many_units_as_sites_hold_all_the_entropy_of_a_half_chain(N):
    rbm = graph_state_rbm(N, closed_forms.half_chain_edges(N))
    assert rbm.weights.shape == (N // 2, N)
    p = schmidt_values(rbm.vector(), N // 2) ** 2
    assert features(p).entropy == pytest.approx(N / 2 * np.log(2), abs=1e-12)


def test_cluster_states_are_rbms():
    for N in (3, 5, 8):
        edges = closed_forms.chain_edges(N, boundary="periodic")
        psi = graph_state_rbm(N, edges).vector()
        np.testing.assert_allclose(abs(psi), 2 ** (-N / 2), atol=1e-14)
        for cut in range(1, N):
            p = schmidt_values(psi, cut) ** 2
            expected = closed_forms.cluster(N, cut)
            np.testing.assert_allclose(p[: expected.size], expected, atol=1e-14)


def mean_entropy(N, draws=10, **settings):
    """Mean half-chain entropy of random long-range RBMs."""
    vectors = [long_range_rbm(N, rng=[N, k], **settings).vector() for k in range(draws)]
    return np.mean(
        [features(schmidt_values(psi, N // 2) ** 2).entropy for psi in vectors]
    )


def test_random_imaginary_weights_are_near_haar_random_and_large_real_ones_are_not():
    """Of 100 other seeds: 0.84 to 0.91, below 0.14 and below 0.001 of Page's."""
    haar = closed_forms.page_entropy(10, 5)
    assert mean_entropy(10, scale=4.0, kind="imaginary") > 0.75 * haar
    assert mean_entropy(10, scale=8.0, kind="complex") < 0.25 * haar
    assert mean_entropy(10, scale=0.1, kind="complex") < 0.01 * haar


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_is_the_root_mean_square_of_a_hidden_units_argument(kind):
    """400 arguments of 12 terms: limits at four standard errors or more."""
    rbm = long_range_rbm(11, 400 / 11, scale=0.7, kind=kind, rng=0)
    spins = np.array([1, -1, -1, 1, -1, 1, 1, 1, -1, 1, -1])
    arguments = rbm.hidden_bias + rbm.weights @ spins
    assert np.mean(abs(arguments) ** 2) == pytest.approx(0.7**2, rel=0.3)
    assert np.mean(abs(rbm.weights) ** 2) == pytest.approx(0.7**2 / 12, rel=0.09)


@pytest.mark.parametrize("make", [short_range_rbm, long_range_rbm])
def test_a_seed_repeats_its_weights(make):
    first, second, other = (make(5, 2, rng=seed).weights for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first[first != 0] != other[first != 0]).all()


NAN = np.full((2, 3), np.nan)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: RBM(np.ones(3)), "weights"),
        (lambda: RBM(np.ones((3, 1))), "weights"),
        (lambda: RBM(NAN), "weights"),
        (lambda: RBM(np.ones((2, 3)), np.ones(3)), "hidden_bias"),
        (lambda: RBM(np.ones((2, 3)), None, np.ones(2)), "visible_bias"),
        (lambda: RBM(np.ones((2, 3)), None, [1, 2, np.inf]), "visible_bias"),
        (lambda: RBM(np.zeros((1, 21))).vector(), "num_sites"),
        (lambda: RBM(np.ones((1, 3))).rank_bound(3), "cut"),
        (lambda: RBM(np.ones((1, 3))).crossing(0), "cut"),
        (lambda: RBM(np.ones((1, 3))).crossing(2.5), "cut"),
        (lambda: short_range_rbm(5, 5, rng=0), "reach"),
        (lambda: short_range_rbm(5, 0, rng=0), "reach"),
        (lambda: short_range_rbm(1, 1, rng=0), "N"),
        (lambda: short_range_rbm(5, 1, scale=0, rng=0), "scale"),
        (lambda: long_range_rbm(5, 0.05, rng=0), "density"),
        (lambda: long_range_rbm(5, np.nan, rng=0), "density"),
        (lambda: long_range_rbm(5, scale=np.inf, rng=0), "scale"),
        (lambda: long_range_rbm(5, kind="phases", rng=0), "kind"),
        (lambda: graph_state_rbm(4, [(0, 4)]), "edges"),
        (lambda: graph_state_rbm(4, [(1, 1)]), "edges"),
    ],
)
def test_what_is_no_machine_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()


def test_a_state_that_vanishes_is_refused():
    """cosh(i pi/2) cosh of all: units that cancel at each of four configurations."""
    quarter = 0.25j * np.pi
    weights = [[quarter, quarter], [quarter, -quarter]] * 2
    biases = [0, 0, 2 * quarter, 2 * quarter]
    with pytest.raises(ValueError, match=r"^weights: got a state that is zero"):
        RBM(weights, biases).vector()
