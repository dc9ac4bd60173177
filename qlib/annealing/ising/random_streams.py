"""Independent random streams for spins that are updated in lockstep, one per lane."""

import numpy as np
from numba import njit

LANES = 16  # float32 lanes of a 512-bit register: arrays are padded to a multiple


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


@njit(cache=True, nogil=True)
def rotate(x, k):
    """The 32 bits of x turned left by k, 0 < k < 32."""
    return np.uint32((x << np.uint32(k)) | (x >> np.uint32(32 - k)))


@njit(cache=True, nogil=True)
def next_bits(streams, lane):
    """The next 32 random bits of a lane, whose state (4, R) moves on in place.

    A loop over lanes around this is vectorised by the compiler: shifts, adds and
    exclusive-ors of 32-bit integers.
    """
    a, b = streams[0, lane], streams[1, lane]
    c, d = streams[2, lane], streams[3, lane]
    bits = np.uint32(rotate(np.uint32(a + d), 7) + a)
    shifted = np.uint32(b << np.uint32(9))
    c = np.uint32(c ^ a)
    d = np.uint32(d ^ b)
    streams[0, lane] = np.uint32(a ^ d)
    streams[1, lane] = np.uint32(b ^ c)
    streams[2, lane] = np.uint32(c ^ shifted)
    streams[3, lane] = rotate(d, 11)
    return bits


@njit(cache=True, nogil=True)
def next_uniform(streams, lane):
    """The next uniform float32 of a lane, odd multiples of 2⁻²⁵ in (0, 1).

    24 of the 32 bits; neither 0 nor 1 occurs, so that a test u < p never passes for
    p <= 2⁻²⁵ and always for p = 1.
    """
    bits = next_bits(streams, lane) >> np.uint32(8)
    return (np.float32(np.int32(bits)) + np.float32(0.5)) * np.float32(2.0**-24)
