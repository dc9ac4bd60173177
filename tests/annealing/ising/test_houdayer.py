"""Cluster moves: energies kept in sum, clusters connected, weights unchanged."""

import numpy as np
import pytest
from scipy import sparse, stats

from qlib.annealing.ising import (
    IsingModel,
    random_pm_j,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.exact import all_states
from qlib.annealing.ising.houdayer import exchange_clusters, percolates
from qlib.annealing.ising.replica_exchange import scaled_rows
from qlib.annealing.ising.sweeps import start_replicas


def in_fields(model, rng):
    return IsingModel(rng.normal(size=model.num_spins), model.J)


MODELS = {
    "torus": lambda rng: random_pm_j(6, rng=rng),
    "torus in fields": lambda rng: in_fields(random_pm_j(6, rng=rng), rng),
    "real couplings": lambda rng: sherrington_kirkpatrick(12, rng=rng),
}


def move(model, states, rng, moves=1):
    """States (K, 2, n) after cluster moves, and the energies that were followed."""
    rungs, _, n = states.shape
    flat = states.reshape(-1, n)
    replicas = start_replicas(model, flat, rng, len(flat))
    energies = np.zeros(replicas.lanes.shape[2])
    energies[: len(flat)] = model.energy(flat) / replicas.unit
    lane = np.arange(len(flat)).reshape(1, rungs, 2).transpose(0, 2, 1).copy()
    rows = scaled_rows(model, replicas.unit)
    for _ in range(moves):
        exchange_clusters(rows, replicas.lanes[0], replicas.streams[0], lane, energies)
    followed = energies[: len(flat)] * replicas.unit
    return replicas.spins.reshape(states.shape), followed.reshape(rungs, 2)


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_of_two_energies_stays_and_the_parts_are_followed(name):
    rng = np.random.default_rng(1)
    model = MODELS[name](rng)
    before = rng.choice([-1, 1], size=(50, 2, model.num_spins))
    after, followed = move(model, before, rng, moves=3)
    np.testing.assert_allclose(
        model.energy(after).sum(axis=1), model.energy(before).sum(axis=1), atol=1e-9
    )
    np.testing.assert_allclose(followed, model.energy(after), atol=1e-4)
    assert (after != before).any(axis=(1, 2)).sum() > 40


@pytest.mark.parametrize("name", ["torus", "torus in fields"])
def test_a_move_flips_one_whole_cluster_in_both_copies(name):
    rng = np.random.default_rng(2)
    model = MODELS[name](rng)
    before = rng.choice([-1, 1], size=(60, 2, model.num_spins))
    before[:20, 1] = np.where(rng.random((20, 36)) < 0.2, -1, 1) * before[:20, 0]
    after, _ = move(model, before, rng)
    graph = sparse.csr_array(model.J)
    for old, new in zip(before, after, strict=True):
        flipped = old != new
        np.testing.assert_array_equal(*flipped)
        sites = np.flatnonzero(flipped[0])
        differ = old[0] != old[1]
        if sites.size == 0:
            assert not differ.any()
            continue
        kind = differ == differ[sites[0]]
        assert kind[sites].all()
        if name == "torus":
            assert sites.size <= 18
        else:
            assert differ[sites].all()
        _, label = sparse.csgraph.connected_components(graph[kind][:, kind])
        own = np.flatnonzero(kind)[label == label[kind[: sites[0]].sum()]]
        np.testing.assert_array_equal(sites, own)


def test_equal_copies_stay_in_fields():
    rng = np.random.default_rng(3)
    model = MODELS["torus in fields"](rng)
    state = rng.choice([-1, 1], size=(4, 1, 36))
    before = np.concatenate([state, state], axis=1)
    after, _ = move(model, before, rng)
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("fields", [False, True])
def test_the_product_of_boltzmann_weights_is_unchanged(fields):
    # 30 000 pairs of a ring of four drawn from the weights, moved once; χ² over the
    # 256 pairs of states: false alarm 1e-4 each
    rng = np.random.default_rng(4)
    J = np.zeros((4, 4))
    J[np.arange(4), (np.arange(4) + 1) % 4] = [1.0, -0.7, 0.4, 0.9]
    h = rng.normal(size=4) / 2 if fields else np.zeros(4)
    model = IsingModel(h, J + J.T)
    states = all_states(4)
    weights = np.exp(-0.3 * model.energy(states))
    weights /= weights.sum()
    drawn = rng.choice(16, p=weights, size=(250, 120, 2))
    place = 2 ** np.arange(4)
    order = np.argsort((states > 0) @ place)
    counts = np.zeros((16, 16))
    moved = 0
    for pairs in drawn:
        after, _ = move(model, states[pairs], rng)
        found = order[(after > 0) @ place]
        moved += (found != pairs).any(axis=1).sum()
        np.add.at(counts, (found[:, 0], found[:, 1]), 1)
    expected = 30_000 * np.outer(weights, weights)
    assert expected.min() > 5
    assert moved > 10_000
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(chi2, 255) > 1e-4


def test_plane_lattices_do_not_percolate_and_dense_graphs_do():
    rng = np.random.default_rng(5)
    assert not percolates(random_pm_j(32, rng=rng), rng)
    assert not percolates(random_pm_j(24, periodic=False, rng=rng), rng)
    assert percolates(sherrington_kirkpatrick(50, rng=rng), rng)
    assert percolates(IsingModel([1.0], np.zeros((1, 1))), rng)
