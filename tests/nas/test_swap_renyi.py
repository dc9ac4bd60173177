import numpy as np
import pytest
import torch
from scipy.stats import binom

from qlib.entanglement.spectrum import renyi, schmidt_values
from qlib.nas.blocks import RBM
from qlib.nas.spins import all_configurations, basis_index
from qlib.nas.vmc import swap_renyi2


def samples(vector, shape, rng):
    """Independent configurations of probabilities |vector|²."""
    num_sites = vector.size.bit_length() - 1
    drawn = rng.choice(vector.size, shape, p=abs(vector) ** 2)
    return all_configurations(num_sites)[torch.as_tensor(drawn)]


def tabulated(vector):
    """log psi read from a vector, −inf where it is zero."""
    table = torch.log(torch.as_tensor(vector, dtype=torch.complex128))
    return lambda spins: table[basis_index(spins)]


def exact(vector):
    cuts = range(1, vector.size.bit_length() - 1)
    return [renyi(schmidt_values(vector, cut) ** 2, 2) for cut in cuts]


def random_rbm(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    return RBM(6, scale=scale, generator=generator).requires_grad_(False)


@pytest.mark.parametrize("chains", [None, 20])
def test_intervals_cover_the_exact_entropy_of_a_random_rbm(chains):
    """100 runs at 5 cuts, each cut at least 88 times: false alarm below 2 %."""
    block = random_rbm(0, 1.0)
    vector = block.vector().numpy()
    rng = np.random.default_rng(0)
    shape = (400,) if chains is None else (chains, 20)
    inside = np.zeros(5)
    for _ in range(100):
        found = swap_renyi2(block, *(samples(vector, shape, rng) for _ in range(2)))
        low, high = found.interval()
        inside += (low <= exact(vector)) & (exact(vector) <= high)
    assert inside.min() >= 88
    assert 5 * binom.cdf(87, 100, 0.95) < 0.02


def test_many_pairs_find_the_entropies_at_all_cuts():
    block = random_rbm(2, 1.0)
    vector = block.vector().numpy()
    assert max(exact(vector)) > 0.4
    rng = np.random.default_rng(1)
    found = swap_renyi2(block, *(samples(vector, (50_000,), rng) for _ in range(2)))
    np.testing.assert_allclose(found.value, exact(vector), atol=0.02)
    assert found.reliable.all()
    assert (abs(found.value - exact(vector)) < 4 * found.error).all()
    np.testing.assert_allclose(found.purity, np.exp(-found.value))


def test_a_product_state_has_no_entropy_and_no_error():
    generator = torch.Generator().manual_seed(2)
    spins = torch.randint(0, 2, (2, 3, 50, 70), generator=generator) * 2.0 - 1
    phases = torch.randn(70, dtype=torch.complex128, generator=generator)
    found = swap_renyi2(lambda s: s.to(phases) @ phases * 100, *spins, cuts=[1, 35])
    np.testing.assert_allclose(found.value, 0, atol=1e-9)
    np.testing.assert_allclose(found.error, 0, atol=1e-9)
    assert found.reliable.all()


def test_ghz_has_ln2_although_half_of_the_swaps_have_amplitude_zero():
    ghz = np.zeros(2**5)
    ghz[[0, -1]] = 0.5**0.5
    rng = np.random.default_rng(3)
    pair = (samples(ghz, (4000,), rng) for _ in range(2))
    found = swap_renyi2(tabulated(ghz), *pair)
    np.testing.assert_allclose(found.value, np.log(2), atol=0.1)
    assert (abs(found.value - np.log(2)) < 4 * found.error).all()


def test_chunks_and_the_norm_change_nothing():
    block = random_rbm(4, 1.0)
    pair = [
        samples(block.vector().numpy(), (30,), np.random.default_rng(seed))
        for seed in (4, 5)
    ]
    once = swap_renyi2(block, *pair)
    parts = swap_renyi2(lambda s: block(s) + 800 + 2j, *pair, chunk=7)
    np.testing.assert_allclose(parts.value, once.value, atol=1e-12)


def test_too_few_samples_of_a_random_state_are_not_reliable():
    rng = np.random.default_rng(6)
    vector = rng.standard_normal(2**12) + 1j * rng.standard_normal(2**12)
    vector /= np.linalg.norm(vector)
    pair = [samples(vector, (100,), rng) for _ in range(2)]
    found = swap_renyi2(tabulated(vector), *pair, cuts=[6])
    assert not found.reliable.any()
    assert found.effective_samples[0] < 100


def test_an_estimate_that_is_not_positive_has_no_value():
    """A singlet with s = t̄ at every pair: both swaps leave the singlet."""
    singlet = np.array([0, 1, -1, 0]) / np.sqrt(2)
    first = torch.tensor([[1.0, -1.0]] * 4)
    found = swap_renyi2(tabulated(singlet), first, -first)
    assert np.isnan(found.value[0])
    assert found.interval()[1][0] == np.inf
    assert not found.reliable[0]


def test_samples_of_one_configuration_may_be_equal():
    """A polarised state has no others, and no entropy."""
    found = swap_renyi2(lambda s: 100 * s.sum(-1) + 0j, *torch.ones(2, 200, 4))
    assert (found.value == 0).all()
    assert found.reliable.all()


DRAWN = all_configurations(6)[:4]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"second": torch.ones(3, 5)}, "first, second"),
        ({"first": torch.ones(1, 6), "second": torch.ones(1, 6)}, "first, second"),
        ({"first": torch.ones(6), "second": torch.ones(6)}, "first, second"),
        ({"cuts": [0]}, "cuts"),
        ({"cuts": [6]}, "cuts"),
        ({"cuts": 4}, "cuts"),
        ({"cuts": []}, "cuts"),
        ({"first": DRAWN, "second": DRAWN.clone()}, "first, second"),
        ({"first": 0.5 * torch.ones(4, 6)}, "first"),
        ({"second": torch.zeros(4, 6)}, "second"),
        ({"first": np.ones((4, 6))}, "first"),
        ({"chunk": 0}, "chunk"),
        ({"log_psi": lambda s: s.sum(-1) - torch.inf + 0j}, "first, second"),
    ],
)
def test_what_cannot_be_swapped_is_refused_by_name(change, name):
    settings = {"log_psi": lambda s: s.sum(-1) + 0j, "cuts": None, "chunk": 8}
    settings |= {"first": torch.ones(4, 6), "second": torch.ones(4, 6)} | change
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        swap_renyi2(**settings)
