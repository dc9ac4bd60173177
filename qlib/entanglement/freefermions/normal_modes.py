"""Normal modes of a quadratic Majorana Hamiltonian, accurate down to the smallest.

Majorana operators that no coupling joins are solved apart. A part that is an open path
of couplings (transverse-field Ising, XX, SSH, rainbow, cluster chains with open ends)
gives a bidiagonal matrix, whose singular values the zero-shift QR algorithm finds to
high *relative* accuracy (Demmel and Kahan, SIAM J. Sci. Stat. Comput. 11, 873, 1990):
couplings over many decades and exponentially small gaps keep their digits and signs.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import hessenberg, svd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra


class NormalModes(NamedTuple):
    """H = (i/2) sum_k energies_k alpha_k beta_k with Majorana operators alpha, beta.

    Attributes
    ----------
    energies : (N,) array
        Excitation energies >= 0, ascending.
    alpha, beta : (2N, N) arrays
        Orthonormal columns; the vacuum has i alpha_k beta_k = -1 for every k.
    parity : int
        That of the vacuum, the eigenvalue of prod_j (-i g_2j g_(2j+1)).
    is_relative : bool
        Whether small energies are accurate relative to themselves, not to the largest.
    """

    energies: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    parity: int
    is_relative: bool

    @property
    def vacuum_energy(self):
        """-1/2 sum_k energies_k."""
        return -0.5 * float(np.sum(self.energies))

    def covariance(self, flipped):
        """<i g_a g_b> (2N, 2N) with the listed modes excited from the vacuum."""
        occupation = np.ones(len(self.energies))
        occupation[list(flipped)] = -1.0
        half = (self.beta * occupation) @ self.alpha.T
        return half - half.T


def normal_modes(couplings):
    """The normal modes of H = (i/4) sum_ab couplings_ab g_a g_b.

    Parameters
    ----------
    couplings : (2N, 2N) array
        Real and antisymmetric.

    Returns
    -------
    NormalModes

    Notes
    -----
    O(N^3). Majorana operators left without partner pair up at energy zero.
    """
    parts = [_part(couplings, members) for members in _connected(couplings)]
    energies = np.concatenate([part[0] for part in parts])
    alpha = np.hstack([part[1] for part in parts])
    beta = np.hstack([part[2] for part in parts])
    alone = np.hstack([part[3] for part in parts])  # an even number
    energies = np.concatenate([energies, np.zeros(alone.shape[1] // 2)])
    order = np.argsort(energies, kind="stable")
    alpha = np.hstack([alpha, alone[:, 0::2]])[:, order]
    beta = np.hstack([beta, alone[:, 1::2]])[:, order]
    rotation = np.stack([alpha, beta], axis=2).reshape(len(couplings), -1)
    parity = int(np.linalg.slogdet(rotation)[0])
    is_relative = all(part[4] for part in parts)
    return NormalModes(energies[order], alpha, beta, parity, is_relative)


def _connected(couplings):
    """The connected parts: (members in order of distance from an end, distances)."""
    graph = csr_array((couplings != 0).astype(float))
    unseen = np.ones(len(couplings), bool)
    for start in np.argsort(np.diff(graph.indptr), kind="stable"):
        if unseen[start]:
            distance = dijkstra(graph, indices=start, unweighted=True)
            members = np.flatnonzero(np.isfinite(distance))
            unseen[members] = False
            order = members[np.argsort(distance[members], kind="stable")]
            yield order, distance[order].astype(int)


def _part(couplings, connected):
    """Energies, alpha, beta, unpaired columns of one part, and whether it is a path."""
    members, distance = connected
    block = couplings[np.ix_(members, members)]
    is_path = distance[-1] == len(members) - 1
    basis = np.eye(len(members))
    if np.any(block[distance[:, None] == distance]):  # not bipartite: made a path
        block, basis = hessenberg(block, calc_q=True)
        distance = np.arange(len(members))
    odd, even = distance % 2 == 1, distance % 2 == 0
    left, energies, right = np.eye(odd.sum()), np.zeros(0), np.eye(even.sum())
    if left.size:
        matrix = block[np.ix_(odd, even)]  # upper bidiagonal for a path
        left, energies, right = svd(matrix, lapack_driver="gesvd")
    k = len(energies)
    alpha, beta = basis[:, odd] @ left, basis[:, even] @ right.T
    alone = np.hstack([alpha[:, k:], beta[:, k:]])
    columns = []
    for part in (alpha[:, :k], beta[:, :k], alone):
        whole = np.zeros((len(couplings), part.shape[1]))
        whole[members] = part
        columns.append(whole)
    return energies, *columns, is_path
