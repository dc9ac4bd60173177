"""Metropolis sweeps of many replicas in lockstep: a replica is a SIMD lane.

All replicas visit spin i at the same instant, each at its own temperature with its own
random stream, so the local fields of 16 replicas cost one multiply-add per neighbour.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from qlib.annealing.ising.random_streams import (
    LANES,
    STRIDE,
    next_packed_uniform,
    packed_lanes,
)

WIDTH = 128  # lanes of a block; measured fastest of 16, 32, 64, 128
ROWS = 4  # spins whose fields the dense kernel sums at once, from one load of a spin
DENSE_SHARE = 0.25  # of the couplings nonzero, from where the dense kernel is faster
FAST = {"contract", "reassoc", "nsz"}  # no NaN or infinity is assumed away
LOG2_E = np.float32(np.log2(np.e))
# 2^f = 1 + f (C1 + C2 f + … + C5 f⁴) on [0, 1] within a relative 8.3e-8: our fit by
# iteratively reweighted least squares (Lawson), exact at f = 0
C1, C2, C3 = 0.6931513118102506, 0.24016445011309756, 0.05579991320770542
C4, C5 = 0.009017030216836044, 0.0018671301078499792


@dataclass
class Replicas:
    """R replicas of a model, in blocks of W lanes; padding lanes run along unread.

    Made by `start_replicas`, moved by `metropolis_sweeps`.

    Attributes
    ----------
    couplings : tuple
        (indptr, indices, weights, h, J), float32, in units of `unit`: either the
        compressed rows or the matrix J is empty, and J and then h are padded with
        zeros to a multiple of 4 rows.
    unit : float
        A power of two near the largest local field, so that float32 neither overflows
        nor loses anything by the division.
    lanes : (B, n, W) float32 array
        Spins, ±1, n padded as h.
    streams : (B, 4 · 272) uint32 array
        Random streams, `packed_lanes`.
    best_lanes : (B, n, W) int8 array
        State of the lowest energy each lane had at the start or the end of a sweep.
    best_energies : (B, W) float64 array
        Theirs, in `unit`, to the rounding of `metropolis_sweeps`.
    place : (R,) int array
        Lane of each replica among all B W.
    num_spins : int
        Without the padding.
    """

    couplings: tuple
    unit: float
    lanes: np.ndarray
    streams: np.ndarray
    best_lanes: np.ndarray
    best_energies: np.ndarray
    place: np.ndarray
    num_spins: int

    @property
    def spins(self):
        """The present states, (R, n) int8."""
        return self._rows(self.lanes)

    @property
    def best(self):
        """The best states so far, (R, n) int8."""
        return self._rows(self.best_lanes)

    def per_lane(self, values):
        """(..., R) values as a (..., B, W) float32 array, 0 at the padding."""
        values = np.asarray(values)
        blocks, width = self.best_energies.shape
        spread = np.zeros((*values.shape[:-1], blocks * width), dtype=np.float32)
        spread[..., self.place] = values
        return spread.reshape(*values.shape[:-1], blocks, width)

    def _rows(self, lanes):
        padded = lanes.shape[1]
        rows = lanes.transpose(0, 2, 1).reshape(-1, padded)[
            self.place, : self.num_spins
        ]
        return np.ascontiguousarray(rows, dtype=np.int8)


def start_replicas(model, spins, rng, group=1):
    """Replicas of a model at given states, each with a random stream of its own.

    Parameters
    ----------
    model : IsingModel
        n >= 1 spins.
    spins : (R, n) array
        Entries −1 and 1, R >= 1.
    rng : `numpy.random.Generator`
        Source of the streams.
    group : int
        Consecutive replicas that share a block, a divisor of R, <= 256.

    Returns
    -------
    Replicas
    """
    spins = np.asarray(spins)
    replicas, n = spins.shape
    filled = min(replicas, max(1, WIDTH // group) * group)
    width = -(-filled // LANES) * LANES
    blocks = -(-replicas // filled)
    number = np.arange(replicas)
    place = number // filled * width + number % filled
    unit = field_unit(model)
    couplings = _couplings(model, unit)
    rows = np.ones((blocks * width, couplings[3].size), dtype=np.float32)
    rows[place, :n] = spins
    lanes = rows.reshape(blocks, width, -1).transpose(0, 2, 1)  # (B, n, W)
    return Replicas(
        couplings=couplings,
        unit=unit,
        lanes=np.ascontiguousarray(lanes),
        streams=packed_lanes(rng, blocks),
        best_lanes=np.ascontiguousarray(lanes, dtype=np.int8),
        best_energies=np.full((blocks, width), np.inf),
        place=place,
        num_spins=n,
    )


def field_unit(model):
    """The power of two at or below the largest |h_i| + Σ_j |J_ij|; 1 if all vanish."""
    indptr, _, weights = model.neighbours()
    total = np.concatenate([[0.0], np.cumsum(np.abs(weights))])
    largest = (np.abs(model.h) + total[indptr[1:]] - total[indptr[:-1]]).max()
    return 2.0 ** np.floor(np.log2(largest)) if largest > 0 else 1.0


def metropolis_sweeps(replicas, betas):
    """Sweep all replicas over all spins in the order 0 … n−1, one row of betas each.

    Each step flips spin i of a lane with probability min(1, exp(−β ΔE)) and so leaves
    the lane's Boltzmann distribution unchanged. Local fields are summed in float32
    (exact for integer couplings, else to about 10⁻⁷ of the largest field); the
    exponential is good to 10⁻⁶ down to 2⁻²⁴; uniforms have 23 bits, so that moves of
    probability below 2⁻²⁴ are never made. Energies are computed at the start of a call
    and then follow the flips, in float32 within a sweep: recompute what is reported.

    At β = 0 exactly every proposal is accepted and two sweeps return every spin to
    where it was: the uniform distribution is stationary but is not approached.

    Parameters
    ----------
    replicas : Replicas
        Changed in place: states, energies, best states, streams.
    betas : (S, R) array
        Inverse temperatures of S sweeps, >= 0, in inverse units of energy.

    Notes
    -----
    O(S R (n + couplings)); a sweep's best state is kept at O(R n).
    """
    _sweep_blocks(
        replicas.couplings,
        replicas.lanes,
        replicas.streams,
        replicas.per_lane(np.asarray(betas) * replicas.unit),  # (S, B, W)
        replicas.best_lanes,
        replicas.best_energies,
    )


def _couplings(model, unit):
    indptr, indices, weights = model.neighbours()
    n = model.num_spins
    h, J = model.h / unit, np.empty((0, 0))
    if weights.size >= DENSE_SHARE * n * n:
        pad = -n % ROWS
        J = model.J.toarray() if model.is_sparse else model.J
        J, h = np.pad(J / unit, (0, pad)), np.pad(h, (0, pad))
        indptr, indices, weights = indptr[:0], indices[:0], weights[:0]
    return (
        indptr.astype(np.uint32),
        indices.astype(np.uint32),
        (weights / unit).astype(np.float32),
        h.astype(np.float32),
        np.ascontiguousarray(J, dtype=np.float32),
    )


@njit(cache=True, nogil=True, fastmath=FAST)
def _sweep_blocks(couplings, lanes, streams, betas, best, best_energies):
    for block in range(lanes.shape[0]):
        energies = lane_energies(couplings, lanes[block])
        keep_best(lanes[block], energies, best[block], best_energies[block])
        for sweep in range(betas.shape[0]):
            beta = betas[sweep, block]
            sweep_lanes(couplings, lanes[block], streams[block], beta, energies)
            keep_best(lanes[block], energies, best[block], best_energies[block])


@njit(cache=True, nogil=True, fastmath=FAST)
def sweep_lanes(couplings, spins, streams, beta, energies):
    """One sweep of a block: spins (n, W), streams (4 · 272,); the others (W,)."""
    indptr, indices, weights, h, J = couplings
    width = beta.size
    fields = np.empty(ROWS * STRIDE, np.float32)
    work = np.zeros(3 * STRIDE, np.float32)  # β, energy change, twice the flip
    work[:width] = beta
    if J.size:
        for i in range(0, h.size, ROWS):
            dense_fields(J, i, spins, h, fields)
            for k in range(ROWS):
                flip(spins[i + k], fields[k * STRIDE :], streams, work)
                for later in range(k + 1, ROWS):
                    field = fields[later * STRIDE : later * STRIDE + width]
                    correct(field, J[i + k, i + later], work)
    else:
        field = fields[:width]
        for i in range(h.size):
            local_fields(indptr[i], indptr[i + 1], indices, weights, spins, h[i], field)
            flip(spins[i], field, streams, work)
    for r in range(width):
        energies[r] += work[STRIDE + r]


@njit(cache=True, nogil=True, fastmath=FAST)
def lane_energies(couplings, spins):
    """Energies (W,) of the lanes of a block (n, W), summed over spins in float64."""
    indptr, indices, weights, h, J = couplings
    width = spins.shape[1]
    fields = np.empty(ROWS * STRIDE, np.float32)
    energies = np.zeros(width)
    for i in range(h.size):
        row = STRIDE * (i % ROWS if J.size else 0)
        field = fields[row : row + width]
        if not J.size:
            local_fields(indptr[i], indptr[i + 1], indices, weights, spins, h[i], field)
        elif i % ROWS == 0:
            dense_fields(J, i, spins, h, fields)
        energies += np.float32(0.5) * spins[i] * (field + h[i])
    return energies


@njit(cache=True, nogil=True, fastmath=FAST)
def local_fields(first, last, indices, weights, spins, h, field):
    """h + Σ_k weights[k] spins[indices[k]] of every lane, four neighbours a pass."""
    field[:] = h
    fours = first + (last - first) // np.uint32(4) * np.uint32(4)
    for k in range(first, fours, 4):
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        s, t = spins[indices[k]], spins[indices[k + 1]]
        u, v = spins[indices[k + 2]], spins[indices[k + 3]]
        for r in range(field.size):
            field[r] += (a * s[r] + b * t[r]) + (c * u[r] + d * v[r])
    for k in range(fours, last):
        a, s = weights[k], spins[indices[k]]
        for r in range(field.size):
            field[r] += a * s[r]


@njit(cache=True, nogil=True, fastmath=FAST)
def dense_fields(J, i, spins, h, fields):
    """Local fields of spins i … i+3, at 0, 1, 2, 3 · 272, as J's rows times all spins.

    Four rows by four columns at a time: a spin is loaded once for four products.
    """
    width = spins.shape[1]
    for r in range(width):
        fields[r], fields[STRIDE + r] = h[i], h[i + 1]
        fields[2 * STRIDE + r], fields[3 * STRIDE + r] = h[i + 2], h[i + 3]
    J0, J1, J2, J3 = J[i], J[i + 1], J[i + 2], J[i + 3]
    for j in range(0, h.size, 4):
        s, t, u, v = spins[j], spins[j + 1], spins[j + 2], spins[j + 3]
        a0, b0, c0, d0 = J0[j], J0[j + 1], J0[j + 2], J0[j + 3]
        a1, b1, c1, d1 = J1[j], J1[j + 1], J1[j + 2], J1[j + 3]
        a2, b2, c2, d2 = J2[j], J2[j + 1], J2[j + 2], J2[j + 3]
        a3, b3, c3, d3 = J3[j], J3[j + 1], J3[j + 2], J3[j + 3]
        for r in range(width):
            p, q, x, y = s[r], t[r], u[r], v[r]
            fields[r] += a0 * p + b0 * q + c0 * x + d0 * y
            fields[STRIDE + r] += a1 * p + b1 * q + c1 * x + d1 * y
            fields[2 * STRIDE + r] += a2 * p + b2 * q + c2 * x + d2 * y
            fields[3 * STRIDE + r] += a3 * p + b3 * q + c3 * x + d3 * y


@njit(cache=True, nogil=True, fastmath=FAST)
def correct(field, coupling, work):
    """Add the last flips' effect to the field of a coupled spin."""
    for r in range(field.size):
        field[r] += coupling * work[2 * STRIDE + r]


@njit(cache=True, nogil=True, fastmath=FAST)
def flip(spins, field, streams, work):
    """Metropolis step of one spin in every lane, without a branch; spins, field (W,).

    `work` holds β and receives energy changes and flips, at 0, 1 and 2 · 272.
    """
    for r in range(spins.size):
        turn = np.float32(-2) * spins[r]
        delta = turn * field[r]
        accept = next_packed_uniform(streams, r) < decay(work[r] * delta)
        turn = turn if accept else np.float32(0)
        work[STRIDE + r] += turn * field[r]
        work[2 * STRIDE + r] = turn
        spins[r] += turn


@njit(cache=True, nogil=True, fastmath=FAST)
def decay(x):
    """exp(−x) for x > 0 within a relative 10⁻⁷ (2 + x), else 1; float32.

    2^(−x log2 e) as a power of two, put into the exponent's bits, times a polynomial of
    degree 5 for 2^f, 0 <= f < 1.
    """
    y = min(max(-x * LOG2_E, np.float32(-126)), np.float32(0))
    whole = np.floor(y)
    f = y - whole
    p = np.float32(C5) * f + np.float32(C4)
    p = p * f + np.float32(C3)
    p = p * f + np.float32(C2)
    p = p * f + np.float32(C1)
    p = p * f + np.float32(1)
    exponent = np.int32(whole) << np.int32(23)
    return np.int32(np.float32(p).view(np.int32) + exponent).view(np.float32)


@njit(cache=True, nogil=True)
def keep_best(spins, energies, best, best_energies):
    """Copy the lanes whose energy is below their best."""
    better = energies < best_energies
    if not better.any():
        return
    for i in range(spins.shape[0]):
        for r in range(energies.size):
            best[i, r] = np.int8(spins[i, r]) if better[r] else best[i, r]
    for r in range(energies.size):
        best_energies[r] = min(best_energies[r], energies[r])
