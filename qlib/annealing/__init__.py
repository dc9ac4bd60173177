"""Annealing on continuous landscapes: the landscapes, the methods, the measures.

Every method has scipy's manners, ``method(func, bounds, args=(), *, maxfun, target,
x0, vectorized, callback, rng, ...) -> OptimizeResult``, and never evaluates more than
`maxfun` times.
"""

from qlib.annealing.path_integral_annealing import path_integral_annealing
from qlib.annealing.quantum_inspired_annealing import quantum_inspired_annealing
from qlib.annealing.random_search import random_search
from qlib.annealing.replica_exchange import replica_exchange
from qlib.annealing.simulated_annealing import simulated_annealing
from qlib.annealing.tunneling import tunneling_annealing

__all__ = [
    "path_integral_annealing",
    "quantum_inspired_annealing",
    "random_search",
    "replica_exchange",
    "simulated_annealing",
    "tunneling_annealing",
]
