"""Restricted Boltzmann machines as quantum states: vectors, families, rank bounds.

psi(s) = exp(sum_i a_i s_i) prod_h 2 cosh(b_h + sum_i W_hi s_i), s_i = Z_i = +-1,
with complex a, b and W (Carleo and Troyer, Science 355, 602, 2017). What such a state
can hold is read off its graph: Deng, Li and Das Sarma, Phys. Rev. X 7, 021021 (2017).
"""

from dataclasses import dataclass

import numpy as np

from qlib.arguments import number_between, one_of, positive_integer
from qlib.entanglement.memory import amount, refuse_beyond_memory

__all__ = ["RBM", "graph_state_rbm", "long_range_rbm", "short_range_rbm"]

MOST_SITES = 20
CANCELLED = 1e-14  # a cosh below this part of its exponentials is a rounded zero
BOND = np.arctanh(np.exp(0.25j * np.pi))  # tanh(BOND)^2 = i
DIRECTIONS = {  # of two normal numbers in the complex plane, mean square one
    "complex": np.array([1, 1j]) / np.sqrt(2),
    "imaginary": np.array([0, 1j]),
    "real": np.array([1, 0]),
}


@dataclass(frozen=True, eq=False)
class RBM:
    """A restricted Boltzmann machine of N spins and M hidden units.

    Parameters
    ----------
    weights : (M, N) array
        W, complex; a zero is no connection.
    hidden_bias : (M,) array, optional
        b, zero unless given.
    visible_bias : (N,) array, optional
        a, zero unless given.

    Raises
    ------
    ValueError
        If a shape is wrong or an entry is not finite.
    """

    weights: np.ndarray
    hidden_bias: np.ndarray | None = None
    visible_bias: np.ndarray | None = None

    def __post_init__(self):
        weights = np.asarray(self.weights, dtype=complex)
        if weights.ndim != 2 or weights.shape[1] < 2:
            allowed = "(M, N) with N >= 2"
            raise ValueError(f"weights: got shape {weights.shape}; allowed: {allowed}")
        shapes = {
            "weights": weights.shape,
            "hidden_bias": weights.shape[:1],
            "visible_bias": weights.shape[1:],
        }
        for name, shape in shapes.items():
            given = getattr(self, name)
            array = np.array(np.zeros(shape) if given is None else given, complex)
            if array.shape != shape:
                raise ValueError(f"{name}: got shape {array.shape}; allowed: {shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: got a NaN or infinity; allowed: finite")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def num_sites(self):
        """N."""
        return self.weights.shape[1]

    def vector(self):
        """The normalised state vector, site 0 leftmost, spin up first.

        Returns
        -------
        (2^N,) complex array

        Raises
        ------
        ValueError
            If N > 20 or the bytes (six vectors) are not there, or if the state is
            zero.

        Notes
        -----
        A unit that sees k spins is one table of 2^k factors, multiplied into the
        (2,) * N tensor: O(2^N M). Each factor is divided by its largest modulus, so
        that large weights do not overflow.
        """
        N = self.num_sites
        needed = 6 * 16 * 2**N
        if N > MOST_SITES:
            got = f"{N}, which needs {amount(needed)}"
            raise ValueError(f"num_sites: got {got}; allowed: at most {MOST_SITES}")
        refuse_beyond_memory("num_sites", N, needed)
        psi = _exponentials(self.visible_bias).reshape((2,) * N)
        for row, bias in zip(self.weights, self.hidden_bias, strict=True):
            seen = np.flatnonzero(row)
            table = _exponentials(row[seen])
            # cosh(b + x) for x(s) = W s: x(-s) = -x(s), and -s is the reversed index
            up, down = _scaled(bias) * table, _scaled(-bias) * table[::-1]
            table = up + down
            table[abs(table) < CANCELLED * abs(up)] = 0
            shape = [2 if site in seen else 1 for site in range(N)]
            psi *= _to_unit_maximum(table, "weights").reshape(shape)
            _to_unit_maximum(psi, "weights")
        psi = psi.ravel()
        return psi / np.linalg.norm(psi)

    def crossing(self, cut):
        """Number q of hidden units that see spins on both sides of a cut.

        Parameters
        ----------
        cut : int
            In [1, N-1]: sites 0..cut-1 against the rest.
        """
        left, right = self._sides(cut)
        return int(np.count_nonzero(left.any(axis=1) & right.any(axis=1)))

    def rank_bound(self, cut):
        """Largest Schmidt rank that this graph allows at a cut, 2^min(q, l, r).

        q units cross the cut; l and r are the numbers of spins on its left and right
        that these units see.

        Notes
        -----
        A unit on one side multiplies rows or columns alone: no rank. A crossing one,
        2 cosh(b + x + y) = e^(b+x) e^y + e^(-b-x) e^(-y), is a sum of two products, so
        that q of them are a sum of 2^q. And the matrix of all crossing factors has
        equal rows for equal values of the l spins, equal columns for equal values of
        the r spins: at most 2^l and 2^r different ones. Hence S <= min(q, l, r) ln 2,
        whatever the weights: a constant where units reach a fixed distance.
        """
        left, right = self._sides(cut)
        crossing = left.any(axis=1) & right.any(axis=1)
        seen = [int(side[crossing].any(axis=0).sum()) for side in (left, right)]
        return 2 ** min(int(crossing.sum()), *seen)

    def _sides(self, cut):
        """The connections to the left and to the right of a cut."""
        cut = positive_integer("cut", cut)
        if cut >= self.num_sites:
            allowed = f"an integer in [1, {self.num_sites - 1}]"
            raise ValueError(f"cut: got {cut}; allowed: {allowed}")
        connected = self.weights != 0  # (hidden, site)
        return connected[:, :cut], connected[:, cut:]


def short_range_rbm(N, reach, *, scale=1.0, kind="complex", rng):
    """Random RBM whose hidden unit j sees the sites within `reach` of site j, open.

    Parameters
    ----------
    N : int
        Sites and hidden units, at least 2.
    reach : int
        In [1, N-1]. Up to 2 * reach units cross a cut.
    scale : float
        Root mean square of b + W s: weights and biases are normal, of variance scale^2
        over the number of terms. At the default, 1, cosh is far from both its parabola
        (a product state) and its exponential (a single configuration).
    kind : {"complex", "imaginary", "real"}
        Weights of any phase; all imaginary, so that cosh is a cosine and no
        configuration outweighs the others by an exponential; or all real.
    rng : int or `numpy.random.Generator`

    Returns
    -------
    RBM
    """
    N, scale = _chain(N), number_between("scale", scale, 0, np.inf, open_low=True)
    reach = positive_integer("reach", reach)
    if reach >= N:
        raise ValueError(f"reach: got {reach}; allowed: an integer in [1, {N - 1}]")
    sites = np.arange(N)
    return _random(abs(sites[:, None] - sites) <= reach, scale, kind, rng)


def long_range_rbm(N, density=1.0, *, scale=1.0, kind="complex", rng):
    """Random RBM whose hidden units all see every site.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    density : float
        Hidden units a site; their number round(density * N) is at least 1.
    scale, kind
        As in `short_range_rbm`.
    rng : int or `numpy.random.Generator`

    Returns
    -------
    RBM

    Notes
    -----
    Random states of this kind fall into phases by the scale of their weights (Sun,
    Nebabu, Han, Flynn and Qi, Phys. Rev. B 106, 115138, 2022). Up to 16 sites we find:
    small weights leave nearly a product; complex or real ones of scale 4 and more pick
    few configurations, and no growth of the entropy with N is seen; imaginary ones of
    scale 2 and more come near the entropy of Haar-random states.
    """
    N, scale = _chain(N), number_between("scale", scale, 0, np.inf, open_low=True)
    density = number_between("density", density, 0, np.inf, open_low=True)
    hidden = round(density * N)
    if hidden < 1:
        raise ValueError(f"density: got {density}; allowed: at least {1 / N:.3g}")
    return _random(np.ones((hidden, N), dtype=bool), scale, kind, rng)


def graph_state_rbm(N, edges):
    """The graph state of some edges as an RBM: one hidden unit an edge.

    cosh(w (s_i + s_j)) with tanh(w)^2 = i is, but for a constant,
    exp(i pi (1 + s_i s_j) / 4): a controlled Z with rotations about z, which change no
    spectrum. `closed_forms.graph_state` has the Schmidt probabilities.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    edges : sequence of pairs of int
        Distinct sites of [0, N-1].

    Returns
    -------
    RBM

    See Also
    --------
    qlib.entanglement.closed_forms.next_neighbour_edges : range one, rank 4.
    qlib.entanglement.closed_forms.half_chain_edges : S = (N/2) ln 2 with N/2 units.
    """
    N = _chain(N)
    weights = np.zeros((len(edges), N), dtype=complex)
    for unit, (first, second) in enumerate(edges):
        if not (0 <= first < N and 0 <= second < N and first != second):
            allowed = f"pairs of distinct sites in [0, {N - 1}]"
            raise ValueError(f"edges: got {(first, second)}; allowed: {allowed}")
        weights[unit, [first, second]] = BOND
    return RBM(weights)


def _chain(N):
    """A number of sites, at least two."""
    if positive_integer("N", N) < 2:
        raise ValueError(f"N: got {N}; allowed: an integer >= 2")
    return int(N)


def _random(connected, scale, kind, rng):
    """An RBM with normal weights on the given connections (hidden, site)."""
    one_of("kind", kind, tuple(DIRECTIONS))
    hidden, N = connected.shape
    normal = np.random.default_rng(rng).standard_normal((hidden, N + 1, 2))
    spread = scale / np.sqrt(1 + connected.sum(axis=1, keepdims=True))
    values = spread * (normal @ DIRECTIONS[kind])
    return RBM(values[:, 1:] * connected, values[:, 0])


def _scaled(exponent):
    """exp of a number z, divided by exp |Re z|."""
    return np.exp(exponent - abs(exponent.real))


def _exponentials(weights):
    """exp(sum_i w_i s_i) over all s, spin up first, divided by its largest modulus."""
    table = np.ones(1, dtype=complex)
    for weight in weights:
        table = np.outer(table, [_scaled(weight), _scaled(-weight)]).ravel()
    return table


def _to_unit_maximum(array, name):
    """The array divided in place by its largest modulus."""
    largest = abs(array).max()
    if largest == 0:
        raise ValueError(f"{name}: got a state that is zero; allowed: a norm above 0")
    array /= largest
    return array
