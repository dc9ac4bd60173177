"""Independent random streams for spins that are updated in lockstep, one per lane."""

import numpy as np
from numba import njit

LANES = 16  # float32 lanes of a 512-bit register: widths are multiples of it
STRIDE = 272  # lanes of `pack_streams`; 17 cache lines: rows do not share a cache set


def seed_lanes(rng, lanes):
    """States of xoshiro128++ generators, one column per lane.

    Every lane starts at its own uniform random point of the generator's single orbit of
    2¹²⁸ − 1 states. That two of R lanes of L draws each come within L states of one
    another has probability <= R² L 2⁻¹²⁷: 10⁻²¹ for 10⁴ lanes of 10⁹ draws.

    Parameters
    ----------
    rng : int, `numpy.random.Generator` or None
        Source of the states.
    lanes : int
        Number of streams R, >= 1.

    Returns
    -------
    (4, R) uint32 array
        No column is zero, the one state that the generator never leaves.

    References
    ----------
    D. Blackman, S. Vigna, ACM Trans. Math. Softw. 47, 36 (2021).
    """
    rng = np.random.default_rng(rng)
    state = rng.integers(0, 2**32, size=(4, lanes), dtype=np.uint32)
    state[0, ~state.any(axis=0)] = 1
    return state


def packed_lanes(rng, blocks):
    """States of `blocks` times 272 generators for `next_packed_uniform`.

    Returns
    -------
    (blocks, 4 · 272) uint32 array
        Word k of the state of lane r of a block stands at k · 272 + r. At this constant
        distance the compiler sees that the words of a state do not overlap; checking
        that for (4, R) arrays takes as long as moving on 64 lanes.
    """
    state = seed_lanes(rng, blocks * STRIDE).reshape(4, blocks, STRIDE)
    return np.ascontiguousarray(state.transpose(1, 0, 2)).reshape(blocks, 4 * STRIDE)


@njit(cache=True, nogil=True)
def rotate(x, k):
    """The 32 bits of x turned left by k, 0 < k < 32."""
    return np.uint32((x << np.uint32(k)) | (x >> np.uint32(32 - k)))


@njit(cache=True, nogil=True)
def advance(a, b, c, d):
    """32 random bits of a state of four words, and the next state.

    A loop over lanes around this is vectorised by the compiler: shifts, adds and
    exclusive-ors of 32-bit integers.
    """
    bits = np.uint32(rotate(np.uint32(a + d), 7) + a)
    shifted = np.uint32(b << np.uint32(9))
    c = np.uint32(c ^ a)
    d = np.uint32(d ^ b)
    return (
        bits,
        np.uint32(a ^ d),
        np.uint32(b ^ c),
        np.uint32(c ^ shifted),
        rotate(d, 11),
    )


@njit(cache=True, nogil=True)
def to_uniform(bits):
    """The upper 23 of 32 bits as a float32: odd multiples of 2⁻²⁴ in (0, 1).

    Neither 0 nor 1 occurs, so that a test u < p never passes for p <= 2⁻²⁴ and always
    for p = 1. One more bit and the last value would round to 1.
    """
    upper = np.float32(np.int32(bits >> np.uint32(9)))
    return (upper + np.float32(0.5)) * np.float32(2.0**-23)


@njit(cache=True, nogil=True)
def next_bits(streams, lane):
    """The next 32 random bits of a lane of (4, R) states, which move on in place."""
    bits, a, b, c, d = advance(
        streams[0, lane], streams[1, lane], streams[2, lane], streams[3, lane]
    )
    streams[0, lane], streams[1, lane] = a, b
    streams[2, lane], streams[3, lane] = c, d
    return bits


@njit(cache=True, nogil=True)
def next_uniform(streams, lane):
    """The next uniform float32 of a lane of (4, R) states, as `to_uniform`."""
    return to_uniform(next_bits(streams, lane))


@njit(cache=True, nogil=True)
def next_packed_uniform(streams, lane):
    """The next uniform float32 of a lane of one block of `packed_lanes`."""
    bits, a, b, c, d = advance(
        streams[lane],
        streams[STRIDE + lane],
        streams[2 * STRIDE + lane],
        streams[3 * STRIDE + lane],
    )
    streams[lane], streams[STRIDE + lane] = a, b
    streams[2 * STRIDE + lane], streams[3 * STRIDE + lane] = c, d
    return to_uniform(bits)
