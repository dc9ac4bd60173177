"""Every Hamiltonian by Kronecker products, its symmetries, its known spectra."""

from functools import reduce
from itertools import combinations

import numpy as np
import pytest

from qlib.entanglement import hamiltonians as models

X = np.array([[0, 1], [1, 0]])
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1])
SX, SY, SZ = X / 2, Y / 2, Z / 2


def product(N, **factors):
    """Kronecker product of single-site matrices, named s0, s1, …; site 0 leftmost."""
    return reduce(np.kron, [factors.get(f"s{i}", np.eye(2)) for i in range(N)])


def at(N, sites, matrices):
    pairs = zip(sites, matrices, strict=True)
    return product(N, **{f"s{i}": matrix for i, matrix in pairs})


def exchange(N, i, j, delta=1.0):
    return sum(
        weight * at(N, (i, j), (S, S)) for S, weight in ((SX, 1), (SY, 1), (SZ, delta))
    )


def uniform(seed, *shape):
    return np.random.default_rng(seed).uniform(0.2, 1.8, shape)


def ring(N, boundary, reach=1):
    return N if boundary == "periodic" else N - reach


# Every model with couplings that differ at every place: (built, by its formula).


def tfim(N, boundary):
    J, h = uniform(0, ring(N, boundary)), uniform(1, N)
    formula = -sum(J[i] * at(N, (i, (i + 1) % N), (Z, Z)) for i in range(len(J)))
    formula -= sum(h[i] * at(N, (i,), (X,)) for i in range(N))
    return models.tfim(N, J, h, boundary=boundary), formula


def xy(N, boundary):
    J, g, h = (uniform(s, n) for s, n in enumerate([ring(N, boundary)] * 2 + [N]))
    formula = -sum(h[i] * at(N, (i,), (Z,)) for i in range(N))
    for i in range(len(J)):
        bond = (i, (i + 1) % N)
        formula = formula - J[i] * (1 + g[i]) / 2 * at(N, bond, (X, X))
        formula = formula - J[i] * (1 - g[i]) / 2 * at(N, bond, (Y, Y))
    return models.xy(N, g, h, coupling=J, boundary=boundary), formula


def xxz(N, boundary):
    J, d, h = (uniform(s, n) for s, n in enumerate([ring(N, boundary)] * 2 + [N]))
    formula = sum(J[i] * exchange(N, i, (i + 1) % N, d[i]) for i in range(len(J)))
    formula = formula - sum(h[i] * at(N, (i,), (SZ,)) for i in range(N))
    return models.xxz(N, d, h, coupling=J, boundary=boundary), formula


def heisenberg(N, boundary):
    J = uniform(0, ring(N, boundary))
    formula = sum(J[i] * exchange(N, i, (i + 1) % N) for i in range(len(J)))
    return models.heisenberg(N, J, boundary=boundary), formula


def j1j2(N, boundary):
    J1, J2 = uniform(0, ring(N, boundary)), uniform(1, ring(N, boundary, 2))
    formula = sum(J1[i] * exchange(N, i, (i + 1) % N) for i in range(len(J1)))
    formula = formula + sum(J2[i] * exchange(N, i, (i + 2) % N) for i in range(len(J2)))
    return models.j1j2(N, J2, j1=J1, boundary=boundary), formula


def ssh(N, boundary):
    J, d = uniform(0, ring(N, boundary)), uniform(1, ring(N, boundary)) - 1
    formula = sum(
        J[i] * (1 + (-1) ** i * d[i]) * exchange(N, i, (i + 1) % N, 0)
        for i in range(len(J))
    )
    return models.ssh(N, d, coupling=J, boundary=boundary), formula


def cluster(N, boundary):
    J, h = uniform(0, ring(N, boundary, 2)), uniform(1, N)
    first = 0 if boundary == "periodic" else 1
    formula = -sum(h[i] * at(N, (i,), (X,)) for i in range(N))
    for k in range(len(J)):
        i = first + k
        formula = formula - J[k] * at(N, ((i - 1) % N, i, (i + 1) % N), (Z, X, Z))
    return models.cluster(N, h, coupling=J, boundary=boundary), formula


def random_singlet(N, boundary):
    u = 1 - np.random.default_rng(7).random(ring(N, boundary))
    formula = sum(u[i] ** 1.5 * exchange(N, i, (i + 1) % N, 0) for i in range(len(u)))
    return models.random_singlet(N, 1.5, boundary=boundary, rng=7), formula


def lmg(N, boundary):
    J, h = uniform(0, N * (N - 1) // 2), uniform(1, N)
    formula = -sum(h[i] * at(N, (i,), (X,)) for i in range(N))
    for c, (i, j) in zip(J, combinations(range(N), 2), strict=True):
        formula = formula - c / N * at(N, (i, j), (Z, Z))
    return models.lmg(N, h, coupling=J), formula


def long_range_ising(N, boundary):
    J, h = uniform(0, N * (N - 1) // 2), uniform(1, N)
    formula = -sum(h[i] * at(N, (i,), (X,)) for i in range(N))
    for c, (i, j) in zip(J, combinations(range(N), 2), strict=True):
        formula = formula - c / (j - i) ** 1.7 * at(N, (i, j), (Z, Z))
    return models.long_range_ising(N, 1.7, h, coupling=J), formula


def rainbow_xx(N, boundary):
    N, J = 6, uniform(0, 5)
    decay = [0.4**3, 0.4, 1, 0.4, 0.4**3]
    formula = sum(J[i] * decay[i] * exchange(N, i, i + 1, 0) for i in range(5))
    return models.rainbow_xx(N, 0.4, coupling=J), formula


def toric_code(N, boundary):
    """Edges found as pairs of vertices: a star meets at one, a plaquette's close."""
    Lx, Ly, h = 2, 2, uniform(0, 8)
    N = 8
    vertices = [(x, y) for x in range(Lx) for y in range(Ly)]
    edges = []
    for x, y in vertices:
        edges.append(((x, y), ((x + 1) % Lx, y), "along x"))
        edges.append(((x, y), (x, (y + 1) % Ly), "along y"))
    formula = -sum(h[e] * at(N, (e,), (Z,)) for e in range(N))
    for x, y in vertices:
        star = [e for e, (a, b, _) in enumerate(edges) if (x, y) in (a, b)]
        right, above = ((x + 1) % Lx, y), (x, (y + 1) % Ly)
        around = [((x, y), "along x"), ((x, y), "along y")]
        around += [(above, "along x"), (right, "along y")]
        loop = [e for e, (a, _, way) in enumerate(edges) if (a, way) in around]
        formula = formula - at(N, star, (X,) * 4) - at(N, loop, (Z,) * 4)
    return models.toric_code(Lx, Ly, h), formula


ALL = [tfim, xy, xxz, heisenberg, j1j2, ssh, cluster, random_singlet]
ALL += [lmg, long_range_ising, rainbow_xx, toric_code]
BOTH = [(make, boundary) for make in ALL[:8] for boundary in ("open", "periodic")]
BOTH += [(make, "open") for make in ALL[8:]]


def test_every_public_model_is_tested():
    assert sorted(make.__name__ for make in ALL) == sorted(models.__all__)


@pytest.mark.parametrize(("make", "boundary"), BOTH)
@pytest.mark.parametrize("N", [4, 5])
def test_site_dependent_model_is_its_formula_in_kronecker_products(make, boundary, N):
    H, formula = make(N, boundary)
    np.testing.assert_allclose(H.matrix(), formula, rtol=0, atol=1e-13)


SMALL = {  # defaults at the fewest sites, with the boundary where there is a choice
    "tfim": models.tfim(5),
    "tfim ring": models.tfim(6, boundary="periodic"),
    "xy": models.xy(5, 0.3, 0.4),
    "xx": models.xy(5, 0.0, 0.4),
    "xxz": models.xxz(6, 0.7),
    "xxz in a field": models.xxz(5, 0.7, 0.2),
    "heisenberg": models.heisenberg(5),
    "j1j2 ring": models.j1j2(6, boundary="periodic"),
    "ssh": models.ssh(6, -0.4),
    "cluster": models.cluster(6, 0.3),
    "cluster ring": models.cluster(6, 0.3, boundary="periodic"),
    "lmg": models.lmg(5),
    "long range": models.long_range_ising(5, 2.0),
    "rainbow": models.rainbow_xx(6, 0.5),
    "random singlet": models.random_singlet(6, rng=1),
    "toric code": models.toric_code(2, 2),
}


def charge(name, N):
    if name == "sz":
        return sum(at(N, (i,), (SZ,)) for i in range(N))
    if name == "x parity":
        return at(N, range(N), [X] * N)
    if name == "z parity":
        return at(N, range(N), [Z] * N)
    sites = range(name == "odd x parity", N, 2)
    return at(N, sites, [X] * len(sites))


SYMMETRIES = {
    "sz": {
        *("xx", "xxz", "xxz in a field", "heisenberg", "j1j2 ring", "ssh"),
        *("rainbow", "random singlet"),
    },
    "x parity": set(SMALL) - {"xy", "xx", "xxz in a field"},
    "z parity": {
        *("xy", "xx", "xxz", "xxz in a field", "heisenberg", "j1j2 ring", "ssh"),
        *("rainbow", "random singlet", "toric code"),
    },
    "even x parity": {"cluster", "cluster ring", "toric code"},
    "odd x parity": {"cluster", "cluster ring", "toric code"},
}


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("name", SMALL)
def test_symmetries_commute_where_the_docstring_says_so_and_nowhere_else(
    name, symmetry
):
    H = SMALL[name]
    Q, matrix = charge(symmetry, H.num_sites), H.matrix()
    distance = abs(Q @ matrix - matrix @ Q).max()
    assert (distance < 1e-13) == (name in SYMMETRIES[symmetry])


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_one_number_is_the_same_as_an_array_of_it(boundary):
    bonds = np.ones(6 if boundary == "periodic" else 5)
    sites = np.ones(6)
    kept = {"boundary": boundary}
    assert models.tfim(6, 2, 3, **kept) == models.tfim(6, 2 * bonds, 3 * sites, **kept)
    assert models.xxz(6, 0.5, 2, **kept) == models.xxz(
        6, 0.5 * bonds, 2 * sites, coupling=bonds, **kept
    )
    assert models.heisenberg(6, **kept) == models.xxz(6, 1.0, **kept)
    assert models.ssh(6, 0.0, **kept) == models.xxz(6, 0.0, **kept)
    assert models.j1j2(6, 0.0, **kept) == models.heisenberg(6, **kept)


def test_a_ring_differs_from_the_open_chain_by_its_closing_bond():
    closing = set(models.tfim(5, boundary="periodic").terms) - set(models.tfim(5).terms)
    assert closing == {("ZZ", (0, 4), -1.0)}


def energies(H):
    return np.linalg.eigvalsh(H.matrix())


def test_two_ising_sites():
    J, h = 0.7, 1.3
    root = np.hypot(J, 2 * h)
    np.testing.assert_allclose(
        energies(models.tfim(2, J, h)), [-root, -J, J, root], atol=1e-13
    )


def test_two_xxz_sites_are_singlet_and_triplet():
    delta = 0.6
    expected = sorted([-(2 + delta) / 4, (2 - delta) / 4, delta / 4, delta / 4])
    np.testing.assert_allclose(energies(models.xxz(2, delta)), expected, atol=1e-13)
    np.testing.assert_allclose(
        energies(models.heisenberg(2)), [-0.75] + [0.25] * 3, atol=1e-13
    )


def test_a_single_spin_in_the_field_of_xxz_points_along_it():
    H = models.xxz(2, field=1.0, coupling=0.0)
    ground = np.linalg.eigh(H.matrix())[1][:, 0]
    np.testing.assert_allclose(abs(ground), [1, 0, 0, 0], atol=1e-12)


def test_fully_dimerised_ssh_chain_is_singlets_or_has_two_free_ends():
    trivial, topological = (energies(models.ssh(6, d)) for d in (1.0, -1.0))
    assert trivial[:2] == pytest.approx([-3.0, -2.0])  # three bonds of strength 2
    assert topological[:5] == pytest.approx([-2.0] * 4 + [-1.0])


@pytest.mark.parametrize("N", [4, 6, 8])
def test_majumdar_ghosh_energy_with_its_degeneracy(N):
    ring = energies(models.j1j2(N, boundary="periodic"))
    copies = 2  # at N = 4 too: the two pairings of four spins into singlets
    assert ring[:copies] == pytest.approx([-3 * N / 8] * copies)
    assert ring[copies] > -3 * N / 8 + 0.1
    chain = energies(models.j1j2(N))
    assert chain[0] == pytest.approx(-3 * N / 8)
    assert chain[1] > chain[0] + 0.1


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, np.pi / 2])
def test_xy_ring_on_the_disorder_circle_has_product_energy(angle):
    H = models.xy(8, np.cos(angle), np.sin(angle), boundary="periodic")
    assert energies(H)[0] == pytest.approx(-8)


def test_cluster_strings_commute_so_energies_count_them():
    ring = energies(models.cluster(6, boundary="periodic"))
    assert ring[:2] == pytest.approx([-6, -4])
    chain = energies(models.cluster(6))
    assert chain[:5] == pytest.approx([-4] * 4 + [-2])


def test_cluster_chain_and_field_are_dual():
    """CZ on all bonds turns Z X Z into X: J and h of the ring trade places."""
    a = energies(models.cluster(6, 0.3, coupling=0.8, boundary="periodic"))
    b = energies(models.cluster(6, 0.8, coupling=0.3, boundary="periodic"))
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_toric_code_has_four_ground_states_at_minus_two_per_vertex():
    values = energies(models.toric_code(2, 2))
    assert values[:4] == pytest.approx([-8] * 4)
    assert values[4] == pytest.approx(-4)  # charges come in pairs


def test_every_star_shares_no_or_two_edges_with_every_plaquette():
    terms = models.toric_code(3, 4).terms
    stars = [set(sites) for letters, sites, _ in terms if letters == "XXXX"]
    plaquettes = [set(sites) for letters, sites, _ in terms if letters == "ZZZZ"]
    assert len(stars) == len(plaquettes) == 12
    assert {len(a & b) for a in stars for b in plaquettes} == {0, 2}


def test_uniform_lmg_ground_state_is_that_of_a_single_large_spin():
    """On the symmetric states ΣZ = 2 Jz, ΣX = 2 Jx with spin N/2."""
    N, h = 6, 0.8
    m = np.arange(N, -N - 1, -2) / 2
    raising = np.sqrt(N / 2 * (N / 2 + 1) - m[1:] * (m[1:] + 1))
    jx = (np.diag(raising, 1) + np.diag(raising, -1)) / 2
    large = -((2 * np.diag(m)) @ (2 * np.diag(m)) - N * np.eye(N + 1)) / (2 * N)
    large -= 2 * h * jx
    lowest = np.linalg.eigvalsh(large)[0]
    assert energies(models.lmg(N, h))[0] == pytest.approx(lowest)


def test_long_range_chain_spans_lmg_and_the_short_range_chain():
    np.testing.assert_allclose(
        models.long_range_ising(5, 0.0, 0.7, coupling=1 / 5).matrix(),
        models.lmg(5, 0.7).matrix(),
        atol=1e-13,
    )
    near = energies(models.long_range_ising(5, 60.0, 0.7))
    np.testing.assert_allclose(near, energies(models.tfim(5, 1.0, 0.7)), atol=1e-12)


def test_rainbow_of_strong_decay_is_maximally_entangled_across_its_centre():
    N, alpha = 6, 0.02
    state = np.linalg.eigh(models.rainbow_xx(N, alpha).matrix())[1][:, 0]
    p = np.linalg.svd(state.reshape(2 ** (N // 2), -1), compute_uv=False) ** 2
    np.testing.assert_allclose(p, 1 / 8, atol=3 * alpha)
    assert abs(p - 1 / 8).max() > alpha / 100


def test_rainbow_without_decay_is_the_uniform_chain():
    assert models.rainbow_xx(8, 1.0) == models.xxz(8, 0.0)


def test_random_singlet_couplings_repeat_with_their_seed_and_end_at_the_clean_chain():
    same = [models.random_singlet(8, rng=3) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != models.random_singlet(8, rng=4)
    assert models.random_singlet(8, 0, rng=3) == models.xxz(8, 0.0)


def test_hundreds_of_sites_are_built():
    assert len(models.tfim(400, boundary="periodic").terms) == 800
    assert len(models.xxz(200).terms) == 3 * 199
    assert len(models.long_range_ising(200, 2.0).terms) == 200 * 199 // 2 + 200
    assert len(models.rainbow_xx(200, 0.9).terms) == 2 * 199
    assert models.toric_code(5, 10).num_sites == 100


N_BONDS = [
    (models.tfim, "coupling", 5, 6),
    (models.xy, "coupling", 5, 6),
    (models.xy, "gamma", 5, 6),
    (models.xxz, "coupling", 5, 6),
    (models.xxz, "delta", 5, 6),
    (models.heisenberg, "coupling", 5, 6),
    (models.j1j2, "j1", 5, 6),
    (models.j1j2, "j2", 4, 6),
    (models.ssh, "delta", 5, 6),
    (models.ssh, "coupling", 5, 6),
    (models.cluster, "coupling", 4, 6),
    *((make, "field", 6, 6) for make in (models.tfim, models.xy, models.xxz)),
    (models.cluster, "field", 6, 6),
]


@pytest.mark.parametrize(("make", "name", "count", "around"), N_BONDS)
def test_couplings_of_another_length_are_refused_with_the_right_one(
    make, name, count, around
):
    for boundary, right in (("open", count), ("periodic", around)):
        make(6, **{name: np.ones(right)}, boundary=boundary)
        for wrong in (right - 1, right + 1, 1, 0):
            with pytest.raises(ValueError, match=rf"{name}: .* shape \({right},\)"):
                make(6, **{name: np.ones(wrong)}, boundary=boundary)


WITHOUT_BOUNDARY = [
    (models.lmg, (4,), "coupling", 6),
    (models.lmg, (4,), "field", 4),
    (models.long_range_ising, (4, 2.0), "coupling", 6),
    (models.long_range_ising, (4, 2.0), "field", 4),
    (models.rainbow_xx, (4, 0.5), "coupling", 3),
    (models.toric_code, (2, 2), "field", 8),
]


@pytest.mark.parametrize(("make", "sizes", "name", "count"), WITHOUT_BOUNDARY)
def test_the_same_for_models_without_boundary(make, sizes, name, count):
    make(*sizes, **{name: np.ones(count)})
    with pytest.raises(ValueError, match=rf"{name}: .* shape \({count},\)"):
        make(*sizes, **{name: np.ones(count + 1)})


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, [1, 1, np.nan], True, [True] * 3, "1", None, 1j]
)
def test_couplings_that_are_no_finite_real_numbers_are_refused(value):
    with pytest.raises(ValueError, match="coupling: got"):
        models.tfim(4, coupling=value)


@pytest.mark.parametrize("N", [1, 0, -3, 4.0, True, None, "4"])
@pytest.mark.parametrize("make", ["tfim", "xxz", "cluster", "lmg"])
def test_chains_too_short_or_of_no_integer_length_are_refused(make, N):
    with pytest.raises(ValueError, match="N: got"):
        getattr(models, make)(N)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: models.tfim(2, boundary="periodic"), "N"),
        (lambda: models.j1j2(3, boundary="periodic"), "N"),
        (lambda: models.cluster(2), "N"),
        (lambda: models.rainbow_xx(5, 0.5), "N"),
        (lambda: models.tfim(4, boundary="closed"), "boundary"),
        (lambda: models.tfim(4, boundary=None), "boundary"),
        (lambda: models.rainbow_xx(4, 0.0), "alpha"),
        (lambda: models.rainbow_xx(4, 1.5), "alpha"),
        (lambda: models.long_range_ising(4, -1), "alpha"),
        (lambda: models.long_range_ising(4, np.inf), "alpha"),
        (lambda: models.random_singlet(4, -1, rng=0), "disorder"),
        (lambda: models.toric_code(1, 2), "Lx"),
        (lambda: models.toric_code(2, 2.0), "Ly"),
    ],
)
def test_other_arguments_are_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()
