"""A sum of Pauli strings on the basis states of given S^z or parity."""

import warnings

import numpy as np
from scipy import sparse

from qlib.entanglement.exact.dimensions import refuse_too_long, subspace_bytes
from qlib.entanglement.exact.sectors import CANCELLED


class SubspaceMatrix:
    """H in compressed rows on the states of a sector of Z-type quantities.

    With an x_parity besides, the states are (|s> + parity |not s>)/√2, named by the s
    whose site 0 is up.

    Parameters
    ----------
    num_sites : int
        N.
    x, z : (terms,) int64 arrays
    amplitude : (terms,) complex array
        As from `PauliSum.masks`.
    sector : Sector
        Fixes sz or z_parity.
    space : ArraySpace
    """

    def __init__(self, num_sites, x, z, amplitude, sector, space):
        self.num_sites, self.space = num_sites, space
        self.x_parity = sector.x_parity
        bits = num_sites - (self.x_parity is not None)
        if sector.sz is not None:
            self.states, rank = _numbered(bits, round(num_sites / 2 - sector.sz))
        else:
            self.states, rank = _numbered(bits, (1 - sector.z_parity) // 2, modulus=2)
        self.dimension = len(self.states)
        flips = len(np.unique(x))
        refuse_too_long(
            num_sites,
            sector,
            lambda n: subspace_bytes(n, sector, flips, space.itemsize),
        )
        self._matrix = self._rows(x, z, amplitude, rank)

    def _rows(self, x, z, amplitude, rank):
        if self.space.is_real:
            amplitude = amplitude.real
        smallest = CANCELLED * np.abs(amplitude).max(initial=0.0)
        index = np.int32 if self.dimension < 2**31 else np.int64
        rows, columns = [np.empty(0, index)], [np.empty(0, index)]
        values = [np.empty(0, self.space.dtype)]
        for flip in np.unique(x):
            diagonal = np.zeros(self.dimension, dtype=amplitude.dtype)
            for term in np.flatnonzero(x == flip):
                odd = np.bitwise_count(self.states & z[term]) & 1
                diagonal += amplitude[term] * (1.0 - 2.0 * odd)
            kept = np.flatnonzero(np.abs(diagonal) > smallest)
            moved = self.states[kept] ^ flip
            entries = diagonal[kept].conj()  # <s|H|s ^ x> from <s ^ x|H|s>
            if self.x_parity is not None:
                over = moved >> (self.num_sites - 1) == 1
                moved[over] ^= (1 << self.num_sites) - 1
                entries[over] *= self.x_parity
            rows.append(kept.astype(index))
            columns.append(rank(moved).astype(index))
            values.append(entries.astype(self.space.dtype))
        values, rows, columns = map(np.concatenate, (values, rows, columns))
        shape = (self.dimension, self.dimension)
        matrix = sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()
        if self.space.device is None:
            return matrix
        return _torch_rows(matrix, self.space)

    def apply(self, psi, out):
        """Write H|psi> to `out`."""
        out[:] = self._matrix @ psi

    def dense(self):
        """The block's matrix, NumPy."""
        return self._matrix.toarray()

    def embed(self, psi):
        """A state of the sector in the space of all spins, (2^N,)."""
        xp = self.space.xp
        full = self.space.zeros(1 << self.num_sites)
        states = xp.asarray(self.states, device=self.space.device)
        if self.x_parity is None:
            full[states] = psi
        else:
            full[states] = psi * 0.5**0.5
            full += self.x_parity * self.space.flip(full, (0,))
        return full


def _torch_rows(matrix, space):
    import torch

    with warnings.catch_warnings():  # torch calls its compressed rows "beta"
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            *(torch.from_numpy(part) for part in (matrix.indptr, matrix.indices)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            device=space.device,
        )


def _numbered(bits, ones, modulus=None):
    """States with `ones` bits set (modulo `modulus`), ascending, and their ranks.

    The rank of a state is the sum of two table entries, of its upper and of its lower
    half (H. Q. Lin, Phys. Rev. B 42, 6561 (1990)).

    Returns
    -------
    states : (dimension,) int64 array
    rank : callable
        States (m,) to their places (m,).
    """
    low = bits // 2
    lower = np.bitwise_count(np.arange(1 << low)).astype(np.int64)
    wanted = ones - np.bitwise_count(np.arange(1 << (bits - low))).astype(np.int64)
    if modulus:
        lower, wanted = lower % modulus, wanted % modulus
    order = np.argsort(lower, kind="stable")  # lower halves by their number of ones
    counts = np.bincount(lower, minlength=low + 1)
    begins = np.cumsum(counts) - counts
    possible = (wanted >= 0) & (wanted <= low)
    wanted = np.where(possible, wanted, 0)
    sizes = np.where(possible, counts[wanted], 0)  # states below each upper half
    before = np.cumsum(sizes) - sizes
    upper = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(upper)) - before[upper]
    states = (upper << low) | order[begins[wanted[upper]] + place]
    within = np.empty(1 << low, dtype=np.int64)
    within[order] = np.arange(1 << low) - begins[lower[order]]

    def rank(states):
        return before[states >> low] + within[states & ((1 << low) - 1)]

    return states, rank
