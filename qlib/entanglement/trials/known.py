"""A case whose answer is known: the open critical Ising chain, by three routes."""

from typing import NamedTuple

import numpy as np

from qlib.entanglement import exact, freefermions, hamiltonians
from qlib.entanglement.dmrg import dmrg


class Route(NamedTuple):
    """Ground states of the open Ising chain at h = J = 1, one a size.

    Attributes
    ----------
    sizes : (n,) int array
    errors : (n,) array
        Of the energy, relative to the exact one.
    entropies : (n,) array
        Of the half chain, nats.
    gaps : (n,) array
        Between the first two entanglement energies of the half chain, nats.
    """

    sizes: np.ndarray
    errors: np.ndarray
    entropies: np.ndarray
    gaps: np.ndarray


def exact_energy(num_sites):
    """Ground state energy 1 - 1 / sin(pi / (4N + 2)) of the open chain at h = J = 1.

    Pfeuty, Ann. Phys. 57, 79 (1970).
    """
    return 1 - 1 / np.sin(np.pi / (4 * num_sites + 2))


def route(name, sizes):
    """Energy and half-chain measures of the open critical Ising chain, by one method.

    Parameters
    ----------
    name : str
        Of `SOLVERS`.
    sizes : sequence of int

    Returns
    -------
    Route
    """
    found = [SOLVERS[name](hamiltonians.tfim(size)) for size in sizes]
    true = exact_energy(np.asarray(sizes))
    errors = np.abs(np.array([energy for energy, _ in found]) / true - 1)
    measures = [measured for _, measured in found]
    return Route(
        np.asarray(sizes),
        errors,
        np.array([one.entropy for one in measures]),
        np.array([one.entanglement_gap for one in measures]),
    )


def largest_difference(routes):
    """Largest difference of entropies, nats, of any two routes at a common size.

    Parameters
    ----------
    routes : sequence of Route
    """
    worst = 0.0
    for place, one in enumerate(routes):
        for other in routes[place + 1 :]:
            _, mine, theirs = np.intersect1d(
                one.sizes, other.sizes, return_indices=True
            )
            apart = np.abs(one.entropies[mine] - other.entropies[theirs])
            worst = max(worst, apart.max(initial=0.0))
    return float(worst)


def _by_vector(operator):
    state = exact.ground_state(operator)
    return state.energies[0], state.features(operator.num_sites // 2)


def _by_modes(operator):
    state = freefermions.ground_state(operator)
    return state.energy, state.features(operator.num_sites // 2)


def _by_matrix_products(operator):
    state = dmrg(operator, rng=0)
    return state.energy, state.features(operator.num_sites // 2)


SOLVERS = {
    "exact diagonalisation": _by_vector,
    "free fermions": _by_modes,
    "DMRG": _by_matrix_products,
}
