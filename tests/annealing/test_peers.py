"""Peers: counted from outside, stopped exactly, and leaving no trace."""

import numpy as np
import pytest

from qlib.annealing import landscapes, peers

METHODS = sorted(peers.PEERS.items())
METHODS.append(("default differential evolution", peers.differential_evolution))


@pytest.fixture(params=METHODS, ids=lambda pair: pair[0])
def peer(request):
    return request.param[1]


def race(peer, landscape, gaps, budget):
    levels = [landscape.f_min + gap for gap in gaps]
    rng = np.random.default_rng(5)
    return peers.first_hits(peer, landscape, landscape.bounds, levels, budget, rng)


@pytest.mark.parametrize("budget", [1, 7, 100, 1003])
def test_a_budget_is_spent_to_the_last_evaluation(peer, budget):
    run = race(peer, landscapes.rastrigin(3), [0.0], budget)
    assert run.evaluations == budget
    assert run.hits == [None]


def test_a_run_ends_at_the_evaluation_that_reaches_its_last_value(peer):
    run = race(peer, landscapes.rastrigin(2), [10.0, 1.0], 20_000)
    assert run.hits[0] <= run.hits[1] == run.evaluations
    assert run.best <= 1.0


def test_the_same_generator_gives_the_same_run(peer):
    first, second = (race(peer, landscapes.ackley(2), [0.1], 500) for _ in range(2))
    assert (first.hits, first.best) == (second.hits, second.best)


def test_global_random_state_is_left_alone(peer):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    race(peer, landscapes.rastrigin(2), [0.0], 300)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
