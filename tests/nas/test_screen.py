from functools import partial

import numpy as np
import pytest
import torch

from qlib.nas.blocks import MPS, RBM, FeedForward, Product
from qlib.nas.screen import (
    screen,
    smallest_bond_dim,
    smallest_hidden,
    smallest_range,
)
from qlib.nas.targets import seven

SEVEN = seven(8, 0)
WANTED = (0.5, 1e-2, 1e-6)


def seeded(build, *args, **settings):
    return build(*args, **settings, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("bond_dim", "bound"), [(1, 0.9375), (2, 0.875), (3, 0.8125), (4, 0.75), (16, 0.0)]
)
def test_the_bound_of_an_mps_on_the_rainbow(bond_dim, bound):
    block = seeded(MPS, 8, bond_dim=bond_dim)
    assert screen(SEVEN["rainbow"].spectra(), block) == pytest.approx(bound, abs=1e-12)


@pytest.mark.parametrize("name", list(SEVEN))
def test_the_truncated_schmidt_sum_meets_the_bound_at_its_cut(name):
    target = SEVEN[name]
    matrix = target.vector.reshape(16, 16)
    u, s, vh = np.linalg.svd(matrix)
    for rank in (1, 2, 5):
        kept = (u[:, :rank] * s[:rank]) @ vh[:rank]
        fidelity = abs(np.vdot(matrix, kept)) ** 2 / np.linalg.norm(kept) ** 2
        middle = [np.ones(1)] * 3 + [target.spectra()[3]] + [np.ones(1)] * 3
        block = seeded(MPS, 8, bond_dim=rank)
        assert screen(middle, block) == pytest.approx(1 - fidelity, abs=1e-12)
        assert screen(target.spectra(), block) >= 1 - fidelity - 1e-12


@pytest.mark.parametrize(
    "build",
    [
        partial(MPS, 8, bond_dim=2),
        partial(RBM, 8, range=1, scale=1.0),
        partial(RBM, 8, range=0, scale=1.0),
        partial(FeedForward, 8, width=8),
    ],
)
def test_no_weights_fall_below_the_bound_of_their_own_kind_of_state(build):
    """Targets are states of the block itself: the bound of other weights stays 0."""
    for seed in range(3):
        vector = build(generator=torch.Generator().manual_seed(seed)).vector()
        vector = vector.detach().numpy()
        for target in SEVEN.values():
            infidelity = 1 - abs(np.vdot(target.vector, vector)) ** 2
            assert infidelity >= screen(target.spectra(), seeded(build)) - 1e-12
        own = type(SEVEN["GHZ"])("own", vector / np.linalg.norm(vector))
        assert screen(own.spectra(), seeded(build)) < 1e-12


def test_a_product_has_the_bound_of_the_product_of_ranks():
    pair = Product([seeded(MPS, 8, bond_dim=2), seeded(MPS, 8, bond_dim=2)])
    four = seeded(MPS, 8, bond_dim=4)
    for target in SEVEN.values():
        spectra = target.spectra()
        assert screen(spectra, pair) == screen(spectra, four)


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("name", list(SEVEN))
def test_the_smallest_settings_reach_the_wanted_infidelity_and_no_smaller(name, wanted):
    spectra = SEVEN[name].spectra()

    def bound(build, **settings):
        return screen(spectra, seeded(build, 8, **settings))

    chi = smallest_bond_dim(spectra, wanted)
    assert bound(MPS, bond_dim=chi) <= wanted
    assert chi == 1 or bound(MPS, bond_dim=chi - 1) > wanted
    hidden = smallest_hidden(spectra, wanted)
    assert 2 ** (hidden - 1) < chi <= 2**hidden
    reach = smallest_range(spectra, wanted)
    assert bound(RBM, range=reach) <= wanted
    assert reach == 0 or bound(RBM, range=reach - 1) > wanted


def test_settings_of_known_spectra():
    rainbow, ghz = SEVEN["rainbow"].spectra(), SEVEN["GHZ"].spectra()
    assert smallest_bond_dim(rainbow, 0.2) == 13  # 1 − 13/16 = 0.1875
    assert smallest_hidden(rainbow, 0.2) == 4
    assert smallest_bond_dim(ghz, 1e-9) == 2
    assert smallest_hidden(ghz, 1e-9) == 1
    assert smallest_range(ghz, 0.6) == 0
    assert smallest_range(rainbow, 1e-3, alpha=1 / 8) is None  # one hidden unit


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        ([np.full(2, 0.5)] * 6, "spectra: got 6; allowed: 7"),
        ([np.full(2, 0.4)] * 7, "spectra: got a sum of 0.8 at cut 1"),
        ([np.array([1.5, -0.5])] * 7, "spectra: got array"),
        ([np.array([np.nan, 1.0])] * 7, "spectra: got array"),
        ([np.eye(2) / 2] * 7, "spectra: got array"),
        ([np.array([])] * 7, "spectra: got array"),
        ([np.full(2, 0.5 + 0j)] * 7, "spectra: got complex128 at cut 1"),
        (SEVEN["GHZ"], r"spectra: got Target; .* as Target\.spectra\(\)"),
        ("GHZ", "spectra: got str"),
    ],
)
def test_what_is_no_spectra_is_refused_by_name(spectra, message):
    with pytest.raises(ValueError, match=message):
        screen(spectra, seeded(MPS, 8, bond_dim=2))
    if len(getattr(spectra, "name", spectra)) != 6:
        for smallest in (smallest_bond_dim, smallest_hidden, smallest_range):
            with pytest.raises(ValueError, match=message):
                smallest(spectra, 0.1)


@pytest.mark.parametrize("block", [partial(MPS, 8), MPS, "MPS", None])
def test_what_is_no_block_is_refused_by_name(block):
    with pytest.raises(ValueError, match=r"^block: got .*; allowed: a Block"):
        screen(SEVEN["GHZ"].spectra(), block)


@pytest.mark.parametrize("smallest", [smallest_bond_dim, smallest_range])
def test_no_cuts_are_refused_by_name(smallest):
    with pytest.raises(ValueError, match=r"^spectra: got none"):
        smallest([], 0.1)


def test_a_state_asks_for_a_bond_dimension_of_one_at_least():
    """Whatever the rounding of the sum of its probabilities."""
    spectra = [np.full(2, 0.5 - 2e-9)] * 3
    assert smallest_bond_dim(spectra, 1 - 1e-9) == 1
    assert smallest_hidden(spectra, 1 - 1e-9) == 0


@pytest.mark.parametrize("infidelity", [0, 1, -0.1, np.nan])
def test_infidelities_that_are_none_are_refused_by_name(infidelity):
    with pytest.raises(ValueError, match="infidelity: got"):
        smallest_bond_dim(SEVEN["GHZ"].spectra(), infidelity)
