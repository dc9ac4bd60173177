"""Annealing at an exact number of ones: pairs of unlike spins are exchanged."""

import operator
from math import log
from typing import ClassVar

import numpy as np
from numba import njit

from qlib.annealing.ising.sampler import EXCITATIONS, IsingSampler

BLOCK = 100  # sweeps between two calls of interrupt_function
PROBES = 8  # random states that the default temperatures are taken from
TIE = 1e-9  # of the largest local field: closer ones differ by rounding only


class FixedCardinalitySampler(IsingSampler):
    """Simulated annealing of states with exactly `cardinality` ones (spins up).

    A proposal exchanges a random spin up with a random spin down and is accepted by
    Metropolis' rule; a sweep is n proposals. The sum never changes, so no penalty term
    is needed, and at constant β the reads tend to the Boltzmann distribution among the
    states of that sum. A read is the last state of its walk, as D-Wave's are. Given
    `initial_states` must have the right sum; others start uniformly among such states.

    Local fields are kept: O(1) a proposal of a dense model, O(log degree) of a sparse
    one; O(n) or O(degree) an accepted exchange.

    Parameters
    ----------
    cardinality : int
        Of `sample`, required: number of ones at every read, 0 to n.
    beta_range : (float, float) or None
        Of `sample`. The default looks at n random exchanges of each of 8 random
        states, so that terms which no exchange changes, such as equal couplings
        between all spins, do not count. Its first β accepts the worst of them half of
        the time; its last leaves 0.01 exchanges undone in expectation over the
        smallest gap, n exp(−β Δ) = 0.01, with Δ the smallest nonzero change seen but
        at least the changes' standard deviation over √(2n): the rule of
        `qlib.annealing.ising.sampler.default_beta_range` for pairs of spins.

    References
    ----------
    K. Kawasaki, Phys. Rev. 145, 224 (1966).
    """

    options: ClassVar[dict] = {"cardinality": None}

    def _check(self, model, options):
        n, cardinality = model.num_spins, options["cardinality"]
        whole = hasattr(cardinality, "__index__") and not isinstance(cardinality, bool)
        if not whole or not 0 <= operator.index(cardinality) <= n:
            raise ValueError(
                f"cardinality: got {cardinality!r}; allowed: an integer from 0 to {n}"
            )

    def _default_beta_range(self, model, options):
        n, ones = model.num_spins, operator.index(options["cardinality"])
        if not 0 < ones < n:
            return 0.1, 1.0  # one state
        rng = np.random.default_rng(0)  # the range does not depend on the seed
        states = _random_states(rng, PROBES, n, ones)
        places = _places(states)
        i, j = (
            np.take_along_axis(places, rng.integers(low, high, (PROBES, n)), 1)
            for low, high in ((0, ones), (ones, n))
        )  # spins up and down, (probes, n)
        fields = model.local_fields(states)
        coupling = model.J[i.ravel(), j.ravel()].reshape(i.shape)
        gain = np.take_along_axis(fields, j, 1) - np.take_along_axis(fields, i, 1)
        change = 2 * gain - 4 * coupling
        size = np.abs(change)
        moved = size[size > TIE * np.abs(fields).max()]
        if moved.size == 0:
            return 0.1, 1.0
        gap = max(moved.min(), change.std() / np.sqrt(2 * n))
        return float(log(2) / moved.max()), float(log(n / EXCITATIONS) / gap)

    def _run(self, model, settings):
        n, ones = model.num_spins, operator.index(settings.options["cardinality"])
        given = settings.initial
        wrong = np.flatnonzero(np.count_nonzero(given == 1, axis=1) != ones)
        if wrong.size:
            raise ValueError(
                f"initial_states: got {np.count_nonzero(given[wrong[0]] == 1)} ones in "
                f"state {wrong[0]}; allowed: cardinality = {ones}"
            )
        count = settings.num_reads - len(given)
        spins = np.concatenate([given, _random_states(settings.rng, count, n, ones)])
        order = _places(spins)
        betas = settings.betas()
        for start in range(0, len(betas) if 0 < ones < n else 0, BLOCK):
            if settings.interrupted():
                break
            block = betas[start : start + BLOCK]
            _exchange(model, spins, order, ones, block, settings.rng)
        return spins, {}


def _random_states(rng, count, n, ones):
    """Uniform states with `ones` spins up, (count, n) int8."""
    states = np.full((count, n), -1, dtype=np.int8)
    states[:, :ones] = 1
    return rng.permuted(states, axis=1)


def _places(states):
    """Numbers of the spins of each state, those up first: (count, n) int32."""
    return np.argsort(-states, axis=1, kind="stable").astype(np.int32)


def _exchange(model, spins, order, ones, betas, rng):
    """Sweep all reads in place, from local fields computed afresh."""
    fields = model.local_fields(spins)
    if model.is_sparse:
        _sweep_sparse(*model.neighbours(), fields, order, ones, betas, rng)
    else:
        _sweep_dense(model.J, fields, order, ones, betas, rng)
    np.put_along_axis(spins, order[:, :ones], 1, axis=1)
    np.put_along_axis(spins, order[:, ones:], -1, axis=1)


@njit(cache=True, nogil=True)
def _propose(ones, n, rng):
    """Places of a spin up, < ones, and of a spin down, from one uniform number.

    Its 53 bits make pairs of even n = 10^5 spins alike to 1e-6 of their probability.
    """
    scaled = rng.random() * ones
    up = int(scaled)
    return up, ones + int((scaled - up) * (n - ones))


@njit(cache=True, nogil=True)
def _accept(change, beta, rng):
    """Metropolis' rule; exp(−40) is never drawn in the life of a machine."""
    exponent = beta * change
    return exponent <= 0.0 or (exponent < 40.0 and rng.random() < np.exp(-exponent))


@njit(cache=True, nogil=True)
def _sweep_dense(couplings, fields, order, ones, betas, rng):
    """A sweep at every β of `betas`, one read after another."""
    reads, n = order.shape
    for read in range(reads):
        f, places = fields[read], order[read]
        for beta in betas:
            for _ in range(n):
                up, down = _propose(ones, n, rng)
                i, j = places[up], places[down]
                change = 2.0 * (f[j] - f[i]) - 4.0 * couplings[i, j]
                if _accept(change, beta, rng):
                    places[up], places[down] = j, i
                    row_i, row_j = couplings[i], couplings[j]
                    for k in range(n):
                        f[k] += 2.0 * (row_j[k] - row_i[k])


@njit(cache=True, nogil=True)
def _sweep_sparse(indptr, indices, weights, fields, order, ones, betas, rng):
    """The same for couplings in compressed rows."""
    reads, n = order.shape
    for read in range(reads):
        f, places = fields[read], order[read]
        for beta in betas:
            for _ in range(n):
                up, down = _propose(ones, n, rng)
                i, j = places[up], places[down]
                coupling = 0.0
                row = indices[indptr[i] : indptr[i + 1]]
                k = np.searchsorted(row, j)
                if k < row.size and row[k] == j:
                    coupling = weights[indptr[i] + k]
                change = 2.0 * (f[j] - f[i]) - 4.0 * coupling
                if _accept(change, beta, rng):
                    places[up], places[down] = j, i
                    for k in range(indptr[i], indptr[i + 1]):
                        f[indices[k]] -= 2.0 * weights[k]
                    for k in range(indptr[j], indptr[j + 1]):
                        f[indices[k]] += 2.0 * weights[k]
