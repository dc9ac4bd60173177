"""A sum of Pauli strings applied to a vector without storing its matrix.

The strings are dealt with in three ways. Those that act inside w neighbouring sites
become one dense 2^w × 2^w block, a batched matrix product on the vector seen as
(left, 2^w, right). Products of Z that fit in no block become one diagonal. What is left
(the bond that closes a ring, a star of the toric code) is a flip of the vector along
some axes, times signs.
"""

from itertools import product

import numpy as np

WIDEST = 6  # sites in a block
BESIDE = 13  # cost of a block beside its 2^w: one pass over memory, as measured


class StringSum:
    """Σ_k a_k X^(x_k) Z^(z_k) on n sites, site 0 the most significant bit.

    Parameters
    ----------
    num_sites : int
        n >= 0.
    x, z : (terms,) int64 arrays
        Masks of the sites flipped and of those whose bit gives a sign:
        |s> -> a (−1)^popcount(s & z) |s ^ x>.
    amplitude : (terms,) array
        Real or complex a_k. The sum must be Hermitian.
    space : ArraySpace
        Namespace, dtype and device of the vectors.
    """

    def __init__(self, num_sites, x, z, amplitude, space):
        self.num_sites = num_sites
        self.dimension = 1 << num_sites
        self.space = space
        windows, inside = _windows(num_sites, x, z)
        self._blocks = []
        for low, width, terms in windows:
            shift = num_sites - low - width
            block = _dense(
                width, x[terms] >> shift, z[terms] >> shift, amplitude[terms]
            )
            self._blocks.append((low, width, space.array(block)))
        outside = ~inside & (x == 0)
        self._diagonal = None
        if outside.any():
            signs = np.zeros(self.dimension)
            np.add.at(signs, z[outside], amplitude[outside].real)
            signs = hadamard(space.array(signs), space)
            self._diagonal = signs
        self._flips = []
        for mask in np.unique(x[~inside & (x != 0)]):
            terms = ~inside & (x == mask)
            for *move, signs in _flips(num_sites, mask, z[terms], amplitude[terms]):
                self._flips.append((*move, space.coefficient(signs)))
        self._scratch = space.empty(self.dimension)
        self._strings = x, z, amplitude

    def apply(self, psi, out):
        """Write H|psi> to `out`; O(2^n · blocks · 2^w)."""
        xp, scratch = self.space.xp, self._scratch
        target = out
        if self._diagonal is not None:
            xp.multiply(psi, self._diagonal, out=out)
            target = scratch
        for low, width, block in self._blocks:
            rows = 1 << width
            if low + width == self.num_sites:
                shape = (-1, rows)  # (left, 2^w)
                xp.matmul(psi.reshape(shape), block.T, out=target.reshape(shape))
            else:
                shape = (1 << low, rows, -1)  # (left, 2^w, right)
                xp.matmul(block, psi.reshape(shape), out=target.reshape(shape))
            if target is scratch:
                out += scratch
            target = scratch
        if target is out:
            out[:] = 0
        for shape, here, there, axes, coefficient in self._flips:
            part = psi.reshape(shape)[there]
            if axes:
                part = self.space.flip(part, axes)
            moved = scratch[: self.space.size(part)].reshape(part.shape)
            xp.multiply(part, coefficient, out=moved)
            rows = out.reshape(shape)[here]
            rows += moved

    def dense(self):
        """The matrix, NumPy: O(terms 2^n) work, O(4^n) memory."""
        matrix = _dense(self.num_sites, *self._strings)
        return matrix.real if self.space.is_real else matrix


def hadamard(psi, space):
    """Σ_t (−1)^popcount(s & t) psi[t] for every s: not normalised; O(n 2^n)."""
    left, n = 0, space.size(psi).bit_length() - 1
    while left < n:
        width = min(WIDEST, n - left)
        states = np.arange(1 << width)
        signs = space.array(_signs(states[:, None] & states))
        shape = (1 << left, 1 << width, -1)
        psi = space.xp.matmul(signs, psi.reshape(shape)).reshape(-1)
        left += width
    return psi


def _signs(masked):
    return 1.0 - 2.0 * (np.bitwise_count(masked) & 1)


def _extent(num_sites, x, z):
    """First site, and one past the last, of every string."""
    support = x | z
    first = num_sites - np.array([int(s).bit_length() for s in support], dtype=int)
    lowest = np.array([(int(s) & -int(s)).bit_length() for s in support], dtype=int)
    return first, np.where(support == 0, first, num_sites + 1 - lowest)


def _windows(num_sites, x, z):
    """Blocks (first site, width, terms) and which terms they hold.

    The cheapest width, in passes over memory; strings outside pay for flips.
    """
    first, end = _extent(num_sites, x, z)
    best = None
    for width in range(min(WIDEST, num_sites), 0, -1):
        windows, inside = _windows_of(width, num_sites, first, end, x != 0)
        flips = len(np.unique(x[~inside & (x != 0)]))
        cost = len(windows) * (BESIDE + (1 << width)) + flips * 4 * BESIDE
        if best is None or cost < best[0]:
            best = cost, windows, inside
    return best[1:] if best else ([], np.zeros(len(x), dtype=bool))


def _windows_of(width, num_sites, first, end, moves):
    """Blocks of one width, each from the first string that is not yet in one."""
    free = moves & (end - first <= width)
    inside = np.zeros(len(first), dtype=bool)
    windows = []
    while free.any():
        low = min(int(first[free].min()), num_sites - width)
        terms = ~inside & (first >= low) & (end <= low + width)
        windows.append((low, width, terms))
        inside |= terms
        free &= ~terms
    return windows, inside


def _dense(num_sites, x, z, amplitude):
    """The matrix (2^n, 2^n) of few sites."""
    states = np.arange(1 << num_sites)
    matrix = np.zeros((len(states), len(states)), dtype=amplitude.dtype)
    for flip, sign, a in zip(x, z, amplitude, strict=True):
        matrix[states ^ flip, states] += a * _signs(states & sign)
    return matrix


def _flips(num_sites, mask, z, amplitude):
    """Strings that flip the same sites, as moves between slices of the vector.

    Neighbouring sites on which every string acts alike form one axis. Axes of one site
    are written out, at most four of them; the others are flipped whole and multiplied
    by their signs.

    Returns
    -------
    list of (shape, here, there, axes, coefficient)
        out.reshape(shape)[here] += coefficient · flip(psi.reshape(shape)[there], axes)
    """
    bits = np.vstack([[mask], z[:, None]]).reshape(-1, 1) >> np.arange(num_sites)[::-1]
    bits &= 1  # (1 + terms, site)
    edges = np.flatnonzero((bits[:, 1:] != bits[:, :-1]).any(axis=0)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [num_sites]]))
    kind = bits[:, starts]  # (1 + terms, axis)
    acts = kind.any(axis=0)
    written = np.flatnonzero(acts & (lengths == 1))[:4]
    whole = [axis for axis in range(len(starts)) if axis not in written]
    shape = tuple(1 << int(length) for length in lengths)
    signs = np.ones((len(z),) + (1,) * len(whole))  # (term, *whole axes)
    for place, axis in enumerate(whole):
        if kind[1:, axis].any():
            states = np.arange(shape[axis])
            if kind[0, axis]:
                states = states[::-1]
            along = np.where(kind[1:, axis, None], _signs(states), 1.0)
            to = (len(z),) + (1,) * place + (-1,) + (1,) * (len(whole) - place - 1)
            signs = signs * along.reshape(to)
    axes = tuple(place for place, axis in enumerate(whole) if kind[0, axis])
    moves = []
    for corner in product((0, 1), repeat=len(written)):
        odd = kind[1:, written] & np.array(corner, dtype=np.int64)
        sign = _signs(odd.sum(axis=1) & 1)
        coefficient = np.tensordot(amplitude * sign, signs, axes=1)
        if np.any(coefficient):
            there = [slice(None)] * len(shape)
            here = list(there)
            for axis, bit in zip(written, corner, strict=True):
                there[axis], here[axis] = bit, bit ^ int(kind[0, axis])
            if coefficient.size == 1:
                coefficient = coefficient.item()
            moves.append((shape, tuple(here), tuple(there), axes, coefficient))
    return moves
