"""Trials on ground states and RBMs: closed forms, other routes, spoilt ones."""

import numpy as np
import pytest

from qlib.entanglement import closed_forms, exact, rbm, spectrum
from qlib.entanglement.trials import chains, known, laws, rbms
from qlib.intervals import student_mean


@pytest.mark.parametrize("name", chains.CHAINS)
def test_spectra_are_those_of_the_full_vector(name):
    chain = chains.CHAINS[name]
    x = 0.7 * chain.low + 0.3 * chain.high
    vector = exact.ground_state(chain.build(8, x), sector=chain.sector).vector
    p = spectrum.schmidt_probabilities_at_all_cuts(vector)
    found = chains.solve(name, x, 8, 3, levels=4)
    np.testing.assert_allclose(np.exp(-found.spectrum), p[2][:4], atol=1e-9)
    entropies = [spectrum.renyi(one, 1) for one in p]
    np.testing.assert_allclose(found.entropies, entropies, atol=1e-9)
    half = chains.half(name, x, 8, levels=4)
    np.testing.assert_allclose(np.exp(-half), p[3][:4], atol=1e-9)


def test_a_sweep_of_the_cluster_ring_starts_at_four_equal_levels():
    swept = chains.sweep("cluster ring", points=3, num_sites=8, levels=5)
    np.testing.assert_allclose(swept.x, [0, 1, 2])
    np.testing.assert_allclose(swept.levels[0], [np.log(4)] * 4 + [np.inf])


@pytest.mark.parametrize(
    ("levels", "counts"),
    [
        ([0.7], [1]),
        ([0.0, np.inf], [1, 0]),
        ([1.0, 1.0, 2.0, 3.0, 3.0, 3.0], [2, 2, 1, 3, 3, 3]),
        ([np.inf, np.inf], [0, 0]),
        ([], []),
    ],
)
def test_multiplicities_count_levels_that_coincide(levels, counts):
    assert chains.multiplicities(np.array(levels)).tolist() == counts


def test_levels_without_weight_are_absent():
    levels = chains.energies(np.array([0.75, 0.25, 1e-40, 0.0]), 5)
    np.testing.assert_allclose(levels[:2], -np.log([0.75, 0.25]))
    assert np.isinf(levels[2:]).all()


def test_three_routes_meet_the_exact_energy_and_each_other():
    routes = [known.route(name, (6, 10)) for name in known.SOLVERS]
    assert len(routes) == 3
    assert max(one.errors.max() for one in routes) < 1e-10
    assert 0 < known.largest_difference(routes) < 1e-7


def test_a_route_to_another_chain_would_be_seen(monkeypatch):
    other, tfim = known.SOLVERS["free fermions"], known.hamiltonians.tfim
    monkeypatch.setitem(
        known.SOLVERS, "other", lambda H: other(tfim(H.num_sites, field=1.01))
    )
    routes = [known.route("free fermions", (8,)), known.route("other", (8,))]
    assert routes[1].errors[0] > 1e-4
    assert known.largest_difference(routes) > 1e-4
    assert (
        known.largest_difference([known.route("free fermions", (6,)), routes[0]]) == 0
    )


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("Ising, h = 2", 0.0),
        ("Ising, h = 1", np.log(2) / 12),
        ("XX", np.log(2) / 6),
    ],
)
def test_doubling_a_chain_adds_what_its_law_says(name, gain):
    """c ln 2 / 6 an open critical chain, nothing a gapped one."""
    found = laws.growth(name, (64, 128, 256))
    assert np.diff(found.entropies) == pytest.approx([gain] * 2, abs=6e-3)


def test_a_rainbow_grows_in_proportion_to_its_size():
    found = laws.growth("rainbow", (24, 40, 56))
    first, second = np.diff(found.entropies)
    assert found.law == "volume"
    assert second == pytest.approx(first, rel=1e-3)
    assert first > 0.5 * 8 * np.log(2)


def test_the_fit_finds_the_charges_of_two_universality_classes():
    for name, charge in (("Ising, h = 1", 0.5), ("XX", 1.0)):
        found = laws.charge(name, 64)
        assert found.estimate.low < charge < found.estimate.high
        assert found.entropies.shape == (63,)


def test_gains_are_slopes_in_units_of_ln_2():
    sizes = np.array([8, 10, 12])
    entropies = np.log(2) * np.outer([1.0, 0.0, 0.25], sizes / 2) + 0.3
    gains = rbms.Growth(sizes, entropies).gains
    np.testing.assert_allclose(gains, [1, 0, 0.25], atol=1e-12)


def test_the_constructed_rbm_gains_ln_2_with_every_site():
    np.testing.assert_allclose(
        rbms.construction((4, 8, 10)), np.log(2) * np.array([2, 4, 5]), rtol=1e-12
    )


def test_random_short_range_rbms_keep_their_bound_and_reach_it():
    found = rbms.ranks((1, 2), num_sites=10, draws=3, rng=np.random.default_rng(0))
    assert found.bound.tolist() == [4, 16]
    assert found.excess == 1
    assert found.control == 2  # of units that see all sites: the whole dimension, 32
    assert found.dropped < 1e-14 < 1e-12 < found.kept
    assert (found.rank == found.bound[:, None]).all()
    assert (found.effective <= found.rank).all()
    assert (found.entropy <= np.log(found.rank)).all()


def test_windows_of_a_machine_have_the_distribution_of_small_machines():
    """Root mean squares of windows' weights and of machines drawn at that size."""
    rng, sizes = np.random.default_rng(0), (6, 12)
    for reach in (1, None):
        make = rbms._maker(reach, 1.0)
        windows = [rbms._window(make(12, rng=rng), 6) for _ in range(200)]
        small = [make(6, rng=rng) for _ in range(200)]
        squares = [
            np.mean([abs(one.weights) ** 2 for one in many], axis=0)
            for many in (windows, small)
        ]
        assert sizes[0] == len(squares[0])
        np.testing.assert_array_equal(squares[0] != 0, squares[1] != 0)
        np.testing.assert_allclose(squares[0].mean(), squares[1].mean(), rtol=0.05)


@pytest.mark.parametrize("weights", rbms.WEIGHTS)
def test_kinds_of_weights_keep_one_variance(weights):
    machine = rbms._maker(None, 2.0)(16, rng=np.random.default_rng(1))
    found = rbms._of_kind(machine, weights)
    ratio = np.mean(abs(found.weights) ** 2) / np.mean(abs(machine.weights) ** 2)
    assert ratio == pytest.approx(1, abs=0.25)
    parts = {"real": found.weights.imag, "imaginary": found.weights.real}
    assert not np.any(parts.get(weights, 0))


def test_haar_states_in_place_of_rbms_would_break_area_law_and_bound(monkeypatch):
    def vector(self):
        return closed_forms.haar_vector(self.num_sites, self.weights.size)

    rng = np.random.default_rng(0)
    drawn = dict(sizes=(6, 8, 10), draws=4, rng=rng)
    assert student_mean(rbms.growth(1, **drawn).gains).low < 0.1
    monkeypatch.setattr(rbm.RBM, "vector", vector)
    assert rbms.growth(1, **drawn).gains.min() > 0.9
    assert rbms.ranks((1,), num_sites=8, draws=2, rng=rng).excess == 4
