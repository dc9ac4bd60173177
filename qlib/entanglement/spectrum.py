"""Schmidt values of state vectors, and the measures made from them, in nats.

Site 0 is the leftmost leg of `psi.reshape((2,) * N)`. Cut l separates sites
0..l-1 from the rest. The Schmidt probabilities p are the squared singular values
of psi as a (2^l, 2^(N-l)) matrix; the entanglement spectrum is xi = -ln p
(Li and Haldane, Phys. Rev. Lett. 101, 010504, 2008).
"""

import operator
from dataclasses import dataclass

import numpy as np

from qlib.arguments import number_between

__all__ = [
    "Features",
    "LegacyMoments",
    "entanglement_spectrum",
    "features",
    "legacy_moments",
    "renyi",
    "schmidt_probabilities_at_all_cuts",
    "schmidt_values",
]

NORM_TOLERANCE = {"float64": 1e-8, "float32": 1e-5}  # of | |psi| - 1 |
SUM_TOLERANCE = 1e-8  # of |sum p - 1|
ROUNDING = 1e-30  # a p of a double-precision vector below this, s < 1e-15, is noise
FLAT = 1e-12  # a capacity below this is a solver's residual, not a spread


@dataclass(frozen=True)
class Features:
    """Measures of one set of Schmidt probabilities; see `features`."""

    entropy: float
    capacity: float
    third_cumulant: float
    skewness: float
    renyi2: float
    entanglement_gap: float
    rank: int


@dataclass(frozen=True)
class LegacyMoments:
    """Unweighted moments of the entanglement spectrum; see `legacy_moments`."""

    count: int
    mean: float
    variance: float
    skewness: float


def schmidt_values(psi, cut):
    """Singular values of a state across one cut, descending.

    Parameters
    ----------
    psi : (2^N,) array or torch tensor
        Real or complex, N >= 2, of norm one to 1e-8 (1e-5 in single precision).
        The work is in double precision.
    cut : int or sequence of int
        An integer l in [1, N-1] separates sites 0..l-1 from the rest; a sequence
        separates the named sites, distinct and neither none nor all.

    Returns
    -------
    (min(2^l, 2^(N-l)),) array
        Absolute error about 1e-16, so p is resolved down to about 1e-30.

    Raises
    ------
    ValueError
        If the length of psi is not a power of two, psi is not finite or not
        normalised, or the cut is none.

    Notes
    -----
    O(2^N * 2^min(l, N-l)); a quarter of that for a state even or odd under the flip of
    all spins, and far less for one of given total S^z, if its other entries are zero.
    """
    psi, num_sites = _state(psi)
    return _singular_values(_matrix(psi, num_sites, cut))


def schmidt_probabilities_at_all_cuts(psi):
    """Schmidt probabilities at each cut 1..N-1 of a state, each descending.

    From the middle outward each side is compressed by a QR decomposition to the
    2^l dimensions that its next cut can see, so that the singular values of the
    middle cut are the whole cost, O(2^(3N/2)). Orthogonal steps alone: the tails
    are those of `schmidt_values`, not of a squared density matrix.

    Parameters
    ----------
    psi : (2^N,) array or torch tensor
        As in `schmidt_values`.

    Returns
    -------
    list of N-1 arrays
        Entry l-1 holds cut l: min(2^l, 2^(N-l)) probabilities that sum to one.
    """
    psi, num_sites = _state(psi)
    middle = num_sites // 2
    matrix = psi.reshape(2**middle, -1)  # (left, right)
    left = _outward(matrix, middle)  # cuts middle, middle-1, ..., 1
    mirrored = _mirror(matrix, num_sites - middle)  # (right reversed, left)
    right = _outward(mirrored, num_sites - middle)  # cuts middle, middle+1, ...
    return [_normalised(values) for values in left[::-1] + right[1:]]


def entanglement_spectrum(psi, cut):
    """Entanglement energies xi = -ln p in nats, ascending; inf where p is zero.

    Parameters and errors are those of `schmidt_values`. Above about 69 = -ln 1e-30
    the energies of a double-precision vector are rounding.
    """
    with np.errstate(divide="ignore"):
        return -np.log(_normalised(schmidt_values(psi, cut)))


def renyi(p, n):
    """Rényi entropy ln(sum p^n) / (1 - n) in nats.

    Parameters
    ----------
    p : (D,) array
        Probabilities in any order, as in `features`.
    n : float
        In (0, inf]. One is von Neumann's entropy, inf is -ln of the largest p.

    Returns
    -------
    float
    """
    p = _probabilities(p)
    order = n if n == np.inf else number_between("n", n, 0, np.inf, open_low=True)
    xi = -np.log(p[p > 0])
    if order == np.inf:
        return float(max(xi[0], 0.0))
    above = xi - xi[0]
    if order == 1:
        return float(max(xi[0] + p[p > 0] @ above, 0.0))
    # sum p^n = e^{-(n-1) xi_1} sum p e^{-(n-1)(xi - xi_1)}: no loss as n -> 1
    rest = np.log1p(p[p > 0] @ np.expm1((1 - order) * above))
    return float(max(xi[0] + rest / (1 - order), 0.0))


def features(p, epsilon=1e-8):
    """Measures of Schmidt probabilities: cumulants of xi = -ln p under p, and more.

    Parameters
    ----------
    p : (D,) array
        Probabilities in any order; zeros count for nothing. A truncated set that
        does not sum to one within 1e-8 is refused: divide it by its sum first, and
        know that dropping the weight w moves the entropy by about w ln(1 / w).
    epsilon : float
        Weight that `rank` may discard, in [0, 1). The default is of the size at
        which matrix product states are usually truncated.

    Returns
    -------
    Features
        entropy : mean of xi, S, in nats;
        capacity : variance of xi, C (Yao and Qi, Phys. Rev. Lett. 105, 080501, 2010);
        third_cumulant : third central moment of xi, kappa_3;
        skewness : kappa_3 / C^1.5, and 0 where C < 1e-12: all p are equal but
        for a solver's residual (a product state, GHZ) and the ratio is noise;
        renyi2 : -ln sum p^2;
        entanglement_gap : xi_2 - xi_1, inf where the second p is below 1e-30 (a
        product state);
        rank : the fewest p whose discarded rest is at most epsilon.
    """
    p = _probabilities(p)
    epsilon = number_between("epsilon", epsilon, 0, np.nextafter(1.0, 0.0))
    kept = p[p > 0]
    xi = -np.log(kept)
    entropy = kept @ xi
    capacity = kept @ (xi - entropy) ** 2
    third = kept @ (xi - entropy) ** 3
    has_second = p.size > 1 and p[1] > ROUNDING
    rests = np.cumsum(kept[::-1])[::-1]  # rests[k]: weight of p_k and all after it
    return Features(
        entropy=float(max(entropy, 0.0)),
        capacity=float(capacity),
        third_cumulant=float(third),
        skewness=float(third / capacity**1.5) if capacity > FLAT else 0.0,
        renyi2=float(max(-np.log(kept @ kept), 0.0)),
        entanglement_gap=float(xi[1] - xi[0]) if has_second else np.inf,
        rank=max(int(np.count_nonzero(rests > epsilon)), 1),
    )


def legacy_moments(p, cutoff):
    """Moments of xi = -ln p that count every p above a cut-off alike.

    They diverge as the cut-off falls, since ever more vanishing p come in: their
    value is that of the cut-off, not of the state. `features` weighs by p instead.

    Parameters
    ----------
    p : (D,) array
        Probabilities in any order, as in `features`.
    cutoff : float
        In [0, 1): only p > cutoff count, at least one of them.

    Returns
    -------
    LegacyMoments
        count : number of p counted; mean, variance (over count) and skewness of xi,
        the skewness 0 where the variance is below 1e-12.
    """
    p = _probabilities(p)
    cutoff = number_between("cutoff", cutoff, 0, np.nextafter(1.0, 0.0))
    if p[0] <= cutoff:
        raise ValueError(f"cutoff: got {cutoff}; allowed: below the largest p, {p[0]}")
    xi = -np.log(p[p > cutoff])
    spread = xi - xi.mean()
    variance = np.mean(spread**2)
    skewness = np.mean(spread**3) / variance**1.5 if variance > FLAT else 0.0
    return LegacyMoments(xi.size, float(xi.mean()), float(variance), float(skewness))


def _state(psi):
    """psi as a double-precision vector, and its number of sites, if it is a state."""
    if hasattr(psi, "detach"):
        psi = psi.detach().cpu().resolve_conj().numpy()
    psi = np.asarray(psi)
    num_sites = psi.size.bit_length() - 1
    if psi.ndim != 1 or psi.size < 4 or psi.size != 2**num_sites:
        raise ValueError(f"psi: got shape {psi.shape}; allowed: (2^N,) with N >= 2")
    if psi.dtype.kind not in "iufc":
        raise ValueError(f"psi: got {psi.dtype}; allowed: real or complex numbers")
    single = psi.dtype in (np.float16, np.float32, np.complex64)
    psi = psi.astype(complex if psi.dtype.kind == "c" else float, copy=False)
    norm = np.linalg.norm(psi)
    tolerance = NORM_TOLERANCE["float32" if single else "float64"]
    if not abs(norm - 1) <= tolerance:
        allowed = f"1 within {tolerance:g}, all entries finite"
        raise ValueError(f"psi: got a vector of norm {norm:.12g}; allowed: {allowed}")
    return psi, num_sites


def _matrix(psi, num_sites, cut):
    """psi with the sites of the cut as rows, the rest as columns."""
    if np.ndim(cut) == 0:
        return psi.reshape(2 ** _position(cut, num_sites), -1)
    sites = [_site(site, num_sites, cut) for site in cut]
    if not 1 <= len(sites) < num_sites or len(set(sites)) != len(sites):
        allowed = f"1 to {num_sites - 1} distinct sites"
        raise ValueError(f"cut: got {cut!r}; allowed: {allowed}")
    rest = [site for site in range(num_sites) if site not in sites]
    tensor = psi.reshape((2,) * num_sites).transpose(sites + rest)
    return tensor.reshape(2 ** len(sites), -1)


def _position(cut, num_sites):
    """A cut position as an int in [1, N-1]."""
    try:
        position = operator.index(cut)
    except TypeError:
        position = 0
    if not 1 <= position < num_sites or isinstance(cut, bool):
        allowed = f"an integer in [1, {num_sites - 1}] or a sequence of sites"
        raise ValueError(f"cut: got {cut!r}; allowed: {allowed}")
    return position


def _site(site, num_sites, cut):
    """A site of a subset as an int in [0, N-1]."""
    try:
        index = operator.index(site)
    except TypeError:
        index = -1
    if not 0 <= index < num_sites or isinstance(site, bool):
        allowed = f"sites in [0, {num_sites - 1}]"
        raise ValueError(f"cut: got {cut!r}; allowed: {allowed}")
    return index


def _singular_values(matrix):
    """Singular values of a (2^l, 2^m) matrix, descending, block by block.

    Its blocks are those of given numbers of down spins on both sides where the state
    has one total number, or those even and odd under the flip of all spins where the
    state is one or the other.
    """
    blocks = _blocks_of_given_sz(matrix) or _blocks_of_given_parity(matrix) or [matrix]
    values = [np.linalg.svd(block, compute_uv=False) for block in blocks]
    values = np.sort(np.concatenate(values))[::-1]
    return np.pad(values, (0, min(matrix.shape) - len(values)))


def _blocks_of_given_sz(matrix):
    down, across = (np.bitwise_count(np.arange(size)) for size in matrix.shape)
    total = down[:, None] + across
    here = int(total.flat[np.argmax(abs(matrix))])
    if np.any((total != here) & (matrix != 0)):
        return None
    pairs = ((down == k, across == here - k) for k in range(here + 1))
    return [matrix[np.ix_(*pair)] for pair in pairs if pair[0].any() and pair[1].any()]


def _blocks_of_given_parity(matrix):
    """M is (A, B) over ±(B, A) backwards, B's columns reversed: A + B and A - B."""
    upper, lower = np.split(matrix, 2)
    flipped = lower[::-1, ::-1]
    if not (np.array_equal(flipped, upper) or np.array_equal(flipped, -upper)):
        return None
    a, b = np.split(upper, 2, axis=1)
    return [a + b[:, ::-1], a - b[:, ::-1]]


def _outward(matrix, cut):
    """Singular values of a (2^cut, K) matrix at its row cuts cut, cut-1, ..., 1."""
    values = []
    for rows in 2 ** np.arange(cut, 0, -1):
        matrix = matrix.reshape(rows, -1)
        if matrix.shape[1] > rows:
            matrix = np.linalg.qr(matrix.T, mode="r").T  # (rows, rows)
            values.append(np.linalg.svd(matrix, compute_uv=False))
        else:
            values.append(_singular_values(matrix))
    return values


def _mirror(matrix, sites):
    """The transpose, its `sites` right sites in reversed order."""
    tensor = matrix.T.reshape((2,) * sites + (-1,))
    order = (*range(sites - 1, -1, -1), sites)
    return tensor.transpose(order).reshape(2**sites, -1)


def _normalised(values):
    """Squares of singular values, divided by their sum."""
    squares = values**2
    return squares / squares.sum()


def _probabilities(p):
    """p in descending order, if it is a set of probabilities."""
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or p.size == 0:
        raise ValueError(f"p: got shape {p.shape}; allowed: (D,) with D >= 1")
    if not (np.isfinite(p).all() and (p >= 0).all()):
        raise ValueError(f"p: got the least {p.min()}; allowed: finite and >= 0")
    if abs(p.sum() - 1) > SUM_TOLERANCE:
        allowed = f"1 within {SUM_TOLERANCE:g}, p the squares of the Schmidt values"
        raise ValueError(f"p: got a sum of {p.sum():.12g}; allowed: {allowed}")
    return np.sort(p)[::-1]
