"""Random streams: the published generator, uniform, independent from lane to lane."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

from qlib.annealing.ising.random_streams import (
    STRIDE,
    next_bits,
    next_packed_uniform,
    next_uniform,
    packed_lanes,
    seed_lanes,
    to_uniform,
)


@njit
def bits_of(streams, draws):
    out = np.empty((streams.shape[1], draws), np.uint32)
    for t in range(draws):
        for lane in range(streams.shape[1]):
            out[lane, t] = next_bits(streams, lane)
    return out


@njit
def uniforms_of(streams, lanes, draws):
    out = np.empty((lanes, draws), np.float32)
    for t in range(draws):
        for lane in range(lanes):
            out[lane, t] = next_uniform(streams, lane)
    return out


@njit
def packed_uniforms_of(streams, lanes, draws):
    out = np.empty((lanes, draws), np.float32)
    for t in range(draws):
        for lane in range(lanes):
            out[lane, t] = next_packed_uniform(streams, lane)
    return out


def xoshiro128pp(state, draws):
    """The generator in Python's integers, as its authors define it."""
    mask, s, out = 2**32 - 1, [int(word) for word in state], []

    def turn(x, k):
        return ((x << k) | (x >> (32 - k))) & mask

    for _ in range(draws):
        out.append((turn((s[0] + s[3]) & mask, 7) + s[0]) & mask)
        t = (s[1] << 9) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = turn(s[3], 11)
    return out


def test_first_outputs_of_state_1_2_3_4_are_those_worked_out_by_hand():
    # rotl(1 + 4, 7) + 1; then s = (7, 0, 1026, 12288): rotl(7 + 12288, 7) + 7
    state = np.array([[1], [2], [3], [4]], dtype=np.uint32)
    assert bits_of(state, 2).tolist() == [[641, 12295 * 128 + 7]]


def test_lanes_follow_the_scalar_generator():
    streams = seed_lanes(5, 3)
    expected = [xoshiro128pp(streams[:, lane], 200) for lane in range(3)]
    assert bits_of(streams, 200).tolist() == expected


def test_both_layouts_give_the_same_numbers():
    packed = packed_lanes(1, 2)
    plain = packed[1].reshape(4, STRIDE).copy()
    expected = uniforms_of(plain, STRIDE, 20)
    np.testing.assert_array_equal(packed_uniforms_of(packed[1], STRIDE, 20), expected)


def test_uniforms_are_odd_multiples_of_a_power_inside_the_unit_interval():
    values = uniforms_of(seed_lanes(0, 64), 64, 1000)
    multiples = values.astype(float) * 2**24
    assert (multiples % 2 == 1).all()
    assert multiples.min() > 0
    assert multiples.max() < 2**24
    assert multiples.max() > 2**24 * (1 - 1e-3)


def test_the_least_and_the_largest_uniform_are_inside_the_unit_interval():
    assert to_uniform(np.uint32(0)) == 2.0**-24
    assert to_uniform(np.uint32(2**32 - 1)) == 1 - 2.0**-24


def test_uniforms_are_uniform_in_every_lane():
    # 64 χ² tests of 32 cells, Bonferroni: false alarm 1e-4
    values = uniforms_of(seed_lanes(2, 64), 64, 20_000)
    p = [
        stats.chisquare(np.bincount((32 * lane).astype(int), minlength=32)).pvalue
        for lane in values.astype(float)
    ]
    assert min(p) > 1e-4 / 64


@pytest.mark.parametrize("lag", [0, 1, 2, 7])
def test_lanes_are_uncorrelated_at_lags(lag):
    # 64 · 64 normal correlations (63 · 64 at lag 0), Bonferroni: false alarm 1e-4
    draws, lanes = 20_000, 64
    values = uniforms_of(seed_lanes(3, lanes), lanes, draws + lag).astype(float)
    z = (values - 0.5) * np.sqrt(12)
    correlation = z[:, :draws] @ z[:, lag:].T / np.sqrt(draws)
    if lag == 0:
        np.fill_diagonal(correlation, 0.0)
    limit = stats.norm.isf(1e-4 / 2 / lanes**2)
    assert abs(correlation).max() < limit


def test_no_two_lanes_or_blocks_share_a_stream():
    packed = packed_lanes(7, 4).reshape(4, 4, STRIDE)
    states = packed.transpose(0, 2, 1).reshape(-1, 4)
    assert len(np.unique(states, axis=0)) == 4 * STRIDE
    values = bits_of(seed_lanes(7, 500), 4)
    assert len(np.unique(values, axis=0)) == 500


def test_a_seed_repeats_and_another_does_not():
    np.testing.assert_array_equal(seed_lanes(1, 9), seed_lanes(1, 9))
    assert (seed_lanes(1, 9) != seed_lanes(2, 9)).any()
