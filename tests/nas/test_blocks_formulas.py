"""log psi of every block against its formula, written again in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit, ndtr

from qlib.entanglement import closed_forms, hamiltonians
from qlib.entanglement import rbm as machines
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.spectrum import schmidt_probabilities_at_all_cuts
from qlib.nas.blocks import (
    MPS,
    RBM,
    Attention,
    Autoregressive,
    FeedForward,
    Jastrow,
    Product,
)
from qlib.nas.blocks.transformer import Layer
from qlib.nas.spins import all_configurations


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(module):
    """Parameters as numpy arrays, by name."""
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def agrees(block, psi):
    """psi(s) of the block is that of the formula, with norm and phase."""
    spins = all_configurations(block.num_sites).numpy()
    expected = np.array([psi(s) for s in spins])
    found = torch.exp(block(torch.from_numpy(spins))).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


def product_of_matrices(tensors):
    def psi(s):
        row = np.ones(1)
        for tensor, spin in zip(tensors, s, strict=True):
            row = row @ tensor[:, int(spin < 0)]
        return row[0]

    return psi


def normal_rows(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def layer_by_loops(x, w, heads, causal):
    """One layer of attention and perceptron, query by query and head by head."""
    N, dim = x.shape
    parts = normal_rows(x) @ w["queries_keys_values"].T
    queries, keys, values = parts.reshape(N, 3, heads, dim // heads).transpose(
        1, 2, 0, 3
    )
    found = np.zeros((N, heads, dim // heads))
    for i in range(N):
        seen = slice(i + 1) if causal else slice(N)
        for h in range(heads):
            scores = keys[h, seen] @ queries[h, i] / np.sqrt(dim // heads)
            chances = np.exp(50 * np.tanh(scores / 50))
            found[i, h] = chances @ values[h, seen] / chances.sum()
    x = x + found.reshape(N, dim) @ w["joined"].T
    hidden = normal_rows(x) @ w["hidden"].T + w["hidden_bias"]
    return x + hidden * expit(hidden) @ w["back"].T


def tokens_by_loops(block, tokens, *, causal):
    for layer in block.layers:
        tokens = layer_by_loops(tokens, weights(layer), layer.heads, causal)
    return normal_rows(tokens)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize(
    ("num_sites", "bond_dim"), [(2, 2), (3, 1), (5, 3), (8, 4), (9, 100)]
)
def test_mps_is_the_product_of_its_matrices(num_sites, bond_dim, real):
    block = MPS(num_sites, bond_dim, real=real, generator=seeded())
    tensors = [tensor.detach().numpy() for tensor in block.tensors]
    full = [2 ** min(cut, num_sites - cut) for cut in range(num_sites + 1)]
    bonds = [min(bond, bond_dim) for bond in full]
    assert [t.shape for t in tensors] == [
        (bonds[site], 2, bonds[site + 1]) for site in range(num_sites)
    ]
    agrees(block, product_of_matrices(tensors))


@pytest.mark.parametrize("bond_dim", [8, 32])
def test_mps_start_as_far_from_the_identity_whatever_the_bond_dimension(bond_dim):
    # a chi × chi matrix of entries of spread s has norm 2 s √chi (1 ± chi^(−2/3))
    tensor = MPS(16, bond_dim, generator=seeded()).tensors[8].detach()
    apart = tensor - torch.eye(bond_dim)[:, None]
    for spin in range(2):
        norm = torch.linalg.matrix_norm(apart[:, spin], 2).item()
        assert norm == pytest.approx(2 * 0.3, rel=0.25)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3])
def test_mps_of_128_sites_is_the_product_in_numbers_of_wider_range(size):
    """Long doubles reach 1e4932; doubles would end at 1e308, 128 sites at 1e±400."""
    if np.finfo(np.longdouble).maxexp < 10000:
        pytest.skip("long doubles are doubles on this machine")
    block = MPS(128, 3, generator=seeded())
    with torch.no_grad():
        block.weight *= size
    tensors = [
        tensor.detach().numpy().astype(np.clongdouble) for tensor in block.tensors
    ]
    spins = np.random.default_rng(0).choice([-1.0, 1.0], (4, 128))
    psi = np.array([product_of_matrices(tensors)(s) for s in spins])
    log_psi = block(torch.from_numpy(spins))
    np.testing.assert_allclose(log_psi.real.tolist(), np.log(abs(psi)).astype(float))
    turn = np.exp(1j * log_psi.imag.detach().numpy())
    np.testing.assert_allclose(turn, (psi / abs(psi)).astype(complex))
    log_psi.real.sum().backward()
    # psi is linear in each tensor: sum of A dlog(psi)/dA is 1 at every site
    scaling = (block.weight.grad.conj() * block.weight.detach()).sum().real
    assert scaling == pytest.approx(128 * 4)


def test_a_dmrg_state_is_a_block():
    found = dmrg(hamiltonians.tfim(8), rng=0).mps
    block = MPS.from_tensors(found.tensors)
    overlap = np.vdot(found.vector(), block.vector().detach().numpy())
    assert abs(overlap) == pytest.approx(1, abs=1e-12)
    assert block.bond_dims[1:-1] == tuple(len(s) for s in found.schmidt_values)
    assert not block.weight.requires_grad


@pytest.mark.parametrize("settings", [{}, {"alpha": 0.5}, {"range": 2, "alpha": 2}])
def test_rbm_is_the_one_of_qlib_entanglement(settings):
    block = RBM(8, scale=0.5, generator=seeded(), **settings)
    w = weights(block)
    other = machines.RBM(
        w["weight"] * block.seen.numpy(), w["hidden_bias"], w["visible_bias"]
    )
    overlap = np.vdot(other.vector(), block.vector().detach().numpy())
    assert abs(overlap) == pytest.approx(1, abs=1e-13)
    for cut in range(1, 8):
        assert block.capacity(cut) == other.rank_bound(cut)


@pytest.mark.parametrize("real", [False, True])
def test_rbm_is_the_trace_over_its_hidden_spins(real):
    """psi(s) = sum over h of exp(a s + b h + h W s), h = ±1."""
    block = RBM(5, alpha=0.6, real=real, scale=0.5, generator=seeded(1))
    w, hidden = weights(block), all_configurations(3).numpy()

    def psi(s):
        exponents = hidden @ (w["weight"] @ s + w["hidden_bias"])
        return np.exp(exponents + w["visible_bias"] @ s).sum()

    agrees(block, psi)


def test_jastrow_is_the_sum_over_pairs():
    block = Jastrow(6, scale=0.5, generator=seeded())
    w = weights(block)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]

    def psi(s):
        bonds = [
            J * s[i] * s[j] for J, (i, j) in zip(w["coupling"], pairs, strict=True)
        ]
        return np.exp(sum(bonds) + w["visible_bias"] @ s)

    agrees(block, psi)


@pytest.mark.parametrize("depth", [1, 3])
def test_feed_forward_is_its_layers(depth):
    block = FeedForward(6, width=5, depth=depth, scale=2.0, generator=seeded())
    w = weights(block)

    def psi(s):
        for k in range(depth):
            fields = w[f"weights.{k}"] @ s + w[f"biases.{k}"]
            s = fields * ndtr(fields)
        return np.exp([1, 1j] @ (w["heads"] @ s))

    agrees(block, psi)


@pytest.mark.parametrize(("heads", "depth", "units"), [(1, 1, 6), (3, 1, 2), (2, 2, 9)])
def test_attention_is_its_layers(heads, depth, units):
    sizes = {"width": 7, "units": None if units == 6 else units}
    block = Attention(5, 6, heads, depth, **sizes, scale=1.5, generator=seeded())
    w = weights(block)

    def psi(s):
        tokens = (w["sites"] + w["spin"] * s).T
        z = tokens_by_loops(block, tokens, causal=False).sum(0)
        real, imag = (w["readings"] @ z + w["biases"]).reshape(2, units)
        return np.prod(2 * np.cosh(real + 1j * imag))

    agrees(block, psi)


@pytest.mark.parametrize("depth", [1, 2])
def test_autoregressive_is_the_product_of_its_conditionals(depth):
    block = Autoregressive(5, 6, 2, depth, scale=1.5, generator=seeded())
    with torch.no_grad():
        block.biases += torch.tensor([0.3, -0.2, 0.5])
    w = weights(block)

    def psi(s):
        before = np.append(0, s[:-1])
        tokens = (w["sites"] + w["spin"] * before).T
        read = tokens_by_loops(block, tokens, causal=True) @ w["readings"].T
        odds, even, odd = (read + w["biases"]).T
        return np.exp(1j * (even + s * odd).sum()) * np.sqrt(expit(s * odds).prod())

    agrees(block, psi)


@pytest.mark.parametrize("scale", [0.5, 3.0, 100.0])
@pytest.mark.parametrize("depth", [1, 2])
def test_autoregressive_squares_sum_to_one(depth, scale):
    block = Autoregressive(9, 4, 2, depth, scale=scale, generator=seeded())
    log_psi = block(all_configurations(9))
    assert torch.exp(2 * log_psi.real).sum().item() == pytest.approx(1, abs=1e-12)


def test_product_is_the_product():
    blocks = [MPS(5, generator=seeded()), Jastrow(5, generator=seeded(1))]
    spins = all_configurations(5)
    expected = torch.exp(blocks[0](spins)) * torch.exp(blocks[1](spins))
    torch.testing.assert_close(torch.exp(Product(blocks)(spins)), expected)


@pytest.mark.parametrize("masked", [False, True])
def test_tokens_of_two_values_need_no_more_than_their_table(masked):
    """Both ways through a layer, at scores up to the cap of 50."""
    generator = seeded()
    layer = Layer(6, 3, 5, scale=20.0, generator=generator)
    pairs = torch.randn(6, 2, 7, dtype=torch.float64, generator=generator)
    spins = 2.0 * torch.randint(2, (7, 30), generator=generator).double() - 1
    tokens = torch.where(spins > 0, pairs[:, 0, :, None], pairs[:, 1, :, None])
    mask = torch.ones(7, 7).tril() > 0 if masked else None
    torch.testing.assert_close(layer.of_spins(pairs, spins, mask), layer(tokens, mask))


def test_ghz_as_mps_has_exact_zeros_and_one_bit_at_every_cut():
    ends = np.eye(2)[None], np.eye(2)[:, :, None]
    bulk = np.zeros((2, 2, 2))
    bulk[[0, 1], [0, 1], [0, 1]] = 1
    block = MPS.from_tensors([ends[0], *[bulk] * 5, ends[1]])
    log_psi = block(all_configurations(7))
    assert (log_psi[1:-1].real == -torch.inf).all()
    assert log_psi[[0, -1]].tolist() == [0, 0]
    for cut, p in enumerate(
        schmidt_probabilities_at_all_cuts(block.vector().numpy()), 1
    ):
        np.testing.assert_allclose(p[:2], closed_forms.ghz(7, cut)[:2])
        assert p[2:].sum() < 1e-30
        assert block.capacity(cut) == 2
