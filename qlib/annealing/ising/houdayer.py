"""Isoenergetic cluster moves: two copies exchange a cluster on which they differ."""

import numpy as np
from numba import njit
from scipy import sparse

from qlib.annealing.ising.random_streams import next_packed_uniform


def percolates(model, rng):
    """Whether a random half of the spins hangs together through couplings.

    Far above the glass transition two copies differ on a random half of the sites. If
    the largest cluster of a random half holds over half of it, in the mean over 16
    halves, so do cluster moves at such temperatures, and the copies merely change
    names. On the square lattice sites percolate at a density of 0.593 only, and the
    largest cluster holds 0.46 of a half at L = 16 and 0.23 at L = 32 (periodic).

    Parameters
    ----------
    model : IsingModel
    rng : `numpy.random.Generator`
        Chooses the halves.

    Returns
    -------
    bool
        O(n + couplings).
    """
    n = model.num_spins
    couplings = sparse.csr_array(model.J)
    shares = []
    for _ in range(16):
        half = np.sort(rng.permutation(n)[: (n + 1) // 2])
        graph = couplings[half][:, half]
        _, label = sparse.csgraph.connected_components(graph, directed=False)
        shares.append(np.bincount(label).max() / half.size)
    return bool(np.mean(shares) > 0.5)


@njit(cache=True, nogil=True)
def exchange_clusters(rows, spins, streams, lane, energies):
    """One cluster move of every pair of copies at one temperature.

    A move starts at a random site with s_i = −s'_i, takes in every site connected to it
    through couplings between such sites, and flips this cluster in both copies. Across
    its border both copies agree, so that what one gains the other loses: E + E' stays,
    and with both at one β the move is always accepted. The sites that differ are the
    same before and after, so that each move is its own reverse at equal probability:
    the product of the two Boltzmann distributions is unchanged, on any graph and with
    fields. Without fields the same holds of clusters of sites with s_i = s'_i, and the
    rarer kind of sites is taken: clusters then hold at most half of the sites.

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
    zero_field = not rows[3].any()
    for read in range(reads):
        first, second = lane[read, 0], lane[read, 1]
        for i in range(n):
            row = spins[i]
            for k in range(rungs):
                codes[k, i] = np.int8(1.5 * row[first[k]] - 0.5 * row[second[k]])
        for k in range(rungs):
            a, b = first[k], second[k]
            if zero_field:
                _mark_rarer(codes[k])
            change = _exchange(rows, spins, a, b, streams, codes[k], found)
            energies[a] += change
            energies[b] -= change


@njit(cache=True, nogil=True)
def _mark_rarer(code):
    """Codes ±1 and ±2 with the rarer of the two as ±2, signs kept."""
    twos = 0
    for i in range(code.size):
        twos += code[i] * code[i] == 4
    if 2 * twos > code.size:
        for i in range(code.size):
            code[i] = 2 // code[i]


@njit(cache=True, nogil=True)
def _exchange(rows, spins, a, b, streams, code, found):
    """Flip one cluster in lanes a and b; the change of the energy of a.

    `code` (n,) holds s_i of lane a, doubled at the sites that clusters are made of, and
    becomes 0 in the cluster; `found` (n,) is overwritten by its sites.
    """
    indptr, indices, weights, h = rows
    site = _marked_site(code, streams, a)
    if site < 0:
        return 0.0
    found[0] = site
    code[site] = 0
    size, done, change = 1, 0, 0.0
    while done < size:
        i = found[done]
        done += 1
        spin = spins[i, a]
        spins[i, a], spins[i, b] = -spin, -spins[i, b]
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
def _marked_site(code, streams, lane):
    """A uniformly random site of code ±2, −1 if there is none."""
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
