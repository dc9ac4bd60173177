"""Lockstep sweeps: exact Boltzmann weights, energies, independence of lanes."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

from qlib.annealing.ising import IsingModel, random_pm_j, sherrington_kirkpatrick
from qlib.annealing.ising.exact import all_states
from qlib.annealing.ising.sweeps import (
    WIDTH,
    decay,
    field_unit,
    metropolis_sweeps,
    start_replicas,
)


def chain(n, rng):
    """A path with random couplings and fields: sparse from n = 9 on."""
    J = np.zeros((n, n))
    J[np.arange(n - 1), np.arange(1, n)] = rng.normal(size=n - 1)
    return IsingModel(rng.normal(size=n), J + J.T)


def dense(n, rng):
    J = np.triu(rng.normal(size=(n, n)), 1)
    return IsingModel(rng.normal(size=n), J + J.T)


MODELS = {"rows": lambda: chain(9, np.random.default_rng(1))}
MODELS |= {
    f"matrix of {n}": lambda n=n: dense(n, np.random.default_rng(n)) for n in (1, 4, 5)
}


def random_spins(replicas, n, rng):
    return rng.choice(np.array([-1, 1]), size=(replicas, n))


def test_the_two_kernels_are_both_under_test():
    empty = {
        name: start_replicas(make(), np.ones((1, make().num_spins)), None).couplings
        for name, make in MODELS.items()
    }
    assert empty["rows"][4].size == 0
    assert empty["rows"][2].size == 16
    assert empty["matrix of 4"][4].shape == (4, 4)
    assert empty["matrix of 5"][4].shape == (8, 8)


@pytest.mark.parametrize("name", MODELS)
def test_each_lane_samples_the_boltzmann_weights_of_its_own_temperature(name):
    # 12 temperatures of 500 independent lanes, each read once after 300 sweeps from a
    # random state; χ² over cells expected >= 5, the rest of a temperature together;
    # 4 tests at 1e-4: false alarm 4e-4
    model, rng = MODELS[name](), np.random.default_rng(11)
    states = all_states(model.num_spins)
    energies = model.energy(states)
    betas = np.linspace(0.1, 0.7, 12)
    weights = np.exp(-betas[:, None] * (energies - energies.min()))
    expected = 500 * weights / weights.sum(axis=1, keepdims=True)  # (12, 2ⁿ)
    start = random_spins(6000, model.num_spins, rng)
    replicas = start_replicas(model, start, rng)
    metropolis_sweeps(replicas, np.tile(betas, (300, 500)))
    place = 2 ** np.arange(model.num_spins)
    found = np.argsort((states > 0) @ place)[(replicas.spins > 0) @ place]
    counts = np.zeros(expected.shape)
    np.add.at(counts, (np.tile(np.arange(12), 500), found), 1)
    chi2 = freedom = 0
    for count, expect in zip(counts, expected, strict=True):
        often = expect >= 5
        cells = np.append(count[often], count[~often].sum())
        means = np.append(expect[often], expect[~often].sum())
        cells, means = cells[means > 1], means[means > 1]
        chi2 += ((cells - means) ** 2 / means).sum()
        freedom += cells.size - 1
    assert stats.chi2.sf(chi2, freedom) > 1e-4


@pytest.mark.parametrize("replicas", [1, 16, WIDTH, WIDTH + 1])
def test_best_energies_are_those_of_the_best_states(replicas):
    rng = np.random.default_rng(2)
    for model in (random_pm_j(6, rng=rng), sherrington_kirkpatrick(30, rng=rng)):
        n = model.num_spins
        lanes = start_replicas(model, random_spins(replicas, n, rng), rng)
        before = model.energy(lanes.spins)
        for beta in (0.3, 1.0, 3.0):
            metropolis_sweeps(lanes, np.full((20, replicas), beta))
        followed = lanes.best_energies.ravel()[lanes.place] * lanes.unit
        best = model.energy(lanes.best)
        np.testing.assert_allclose(followed, best, rtol=0, atol=1e-5)
        assert (best <= np.minimum(before, model.energy(lanes.spins)) + 1e-5).all()


def test_energies_of_integer_couplings_are_exact():
    model, rng = random_pm_j(8, rng=3), np.random.default_rng(3)
    lanes = start_replicas(model, random_spins(32, 64, rng), rng)
    metropolis_sweeps(lanes, np.full((200, 32), 0.7))
    followed = lanes.best_energies.ravel()[lanes.place] * lanes.unit
    np.testing.assert_array_equal(followed, model.energy(lanes.best))


def test_replicas_that_start_alike_at_one_temperature_part():
    # a shared random number would keep them together; 2⁻⁶⁴ per pair if independent
    model = random_pm_j(8, rng=0)
    lanes = start_replicas(model, np.ones((300, 64)), np.random.default_rng(0))
    metropolis_sweeps(lanes, np.full((50, 300), 0.3))
    assert len(np.unique(lanes.spins, axis=0)) == 300


def test_a_replica_does_not_depend_on_the_padding_beside_it():
    model = random_pm_j(5, rng=1)
    found = []
    for replicas in (3, 16):
        lanes = start_replicas(model, np.ones((replicas, 25)), np.random.default_rng(1))
        metropolis_sweeps(lanes, np.full((30, replicas), 0.5))
        found.append(lanes.spins[:3])
    np.testing.assert_array_equal(*found)


def test_cold_sweeps_only_lower_the_energy_and_end_in_a_local_minimum():
    rng = np.random.default_rng(5)
    for model in (random_pm_j(7, rng=rng), sherrington_kirkpatrick(41, rng=rng)):
        lanes = start_replicas(model, random_spins(20, model.num_spins, rng), rng)
        energies = model.energy(lanes.spins)
        for _ in range(60):
            metropolis_sweeps(lanes, np.full((1, 20), 1e6))
            new = model.energy(lanes.spins)
            assert (new <= energies + 1e-5).all()
            energies = new
        gains = lanes.spins * model.local_fields(lanes.spins)  # −ΔE/2 of a flip
        assert (gains <= 1e-5).all()


def test_at_beta_zero_two_sweeps_return_every_spin():
    rng = np.random.default_rng(6)
    model = random_pm_j(5, rng=rng)
    spins = random_spins(20, 25, rng)
    lanes = start_replicas(model, spins, rng)
    metropolis_sweeps(lanes, np.zeros((1, 20)))
    np.testing.assert_array_equal(lanes.spins, -spins)
    metropolis_sweeps(lanes, np.zeros((1, 20)))
    np.testing.assert_array_equal(lanes.spins, spins)


@pytest.mark.parametrize("power", [-300, 100, 300])
def test_a_change_of_units_changes_nothing(power):
    """Not a single spin, also where float32 would overflow or underflow."""
    model, scale = sherrington_kirkpatrick(25, rng=2), 2.0**power
    scaled = IsingModel(model.h * scale, model.J * scale)
    assert field_unit(scaled) == field_unit(model) * scale
    found = []
    for each, beta in ((model, 0.8), (scaled, 0.8 / scale)):
        lanes = start_replicas(each, np.ones((16, 25)), np.random.default_rng(4))
        metropolis_sweeps(lanes, np.full((20, 16), beta))
        found.append(lanes.spins)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_model_without_couplings_and_fields_has_unit_one():
    model = IsingModel(np.zeros(3), np.zeros((3, 3)))
    assert field_unit(model) == 1.0
    lanes = start_replicas(model, np.ones((2, 3)), np.random.default_rng(0))
    metropolis_sweeps(lanes, np.ones((4, 2)))
    assert model.energy(lanes.best).tolist() == [0.0, 0.0]


def test_exponential_is_good_to_its_stated_error():
    @njit
    def values(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = decay(x[i])
        return out

    x = np.linspace(0, 80, 400_001).astype(np.float32)
    error = abs(values(x) / np.exp(-x.astype(float)) - 1)
    assert (error <= 1e-7 * (2 + x)).all()
    assert (values(-x) == 1).all()
    assert values(np.array([np.inf, 1e30], dtype=np.float32)).max() < 1e-37
