"""Every method of `qlib.annealing`, in the settings that its tests run over."""

from functools import partial

import numpy as np
import pytest

import qlib.annealing as annealing

# In batches of 1, 5 and more; all and one coordinate; with and without their forces.
MANY_RUNS = {
    "random_search": partial(annealing.random_search, batch=3),
    "simulated_annealing": annealing.simulated_annealing,
    "simulated_annealing, 3 replicas": partial(
        annealing.simulated_annealing, replicas=3, cooling="linear", coordinates="all"
    ),
    "quantum_inspired_annealing": annealing.quantum_inspired_annealing,
    "quantum_inspired_annealing, fixed step": partial(
        annealing.quantum_inspired_annealing,
        thermal_step=False,
        step=0.1,
        cooling=lambda progress: 2.0 * (1.0 - progress),
    ),
    "path_integral_annealing": annealing.path_integral_annealing,
    "path_integral_annealing, uncoupled": partial(
        annealing.path_integral_annealing, coupling=False, slices=4
    ),
    "replica_exchange": annealing.replica_exchange,
    "replica_exchange, 1 replica": partial(annealing.replica_exchange, replicas=1),
}
METHODS = MANY_RUNS | {"tunneling_annealing": annealing.tunneling_annealing}


@pytest.fixture(params=METHODS.values(), ids=METHODS.keys())
def method(request):
    """One method under test, every one in turn."""
    return request.param


@pytest.fixture(params=MANY_RUNS.values(), ids=MANY_RUNS.keys())
def many_runs(request):
    """One method that takes `runs` and `device`."""
    return request.param


class Counted:
    """An objective that counts the points it is given."""

    def __init__(self, function):
        self.function, self.points = function, 0

    def __call__(self, x):
        self.points += 1 if x.ndim == 1 else x.shape[1]
        return self.function(x)


@pytest.fixture
def counted():
    return Counted


@pytest.fixture
def double_well():
    """Σ (x² − 1)² + x/4: two wells a coordinate, the same arithmetic in every shape."""

    def function(x):
        return np.sum((x * x - 1) * (x * x - 1) + x / 4, axis=0)

    return function
