"""Lanczos iteration against dense diagonalisation and exactly known levels."""

from math import comb, log, pi, sin

import numpy as np
import pytest

from qlib.entanglement import PauliSum, freefermions
from qlib.entanglement import hamiltonians as models
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.exact import Sector, ground_state, lanczos, levels, spectrum

MODELS = {
    "tfim": models.tfim(7, 1.0, 0.8),
    "tfim ring": models.tfim(6, 1.0, np.linspace(0.3, 1.4, 6), boundary="periodic"),
    "xxz": models.xxz(7, 0.4),
    "xxz ring": models.xxz(8, -0.3, boundary="periodic"),
    "xxz in a field": models.xxz(6, 0.7, np.linspace(-0.3, 0.5, 6)),
    "heisenberg": models.heisenberg(6),
    "heisenberg ring": models.heisenberg(8, boundary="periodic"),
    "xy": models.xy(7, 0.6, 0.4),
    "xy ring": models.xy(6, 0.6, 0.4, boundary="periodic"),
    "j1j2": models.j1j2(8, 0.3),
    "majumdar-ghosh ring": models.j1j2(8, boundary="periodic"),
    "ssh": models.ssh(8, -0.5),
    "cluster": models.cluster(7),
    "cluster ring in a field": models.cluster(8, 0.4, boundary="periodic"),
    "toric code": models.toric_code(2, 2),
    "toric code in a field": models.toric_code(2, 2, 0.2),
    "lmg": models.lmg(8, 0.7),
    "rainbow": models.rainbow_xx(8, 0.5),
    "random singlet": models.random_singlet(8, 1.0, rng=3),
    "long-range ising": models.long_range_ising(8, 1.5),
    "complex": PauliSum(
        6,
        [("XY", (i, i + 1), 0.7) for i in range(5)]
        + [("YZ", (0, 5), 0.4), ("Z", (2,), 0.3), ("XYX", (1, 3, 4), -0.5)],
    ),
    "chiral": PauliSum(
        6,
        [("XY", (i, i + 1), 0.7 + 0.1 * i) for i in range(5)]
        + [("YX", (i, i + 1), -0.7 - 0.1 * i) for i in range(5)]
        + [("XX", (0, 5), 0.3), ("YY", (0, 5), 0.3), ("Z", (2,), 0.2)],
    ),
    "no symmetry": PauliSum(
        5, [("X", (i,), 0.3 + 0.1 * i) for i in range(5)] + [("Z", (1,), 0.8)]
    ),
    "one spin": PauliSum(1, [("X", (0,), -1.0), ("Z", (0,), 0.5)]),
    "one spin that flips": PauliSum(1, [("X", (0,), -1.0)]),
    "zero beside the lowest": PauliSum(2, [("XX", (0, 1), -1.0), ("X", (1,), 1.0)]),
    "constant": PauliSum(3, [("", (), 2.5)]),
    "zero": PauliSum(2, []),
}
SMALL = [name for name, H in MODELS.items() if H.num_sites <= 7] + ["heisenberg ring"]
PARITIES = (None, 1, -1)
SECTORS = [
    *(Sector(x_parity=x, z_parity=z) for x in PARITIES for z in PARITIES),
    *(Sector(sz=sz) for sz in (-2, -0.5, 0, 0.5, 1, 1.5, 3, 4)),
    *(Sector(sz=0, x_parity=x) for x in (1, -1)),
]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


def dense_in(H, sector):
    """Energies of a sector, by a penalty for other states; None if not conserved."""
    N = H.num_sites
    states = np.arange(1 << N)
    ones = np.bitwise_count(states)
    matrix = H.matrix().astype(complex)
    projector = np.eye(1 << N)
    if sector.sz is not None:
        projector = projector * (N / 2 - ones == sector.sz)
    if sector.z_parity is not None:
        projector = projector * (1 - 2.0 * (ones % 2) == sector.z_parity)
    if sector.x_parity is not None:
        flip = np.eye(1 << N)[::-1]
        projector = projector @ (np.eye(1 << N) + sector.x_parity * flip) / 2
    conserved = np.allclose(matrix @ projector, projector @ matrix, atol=1e-12)
    if not (conserved and np.allclose(projector, projector.T)):
        return None
    levels = np.linalg.eigvalsh(matrix + 1e3 * (np.eye(1 << N) - projector))
    return levels[levels < 500]


def test_lowest_levels_are_those_of_dense_diagonalisation(model):
    exact = np.linalg.eigvalsh(model.matrix())
    k = min(6, len(exact))
    found = ground_state(model, k)
    scale = max(1.0, np.abs(exact).max())
    np.testing.assert_allclose(found.energies, exact[:k], rtol=0, atol=1e-12 * scale)
    assert found.degenerate == (exact[1] - exact[0] < 1e-8 * (exact[-1] - exact[0] + 1))
    np.testing.assert_allclose(found.gap, exact[1] - exact[0], atol=1e-12 * scale)


def test_spectrum_is_that_of_the_dense_matrix(model):
    exact = np.linalg.eigvalsh(model.matrix())
    np.testing.assert_allclose(spectrum(model), exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sector", SECTORS, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_levels_of_every_sector_are_those_of_the_projected_matrix(name, sector):
    model = MODELS[name]
    exact = dense_in(model, sector)
    if exact is None or not len(exact):
        with pytest.raises(ValueError, match="sector"):
            ground_state(model, 1, sector)
        return
    np.testing.assert_allclose(spectrum(model, sector), exact, rtol=0, atol=1e-11)
    k = min(3, len(exact))
    found = ground_state(model, k, sector)
    np.testing.assert_allclose(found.energies, exact[:k], rtol=0, atol=1e-11)
    if not found.degenerate:
        psi = found.vector
        residual = np.linalg.norm(model.matrix() @ psi - exact[0] * psi)
        assert residual < 1e-9


def test_ground_state_is_a_normalised_eigenvector(model):
    found = ground_state(model)
    if found.degenerate:
        with pytest.raises(ValueError, match="degenerate ground state"):
            found.vector  # noqa: B018
        return
    psi, matrix = found.vector, model.matrix()
    assert np.linalg.norm(psi) == pytest.approx(1.0, abs=1e-14)
    image = matrix @ psi
    assert np.vdot(psi, image).real == pytest.approx(found.energies[0], abs=1e-12)
    residual = np.linalg.norm(image - found.energies[0] * psi)
    assert residual == pytest.approx(found.residual, abs=1e-13)
    _, vectors = np.linalg.eigh(matrix)
    outside = psi - vectors[:, 0] * np.vdot(vectors[:, 0], psi)
    assert np.linalg.norm(outside) < 1e-10


@pytest.mark.parametrize("N", range(2, 9))
def test_sz_sectors_make_up_the_spectrum(N):
    H = models.xxz(N, 0.6, 0.2, boundary="periodic" if N > 2 else "open")
    parts = [spectrum(H, Sector(sz=N / 2 - down)) for down in range(N + 1)]
    assert [len(part) for part in parts] == [comb(N, down) for down in range(N + 1)]
    whole = np.sort(np.concatenate(parts))
    np.testing.assert_allclose(whole, np.linalg.eigvalsh(H.matrix()), atol=1e-12)


@pytest.mark.parametrize("N", [2, 3, 10, 16])
def test_critical_ising_chain_has_its_closed_form_energies(N):
    chain = ground_state(models.tfim(N))
    exact = 1 - 1 / sin(pi / (4 * N + 2))
    assert chain.energies[0] == pytest.approx(exact, abs=1e-11)
    if N > 2:
        ring = ground_state(models.tfim(N, boundary="periodic"))
        exact = -2 / sin(pi / (2 * N))
        assert ring.energies[0] == pytest.approx(exact, abs=1e-11)


def test_heisenberg_chain_and_ring_of_16_sites():
    singlet = Sector(sz=0, x_parity=1)
    ring = ground_state(models.heisenberg(16, boundary="periodic"), sector=singlet)
    assert ring.energies[0] == pytest.approx(-7.1422963606, abs=1e-10)
    chain = ground_state(models.heisenberg(16), sector=singlet)
    assert chain.energies[0] == pytest.approx(-6.9117371456, abs=1e-10)
    schmidt = np.linalg.svd(ring.vector.reshape(256, 256), compute_uv=False) ** 2
    schmidt = schmidt[schmidt > 0]
    assert -schmidt @ np.log(schmidt) == pytest.approx(1.27964945, abs=1e-8)


def test_near_degenerate_parities_do_not_mix():
    """Ordered Ising chain of 16 sites: a splitting of 2e-5 in a bandwidth of 36."""
    H = models.tfim(16, 1.0, 0.5)
    found = ground_state(H)
    even, odd = (ground_state(H, 1, Sector(x_parity=sign)) for sign in (1, -1))
    assert not found.degenerate
    assert found.gap == pytest.approx(odd.energies[0] - even.energies[0], abs=1e-12)
    assert abs(np.vdot(even.vector, found.vector)) == pytest.approx(1, abs=1e-14)
    assert found.gap == pytest.approx(2.2888184e-05, rel=1e-6)


@pytest.mark.parametrize("splitting", [1e-2, 1e-4, 1e-5])
@pytest.mark.parametrize("copies", [2, 3])
def test_close_levels_of_like_symmetry_are_parted(splitting, copies):
    """A chain beside a spin pair whose levels lie closer than iterations can part.

    The far spins carry no other quantum number: the states tensor with |copy>.
    """
    chain = models.xy(7, 0.6, 0.4).terms
    odd = [("X", (0,), 0.3), ("Z", (3,), 0.2)]  # breaks both parities
    far = {
        2: [("Z", (7,), splitting / 2), ("X", (7,), splitting / 3)],
        3: [("Z", (7,), splitting), ("Z", (8,), splitting), ("XX", (7, 8), splitting)],
    }[copies]
    H = PauliSum(6 + copies, [*chain, *odd, *far])
    exact, vectors = np.linalg.eigh(H.matrix())
    found = ground_state(H, copies)
    np.testing.assert_allclose(found.energies, exact[:copies], rtol=0, atol=1e-12)
    overlap = abs(np.vdot(vectors[:, 0], found.vector))
    assert overlap == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("name", ["xxz ring", "cluster ring in a field", "xy"])
def test_a_second_pass_rebuilds_the_krylov_vectors_that_were_not_kept(
    name, kept, monkeypatch
):
    H = MODELS[name]
    whole = ground_state(H, k=4)
    monkeypatch.setattr(lanczos, "KEPT", kept << (H.num_sites - 1))  # of each parity
    again = ground_state(H, k=4)
    assert again.products > whole.products
    np.testing.assert_allclose(again.energies, whole.energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(again.vector, whole.vector, rtol=0, atol=1e-12)


def test_close_levels_that_short_iterations_mix_are_parted_by_rotation(monkeypatch):
    """The two orders of an Ising chain, 2e-5 apart, after 60 steps each at most."""
    monkeypatch.setattr(levels, "MOST_STEPS", 60)
    H = PauliSum(9, [*models.tfim(9, 1.0, 0.3).terms, ("Z", (0,), -1e-5)])
    exact, vectors = np.linalg.eigh(H.matrix())
    found = ground_state(H, 3)
    np.testing.assert_allclose(found.energies, exact[:3], rtol=0, atol=1e-12)
    overlap = abs(np.vdot(vectors[:, 0], found.vector))
    assert overlap == pytest.approx(1.0, abs=1e-12)


def test_majumdar_ghosh_energy_is_three_eighths_a_site():
    for N in (8, 10):
        ring = ground_state(models.j1j2(N, boundary="periodic"), 3)
        np.testing.assert_allclose(ring.energies[:2], -3 * N / 8, atol=1e-12)
        assert ring.degenerate
        assert ring.energies[2] > -3 * N / 8 + 0.1
    psi = ground_state(models.j1j2(8)).vector
    for cut in range(1, 8):
        schmidt = np.linalg.svd(psi.reshape(1 << cut, -1), compute_uv=False) ** 2
        entropy = -sum(p * log(p) for p in schmidt if p > 1e-20)
        assert entropy == pytest.approx(log(2) * (cut % 2), abs=1e-10)


def test_toric_code_on_a_torus_is_fourfold_at_minus_eight():
    found = ground_state(models.toric_code(2, 2), 5)
    np.testing.assert_allclose(found.energies[:4], -8, atol=1e-12)
    assert found.energies[4] == pytest.approx(-4, abs=1e-12)
    assert found.degenerate


@pytest.mark.parametrize("N", [4, 9])
def test_open_cluster_chain_is_fourfold_degenerate(N):
    found = ground_state(models.cluster(N), 5)
    np.testing.assert_allclose(found.energies[:4], 2 - N, atol=1e-12)
    assert found.energies[4] == pytest.approx(4 - N, abs=1e-12)


def test_measures_at_every_cut_are_those_of_free_fermions_and_dmrg():
    N = 10
    H = models.tfim(N, np.linspace(0.7, 1.3, N - 1), 0.9)
    free, ours = freefermions.ground_state(H), ground_state(H)
    for state, tol in ((ours, 1e-10), (dmrg(H, truncation=1e-14), 1e-6)):
        np.testing.assert_allclose(state.entropies(), free.entropies(), atol=tol)
        for cut in range(1, N):
            found = vars(state.features(cut, 1e-4))
            assert found == pytest.approx(vars(free.features(cut, 1e-4)), abs=100 * tol)
        for bad in (0, N, 1.5, True, (2, 5)):
            with pytest.raises(ValueError, match=r"cut: got .* integer in \[1, 9\]"):
                state.features(bad)
    for tensor in (ground_state(H, device="cpu"), ground_state(H, dtype="float32")):
        np.testing.assert_allclose(tensor.entropies(), ours.entropies(), atol=1e-5)
        assert tensor.features(5).rank == ours.features(5).rank


def test_energy_lies_below_that_of_any_state():
    H = models.xxz(10, 0.5, boundary="periodic")
    lowest = ground_state(H).energies[0]
    states = np.random.default_rng(0).standard_normal((20, 1024))
    images = (H.sparse() @ states.T).T
    energies = np.sum(states * images, 1) / np.sum(states**2, 1)
    neel = np.zeros(1024)
    neel[0b0101010101] = 1
    assert lowest < neel @ (H.sparse() @ neel) < energies.min()
