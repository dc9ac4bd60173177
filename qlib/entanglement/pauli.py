"""Sums of Pauli strings: the one notation of a Hamiltonian in this topic."""

import math
import operator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from qlib.arguments import positive_integer
from qlib.entanglement.memory import amount, refuse_beyond_memory

LARGEST_DENSE = 14  # sites: a real dense matrix of 2 GiB
LARGEST_MASK = 62  # sites whose bits fit a signed 64-bit integer


@dataclass(frozen=True)
class PauliSum:
    """H = Σ_k c_k P_k with real c_k and Pauli strings P_k on `num_sites` qubits.

    Equal strings are added up, those whose coefficients cancel are dropped, and the
    terms are sorted by sites, then letters, so that equal operators compare equal.

    Site 0 is the leftmost tensor factor and the most significant bit of a basis index;
    bit 0 is spin up, Z = +1.

    Parameters
    ----------
    num_sites : int
        Number of qubits N.
    terms : iterable of (letters, sites, coefficient)
        ``("ZZ", (0, 1), -1.0)`` is −Z_0 Z_1; ``("", (), c)`` is the constant c.

    Raises
    ------
    ValueError
        For letters other than X, Y, Z, a number of sites that differs from that of the
        letters, sites repeated or outside 0 … N−1, coefficients complex or not finite.
    """

    num_sites: int
    terms: tuple[tuple[str, tuple[int, ...], float], ...]

    def __post_init__(self):
        num_sites = positive_integer("num_sites", self.num_sites)
        total = {}
        for term in self.terms:
            sites, letters, coefficient = _checked(term, num_sites)
            total[sites, letters] = total.get((sites, letters), 0.0) + coefficient
            if not math.isfinite(total[sites, letters]):
                raise _refusal(term, num_sites)
        terms = tuple(
            (letters, sites, total[sites, letters])
            for sites, letters in sorted(total)
            if total[sites, letters]
        )
        object.__setattr__(self, "num_sites", num_sites)
        object.__setattr__(self, "terms", terms)

    @cached_property
    def is_real(self):
        """Whether the matrix is real: every string has an even number of Y."""
        return all(letters.count("Y") % 2 == 0 for letters, _, _ in self.terms)

    def masks(self):
        """Bit masks of the strings: P|s> = amplitude (−1)^popcount(s & z) |s ^ x>.

        Returns
        -------
        x, z : (terms,) int64 arrays
            Sites flipped (X, Y) and sites whose bit gives a sign (Y, Z).
        amplitude : (terms,) complex128 array
            Coefficient times i for every Y.

        Raises
        ------
        ValueError
            For more than 62 sites.
        """
        if self.num_sites > LARGEST_MASK:
            raise ValueError(
                f"num_sites: got {self.num_sites}; allowed: at most {LARGEST_MASK} "
                f"for bit masks"
            )
        flips, signs, amplitudes = [], [], []
        for letters, sites, coefficient in self.terms:
            bits = [1 << (self.num_sites - 1 - site) for site in sites]
            pairs = list(zip(letters, bits, strict=True))
            flips.append(sum(bit for letter, bit in pairs if letter != "Z"))
            signs.append(sum(bit for letter, bit in pairs if letter != "X"))
            amplitudes.append(coefficient * (1, 1j, -1, -1j)[letters.count("Y") % 4])
        return (
            np.array(flips, dtype=np.int64),
            np.array(signs, dtype=np.int64),
            np.array(amplitudes, dtype=np.complex128),
        )

    def matrix(self):
        """Dense matrix; O(terms 2^N) work, O(4^N) memory.

        Returns
        -------
        (2^N, 2^N) array
            float64 if real, else complex128.

        Raises
        ------
        ValueError
            For more than 14 sites, or where memory does not suffice.
        """
        dim, dtype = 1 << self.num_sites, self._dtype
        needed = dim * dim * dtype.itemsize
        if self.num_sites > LARGEST_DENSE:
            raise ValueError(
                f"num_sites: got {self.num_sites}, whose dense matrix takes "
                f"{amount(needed)}; allowed: at most {LARGEST_DENSE} "
                f"(sparse() and exact.ground_state go further)"
            )
        refuse_beyond_memory("num_sites", self.num_sites, needed)
        matrix = np.zeros((dim, dim), dtype)
        states = np.arange(dim)
        for flip, diagonal in self._flips():
            matrix[states ^ flip, states] += diagonal
        return matrix

    def sparse(self):
        """The same matrix in compressed rows, without stored zeros, columns sorted.

        Work and memory are O(2^N) times the number of different sets of flipped sites.

        Returns
        -------
        scipy.sparse.csr_array of shape (2^N, 2^N)

        Raises
        ------
        ValueError
            Where memory does not suffice.
        """
        dim, dtype = 1 << self.num_sites, self._dtype
        flips = len(np.unique(self.masks()[0]))
        entry = dtype.itemsize + 8  # of the value, and of its column twice at the peak
        refuse_beyond_memory("num_sites", self.num_sites, dim * flips * entry)
        index = np.int32 if dim * flips < 2**31 else np.int64
        states = np.arange(dim, dtype=index)
        columns = np.empty((dim, flips), index)
        values = np.empty((dim, flips), dtype)
        for place, (flip, diagonal) in enumerate(self._flips()):
            columns[:, place] = states ^ index(flip)
            values[:, place] = diagonal[columns[:, place]]
        starts = flips * np.arange(dim + 1, dtype=index)
        matrix = sparse.csr_array(
            (values.ravel(), columns.ravel(), starts), shape=(dim, dim)
        )
        matrix.eliminate_zeros()
        matrix.sort_indices()
        return matrix

    @property
    def _dtype(self):
        return np.dtype(np.float64 if self.is_real else np.complex128)

    def _flips(self):
        """Every set of flipped sites x with its (2^N,) D: H|s> = Σ_x D_x(s) |s ^ x>."""
        flips, signs, amplitudes = self.masks()
        if self.is_real:
            amplitudes = amplitudes.real
        states = np.arange(1 << self.num_sites)
        for flip in np.unique(flips):
            diagonal = np.zeros(len(states), self._dtype)
            for term in np.flatnonzero(flips == flip):
                odd = np.bitwise_count(states & signs[term]) & 1
                diagonal += amplitudes[term] * (1.0 - 2.0 * odd)
            yield int(flip), diagonal


def _checked(term, num_sites):
    """Sorted sites, letters in the same order, and coefficient of a term."""
    try:
        letters, sites, coefficient = term
        sites = tuple(operator.index(site) for site in sites)
        coefficient = float(operator.pos(coefficient))  # refuses strings
    except (TypeError, ValueError):
        raise _refusal(term, num_sites) from None
    valid = isinstance(letters, str) and set(letters) <= set("XYZ")
    valid = valid and len(letters) == len(sites) == len(set(sites))
    valid = valid and all(0 <= site < num_sites for site in sites)
    if not (valid and math.isfinite(coefficient)):
        raise _refusal(term, num_sites)
    order = sorted(range(len(sites)), key=sites.__getitem__)
    letters = "".join(letters[k] for k in order)
    return tuple(sites[k] for k in order), letters, coefficient


def _refusal(term, num_sites):
    return ValueError(
        f"terms: got {term!r}; allowed: (letters of XYZ, as many distinct sites in "
        f"[0, {num_sites - 1}], a finite real coefficient)"
    )
