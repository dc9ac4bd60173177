"""Moves of worldlines: spins in P imaginary-time slices, updated a spin at a time.

The weight of a configuration s_ik, slice k = 0 … P−1 on a ring, is

    exp(−a Σ_k H_z(s_k) + J_perp Σ_ik s_ik s_i,k+1),  a = β/P, J_perp = −½ ln tanh(aΓ).

While the worldline of spin i moves, its local fields f_k in all slices stay as they
are, so they are summed once and serve two moves: single slices by Metropolis' rule,
then whole segments of the worldline, cut at random, as Swendsen-Wang clusters.

A lane is one slice of one read. Even slices come first, reads innermost: slice k of
read r is lane (k mod 2) L/2 + ⌊k/2⌋ R + r of L = P R. Slices of one parity do not
interact and move in lockstep, and slice k+1 of all lanes is a shift by R.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from qlib.annealing.ising.random_streams import next_uniform, seed_lanes
from qlib.annealing.ising.sweeps import FAST, decay, field_unit, local_fields

KINK = 1e-12  # least tanh(aΓ); below 2⁻²⁴, the least uniform, no link breaks anyway
LOG_2 = np.float32(np.log(2.0))
ROOT_HALF = np.float32(np.sqrt(0.5)).view(np.int32)  # its bits


@dataclass
class Worldlines:
    """Worldlines of R reads; made by `start_worldlines`, moved by `worldline_sweeps`.

    Attributes
    ----------
    couplings : tuple
        (indptr, indices, weights, h), float32, in units of `unit`.
    unit : float
        A power of two near the largest local field.
    lanes : (n, P R) float32 array
        Spins, ±1, in the module's order of lanes.
    energies : (P R,) float64 array
        H_z of every lane in `unit`, followed flip by flip.
    streams : (4, P R) uint32 array
        A random stream per lane.
    best : (R, n) int8 array
        Slice of the lowest energy of each read at the start or the end of a sweep.
    best_energies : (R,) float64 array
    reads : int
    """

    couplings: tuple
    unit: float
    lanes: np.ndarray
    energies: np.ndarray
    streams: np.ndarray
    best: np.ndarray
    best_energies: np.ndarray
    reads: int

    @property
    def slices(self):
        """Number of slices P."""
        return self.lanes.shape[1] // self.reads

    def per_slice(self, values):
        """(..., P R) in the order of lanes as (..., P, R) in the order of slices."""
        *lead, _ = values.shape
        split = values.reshape(*lead, 2, self.slices // 2, self.reads)
        return np.swapaxes(split, -3, -2).reshape(*lead, self.slices, self.reads)


def start_worldlines(model, spins, slices, rng):
    """Worldlines that are straight at given states.

    Parameters
    ----------
    model : IsingModel
        n >= 1 spins.
    spins : (R, n) array
        Entries −1 and 1; all slices of a read start there.
    slices : int
        P, even.
    rng : `numpy.random.Generator`
        Source of the lanes' streams.

    Returns
    -------
    Worldlines
    """
    spins = np.asarray(spins)
    indptr, indices, weights = model.neighbours()
    unit = field_unit(model)
    energies = model.energy(spins) / unit
    lanes = np.tile(np.ascontiguousarray(spins.T, dtype=np.float32), slices)
    return Worldlines(
        couplings=(
            indptr.astype(np.uint32),
            indices.astype(np.uint32),
            (weights / unit).astype(np.float32),
            (model.h / unit).astype(np.float32),
        ),
        unit=unit,
        lanes=lanes,
        energies=np.tile(energies, slices),
        streams=seed_lanes(rng, lanes.shape[1]),
        best=spins.astype(np.int8),
        best_energies=energies.copy(),
        reads=len(spins),
    )


def worldline_sweeps(worldlines, betas, fields):
    """Sweep all worldlines of all reads, one β and one Γ a sweep.

    Both moves leave the weights at fixed β and Γ unchanged. Fields and gains are
    float32 (relative error about 10⁻⁷); energies sum each sweep's changes in float32
    and the sweeps in float64.

    Parameters
    ----------
    worldlines : Worldlines
        Changed in place: states, energies, streams, best states.
    betas, fields : (S,) arrays
        Inverse temperature > 0 and transverse field Γ >= 0 of every sweep; tanh(βΓ/P)
        below 1e-12 is taken as that: the slices are then tied to one another.

    Notes
    -----
    O(S P R (n + couplings)).
    """
    scaled = np.asarray(betas, dtype=np.float64) / worldlines.slices
    kinks = np.maximum(np.tanh(scaled * fields), KINK)
    _sweep(
        worldlines.couplings,
        worldlines.lanes,
        worldlines.streams,
        (2.0 * scaled * worldlines.unit).astype(np.float32),
        kinks.astype(np.float32),
        worldlines.energies,
        worldlines.best,
        worldlines.best_energies,
        worldlines.reads,
    )


@njit(cache=True, nogil=True, fastmath=FAST)
def _sweep(
    couplings,
    lanes,
    streams,
    scales,
    kinks,
    energies,
    best,
    best_energies,
    reads,
):
    indptr, indices, weights, h = couplings
    size = lanes.shape[1]
    field, old, change = np.empty((3, size), np.float32)
    work = np.empty((6, size), np.float32)
    for sweep in range(scales.size):
        scale, kink = scales[sweep], kinks[sweep]
        change[:] = 0
        for i in range(lanes.shape[0]):
            spins = lanes[i]
            local_fields(indptr[i], indptr[i + 1], indices, weights, lanes, h[i], field)
            old[:] = spins
            slice_moves(spins, field, streams, scale, kink, work, reads)
            segment_moves(spins, field, streams, scale, kink, work, reads)
            for lane in range(size):
                change[lane] += (spins[lane] - old[lane]) * field[lane]
        for lane in range(size):
            energies[lane] += change[lane]
        _keep_best(lanes, energies, best, best_energies)


@njit(cache=True, nogil=True, fastmath=FAST)
def slice_moves(spins, field, streams, scale, kink, work, reads):
    """Metropolis step of every slice of one worldline, even slices then odd ones.

    Parameters
    ----------
    spins, field : (L,) float32 arrays
        The worldline of all reads, changed in place, and its local fields.
    streams : (4, L) uint32 array
    scale, kink : float32
        2a (times the fields' unit) and tanh(aΓ) = exp(−2 J_perp).
    work : (>= 2, L) float32 array
        Overwritten.
    reads : int
    """
    uniform, beside = work[0], work[1]
    half = spins.size // 2
    even, odd = spins[:half], spins[half:]
    tie = -np.log(kink)
    _uniforms(streams, uniform)
    for lane in range(reads):
        beside[lane] = odd[lane] + odd[half - reads + lane]
    for lane in range(reads, half):
        beside[lane] = odd[lane] + odd[lane - reads]
    _metropolis(even, field[:half], beside, uniform[:half], scale, tie)
    for lane in range(half - reads):
        beside[lane] = even[lane] + even[lane + reads]
    for lane in range(half - reads, half):
        beside[lane] = even[lane] + even[lane + reads - half]
    _metropolis(odd, field[half:], beside, uniform[half:], scale, tie)


@njit(cache=True, nogil=True, fastmath=FAST)
def _uniforms(streams, out):
    for lane in range(out.size):
        out[lane] = next_uniform(streams, lane)


@njit(cache=True, nogil=True, fastmath=FAST)
def _metropolis(spins, field, beside, uniform, scale, tie):
    for lane in range(spins.size):
        loss = spins[lane] * (tie * beside[lane] - scale * field[lane])
        spins[lane] = -spins[lane] if uniform[lane] < decay(loss) else spins[lane]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def segment_moves(spins, field, streams, scale, kink, work, reads):
    """Cut one worldline into segments at random and offer each a flip.

    A link between unequal slices is always cut, one between equal slices with
    probability exp(−2 J_perp) = tanh(aΓ). Given the cuts the segments are independent
    in the field: a segment of gain g = Σ 2a s_k f_k over its slices flips with
    probability 1/(1 + exp(−g)). This heat bath forgets the segment's sign; Metropolis'
    rule would flip all segments of a worldline in no field at once, cutting nothing.
    As Γ → 0 no link is cut and the move is the flip of a straight worldline.

    Parameters
    ----------
    spins, field, streams, scale, kink, reads
        As for `slice_moves`.
    work : (6, L) float32 array
        Overwritten.

    References
    ----------
    R. H. Swendsen, J.-S. Wang, Phys. Rev. Lett. 58, 86 (1987).
    H. Rieger, N. Kawashima, Eur. Phys. J. B 9, 233 (1999).
    """
    bond, gain, bar, unbroken, after = work[0], work[1], work[2], work[3], work[4]
    next_slice(spins, after, reads)
    _uniforms(streams, bar)
    for lane in range(spins.size):
        tied = (spins[lane] == after[lane]) & (bar[lane] > kink)
        bond[lane] = np.float32(1) if tied else np.float32(0)
    _uniforms(streams, bar)
    for lane in range(spins.size):
        bar[lane] = log(bar[lane] / (np.float32(1) - bar[lane]))  # logistic
    for lane in range(spins.size):
        gain[lane] = scale * spins[lane] * field[lane]
    _decide(bond, gain, bar, unbroken, work[5, :reads], reads)
    for lane in range(spins.size):
        spins[lane] *= bar[lane]


@njit(cache=True, nogil=True, fastmath=FAST)
def _decide(bond, gain, bar, unbroken, head, reads):
    """Turn `bar` into the sign, ±1, that each slice's segment is multiplied with.

    A segment flips where the logistic `bar` of its last slice is below its gain.
    Forward, `gain` becomes its sum since the last cut; backward, each segment's last
    slice decides and the others follow. Where the link that closes the ring holds, the
    segment of slice 0 is added to the last one and follows its decision.
    """
    half, size = bond.size // 2, np.uint64(reads)
    slices = bond.size // reads
    zero, here = np.uint64(0), np.uint64(0)
    unbroken[:reads] = 1
    head[:] = gain[:reads]
    for k in range(1, slices):
        before, here = here, np.uint64((k & 1) * half + (k >> 1) * reads)
        _multiply(unbroken, before, bond, before, unbroken, here, size)
        _add_product(unbroken, here, gain, here, head, zero, size)
        _add_product(bond, before, gain, before, gain, here, size)
    for r in range(size):
        closed = bond[here + r] * (np.float32(1) - unbroken[here + r])
        gain[here + r] += closed * head[r]
    for lane in range(bar.size):
        bar[lane] = np.float32(-1) if bar[lane] < gain[lane] else np.float32(1)
    _multiply(bar, here, bond, here, head, zero, size)  # what a cut slice 0 follows
    for k in range(slices - 2, -1, -1):
        after, here = here, np.uint64((k & 1) * half + (k >> 1) * reads)
        _follow(unbroken, here, head, zero, bar, here, size)
        _follow(bond, here, bar, after, bar, here, size)


@njit(cache=True, nogil=True, fastmath=FAST)
def _multiply(a, i, b, j, out, k, size):
    for r in range(size):
        out[k + r] = a[i + r] * b[j + r]


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_product(a, i, b, j, out, k, size):
    for r in range(size):
        out[k + r] += a[i + r] * b[j + r]


@njit(cache=True, nogil=True, fastmath=FAST)
def _follow(tied, i, leader, j, sign, k, size):
    """Take the leader's sign where tied, unless it is 0."""
    for r in range(size):
        order = tied[i + r] * leader[j + r]
        sign[k + r] = order if order != 0 else sign[k + r]


@njit(cache=True, nogil=True, fastmath=FAST)
def next_slice(spins, after, reads):
    """Copy the spin of slice k+1 to lane k of `after`, on the ring; both (L,)."""
    half = spins.size // 2
    after[:half] = spins[half:]
    after[half : 2 * half - reads] = spins[reads:half]
    after[2 * half - reads :] = spins[:reads]


@njit(cache=True, nogil=True, fastmath=FAST)
def add_links(lanes, reads, sums):
    """Add s_ik s_i,k+1 to `sums`, (n, L) as `lanes`: exact up to 2²⁴ additions."""
    after = np.empty(lanes.shape[1], np.float32)
    for i in range(lanes.shape[0]):
        next_slice(lanes[i], after, reads)
        for lane in range(after.size):
            sums[i, lane] += lanes[i, lane] * after[lane]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def log(x):
    """ln x of a normal float32 > 0 within 3 · 10⁻⁷ relative, vectorisable.

    x = 2^e (1 + m) with √½ <= 1 + m < √2, and 2 artanh(m/(2+m)) by its series: at
    t² <= 0.0295 the first term left out is below 4 · 10⁻⁹.
    """
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - ROOT_HALF) >> np.int32(23))
    mantissa = np.int32(bits - (exponent << np.int32(23))).view(np.float32)
    t = (mantissa - np.float32(1)) / (mantissa + np.float32(1))
    square = t * t
    series = square * np.float32(1 / 7) + np.float32(1 / 5)
    series = series * square + np.float32(1 / 3)
    series = series * square + np.float32(1)
    return np.float32(exponent) * LOG_2 + np.float32(2) * t * series


@njit(cache=True, nogil=True)
def _keep_best(lanes, energies, best, best_energies):
    """Copy each read's lowest slice where it is below the read's best."""
    reads = best_energies.size
    for r in range(reads):
        lowest = r
        for lane in range(r, energies.size, reads):
            if energies[lane] < energies[lowest]:
                lowest = lane
        if energies[lowest] < best_energies[r]:
            best_energies[r] = energies[lowest]
            for i in range(lanes.shape[0]):
                best[r, i] = np.int8(lanes[i, lowest])
