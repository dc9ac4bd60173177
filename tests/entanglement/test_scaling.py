import numpy as np
import pytest

from qlib.entanglement import closed_forms, freefermions, hamiltonians
from qlib.entanglement.exact import Sector, ground_state
from qlib.entanglement.scaling import central_charge

BOUNDARIES = ("open", "periodic")
CRITICAL = {
    "Ising": (0.5, lambda N, b: hamiltonians.tfim(N, boundary=b)),
    "XX": (1.0, lambda N, b: hamiltonians.xxz(N, 0.0, boundary=b)),
    "XX in a field": (1.0, lambda N, b: hamiltonians.xy(N, 0.0, 0.5, boundary=b)),
    "XY": (0.5, lambda N, b: hamiltonians.xy(N, 0.5, 1.0, boundary=b)),
}
GAPPED = {
    "Ising, paramagnet": (16, lambda N, b: hamiltonians.tfim(N, 1.0, 1.5, boundary=b)),
    "Ising, near": (48, lambda N, b: hamiltonians.tfim(N, 1.0, 1.1, boundary=b)),
    "XY": (20, lambda N, b: hamiltonians.xy(N, 0.5, 1.6, boundary=b)),
    "SSH": (40, lambda N, b: hamiltonians.ssh(N, 0.2, boundary=b)),
}


def fermion_entropies(H):
    return freefermions.ground_state(H).entropies()


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", ["Ising", "XX"])
def test_at_256_sites_c_is_a_half_or_one_within_two_percent(name, boundary):
    c, build = CRITICAL[name]
    fit = central_charge(fermion_entropies(build(256, boundary)), boundary)
    assert c * 0.98 < fit.low < c < fit.high < c * 1.02
    assert fit.value == pytest.approx(c, rel=0.003)


SIZES = (26, 30, 66, 100)  # not those on which the windows were chosen
TOO_SHORT = {("XY", "open", 26), ("XY", "open", 30), ("XX in a field", "open", 30)}
CHAINS = {(name, b, N) for name in CRITICAL for b in BOUNDARIES for N in SIZES}
CHAINS -= {("XX in a field", "open", 26)}  # degenerate


@pytest.mark.parametrize(("name", "boundary", "N"), sorted(CHAINS - TOO_SHORT))
def test_intervals_hold_the_central_charge_at_every_size(name, boundary, N):
    c, build = CRITICAL[name]
    fit = central_charge(fermion_entropies(build(N, boundary)), boundary)
    assert fit.low < c < fit.high


@pytest.mark.parametrize(("name", "boundary", "N"), sorted(TOO_SHORT))
def test_chains_shorter_than_their_corrections_are_refused(name, boundary, N):
    S = fermion_entropies(CRITICAL[name][1](N, boundary))
    with pytest.raises(ValueError, match=r"^entropies: got fits that give c from"):
        central_charge(S, boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", ["Ising", "XX"])
def test_sixteen_sites_are_enough(name, boundary):
    c, build = CRITICAL[name]
    fit = central_charge(fermion_entropies(build(16, boundary)), boundary)
    assert fit.low < c < fit.high


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("delta", [-0.5, 0.5, 1.0])
def test_interacting_chains_have_c_one(delta, boundary):
    H = hamiltonians.xxz(16, delta, boundary=boundary)
    state = ground_state(H, sector=Sector(sz=0.0))
    fit = central_charge(state.entropies(), boundary)
    assert fit.low < 1 < fit.high


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("longer", [1, 2, 4])
@pytest.mark.parametrize("name", GAPPED)
def test_gapped_chains_are_refused(name, longer, boundary):
    shortest, build = GAPPED[name]
    S = fermion_entropies(build(longer * shortest, boundary))
    with pytest.raises(ValueError, match=r"^entropies: got fits that give c from"):
        central_charge(S, boundary)


CUTS = np.arange(1, 32)
NO_LOGARITHM = {
    "volume law": np.minimum(CUTS, 32 - CUTS) * np.log(2),
    "Haar": [closed_forms.page_entropy(32, cut) for cut in CUTS],
    "GHZ": np.full(31, np.log(2)),
    "product": np.zeros(31),
    "dimers": np.log(2) * (CUTS % 2),
    "one sample of disorder": np.random.default_rng(0).random(31),
}


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("entropies", NO_LOGARITHM.values(), ids=NO_LOGARITHM)
def test_what_grows_as_no_logarithm_is_refused(entropies, boundary):
    with pytest.raises(ValueError, match=r"^entropies: got fits that give c from"):
        central_charge(entropies, boundary)


@pytest.mark.parametrize(("boundary", "other"), [BOUNDARIES, BOUNDARIES[::-1]])
def test_the_wrong_boundary_gives_a_confident_wrong_central_charge(boundary, other):
    fit = central_charge(
        fermion_entropies(hamiltonians.tfim(64, boundary=boundary)), other
    )
    assert fit.value == pytest.approx(0.25 if boundary == "open" else 1.0, rel=0.02)
    assert fit.high - fit.low < 0.1 * fit.value


def test_a_gapped_chain_is_told_so():
    S = fermion_entropies(hamiltonians.tfim(64, field=2.0))
    with pytest.raises(ValueError, match=r"no common logarithm \(gapped chains have"):
        central_charge(S, "open")


@pytest.mark.parametrize("share", [6, 3])
@pytest.mark.parametrize("c", [0.5, 0.7, 1.0, 2.0])
def test_the_law_itself_is_fitted_exactly(c, share):
    """A parity term of any size drops out but for its curvature."""
    N = 40
    distance = N / np.pi * np.sin(np.pi * np.arange(1, N) / N)
    S = c / share * np.log(distance) + 0.7 + 0.3 * (-1.0) ** np.arange(1, N)
    fit = central_charge(S, "open" if share == 6 else "periodic")
    np.testing.assert_allclose(fit, c, rtol=1e-10)


GOOD = NO_LOGARITHM["volume law"]


@pytest.mark.parametrize(
    "entropies",
    [
        GOOD[:14],
        [],
        1.0,
        GOOD[None],
        np.where(CUTS == 5, np.nan, GOOD),
        np.where(CUTS == 5, np.inf, GOOD),
        np.where(CUTS == 5, -0.1, GOOD),
    ],
)
def test_what_are_no_entropies_are_refused_by_name(entropies):
    with pytest.raises(ValueError, match=r"^entropies: got .*; allowed: "):
        central_charge(entropies, "open")


@pytest.mark.parametrize("boundary", ["ring", None, 1])
def test_an_unknown_boundary_is_refused_by_name(boundary):
    with pytest.raises(ValueError, match=r"^boundary: got .*; allowed: open, periodic"):
        central_charge(GOOD, boundary)
