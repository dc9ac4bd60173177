"""Replica exchange of spins: weights on every rung, ground states, refusals."""

import numpy as np
import pytest
from scipy import stats

from qlib.annealing.ising import (
    IsingModel,
    ReplicaExchangeSampler,
    random_pm_j,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.exact import all_states
from qlib.annealing.ising.replica_exchange import (
    MOST,
    Ladders,
    equal_swaps,
    scaled_rows,
)
from qlib.annealing.ising.sampler import default_beta_range
from qlib.annealing.ising.sweeps import start_replicas

SAMPLER = ReplicaExchangeSampler()


def glass(n, seed, field=0.5):
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(size=(n, n)), 1)
    return IsingModel(field * rng.normal(size=n), J + J.T)


@pytest.mark.parametrize("clusters", [False, True])
@pytest.mark.parametrize("field", [0.0, 0.5])
def test_every_rung_samples_its_boltzmann_weights(clusters, field):
    # 600 independent ladders read once after 60 rounds: χ² over the 16 states of four
    # spins on each of 4 rungs, cells expected >= 5; four tests at 1e-4 each
    model, rng = glass(4, 1, field), np.random.default_rng(2)
    betas = np.array([0.15, 0.3, 0.6, 1.0])
    copies = 2 if clusters else 1
    spins = rng.choice([-1, 1], size=(600 * copies * 4, 4))
    replicas = start_replicas(model, spins, rng, copies * 4)
    rows = scaled_rows(model, replicas.unit) if clusters else None
    ladders = Ladders(replicas, betas, 600, rows)
    for rounds in (1, 25, 34):
        ladders.run(rounds)
    states = all_states(4)
    weights = np.exp(-betas[:, None] * model.energy(states))
    expected = 600 * copies * weights / weights.sum(axis=1, keepdims=True)
    place = 2 ** np.arange(4)
    found = np.argsort((states > 0) @ place)[(ladders.states() > 0) @ place]
    chi2 = freedom = 0
    for rung, expect in enumerate(expected):
        counts = np.bincount(found[:, :, rung].ravel(), minlength=16)
        often = expect >= 5
        cells = np.append(counts[often], counts[~often].sum())
        means = np.append(expect[often], expect[~often].sum())
        cells, means = cells[means > 1], means[means > 1]
        chi2 += ((cells - means) ** 2 / means).sum()
        freedom += cells.size - 1
    assert stats.chi2.sf(chi2, freedom) > 1e-4
    assert 0.2 < ladders.swap_rates().min() < 1


def test_swap_rates_are_those_of_the_exact_weights():
    # rate = Σ_ab w(a) w(b) min(1, exp((β − β′)(E_a − E_b))) in equilibrium; 5 standard
    # errors of 400 ladders and 200 proposals, taken as correlated over 4 proposals
    model, rng = glass(4, 3), np.random.default_rng(4)
    betas = np.array([0.2, 0.8])
    replicas = start_replicas(model, rng.choice([-1, 1], size=(800, 4)), rng, 2)
    ladders = Ladders(replicas, betas, 400)
    ladders.run(400)
    energies = model.energy(all_states(4))
    hot, cold = (np.exp(-b * energies) / np.exp(-b * energies).sum() for b in betas)
    gap = (betas[0] - betas[1]) * (energies[:, None] - energies)
    rate = (np.outer(hot, cold) * np.minimum(1, np.exp(gap))).sum()
    error = np.sqrt(rate * (1 - rate) / (400 * 200 / 4))
    assert abs(ladders.swap_rates()[0] - rate) < 5 * error


def test_swaps_move_temperatures_and_lose_no_replica():
    model, rng = random_pm_j(6, rng=0), np.random.default_rng(0)
    replicas = start_replicas(model, rng.choice([-1, 1], size=(3 * 20, 36)), rng, 20)
    ladders = Ladders(replicas, np.geomspace(0.2, 3, 10), 3, scaled_rows(model, 4.0))
    before = np.sort(ladders.lane.reshape(3, -1), axis=1).copy()
    ladders.run(50)
    assert (np.sort(ladders.lane.reshape(3, -1), axis=1) == before).all()
    assert (ladders.lane.reshape(3, -1) != before).any()
    energies = model.energy(ladders.states()).mean(axis=(0, 1))
    assert energies[0] > energies[-1] + 20


@pytest.mark.parametrize("clusters", [False, True])
def test_best_states_have_the_energies_followed(clusters):
    for model in (random_pm_j(6, rng=1), sherrington_kirkpatrick(30, rng=1)):
        rng = np.random.default_rng(5)
        group = 16 if clusters else 8
        spins = rng.choice([-1, 1], size=(5 * group, model.num_spins))
        replicas = start_replicas(model, spins, rng, group)
        rows = scaled_rows(model, replicas.unit) if clusters else None
        ladders = Ladders(replicas, np.geomspace(0.2, 3, 8), 5, rows)
        ladders.run(60)
        found = model.energy(ladders.best)
        np.testing.assert_allclose(
            ladders.best_energies * replicas.unit, found, rtol=0, atol=1e-4
        )
        assert (found <= model.energy(ladders.states()).min(axis=(1, 2)) + 1e-4).all()


@pytest.mark.parametrize("clusters", [False, True, "auto"])
@pytest.mark.parametrize("spacing", ["auto", "swaps", "schedule"])
def test_every_read_finds_the_ground_state_of_twelve_spins(clusters, spacing):
    model = glass(12, 6)
    found = SAMPLER.sample(
        model,
        num_reads=20,
        num_sweeps=200,
        cluster_moves=clusters,
        spacing=spacing,
        seed=1,
    )
    lowest = model.energy(all_states(12)).min()
    np.testing.assert_allclose(found.record.energy, lowest, atol=1e-9)


def test_reads_of_one_seed_differ_and_a_seed_repeats():
    model = random_pm_j(16, rng=2)
    one, two, other = (
        SAMPLER.sample(model, num_reads=64, num_sweeps=30, seed=s) for s in (1, 1, 2)
    )
    assert len(np.unique(one.record.sample, axis=0)) >= 60
    np.testing.assert_array_equal(one.record.sample, two.record.sample)
    assert (one.record.sample != other.record.sample).any()


def test_the_worst_swap_rate_is_better_than_on_a_geometric_ladder():
    model = sherrington_kirkpatrick(300, rng=3)
    worst = {}
    for spacing in ("swaps", "schedule"):
        info = SAMPLER.sample(
            model,
            num_reads=6,
            num_sweeps=200,
            num_replicas=20,
            spacing=spacing,
            seed=0,
        ).info
        worst[spacing] = np.min(info["swap_rates"])
    assert worst["swaps"] > 2 * worst["schedule"]


def test_ladders_rise_from_the_hot_to_the_cold_end():
    model = random_pm_j(8, rng=4)
    rng = np.random.default_rng(0)
    for hot, cold in ((0.1, 5.0), (0.0, 2.0), (1.0, 1.0)):
        ladder = equal_swaps(model, hot, cold, 12, rng)
        assert (ladder[0], ladder[-1]) == (hot, cold)
        assert (np.diff(ladder) > 0).all() or hot == cold
    assert equal_swaps(model, 0.1, 5.0, 1, rng).tolist() == [5.0]


def test_default_range_starts_at_half_the_mean_field_glass_transition():
    # torus: σ² = 4; the general hot end, ln 2 / 8, is lower
    model = random_pm_j(16, rng=5)
    info = SAMPLER.sample(model, num_sweeps=1, seed=0).info
    assert info["beta_range"] == (0.25, default_beta_range(model)[1])


def test_one_spin_and_no_couplings():
    single = SAMPLER.sample(IsingModel([2.0], np.zeros((1, 1))), num_sweeps=20, seed=0)
    assert single.first.energy == -2.0
    free = SAMPLER.sample(IsingModel(np.zeros(3), np.zeros((3, 3))), seed=0)
    assert free.first.energy == 0.0
    one = SAMPLER.sample(glass(5, 7), num_replicas=1, num_sweeps=50, seed=0)
    assert one.info["swap_rates"] == []


def test_an_initial_state_is_never_worsened():
    model = random_pm_j(8, rng=6)
    good = SAMPLER.sample(model, num_reads=4, num_sweeps=200, seed=0)
    again = SAMPLER.sample(model, initial_states=good, num_sweeps=1, seed=1)
    assert (again.record.energy <= good.record.energy).all()


def test_an_interrupt_ends_the_run_between_blocks():
    calls = []

    def interrupt():
        calls.append(1)
        return len(calls) == 2

    found = SAMPLER.sample(
        random_pm_j(6, rng=0), num_sweeps=10**9, interrupt_function=interrupt, seed=0
    )
    assert len(calls) == 2
    assert len(found) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_replicas": 0}, "num_replicas: got 0"),
        ({"num_replicas": MOST + 1}, f"num_replicas: got {MOST + 1}; allowed: 1 to"),
        ({"spacing": "even"}, "spacing: got 'even'"),
        ({"cluster_moves": "yes"}, "cluster_moves: got 'yes'"),
        ({"cluster_moves": None}, "cluster_moves: got None"),
    ],
)
def test_wrong_arguments_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        SAMPLER.sample(glass(4, 0), **settings)
