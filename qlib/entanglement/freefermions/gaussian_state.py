"""Entanglement of pure fermionic Gaussian states from their covariance matrices.

The reduced state of a block of sites is a product over modes, one a site: a mode has
the probabilities (1 + nu)/2 and (1 - nu)/2, where +-i nu are eigenvalues of the block's
part of the covariance matrix (Peschel, J. Phys. A 36, L205, 2003). Hence Schmidt
probabilities are products over the modes, and the cumulants of xi = -ln p are sums.
"""

import operator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import xlog1py, xlogy

from qlib.arguments import number_between, positive_integer
from qlib.entanglement.spectrum import FLAT, ROUNDING, Features

COUNTED = 2**16  # Schmidt probabilities that `rank` enumerates at most
SMALLEST_REST = 1e-14  # that 1 - sum p resolves


@dataclass(frozen=True, eq=False)
class GaussianState:
    """The ground state of free fermions on an N-site chain; see `ground_state`.

    A cut l in [1, N-1] stands for the block of sites 0..l-1, a pair (start, stop) for
    the sites start..stop-1. Both have the entanglement of the spins: the state has a
    definite parity.

    Attributes
    ----------
    energy, gap : float
        Energy of the state, and its distance to the next one of the sectors solved.
    degenerate : bool
        Whether the gap is within 1e-8 of the bandwidth, the sum of the mode energies.
    parity : int
        Eigenvalue of prod_j S_j, where S is the Pauli letter `axis`.
    axis : {"X", "Y", "Z"}
    """

    energy: float
    gap: float
    degenerate: bool
    parity: int
    axis: str
    _covariance: np.ndarray = field(repr=False)
    _refusal: str = field(repr=False)

    @property
    def covariance(self):
        """<i g_a g_b> (2N, 2N), antisymmetric, Majoranas ordered A_0, B_0, A_1, ...

        Raises
        ------
        ValueError
            If the state is one of several that cannot be told apart.
        """
        if self._refusal:
            raise ValueError(
                f"state: got a degenerate ground state, its two lowest energies "
                f"{self.energy:.12g} and {self.energy + self.gap:.12g}, {self.gap:.3g} "
                f"apart; allowed: {self._refusal}"
            )
        return self._covariance

    @property
    def num_sites(self):
        """N."""
        return len(self._covariance) // 2

    def modes(self, cut):
        """The nu in [0, 1] of a block of l sites: (l,), descending. O(l^3)."""
        sites = self._sites(cut)
        nu = np.ones(len(sites))
        small = self._small_probabilities(sites)
        nu[len(sites) - len(small) :] = 1 - 2 * small
        return nu

    def schmidt_probabilities(self, cut, count=64):
        """The largest Schmidt probabilities, descending.

        Parameters
        ----------
        cut : int or (int, int)
        count : int
            How many; all 2^m if fewer, m the sites on the smaller side.

        Returns
        -------
        (min(count, 2^m),) array

        Notes
        -----
        O(m^3 + m count log count): the `count` best of m modes are among the `count`
        best of m - 1 modes, each with the m-th mode empty or filled.
        """
        count = positive_integer("count", count)
        return _leading(self._small_probabilities(self._sites(cut)), count)

    def features(self, cut, epsilon=1e-8):
        """`spectrum.Features` of a cut, exact from the modes, in nats.

        Parameters
        ----------
        cut : int or (int, int)
        epsilon : float
            Weight that `rank` may discard, in [1e-14, 1). A rank beyond 65536 is not
            counted and given as inf.
        """
        epsilon = number_between("epsilon", epsilon, SMALLEST_REST, 1 - SMALLEST_REST)
        p = self._small_probabilities(self._sites(cut))
        rank = _rank(p, epsilon)
        p = p[p > ROUNDING]
        odds = np.log1p(-p) - np.log(p)  # xi of the filled mode above the empty one
        variance = p * (1 - p)
        capacity = float(np.sum(variance * odds**2))
        third = float(np.sum(variance * (1 - 2 * p) * odds**3))
        return Features(
            entropy=_entropy(p),
            capacity=capacity,
            third_cumulant=third,
            skewness=third / capacity**1.5 if capacity > FLAT else 0.0,
            renyi2=float(-np.sum(np.log1p(-2 * variance))),
            entanglement_gap=float(np.min(odds, initial=np.inf)),
            rank=rank,
        )

    def entropies(self):
        """Von Neumann entropies at the cuts 1..N-1 in nats: (N-1,).

        O(N^4): two sets of singular values a cut, a second or so at N = 400.

        Raises
        ------
        ValueError
            As `covariance`.
        """
        cuts = range(1, self.num_sites)
        return np.array([_entropy(self._small_probabilities(range(c))) for c in cuts])

    def _sites(self, cut):
        """The sites of a block that is neither empty nor the chain."""
        try:
            start, stop = (0, cut) if np.ndim(cut) == 0 else cut
            start, stop = operator.index(start), operator.index(stop)
        except (TypeError, ValueError):
            start = stop = 0
        inside = 0 <= start < stop <= self.num_sites
        if not inside or stop - start == self.num_sites or isinstance(cut, bool):
            raise ValueError(
                f"cut: got {cut!r}; allowed: an integer in [1, {self.num_sites - 1}] "
                f"or a block (start, stop) of fewer than {self.num_sites} sites"
            )
        return range(start, stop)

    def _small_probabilities(self, sites):
        """(1 - nu)/2 of the modes of the block or the rest, whichever has fewer.

        nu is a singular value of the covariance within, sqrt(1 - nu^2) one of that
        across the cut: each is taken where it is small, so that both nu near 0 and
        nu near 1 keep their digits. (min(l, N-l),), ascending.
        """
        gamma, each = self.covariance, 2
        inside = np.zeros(self.num_sites, bool)
        inside[list(sites)] = True
        if 2 * inside.sum() > self.num_sites:
            inside = ~inside
        if np.any(gamma[0::2, 0::2]) or np.any(gamma[1::2, 1::2]):
            inside = np.repeat(inside, 2)
        else:  # only A and B are correlated: one (N, N) block, every nu once
            gamma, each = gamma[0::2, 1::2], 1
        nu = _singular_values(gamma[np.ix_(inside, inside)])[::each]
        across = _singular_values(gamma[np.ix_(inside, ~inside)])[::-each]
        far = across**2 / (1 + np.sqrt(1 - across**2))
        return 0.5 * np.where(across < nu, far, 1 - nu)


def _singular_values(matrix):
    """Singular values of part of an orthogonal matrix, descending and at most one."""
    return np.minimum(np.linalg.svd(matrix, compute_uv=False), 1.0)


def _entropy(p):
    """Entropy in nats of independent modes of probabilities p and 1 - p."""
    return float(-np.sum(xlogy(p, p) + xlog1py(1 - p, -p)))


def _leading(p, count):
    """The `count` largest products over modes of p or 1 - p, descending."""
    with np.errstate(divide="ignore"):
        odds = np.sort(np.log1p(-p) - np.log(p))
    costs = np.zeros(1)  # -ln of the largest products, relative to the largest
    for cost in odds:
        if len(costs) == count and cost >= costs[-1]:
            break
        costs = np.sort(np.concatenate([costs, costs + cost]), kind="stable")[:count]
    return np.exp(np.sum(np.log1p(-p)) - costs)


def _rank(p, epsilon):
    """The fewest probabilities whose discarded rest is at most epsilon, or inf."""
    count = 64
    while True:
        rests = 1 - np.cumsum(_leading(p, count))
        if rests[-1] <= epsilon:
            return 1 + int(np.count_nonzero(rests > epsilon))
        if count >= COUNTED:
            return np.inf
        count *= 4
