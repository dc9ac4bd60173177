"""States whose Schmidt probabilities are known exactly, at any cut and size.

Each function returns the probabilities, descending, at the cut that separates sites
0..cut-1 of N from the rest; energies are those of the Hamiltonians of the same names.
Entropies of flat spectra, all p = 2^-r, are r ln 2 nats.
"""

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import digamma, gammaln

from qlib.arguments import number_between, one_of, positive_integer
from qlib.entanglement.memory import refuse_beyond_memory

__all__ = [
    "aklt",
    "bell_pairs",
    "chain_edges",
    "cluster",
    "cut_rank",
    "ghz",
    "graph_state",
    "haar_vector",
    "half_chain_edges",
    "lmg",
    "lmg_energy",
    "majumdar_ghosh",
    "majumdar_ghosh_energy",
    "next_neighbour_edges",
    "page_entropy",
    "w_state",
]

BOUNDARIES = ("open", "periodic")


def ghz(N, cut):
    """Schmidt probabilities of (|0...0> + |1...1>) / sqrt 2: two halves at any cut."""
    _cut(N, cut)
    return np.full(2, 0.5)


def w_state(N, cut):
    """Schmidt probabilities of the W state: l / N and 1 - l / N at cut l.

    The excitation is on one side or on the other (Dür, Vidal and Cirac, Phys. Rev. A
    62, 062314, 2000).
    """
    N, cut = _cut(N, cut)
    return np.array([max(cut, N - cut), min(cut, N - cut)]) / N


def bell_pairs(N, pairs, cut):
    """Schmidt probabilities of Bell pairs or singlets: 2^q times 2^-q.

    Parameters
    ----------
    N : int
    pairs : sequence of pairs of int
        Disjoint, of sites in [0, N-1]; q of them have one site on each side. The pairs
        (i, N-1-i) are the rainbow state.
    cut : int

    Returns
    -------
    (2^q,) array

    Raises
    ------
    ValueError
        If a site is out of range or in two pairs, or 2^q numbers do not fit in memory.
    """
    sites = [site for pair in pairs for site in pair]
    if len(set(sites)) != len(sites):
        raise ValueError(f"pairs: got {pairs!r}; allowed: each site in one pair only")
    return graph_state(N, pairs, cut)


def majumdar_ghosh(N, cut, *, covering=0):
    """Schmidt probabilities of a dimer ground state of the Majumdar-Ghosh chain.

    At J2 = J1 / 2 both products of singlets of neighbours are ground states of the
    ring, of energy -3 N J1 / 8; the open chain has the first alone (Majumdar and Ghosh,
    J. Math. Phys. 10, 1388, 1969).

    Parameters
    ----------
    N : int
        Even.
    cut : int
    covering : {0, 1}
        0: dimers (0, 1), (2, 3), ...: entropies ln 2, 0, ln 2, ... at cuts 1, 2, 3, ...
        1: dimers (1, 2), ..., (N-1, 0): ln 2, 2 ln 2, ln 2, ...

    Returns
    -------
    (1,), (2,) or (4,) array
    """
    N, cut = _cut(N, cut)
    _even(N)
    if covering not in (0, 1):
        raise ValueError(f"covering: got {covering!r}; allowed: 0, 1")
    dimers = [((i + covering) % N, (i + covering + 1) % N) for i in range(0, N, 2)]
    return bell_pairs(N, dimers, cut)


def majumdar_ghosh_energy(N, *, j1=1.0):
    """Ground-state energy -3 N J1 / 8 of the Majumdar-Ghosh chain, open or periodic.

    Parameters
    ----------
    N : int
        Even.
    j1 : float
        Positive; the energy is in its units.
    """
    j1 = number_between("j1", j1, 0, np.inf, open_low=True)
    return -0.375 * _even(_cut(N, 1)[0]) * j1


def aklt(N, cut, *, boundary="periodic"):
    """Schmidt probabilities of the AKLT state of N spins 1.

    The state is the ground state of sum S.S + (S.S)^2 / 3, of energy -2/3 a bond
    (Affleck, Kennedy, Lieb and Tasaki, Phys. Rev. Lett. 59, 799, 1987). The edge spins
    1/2 of a block of l form a singlet or a triplet, with x = -1/3 in
    (1 + 3 x^l)(1 + 3 x^(N-l)) and thrice (1 - x^l)(1 - x^(N-l)), over 4 (1 + 3 x^N).

    Parameters
    ----------
    N : int
        Spins 1, at least 2 (3 for a ring).
    cut : int
    boundary : {"periodic", "open"}
        Open means ended by a spin 1/2 at each side, which makes the ground state
        unique: two halves at every cut.

    Returns
    -------
    (4,) or (2,) array
        On a ring a single spin has three values of 1/3 and a zero.

    References
    ----------
    H. Fan, V. Korepin and V. Roychowdhury, Phys. Rev. Lett. 93, 227203 (2004).
    """
    one_of("boundary", boundary, BOUNDARIES)
    N, cut = _cut(N, cut, least=3 if boundary == "periodic" else 2)
    if boundary == "open":
        return np.full(2, 0.5)
    x, y = (-1 / 3) ** cut, (-1 / 3) ** (N - cut)
    p = np.array([(1 + 3 * x) * (1 + 3 * y), *[(1 - x) * (1 - y)] * 3])
    return np.sort(p / (4 * (1 + 3 * x * y)))[::-1]


def cluster(N, cut, *, boundary="periodic"):
    """Schmidt probabilities of the one-dimensional cluster state, all equal.

    The common eigenstate, with eigenvalue one, of Z_{i-1} X_i Z_{i+1}: the ground state
    of `hamiltonians.cluster` at zero field on a ring, of energy -N. The open chain's is
    that with X_0 Z_1 and Z_{N-2} X_{N-1} added, one of its four ground states
    (Briegel and Raussendorf, Phys. Rev. Lett. 86, 910, 2001).

    Returns
    -------
    (2,) or (4,) array
        Four on a ring cut into two or more sites each; else two.
    """
    return graph_state(N, chain_edges(N, boundary=boundary), cut)


def graph_state(N, edges, cut):
    """Schmidt probabilities of a graph state: 2^r of 2^-r, r from `cut_rank`.

    A graph state is a controlled Z along every edge, applied to sites that all point
    along x (Hein, Eisert and Briegel, Phys. Rev. A 69, 062311, 2004).

    Parameters
    ----------
    N : int
    edges : sequence of pairs of int
        Of distinct sites in [0, N-1]; an edge named twice cancels.
    cut : int

    Returns
    -------
    (2^r,) array

    Raises
    ------
    ValueError
        If a pair is no edge, or 2^r numbers do not fit in memory.
    """
    rank = cut_rank(N, edges, cut)
    refuse_beyond_memory("cut", cut, 8 * 2**rank)
    return np.full(2**rank, 0.5**rank)


def cut_rank(N, edges, cut):
    """Rank r over the two-element field of the edges across a cut: S = r ln 2.

    O(N^2 r) bit operations, to hundreds of sites; parameters as in `graph_state`.
    """
    N, cut = _cut(N, cut)
    rows = [0] * cut  # bits: which sites on the right are joined to a site on the left
    for pair in edges:
        first, second = sorted(pair)
        if not 0 <= first < second < N:
            allowed = f"pairs of distinct sites in [0, {N - 1}]"
            raise ValueError(f"edges: got {pair!r}; allowed: {allowed}")
        if first < cut <= second:
            rows[first] ^= 1 << second
    rank = 0
    while rows:
        pivot = rows.pop()
        lowest = pivot & -pivot
        rank += pivot != 0
        rows = [row ^ pivot if row & lowest else row for row in rows]
    return rank


def chain_edges(N, *, boundary="open"):
    """Edges (i, i+1) of a chain or a ring, whose graph state is the cluster state."""
    one_of("boundary", boundary, BOUNDARIES)
    N, _ = _cut(N, 1, least=3 if boundary == "periodic" else 2)
    edges = [(i, i + 1) for i in range(N - 1)]
    return [*edges, (N - 1, 0)] if boundary == "periodic" else edges


def next_neighbour_edges(N):
    """Edges (i, i+2): by `rbm.graph_state_rbm` an RBM of range one and rank four.

    Hidden unit i+1 sees both its neighbours; a cut between two or more sites each
    crosses two edges, and S = 2 ln 2 is all that range one allows.
    """
    N, _ = _cut(N, 1, least=3)
    return [(i, i + 2) for i in range(N - 2)]


def half_chain_edges(N):
    """Edges (i, i + N/2): S = (N/2) ln 2 at the half chain, all that it can hold.

    By `rbm.graph_state_rbm` an RBM of N/2 hidden units with two connections each
    (construction in the spirit of Deng, Li and Das Sarma, Phys. Rev. X 7, 021021,
    2017).
    """
    N = _even(_cut(N, 1)[0])
    return [(i, i + N // 2) for i in range(N // 2)]


def page_entropy(N, cut):
    """Mean entropy of complex Haar-random states of N qubits, exact, in nats.

    sum_{k = n+1}^{m n} 1/k - (m - 1) / (2 n) with m = 2^min(l, N-l) and n = 2^N / m
    (Page, Phys. Rev. Lett. 71, 1291, 1993). N is at most 1023, the largest power of two
    in double precision.

    Returns
    -------
    float
    """
    N, cut = _cut(N, cut)
    if N > 1023:
        raise ValueError(f"N: got {N}; allowed: an integer in [2, 1023]")
    small, large = 2.0 ** min(cut, N - cut), 2.0 ** max(cut, N - cut)
    harmonics = digamma(2.0**N + 1) - digamma(large + 1)
    return float(harmonics - (small - 1) / (2 * large))


def haar_vector(N, rng):
    """A complex Haar-random state of N qubits, (2^N,), normalised.

    Parameters
    ----------
    N : int
        At least 1; refused where three vectors do not fit in memory.
    rng : int or `numpy.random.Generator`
    """
    N = positive_integer("N", N)
    refuse_beyond_memory("N", N, 3 * 16 * 2**N)
    normal = np.random.default_rng(rng).standard_normal((2**N, 2))
    psi = normal.view(complex).ravel()
    psi /= np.linalg.norm(psi)
    return psi


def lmg(N, cut, field=1.0, *, coupling=1.0):
    """Schmidt probabilities of the even ground state of the LMG model.

    -(J/N) sum_{i<j} Z_i Z_j - h sum_i X_i with J, h > 0 has its ground state at total
    spin N/2. Of the two nearly degenerate ones at h < J this is the lower, which prod X
    leaves as it is. Across a cut, a Dicke state is a sum of products of Dicke states
    with hypergeometric weights (Latorre, Orús, Rico and Vidal, Phys. Rev. A 71, 064101,
    2005).

    Parameters
    ----------
    N : int
    cut : int
    field, coupling : float
        h and J, positive. The critical point is h = J.

    Returns
    -------
    (min(cut, N - cut) + 1,) array

    Raises
    ------
    ValueError
        If five matrices of (cut + 1)(N - cut + 1) numbers do not fit in memory.

    Notes
    -----
    O(N) memory and O(N^2) time for the vector of a tridiagonal matrix, then singular
    values of a (cut + 1, N - cut + 1) matrix: below a second for 1000 sites.
    """
    N, cut = _cut(N, cut)
    refuse_beyond_memory("N", N, 5 * 8 * (cut + 1) * (N - cut + 1))
    _, amplitudes = _dicke_ground_state(N, field, coupling)  # (N + 1,): sites down
    left, right = np.arange(cut + 1), np.arange(N - cut + 1)
    down = left[:, None] + right  # (left, right)
    log_weights = (
        _log_binomial(cut, left)[:, None]
        + _log_binomial(N - cut, right)
        - _log_binomial(N, down)
    )
    matrix = amplitudes[down] * np.exp(0.5 * log_weights)
    p = np.linalg.svd(matrix, compute_uv=False) ** 2
    return p / p.sum()


def lmg_energy(N, field=1.0, *, coupling=1.0):
    """Ground-state energy of the LMG model; parameters as in `lmg`."""
    return _dicke_ground_state(_cut(N, 1)[0], field, coupling)[0]


def _dicke_ground_state(N, field, coupling):
    """Energy and (N + 1,) amplitudes by the number of down spins, prod X = 1."""
    field = number_between("field", field, 0, np.inf, open_low=True)
    coupling = number_between("coupling", coupling, 0, np.inf, open_low=True)
    down = np.arange(N // 2 + 1)  # states |k> + |N - k>, k = 0 .. N // 2
    diagonal = -coupling / (2 * N) * ((N - 2.0 * down) ** 2 - N)
    raising = -field * np.sqrt((down[:-1] + 1.0) * (N - down[:-1]))
    if N % 2:  # the last pair is coupled to its own mirror image
        diagonal[-1] -= field * (N + 1) / 2
    else:  # the last state is its own mirror image
        raising[-1] *= np.sqrt(2)
    energies, vectors = eigh_tridiagonal(
        diagonal, raising, select="i", select_range=(0, 0)
    )
    half = vectors[:, 0] * np.sqrt(0.5)
    if N % 2:
        return float(energies[0]), np.concatenate([half, half[::-1]])
    middle = half[-1:] * np.sqrt(2)
    return float(energies[0]), np.concatenate([half[:-1], middle, half[-2::-1]])


def _log_binomial(n, k):
    """ln of the number of ways to choose k out of n."""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _cut(N, cut, *, least=2):
    """N and the cut as integers, if there is such a cut."""
    if positive_integer("N", N) < least:
        raise ValueError(f"N: got {N}; allowed: an integer >= {least}")
    if positive_integer("cut", cut) >= N:
        raise ValueError(f"cut: got {cut}; allowed: an integer in [1, {N - 1}]")
    return int(N), int(cut)


def _even(N):
    """N, if it is even."""
    if N % 2:
        raise ValueError(f"N: got {N}; allowed: even")
    return N
