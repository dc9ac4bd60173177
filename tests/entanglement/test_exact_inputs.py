"""Refusals, seeds, precision and torch of exact diagonalisation."""

import numpy as np
import pytest
import torch

from qlib.entanglement import PauliSum
from qlib.entanglement import hamiltonians as models
from qlib.entanglement.exact import Sector, dimensions, ground_state, spectrum

COMPLEX = PauliSum(
    6,
    [("XY", (i, i + 1), 0.7 + 0.1 * i) for i in range(5)]
    + [("YZ", (0, 5), 0.4)]
    + [(letter, (i,), 0.3 + 0.1 * i) for i in range(6) for letter in "XZ"],
)
CASES = {
    "windows": (models.xxz(9, 0.5, 0.2), None),
    "flips and a diagonal": (models.xxz(8, 0.5, boundary="periodic"), None),
    "no symmetry": (PauliSum(7, [*models.tfim(7).terms, ("Z", (0,), 0.3)]), None),
    "fixed sz": (models.xxz(8, 0.5), Sector(sz=1)),
    "fixed sz and parity": (models.heisenberg(8), Sector(sz=0, x_parity=1)),
    "parity of Z": (models.xy(7, 0.5, 0.4), Sector(z_parity=-1)),
    "complex": (COMPLEX, None),
}


@pytest.mark.parametrize(
    ("sector", "message"),
    [
        (Sector(sz=1), "sz does not commute"),
        (Sector(z_parity=1), "z_parity does not commute"),
        (Sector(sz=0, x_parity=1), "sz does not commute"),
    ],
)
@pytest.mark.parametrize("solve", [ground_state, spectrum])
def test_sector_that_does_not_commute_is_refused_by_name(solve, sector, message):
    with pytest.raises(ValueError, match=message):
        solve(models.tfim(6), sector=sector)


def test_flipping_all_spins_does_not_commute_with_a_field_along_z():
    with pytest.raises(ValueError, match="x_parity does not commute"):
        ground_state(models.xxz(6, 1.0, 0.1), sector=Sector(x_parity=1))
    ground_state(models.xxz(6, 1.0, 0.0), sector=Sector(x_parity=1))


@pytest.mark.parametrize(
    ("N", "fixed"),
    [(5, {"sz": 0}), (4, {"sz": 3}), (4, {"sz": 0.5}), (4, {"sz": 1, "z_parity": 1})],
)
def test_empty_sector_is_refused_by_name(N, fixed):
    with pytest.raises(ValueError, match=r"sector: got .* holds no state"):
        ground_state(models.heisenberg(N), sector=Sector(**fixed))


def test_parities_that_anticommute_are_refused():
    with pytest.raises(ValueError, match="anticommute for an odd number"):
        ground_state(models.heisenberg(5), sector=Sector(x_parity=1, z_parity=1))


@pytest.mark.parametrize(
    "fixed",
    [
        {"sz": 0.3},
        {"sz": np.nan},
        {"sz": np.inf},
        {"sz": "0"},
        {"sz": False},
        {"x_parity": 0},
        {"x_parity": True},
        {"z_parity": 2},
        {"sz": 1, "x_parity": 1},
    ],
)
def test_impossible_quantum_numbers_are_refused_by_name(fixed):
    with pytest.raises(ValueError, match=rf"{list(fixed)[-1]}: got"):
        Sector(**fixed)


@pytest.mark.parametrize(
    "bad",
    [
        {"k": 0},
        {"k": 17},
        {"k": 1.5},
        {"sector": "sz"},
        {"dtype": "float16"},
        {"tol": -1.0},
        {"tol": np.nan},
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name}: got"):
        ground_state(models.tfim(4), **bad)


def test_only_pauli_sums_are_solved():
    with pytest.raises(ValueError, match="H: got ndarray"):
        ground_state(np.eye(4))


@pytest.fixture
def one_gibibyte(monkeypatch):
    monkeypatch.setattr(dimensions, "available", lambda: 2**30)


@pytest.mark.parametrize("N", [28, 62, 100, 2000])
def test_too_many_sites_are_refused_with_the_sites_that_fit(N, one_gibibyte):
    refusal = (
        rf"H: got {N} sites, which needs .* bytes \(.* GiB\); allowed: what fits in "
        r"the 1.07e\+9 bytes \(1 GiB\) available, as {} sites do; longer chains: "
    )
    # 14 vectors and 2 of all spins, 2^(N + 7) bytes; two matrices of 2^(2 N + 3)
    with pytest.raises(ValueError, match=refusal.format(23)):
        ground_state(models.tfim(N))
    with pytest.raises(ValueError, match=refusal.format(13)):
        spectrum(models.tfim(N))


@pytest.mark.parametrize(
    ("N", "sector", "fits"),
    [(40, None, 30), (41, Sector(sz=0.5), 29), (40, Sector(sz=20), 0)],
)
def test_the_sites_that_fit_can_have_the_sector(N, sector, fits, one_gibibyte):
    with pytest.raises(ValueError, match=f"available, as {fits} sites do"):
        dimensions.refuse_too_long(N, sector, lambda n: 2**n)


def test_the_matrix_of_a_sector_counts_among_the_bytes_needed(one_gibibyte):
    with pytest.raises(ValueError, match=r"H: got 26 sites, .* as 22 sites do"):
        ground_state(models.heisenberg(26), sector=Sector(sz=0))


def test_levels_count_among_the_bytes_needed():
    with pytest.raises(ValueError, match=r"H: got 20 sites, which needs 8\..*e\+12"):
        ground_state(models.tfim(20), 10**6)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", 1.5])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device):
    with pytest.raises(ValueError, match=r"device: got .*; allowed: None.*, cpu"):
        ground_state(models.tfim(4), device=device)


def test_a_degenerate_state_is_refused_by_its_energies():
    found = ground_state(models.tfim(6, field=0.0))
    for measure in (found.entropies, lambda: found.features(3)):
        with pytest.raises(ValueError, match=r"^state: .* -5 and -5; allowed: a"):
            measure()


def test_two_levels_of_one_state_are_refused_and_one_has_no_gap():
    alone = Sector(sz=2)
    found = ground_state(models.heisenberg(4), 1, alone)
    assert found.energies == pytest.approx([0.75])
    assert found.gap == np.inf
    assert not found.degenerate
    np.testing.assert_allclose(np.abs(found.vector), np.eye(16)[0], atol=1e-15)
    with pytest.raises(ValueError, match="k: got 2; allowed: at most 1"):
        ground_state(models.heisenberg(4), 2, alone)


@pytest.mark.parametrize("case", CASES)
def test_one_seed_gives_one_result_bit_by_bit(case):
    H, sector = CASES[case]
    first, second = (ground_state(H, 2, sector, rng=5) for _ in range(2))
    assert np.array_equal(first.energies, second.energies)
    assert np.array_equal(first.vector, second.vector)
    other = ground_state(H, 2, sector, rng=np.random.default_rng(6))
    assert abs(np.vdot(first.vector, other.vector)) == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_torch_agrees_with_numpy(case, dtype):
    H, sector = CASES[case]
    reference = ground_state(H, 2, sector)
    found = ground_state(H, 2, sector, device="cpu", dtype=dtype)
    psi = found.vector
    assert isinstance(psi, torch.Tensor)
    complex_name = {"float64": "complex128", "float32": "complex64"}[dtype]
    assert psi.dtype == getattr(torch, dtype if H.is_real else complex_name)
    exact = dtype == "float64"
    np.testing.assert_allclose(
        found.energies, reference.energies, rtol=0, atol=1e-12 if exact else 2e-5
    )
    overlap = abs(np.vdot(reference.vector, psi.numpy()))
    assert overlap == pytest.approx(1.0, abs=1e-12 if exact else 1e-5)


@pytest.mark.parametrize("case", CASES)
def test_single_precision_is_right_to_single_precision(case):
    H, sector = CASES[case]
    reference = ground_state(H, 2, sector)
    found = ground_state(H, 2, sector, dtype="float32")
    assert found.vector.dtype.itemsize == reference.vector.dtype.itemsize // 2
    np.testing.assert_allclose(found.energies, reference.energies, rtol=0, atol=2e-5)
    assert abs(np.vdot(reference.vector, found.vector)) == pytest.approx(1, abs=1e-5)
