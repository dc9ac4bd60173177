"""What restricted Boltzmann machines hold: entropies against size, ranks against range.

Sizes stay within exact vectors. Weights are random unless a state is constructed.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from qlib.entanglement import closed_forms, rbm, spectrum

SMALLEST = 1e-13  # singular value over the largest, below which it is rounding
KINDS = {
    "range 1": partial(rbm.short_range_rbm, reach=1),
    "range 2": partial(rbm.short_range_rbm, reach=2),
    "range 3": partial(rbm.short_range_rbm, reach=3),
    "all sites": rbm.long_range_rbm,
    "all sites, weights / 3": partial(rbm.long_range_rbm, scale=1 / 3),
    "all sites, weights × 3": partial(rbm.long_range_rbm, scale=3.0),
}
SHORT = ("range 1", "range 2", "range 3")


class Growth(NamedTuple):
    """Half-chain entropies of RBMs with random weights.

    Attributes
    ----------
    sizes : (n,) int array
    entropies : (draws, n) array
        Nats; every entry has weights of its own.
    """

    sizes: np.ndarray
    entropies: np.ndarray

    @property
    def gains(self):
        """Entropy gained with a site of the half chain, in ln 2, a slope a draw."""
        slopes = np.polynomial.polynomial.polyfit(
            self.sizes / 2, self.entropies.T / np.log(2), 1
        )
        return slopes[1]


def growth(kind, *, sizes, draws, rng):
    """Half-chain entropies of one kind of RBM against its size.

    Parameters
    ----------
    kind : str
        Of `KINDS`.
    sizes : sequence of int
        Even, at most 20.
    draws : int
        Of weights, for each size.
    rng : `numpy.random.Generator`

    Returns
    -------
    Growth
    """
    entropies = [
        [_entropy(KINDS[kind](n, rng=rng)) for n in sizes] for _ in range(draws)
    ]
    return Growth(np.asarray(sizes), np.array(entropies))


def construction(sizes):
    """Half-chain entropies of the RBM whose units tie each site to one beyond the cut.

    The graph state of N/2 edges from site i to site i + N/2, as an RBM of N/2 units.

    Parameters
    ----------
    sizes : sequence of int
        Even, at most 20.

    Returns
    -------
    (sizes,) array
        Nats.
    """
    edges = closed_forms.half_chain_edges
    return np.array([_entropy(rbm.graph_state_rbm(n, edges(n))) for n in sizes])


class Ranks(NamedTuple):
    """Schmidt ranks of short-range RBMs with random weights.

    Attributes
    ----------
    reach : (n,) int array
        How far a hidden unit sees to either side.
    bound : (n,) int array
        2^q of the half chain.
    rank : (n, draws) int array
        Singular values of the half chain above `SMALLEST`.
    effective : (n, draws) int array
        R(1e-8): how many Schmidt probabilities leave out at most 1e-8.
    entropy : (n, draws) array
        Of the half chain, nats.
    excess : float
        Largest rank over its bound, at any cut of any state.
    """

    reach: np.ndarray
    bound: np.ndarray
    rank: np.ndarray
    effective: np.ndarray
    entropy: np.ndarray
    excess: float


def ranks(reaches, *, num_sites, draws, rng):
    """Schmidt ranks of short-range RBMs against the bound that their graph sets.

    Parameters
    ----------
    reaches : sequence of int
        At most `num_sites` / 4, so that the ends are not felt at the half chain.
    num_sites, draws : int
    rng : `numpy.random.Generator`

    Returns
    -------
    Ranks
    """
    middle, excess = num_sites // 2, 0.0
    bound, counts, effective, entropy = [], [], [], []
    for reach in reaches:
        machines = [
            rbm.short_range_rbm(num_sites, reach, rng=rng) for _ in range(draws)
        ]
        found = [_all_cuts(one) for one in machines]
        for one, at_all in zip(machines, found, strict=True):
            over = [_rank(p) / one.rank_bound(cut) for cut, p in enumerate(at_all, 1)]
            excess = max(excess, *over)
        halves = [at_all[middle - 1] for at_all in found]
        measures = [spectrum.features(p) for p in halves]
        bound.append(machines[0].rank_bound(middle))
        counts.append([_rank(p) for p in halves])
        effective.append([one.rank for one in measures])
        entropy.append([one.entropy for one in measures])
    return Ranks(
        *map(np.array, (reaches, bound, counts, effective, entropy)), float(excess)
    )


def _entropy(machine):
    p = spectrum.schmidt_values(machine.vector(), machine.num_sites // 2) ** 2
    return spectrum.renyi(p / p.sum(), 1)


def _all_cuts(machine):
    return spectrum.schmidt_probabilities_at_all_cuts(machine.vector())


def _rank(p):
    return int(np.count_nonzero(p > SMALLEST**2 * p[0]))
