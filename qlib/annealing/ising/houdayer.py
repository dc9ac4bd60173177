"""Isoenergetic cluster moves: two copies exchange a cluster on which they differ."""

import numpy as np
from numba import njit
from scipy import sparse

from qlib.annealing.ising.random_streams import next_packed_uniform


def percolates(model, rng):
    """Whether a random half of the spins hangs together through couplings.

    Far above the glass transition two copies differ on a random half of the sites. If
    the largest cluster of a random half holds over half of it, so do cluster moves at
    such temperatures, and the copies merely change names. On the square lattice
    clusters stay small, as sites percolate there at a density of 0.593 only.

    Parameters
    ----------
    model : IsingModel
    rng : `numpy.random.Generator`
        Chooses the half.

    Returns
    -------
    bool
        O(n + couplings).
    """
    n = model.num_spins
    half = np.sort(rng.permutation(n)[: (n + 1) // 2])
    graph = sparse.csr_array(model.J[half][:, half])
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    return 2 * np.bincount(label).max() > half.size


@njit(cache=True, nogil=True)
def exchange_clusters(rows, spins, streams, lane, energies):
    """One cluster move of every pair of copies at one temperature.

    A move starts at a random site with s_i = −s'_i and takes in every site connected to
    it through couplings between such sites; the two copies then exchange their spins on
    this cluster. Across its border both copies agree, so that what one gains the other
    loses: E + E' stays, and with both at one β the move is always accepted. The sites
    that differ are the same before and after, so that each move is its own reverse at
    equal probability: the product of the two Boltzmann distributions is unchanged, on
    any graph and with fields.

    Parameters
    ----------
    rows : tuple
        (indptr, indices, weights, h), couplings in compressed rows and fields.
    spins : (n, W) float32 array
        Changed in place.
    streams : (4 · 272,) uint32 array
        Random streams; the first copy's chooses the site.
    lane : (reads, 2, K) int array
        Lane of each read's two copies on each rung.
    energies : (W,) float64 array
        Changed in place, in the units of the weights.

    Notes
    -----
    O(n) for each pair, plus the couplings of its cluster.

    References
    ----------
    J. Houdayer, Eur. Phys. J. B 22, 479 (2001).
    Z. Zhu, A. J. Ochoa, H. G. Katzgraber, Phys. Rev. Lett. 115, 077201 (2015).
    """
    n = rows[3].size
    reads, _, rungs = lane.shape
    codes = np.empty((rungs, n), np.int8)
    found = np.empty(n, np.int32)
    for read in range(reads):
        first, second = lane[read, 0], lane[read, 1]
        for i in range(n):
            row = spins[i]
            for k in range(rungs):
                codes[k, i] = np.int8(1.5 * row[first[k]] - 0.5 * row[second[k]])
        for k in range(rungs):
            a, b = first[k], second[k]
            change = _exchange(rows, spins, a, b, streams, codes[k], found)
            energies[a] += change
            energies[b] -= change


@njit(cache=True, nogil=True)
def _exchange(rows, spins, a, b, streams, code, found):
    """Exchange a cluster of lanes a and b; the change of the energy of a.

    `code` (n,) holds s_i of lane a where both agree, 2 s_i where they differ, and
    becomes 0 in the cluster; `found` (n,) is overwritten by its sites.
    """
    indptr, indices, weights, h = rows
    site = _differing_site(code, streams, a)
    if site < 0:
        return 0.0
    found[0] = site
    code[site] = 0
    size, done, change = 1, 0, 0.0
    while done < size:
        i = found[done]
        done += 1
        spin = spins[i, a]
        spins[i, a], spins[i, b] = -spin, spin
        field = h[i]
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            value = code[j]
            if value == 2 or value == -2:
                code[j] = 0
                found[size] = j
                size += 1
            else:
                field += weights[k] * value
        change -= 2.0 * spin * field
    return change


@njit(cache=True, nogil=True)
def _differing_site(code, streams, lane):
    """A uniformly random site where the copies differ, −1 if there is none."""
    n = code.size
    for _ in range(8):
        i = min(int(next_packed_uniform(streams, lane) * np.float32(n)), n - 1)
        if abs(code[i]) == 2:
            return i
    count = 0
    for i in range(n):
        count += abs(code[i]) == 2
    if count == 0:
        return -1
    uniform = next_packed_uniform(streams, lane)
    left = min(int(uniform * np.float32(count)), count - 1)
    for i in range(n):
        left -= abs(code[i]) == 2
        if left < 0:
            return i
    return -1
