"""What restricted Boltzmann machines hold: entropies against size, ranks against range.

Sizes stay within exact vectors. Weights are random unless a state is constructed.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from qlib.entanglement import closed_forms, rbm, spectrum

SMALLEST = 1e-13  # singular value over the largest, below which it is rounding
RANGES = (1, 2, 3)
WEIGHTS = ("complex", "imaginary", "real")
SCALES = (1 / 3, 1.0, 3.0)


class Growth(NamedTuple):
    """Half-chain entropies of RBMs with random weights.

    Attributes
    ----------
    sizes : (n,) int array
    entropies : (draws, n) array
        Nats; of one machine and the windows around its middle.
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


def growth(reach, *, sizes, draws, rng, weights="complex", scale=1.0):
    """Half-chain entropies of random RBMs against their size.

    Each draw is one machine of the largest size; smaller ones are its windows, which
    keeps the units at the cut and with them most of the chance.

    Parameters
    ----------
    reach : int or None
        How far a hidden unit sees to either side; None for every site.
    sizes : sequence of int
        Even, at most 20. Those below 4 * reach are left out, where ends are felt.
    draws : int
    rng : `numpy.random.Generator`
    weights : {"complex", "imaginary", "real"}
        Normal, of one variance.
    scale : float
        Root mean square of the argument of the cosh.

    Returns
    -------
    Growth
    """
    sizes = np.array([size for size in sizes if size >= 4 * (reach or 0)])
    make = _maker(reach, scale)
    machines = [_of_kind(make(sizes[-1], rng=rng), weights) for _ in range(draws)]
    entropies = [[_entropy(_window(one, n)) for n in sizes] for one in machines]
    return Growth(sizes, np.array(entropies))


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
    """Schmidt ranks of short-range RBMs with random complex weights of scale one.

    Attributes
    ----------
    reach : (n,) int array
        How far a hidden unit sees to either side.
    bound : (n,) int array
        2^q of the half chain, below the dimension of its Hilbert space.
    rank : (n, draws) int array
        Singular values of the half chain above `SMALLEST`.
    effective : (n, draws) int array
        R(1e-8): how many Schmidt probabilities leave out at most 1e-8.
    entropy : (n, draws) array
        Of the half chain, nats.
    excess : float
        Largest rank over its bound, at any cut of any state where the bound is below
        the dimension.
    control : float
        The same measure of RBMs whose units see all sites, over the largest bound.
    kept, dropped : float
        Least singular value counted at the half chain, and largest not counted, over
        the largest: how clear the count is.
    """

    reach: np.ndarray
    bound: np.ndarray
    rank: np.ndarray
    effective: np.ndarray
    entropy: np.ndarray
    excess: float
    control: float
    kept: float
    dropped: float


def ranks(reaches, *, num_sites, draws, rng):
    """Schmidt ranks of short-range RBMs against the bound that their graph sets.

    Parameters
    ----------
    reaches : sequence of int
        Below `num_sites` / 4, so that the bound is below the dimension.
    num_sites, draws : int
    rng : `numpy.random.Generator`

    Returns
    -------
    Ranks
    """
    middle, excess, halves, bound = num_sites // 2, [], [], []
    for reach in reaches:
        make = _maker(reach, 1.0)
        machines = [make(num_sites, rng=rng) for _ in range(draws)]
        found = [_all_cuts(one) for one in machines]
        excess += [
            _rank(p) / one.rank_bound(cut)
            for one, at_all in zip(machines, found, strict=True)
            for cut, p in enumerate(at_all, 1)
            if one.rank_bound(cut) < len(p)
        ]
        bound.append(machines[0].rank_bound(middle))
        halves.append([at_all[middle - 1] for at_all in found])
    everywhere = [rbm.long_range_rbm(num_sites, rng=rng) for _ in range(draws)]
    above = [_rank(_all_cuts(one)[middle - 1]) for one in everywhere]
    values = [np.sqrt(p / p[0]) for row in halves for p in row]
    return Ranks(
        np.array(reaches),
        np.array(bound),
        np.array([[_rank(p) for p in row] for row in halves]),
        np.array([[spectrum.features(p).rank for p in row] for row in halves]),
        np.array([[spectrum.renyi(p, 1) for p in row] for row in halves]),
        float(max(excess)),
        float(max(above) / max(bound)),
        float(min(v[v > SMALLEST].min() for v in values)),
        float(max(v[v <= SMALLEST].max(initial=0.0) for v in values)),
    )


def _maker(reach, scale):
    if reach is None:
        return partial(rbm.long_range_rbm, scale=scale)
    return partial(rbm.short_range_rbm, reach=reach, scale=scale)


def _of_kind(machine, weights):
    """The machine with only one part of its weights and biases, of equal variance."""
    if weights == "complex":
        return machine
    part, unit = (np.imag, 1j) if weights == "imaginary" else (np.real, 1.0)
    arrays = (machine.weights, machine.hidden_bias)
    return rbm.RBM(*(np.sqrt(2) * unit * part(array) for array in arrays))


def _window(machine, size):
    """The `size` middle units and sites, weights scaled to the same distribution."""
    start = (machine.num_sites - size) // 2
    here = slice(start, start + size)
    weights = machine.weights[here, here]
    before = 1 + np.count_nonzero(machine.weights[here], axis=1)
    factor = np.sqrt(before / (1 + np.count_nonzero(weights, axis=1)))
    return rbm.RBM(weights * factor[:, None], machine.hidden_bias[here] * factor)


def _entropy(machine):
    p = spectrum.schmidt_values(machine.vector(), machine.num_sites // 2) ** 2
    return spectrum.renyi(p / p.sum(), 1)


def _all_cuts(machine):
    return spectrum.schmidt_probabilities_at_all_cuts(machine.vector())


def _rank(p):
    return int(np.count_nonzero(p > SMALLEST**2 * p[0]))
