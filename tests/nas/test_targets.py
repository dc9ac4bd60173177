import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest

from qlib.entanglement import PauliSum, closed_forms
from qlib.entanglement.dmrg import MPS, dmrg
from qlib.entanglement.exact import ground_state
from qlib.entanglement.hamiltonians import heisenberg, tfim
from qlib.nas.spins import all_configurations, basis_index
from qlib.nas.targets import ChainTarget, Target, seven

FALSE_ALARM = 1e-6  # of each statistical test; seeds are fixed
SEVEN = seven(6, 0)
STAGGERED = PauliSum(
    6, [("XY", (i, i + 1), 0.7) for i in range(5)] + [("Z", (i,), 0.3) for i in (0, 2)]
)


def ghz_chain(num_sites):
    bulk = np.zeros((2, 2, 2))
    bulk[[0, 1], [0, 1], [0, 1]] = 1.0
    first, last = np.eye(2)[None], np.eye(2)[:, :, None] / np.sqrt(2)
    values = (np.full(2, np.sqrt(0.5)),) * (num_sites - 1)
    return MPS((first, *[bulk] * (num_sites - 2), last), values)


@pytest.mark.parametrize("name", [name for name in SEVEN if name != "random"])
def test_a_target_is_the_only_ground_state_of_its_hamiltonian(name):
    target = SEVEN[name]
    image = target.hamiltonian.sparse() @ target.vector
    np.testing.assert_allclose(image, target.energy * target.vector, atol=1e-9)
    lowest = ground_state(target.hamiltonian)
    assert not lowest.degenerate
    assert lowest.energies[0] == pytest.approx(target.energy, abs=1e-10)


def test_the_ising_chains_are_at_the_critical_field_and_at_twice_that():
    for name, field in [("critical Ising", 1.0), ("gapped Ising", 2.0)]:
        energy = ground_state(tfim(6, field=field)).energies[0]
        assert SEVEN[name].energy == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("GHZ", closed_forms.ghz),
        ("cluster", closed_forms.cluster),
        (
            "rainbow",
            lambda N, cut: closed_forms.bell_pairs(
                N, [(i, N - 1 - i) for i in range(N // 2)], cut
            ),
        ),
    ],
)
def test_spectra_at_all_cuts_are_the_closed_forms(name, closed_form):
    spectra = SEVEN[name].spectra()
    assert len(spectra) == 5
    for cut, p in enumerate(spectra, start=1):
        expected = closed_form(6, cut)
        np.testing.assert_allclose(p[: len(expected)], expected, atol=1e-14)
        np.testing.assert_allclose(p[len(expected) :], 0, atol=1e-14)
    renyi2 = -np.log([(p**2).sum() for p in spectra])
    np.testing.assert_allclose(SEVEN[name].renyi2(), renyi2)
    assert SEVEN[name].features().renyi2 == pytest.approx(renyi2[2])


def test_one_seed_one_random_target():
    again, other = seven(6, 0)["random"], seven(6, 1)["random"]
    np.testing.assert_array_equal(again.vector, SEVEN["random"].vector)
    assert abs(np.vdot(again.vector, other.vector)) < 0.9


@pytest.mark.parametrize("name", list(SEVEN))
def test_a_rotation_of_all_qubits_keeps_all_spectra_and_moves_the_state(name):
    target = SEVEN[name]
    rotated = target.rotated(3)
    for before, after in zip(target.spectra(), rotated.spectra(), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-13)
    np.testing.assert_array_equal(rotated.vector, target.rotated(3).vector)
    fidelity = abs(np.vdot(target.vector, rotated.vector)) ** 2
    singlet = name in ("Heisenberg", "rainbow")  # total spin 0: no rotation is seen
    assert (fidelity > 1 - 1e-12) == singlet


def test_drawn_rotations_are_even_over_all_directions():
    """Haar: of a rotated spin up, the probability of up is uniform in [0, 1]."""
    up, rng = Target("up", np.eye(4)[0]), np.random.default_rng(0)
    turned = np.array([up.rotated(rng).vector for _ in range(1000)])
    p = abs(turned[:, :2]) ** 2  # of up and down of the second spin, first up
    assert kstest(p.sum(1), "uniform").pvalue > FALSE_ALARM
    phase = np.angle(turned[:, 1] / turned[:, 0]) / (2 * np.pi) + 0.5
    assert kstest(phase, "uniform").pvalue > FALSE_ALARM


def test_the_rotation_is_a_product_of_equal_factors():
    a, b, c = 0.3, 1.1, -0.7
    Y, Z = np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])

    def turned(generator, angle):
        return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * generator

    one = turned(Z, a) @ turned(Y, b) @ turned(Z, c)
    target = Target("random", closed_forms.haar_vector(3, 0))
    expected = np.kron(np.kron(one, one), one) @ target.vector
    rotated = target.rotated(angles=(a, b, c)).vector
    np.testing.assert_allclose(rotated, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", np.ones(4)), "vector: got norm 2"),
        (("x", np.array([1, np.nan, 0, 0])), "vector: got norm nan"),
        (("x", np.array([1.0, 0, 0])), r"vector: got shape \(3,\)"),
        (("x", np.eye(4) / 2), r"vector: got shape \(4, 4\)"),
        (("x", np.eye(4)[0], tfim(3)), "hamiltonian: got 3 sites; allowed: 2"),
        (("x", np.eye(4)[0], "tfim"), "hamiltonian: got str"),
        (("x", np.eye(4)[0], None, -1.0), "energy: got -1.0"),
        (("x", np.eye(4)[0], tfim(2), np.inf), "energy: got inf"),
    ],
)
def test_what_is_no_target_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Target(*arguments)


def test_sizes_and_rotations_that_are_none_are_refused_by_name():
    with pytest.raises(ValueError, match="num_sites: got 5"):
        seven(5, 0)
    with pytest.raises(ValueError, match="num_sites: got 2"):
        seven(2, 0)
    for settings in ({}, {"rng": 0, "angles": (0, 0, 0)}):
        with pytest.raises(ValueError, match="rng: got"):
            SEVEN["GHZ"].rotated(**settings)
    with pytest.raises(ValueError, match="read-only"):
        SEVEN["GHZ"].vector[0] = 1


@pytest.mark.parametrize("H", [tfim(6), heisenberg(6), STAGGERED])
def test_a_chain_gives_the_logarithm_of_its_vector(H):
    chain = ChainTarget(dmrg(H).mps, "chain", H)
    spins = all_configurations(6).reshape(4, 16, 6)
    psi = torch.exp(chain.log_psi(spins)).flatten().numpy()
    np.testing.assert_allclose(psi, chain.mps.vector(), atol=1e-13)
    assert np.iscomplexobj(chain.mps.vector()) == (H is STAGGERED)


@pytest.mark.parametrize("H", [tfim(6), STAGGERED])
def test_samples_of_a_chain_have_its_probabilities(H):
    chain = ChainTarget(dmrg(H).mps, "chain")
    count = 20000
    spins = chain.sample(count, torch.Generator().manual_seed(0))
    assert spins.shape == (count, 6)
    expected = count * abs(chain.mps.vector()) ** 2
    often = expected > 5
    seen = np.bincount(basis_index(spins), minlength=64)
    seen = [*seen[often], seen[~often].sum()]
    expected = [*expected[often], max(expected[~often].sum(), 1e-3)]
    distance = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    assert distance < chi2.ppf(1 - FALSE_ALARM, len(seen) - 1)
    again = chain.sample(count, torch.Generator().manual_seed(0))
    torch.testing.assert_close(spins, again, rtol=0, atol=0)


def test_ghz_of_100_sites_is_all_up_or_all_down():
    chain = ChainTarget(ghz_chain(100), "GHZ")
    spins = chain.sample(200, torch.Generator().manual_seed(1))
    assert (spins == spins[:, :1]).all()
    assert 60 < (spins[:, 0] > 0).sum() < 140  # false alarm 1e-8
    spins[0, 3] *= -1
    log_psi = chain.log_psi(spins)
    assert log_psi[0].real == -np.inf
    np.testing.assert_allclose(log_psi[1:].real, -0.5 * np.log(2))
    assert chain.features().entropy == pytest.approx(np.log(2))
    np.testing.assert_allclose(chain.renyi2(), np.log(2))


def test_samples_of_64_sites_have_the_correlations_of_the_chain():
    H = tfim(64)
    found = dmrg(H, truncation=1e-8)
    chain = ChainTarget(found.mps, "critical Ising", H, found.energy)
    spins = chain.sample(4000, torch.Generator().manual_seed(2))
    for first, second in [(0, 1), (31, 32), (10, 50)]:
        product = spins[:, first] * spins[:, second]
        exact = found.mps.expectation("ZZ", (first, second))
        error = float(product.std()) / np.sqrt(len(product))
        assert abs(float(product.mean()) - exact) < 5 * error  # false alarm 6e-7
    assert torch.isfinite(chain.log_psi(torch.ones(1, 64).double()).real).all()
    np.testing.assert_allclose([p.sum() for p in chain.spectra()], 1)


def test_what_is_no_chain_target_is_refused_by_name():
    mps = ghz_chain(4)
    with pytest.raises(ValueError, match="mps: got ndarray"):
        ChainTarget(np.ones(4), "x")
    for factor in (1.1, 1 + 1e-7):
        tensors = (*mps.tensors[:2], factor * mps.tensors[2], mps.tensors[3])
        with pytest.raises(ValueError, match="left-canonical at site 2"):
            ChainTarget(MPS(tensors, mps.schmidt_values), "x")
    with pytest.raises(ValueError, match="hamiltonian: got 5 sites; allowed: 4"):
        ChainTarget(mps, "x", tfim(5))
    with pytest.raises(ValueError, match="spins: got 3 sites; allowed: 4"):
        ChainTarget(mps, "x").log_psi(torch.ones(2, 3).double())
    with pytest.raises(ValueError, match="count: got 0"):
        ChainTarget(mps, "x").sample(0, torch.Generator())


PLUS = np.full(16, 0.25)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Target("x", PLUS, tfim(4), -np.inf), "energy: got -inf; .* finite"),
        (lambda: Target("x", PLUS, tfim(4), "low"), "energy: got 'low'; .* finite"),
        (lambda: Target(PLUS, "x"), "name: got ndarray; allowed: a string"),
        (lambda: Target("x", "y"), "vector: got str that is no array"),
        (
            lambda: Target("x", torch.tensor(PLUS, requires_grad=True)),
            "vector: got Tensor that is no array",
        ),
        (lambda: Target("x", PLUS).rotated(angles=(1, 2)), "angles: got .*; .* three"),
        (lambda: Target("x", PLUS).rotated(angles=(1, 2, np.nan)), "angles: got .*nan"),
        (lambda: Target("x", PLUS).rotated(-1), "rng: got -1; allowed: an integer"),
        (lambda: seven(6, -1), "rng: got -1; allowed: an integer >= 0"),
    ],
)
def test_what_makes_no_target_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
