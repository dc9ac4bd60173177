"""Local energies and amplitude ratios."""

import numpy as np
import pytest
import torch

from qlib.entanglement import hamiltonians
from qlib.entanglement.pauli import PauliSum
from qlib.nas.blocks import MPS, RBM, Autoregressive, FeedForward, Jastrow
from qlib.nas.spins import all_configurations
from qlib.nas.vmc import LocalEnergy
from qlib.nas.vmc.ratios import ratios

N = 5
MIXED = PauliSum(
    N,
    (
        ("", (), 0.7),
        ("Z", (3,), -0.4),
        ("ZZZ", (0, 2, 4), 0.3),
        ("X", (1,), 1.1),
        ("ZX", (0, 1), -0.6),
        ("Y", (2,), 0.5),
        ("XY", (0, 4), 0.9),
        ("YY", (1, 3), -0.8),
        ("YYY", (0, 1, 2), 0.2),
        ("XZYX", (0, 1, 2, 4), 1.3),
    ),
)
HAMILTONIANS = {
    "all letters": MIXED,
    "Heisenberg": hamiltonians.xxz(N, 0.7),
    "Ising": hamiltonians.tfim(N),
    "cluster": hamiltonians.cluster(N, 0.3),
    "diagonal": PauliSum(N, (("ZZ", (0, 1), 1.0),)),
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def blocks(num_sites):
    return {
        "RBM": RBM(num_sites, scale=0.5, generator=seeded(0)),
        "RBM, range 1": RBM(num_sites, range=1, scale=0.5, generator=seeded(1)),
        "RBM, real, Marshall": RBM(
            num_sites, real=True, marshall=True, scale=0.5, generator=seeded(2)
        ),
        "MPS": MPS(num_sites, bond_dim=3, generator=seeded(3)),
        "MPS, Marshall": MPS(num_sites, bond_dim=3, marshall=True),
        "feed-forward, Marshall": FeedForward(
            num_sites, width=4, marshall=True, generator=seeded(4)
        ),
        "autoregressive": Autoregressive(
            num_sites, dim=4, heads=2, depth=1, generator=seeded(5)
        ),
    }


@pytest.mark.parametrize("name", HAMILTONIANS)
@pytest.mark.parametrize("kind", blocks(N))
def test_the_local_energy_is_h_psi_over_psi(kind, name):
    block, H = blocks(N)[kind], HAMILTONIANS[name]
    psi = block.vector().detach().numpy()
    expected = H.matrix() @ psi / psi
    found = LocalEnergy(H)(block, all_configurations(N))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_an_eigenstate_has_one_local_energy():
    """A graph state on a chain: −Σ_i Z X Z has the energy −(N − 2) everywhere."""
    block = Jastrow(8, scale=0.0)
    neighbours = block.pairs[1] - block.pairs[0] == 1
    with torch.no_grad():
        block.coupling[neighbours] = 0.25j * np.pi
        block.visible_bias[1:-1] = -0.5j * np.pi
        block.visible_bias[[0, -1]] = -0.25j * np.pi
    found = LocalEnergy(hamiltonians.cluster(8))(block, all_configurations(8))
    np.testing.assert_allclose(found.numpy(), -6, atol=1e-12)


def test_a_hundred_sites_in_any_shape_of_batch():
    """Of the uniform state: −Σ s_i s_{i+1} − N h."""
    block = RBM(100, real=True, scale=0.0)
    spins = 1 - 2.0 * torch.randint(2, (2, 3, 100), generator=seeded(0)).double()
    found = LocalEnergy(hamiltonians.tfim(100, field=0.5))(block, spins)
    bonds = (spins[..., 1:] * spins[..., :-1]).sum(-1)
    torch.testing.assert_close(found, -bonds - 50)


def test_a_function_is_as_good_as_a_block():
    block = blocks(N)["MPS"]
    spins = all_configurations(N)[:7]
    found = LocalEnergy(MIXED)(lambda spins: block(spins), spins)
    torch.testing.assert_close(found, LocalEnergy(MIXED)(block, spins))


def test_psi_is_evaluated_only_where_h_connects():
    """XX + YY exchanges opposite spins alone: one pair of the Néel order a bond."""
    seen = []

    def log_psi(spins):
        seen.append(len(spins))
        return torch.zeros(len(spins), dtype=torch.complex128)

    spins = torch.tensor([[1.0, 1, -1, -1, -1]])
    energy = LocalEnergy(hamiltonians.xxz(N, 0.0))(log_psi, spins)
    assert sum(seen) == 2  # the configuration and one exchange
    assert energy.item() == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [0.3, 3.0, 40.0])
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("reach", [None, 1])
def test_ratios_of_an_rbm_by_tables_are_those_of_its_amplitudes(real, scale, reach):
    block = RBM(
        7, real=real, range=reach, scale=scale, marshall=True, generator=seeded(5)
    )
    spins = all_configurations(7)[::9]
    flips = torch.ones(4, 7, dtype=torch.float64)
    for flip, sites in zip(flips, ([0], [3], [2, 5], [0, 1, 6]), strict=True):
        flip[sites] = -1
    found = ratios(block, spins, flips)
    slow = ratios(lambda spins: block(spins), spins, flips)
    torch.testing.assert_close(found.to(slow.dtype), slow, rtol=1e-8, atol=0)


def test_weights_beyond_all_exponentials_still_give_finite_ratios_and_samples():
    block = RBM(4, real=True, scale=0.0)
    with torch.no_grad():
        block.weight[0, 0] = 1000.0
        block.hidden_bias[0] = 1000.0
    spins = torch.ones(1, 4, dtype=torch.float64)
    flips = torch.tensor([[-1.0, 1, 1, 1], [1, -1, 1, 1]], dtype=torch.float64)
    assert ratios(block, spins, flips).abs().tolist() == [[0, 1]]


def test_what_is_no_hamiltonian_or_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"hamiltonian: got 3; allowed: a PauliSum"):
        LocalEnergy(3)
    with pytest.raises(ValueError, match=r"spins: got 4 sites; allowed: 5"):
        LocalEnergy(MIXED)(blocks(N)["MPS"], all_configurations(4))


@pytest.mark.parametrize(
    ("spins", "message"),
    [
        (2 * all_configurations(N), r"spins: got a spin 2.0; allowed: 1, -1"),
        (all_configurations(N) > 0, r"spins: got torch.bool; allowed: real numbers"),
        (all_configurations(N).numpy(), r"spins: got <class 'numpy.ndarray'>"),
    ],
)
def test_what_are_no_spins_is_refused_by_name(spins, message):
    with pytest.raises(ValueError, match=message):
        LocalEnergy(MIXED)(blocks(N)["MPS"], spins)
