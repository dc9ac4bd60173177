"""Enumeration and quantum averages against formulas, sums and each other."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse

from qlib.annealing.ising import IsingModel, random_pm_j, sherrington_kirkpatrick
from qlib.annealing.ising.exact import (
    all_energies,
    all_states,
    boltzmann_weights,
    ground_states,
    transverse_field_averages,
    trotter_averages,
)


def glass(n, seed=0):
    """A dense model with normal fields and couplings."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)), 1)
    return IsingModel(rng.normal(size=n), upper + upper.T, 0.25)


def ring(n, coupling):
    i = np.arange(n)
    J = sparse.coo_array((np.full(n, coupling), (i, (i + 1) % n)), shape=(n, n))
    return IsingModel(None, J + J.T)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 9])
def test_states_are_all_and_in_the_order_of_their_bits(n):
    states = all_states(n)
    assert states.shape == (2**n, n)
    numbers = ((1 + states.astype(int)) // 2) @ (1 << np.arange(n))
    np.testing.assert_array_equal(numbers, np.arange(2**n))


@pytest.mark.parametrize("n", [0, 1, 2, 5, 10])
def test_enumerated_energies_are_those_of_the_states(n):
    model = glass(n)
    expected = model.energy(all_states(n))
    np.testing.assert_allclose(all_energies(model), expected, atol=1e-12)


def test_antiferromagnetic_rings_have_two_or_2n_ground_states():
    energy, states = ground_states(ring(8, 1.0))
    assert energy == -8
    assert len(states) == 2
    np.testing.assert_array_equal(states[:, 1:], -states[:, :-1])
    energy, states = ground_states(ring(7, 1.0))
    assert energy == -5
    assert len(states) == 14


def test_ground_states_of_twenty_spins_have_their_energy_and_no_neighbour_below():
    model = sherrington_kirkpatrick(20, rng=1)
    energy, states = ground_states(model)
    assert len(states) == 2
    np.testing.assert_array_equal(states[0], -states[1])
    np.testing.assert_allclose(model.energy(states), energy)
    assert (states * model.local_fields(states) < 0).all()


def test_states_of_no_couplings_are_all_ground_states():
    assert len(ground_states(IsingModel(None, np.zeros((4, 4))))[1]) == 16


def test_weights_of_free_spins_are_products():
    h, beta = np.array([0.3, -1.2, 2.0]), 0.7
    weights = boltzmann_weights(IsingModel(h, np.zeros((3, 3))), beta)
    one = 1 / (1 + np.exp(2 * beta * all_states(3) * h))
    np.testing.assert_allclose(weights, one.prod(axis=1))


def test_weights_at_zero_and_large_beta_are_uniform_over_all_and_ground_states():
    model = random_pm_j(3, rng=0)
    np.testing.assert_allclose(boltzmann_weights(model, 0.0), 2.0**-9)
    ground = len(ground_states(model)[1])
    weights = boltzmann_weights(model, 1e4)
    assert np.count_nonzero(weights) == ground
    assert weights.max() == pytest.approx(1 / ground)


@pytest.mark.parametrize("average", [transverse_field_averages, trotter_averages])
def test_one_spin_has_the_averages_of_a_two_level_system(average):
    field, beta = 0.8, 1.7
    more = (5,) if average is trotter_averages else ()
    result = average(IsingModel([0.0], [[0.0]]), beta, field, *more)
    assert result.sigma_x[0] == pytest.approx(np.tanh(beta * field))
    assert result.energy == pytest.approx(-field * np.tanh(beta * field))


def test_one_spin_in_both_fields_turns_towards_their_sum():
    h, field, beta = 0.6, 0.8, 1.3  # |(h, Γ)| = 1
    result = transverse_field_averages(IsingModel([h], [[0.0]]), beta, field)
    assert result.energy == pytest.approx(-np.tanh(beta))
    assert result.sigma_x[0] == pytest.approx(field * np.tanh(beta))
    assert result.classical_energy == pytest.approx(-(h**2) * np.tanh(beta))


def test_two_coupled_spins_have_their_four_known_levels():
    J, field, beta = 0.9, 0.5, 1.1
    levels = np.array([-J, J, np.hypot(J, 2 * field), -np.hypot(J, 2 * field)])
    weights = np.exp(-beta * levels)
    model = IsingModel(None, [[0.0, J], [J, 0.0]])
    result = transverse_field_averages(model, beta, field)
    assert result.energy == pytest.approx(levels @ weights / weights.sum())


@pytest.mark.parametrize("field", [0.0, 0.7])
def test_energy_is_the_derivative_of_ln_z_and_the_sum_of_its_parts(field):
    model, beta, step = glass(5), 0.9, 1e-5
    states = np.arange(32)
    H = np.diag(all_energies(model))
    for i in range(5):
        H[states, states ^ (1 << i)] -= field
    levels = np.linalg.eigvalsh(H)
    low, high = (np.log(np.exp(-b * levels).sum()) for b in (beta - step, beta + step))
    result = transverse_field_averages(model, beta, field)
    assert result.energy == pytest.approx((low - high) / (2 * step), rel=1e-8)
    parts = result.classical_energy - field * result.sigma_x.sum()
    assert result.energy == pytest.approx(parts, rel=1e-12)


def test_without_transverse_field_the_averages_are_classical():
    model, beta = glass(6), 0.8
    expected = boltzmann_weights(model, beta) @ all_energies(model)
    for result in (
        transverse_field_averages(model, beta, 0.0),
        trotter_averages(model, beta, 0.0, 3),
    ):
        assert result.energy == pytest.approx(expected)
        np.testing.assert_allclose(result.sigma_x, 0.0, atol=1e-12)


def test_transfer_matrices_sum_over_all_worldlines():
    """Two spins, three slices: 64 worldlines, their weights written out."""
    model, beta, field, P = glass(2, seed=3), 1.4, 0.9, 3
    same, other = np.cosh(beta * field / P), np.sinh(beta * field / P)
    states = all_states(2)
    total = energy = 0.0
    ratio = np.zeros(2)
    for path in product(range(4), repeat=P):
        lines = states[list(path)]  # (slice, spin)
        slices = model.energy(lines)
        equal = lines == np.roll(lines, -1, axis=0)
        weight = np.exp(-beta / P * slices.sum()) * np.where(equal, same, other).prod()
        total += weight
        energy += weight * slices.mean()
        ratio += weight * np.where(equal, other / same, same / other).mean(axis=0)
    result = trotter_averages(model, beta, field, P)
    assert result.classical_energy == pytest.approx(energy / total)
    np.testing.assert_allclose(result.sigma_x, ratio / total)


def test_trotter_error_falls_fourfold_a_doubling():
    model, beta, field = glass(6, seed=1), 1.0, 0.8
    exact = transverse_field_averages(model, beta, field)
    errors = [
        trotter_averages(model, beta, field, P).energy - exact.energy
        for P in (16, 32, 64)
    ]
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.02)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, None])
def test_bad_temperatures_fields_and_slices_are_refused(value):
    model = glass(2)
    with pytest.raises(ValueError, match="beta: got"):
        boltzmann_weights(model, value)
    with pytest.raises(ValueError, match="transverse_field: got"):
        transverse_field_averages(model, 1.0, value)
    with pytest.raises(ValueError, match="slices: got"):
        trotter_averages(model, 1.0, 1.0, value)


def test_too_many_spins_are_refused_before_any_work():
    for n, call in (
        (25, all_energies),
        (25, ground_states),
        (13, lambda model: transverse_field_averages(model, 1.0, 1.0)),
        (13, lambda model: trotter_averages(model, 1.0, 1.0, 4)),
    ):
        with pytest.raises(ValueError, match=f"got {n} spins; allowed"):
            call(ring(n, 1.0))
    with pytest.raises(ValueError, match="n: got -1"):
        all_states(-1)
