"""Energies of states against their entropies."""

import numpy as np
import pytest

from qlib.entanglement import hamiltonians
from qlib.entanglement.closed_forms import haar_vector
from qlib.entanglement.exact import Sector, ground_state
from qlib.entanglement.spectrum import renyi, schmidt_values
from qlib.nas.candidates import candidates
from qlib.nas.trials import energies


def entropy(state, cut):
    return renyi(schmidt_values(state, cut) ** 2, 1)


def test_broken_order_costs_half_the_tunnel_splitting_and_all_of_ln2():
    found = energies.broken_order((0.2, 0.5), num_sites=8)
    for field, error in zip((0.2, 0.5), found.energy_error, strict=True):
        levels = np.linalg.eigvalsh(hamiltonians.tfim(8, field=field).matrix())
        assert error == pytest.approx((levels[1] - levels[0]) / 2 / -levels[0])
    np.testing.assert_allclose(found.exact - found.entropy, np.log(2), atol=0.03)
    assert found.energy_error[0] < 1e-6


def test_sites_left_out_of_the_rainbow_cost_what_an_explicit_state_costs():
    """Six sites, the inner four in their ground state, the outer two up."""
    found = energies.cut_rainbow(6, alpha=0.4)
    whole = hamiltonians.rainbow_xx(6, 0.4).matrix()
    inner = ground_state(hamiltonians.rainbow_xx(4, 0.4)).vector
    up = np.array([1.0, 0.0])
    state = np.kron(np.kron(up, inner), up)
    lowest = ground_state(hamiltonians.rainbow_xx(6, 0.4))
    expected = (state @ whole @ state - lowest.energies[0]) / -lowest.energies[0]
    assert found.energy_error[1] == pytest.approx(expected)
    assert found.entropy[1] == pytest.approx(entropy(state, 3))
    np.testing.assert_allclose(found.exact, entropy(lowest.vector, 3))


def test_a_rainbow_without_half_its_pairs_has_the_energy_to_a_thousandth():
    found = energies.cut_rainbow(16)
    near = found.energy_error < 1e-3
    assert (found.exact - found.entropy)[near].max() > 2 * np.log(2)
    assert found.worst() == np.flatnonzero(near)[0]
    assert found.worst(1e-12) is None


def test_small_bond_dimensions_miss_entropy_before_they_miss_energy():
    chain = hamiltonians.tfim(24)
    found = energies.small_bond_dims("Ising", chain, (3, 8))
    assert (found.energy_error > 0).all()
    missing = 1 - found.entropy / found.exact
    assert found.energy_error[0] < 1e-3 < 0.1 < missing[0]
    assert 0 < missing[1] < 1e-3


@pytest.mark.parametrize("sites", [1, 2, 3])
def test_no_two_states_differ_in_entropy_by_more_than_the_certificate(sites):
    rng = np.random.default_rng(sites)
    for mixing in (1e-3, 0.03, 0.3, 1.0, 3.0):
        one, other = (haar_vector(6, rng) for _ in range(2))
        other = one + mixing * other
        other /= np.linalg.norm(other)
        infidelity = 1 - abs(np.vdot(one, other)) ** 2
        apart = abs(entropy(one, sites) - entropy(other, sites))
        assert apart <= energies.certificate(infidelity, sites)


def test_the_certificate_runs_from_nothing_to_all():
    bound = energies.certificate(np.linspace(0, 1, 50), 3)
    assert bound[0] == 0
    assert bound[-1] == np.log(8)
    assert (np.diff(bound) >= -1e-12).all()
    # a product state mixed with the rest of its basis, T = 1/2: no bound is closer
    flat = np.array([0.5, *[0.5 / 7] * 7])
    assert energies.certificate(0.25, 3) == pytest.approx(-flat @ np.log(flat))


def test_the_four_chains_have_positive_ground_states():
    for target in energies.chains(6):
        vector = target.vector * np.sign(target.vector.real.sum())
        assert (vector.real > -1e-12).all()
        H = target.hamiltonian.matrix()
        np.testing.assert_allclose(H @ vector, target.energy * vector, atol=1e-8)
    spins = ground_state(hamiltonians.heisenberg(6), sector=Sector(sz=0))
    heisenberg = energies.chains(6)[2]
    assert heisenberg.energy == pytest.approx(spins.energies[0])
    np.testing.assert_allclose(heisenberg.features().entropy, spins.features(3).entropy)


def test_trained_states_keep_to_what_energy_and_gap_allow():
    targets = energies.chains(4)[:2]
    blocks = candidates(4, names=("MPS",))
    settings = {"seeds": (0, 1), "steps": 40, "learning_rate": 0.1}
    found = energies.trained(targets, blocks, **settings)
    assert found.energy_error.shape == (2, 1, 2)
    assert (abs(found.entropy_error) <= found.certified).all()
    for target, gap in zip(targets, found.gaps, strict=True):
        levels = np.linalg.eigvalsh(target.hamiltonian.matrix())
        assert gap == pytest.approx((levels[1] - levels[0]) / -levels[0])
    assert found.energy_error[0].min() < 0.05


def test_rows_name_the_worst_of_each_kind():
    found = energies.trained(
        energies.chains(4)[:1], candidates(4, names=("MPS",)), seeds=(0,), steps=5
    )
    pairs = [energies.cut_rainbow(10), energies.broken_order((0.3,), num_sites=4)]
    rows = list(energies.rows(pairs, found))
    kept = [labels.get("of them") for _, _, labels in rows]
    assert pairs[0].labels[pairs[0].worst()] in kept
    assert all(np.isfinite(value) for _, value, _ in rows)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: energies.broken_order((1.5,)), "fields"),
        (lambda: energies.broken_order(()), "fields"),
        (lambda: energies.broken_order((0.5,), num_sites=5), "num_sites"),
        (lambda: energies.cut_rainbow(15), "num_sites"),
        (lambda: energies.cut_rainbow(2), "num_sites"),
        (
            lambda: energies.small_bond_dims("X", hamiltonians.tfim(6), ()),
            "bond_dims",
        ),
        (lambda: energies.trained((), {}, seeds=(0,), steps=1), "targets"),
        (
            lambda: energies.trained(energies.chains(4), {}, seeds=(0,), steps=1),
            "blocks",
        ),
        (lambda: energies.certificate(-0.1, 3), "infidelity"),
        (lambda: energies.certificate(0.1, 0), "sites"),
    ],
)
def test_what_has_no_energies_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()
