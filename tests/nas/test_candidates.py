"""Candidate blocks: equal numbers of parameters, names, seeds, refusals."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from qlib.nas.blocks import RBM, Attention, FeedForward, Jastrow, Product
from qlib.nas.blocks.rbm import log_2cosh
from qlib.nas.candidates import DIMS, NAMES, candidates
from qlib.nas.spins import all_configurations

SIZES = (4, 6, 8, 10, 12, 64)
ALWAYS = [name for name in NAMES if name != "Jastrow"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("num_sites", SIZES)
def test_candidates_are_within_15_percent_of_the_mps_of_bond_dimension_4(num_sites):
    # bonds 1, 2, 4, 4, ... 4, 2, 1: complex tensors of 2 · left · right entries
    bonds = [min(2**cut, 2 ** (num_sites - cut), 4) for cut in range(num_sites + 1)]
    wanted = 2 * sum(2 * a * b for a, b in pairwise(bonds))
    found = candidates(num_sites)
    assert list(found)[: len(ALWAYS)] == ALWAYS
    assert found["MPS"](generator=seeded()).weight.is_complex()
    for build in found.values():
        block = build(generator=seeded())
        assert abs(block.num_parameters - wanted) <= 0.15 * wanted
        spins = torch.ones(2, num_sites, dtype=torch.float64)
        assert torch.isfinite(torch.view_as_real(block(spins))).all()


@pytest.mark.parametrize(("num_sites", "parameters"), [(6, 300), (8, 600), (64, 1000)])
def test_candidates_follow_a_number_that_is_asked_for(num_sites, parameters):
    for build in candidates(num_sites, parameters).values():
        count = build(generator=seeded()).num_parameters
        assert abs(count - parameters) <= 0.15 * parameters


@pytest.mark.parametrize("num_sites", SIZES)
def test_attention_has_the_largest_dimension_that_leaves_half_as_many_units(num_sites):
    made = candidates(num_sites, names=["attention", "MPS"])
    wanted = made["MPS"](generator=seeded()).num_parameters
    sizes = made["attention"].keywords
    assert sizes["width"] >= sizes["dim"] // 2
    for dim in DIMS[: DIMS.index(sizes["dim"])]:
        larger = Attention(num_sites, **{**sizes, "dim": dim, "width": dim // 2})
        assert larger.num_parameters > 1.15 * wanted


def test_jastrow_factor_joins_where_its_fixed_number_fits():
    assert "Jastrow" not in candidates(8)
    assert "Jastrow" in candidates(8, 64)
    assert list(candidates(8, 72, ["Jastrow", "feed-forward"])) == [
        "Jastrow",
        "feed-forward",
    ]


def test_one_seed_one_block_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    spins = all_configurations(6)
    for build in candidates(6).values():
        first, again, other = (build(generator=seeded(s))(spins) for s in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.allclose(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_marshall_rule_changes_signs_and_nothing_else():
    plain, ruled = (candidates(6, marshall=marshall) for marshall in (False, True))
    down = (all_configurations(6)[:, 1::2] < 0).sum(-1).numpy()
    for name in plain:
        psi, turned = (
            made[name](generator=seeded()).vector().detach() for made in (plain, ruled)
        )
        np.testing.assert_allclose((-1.0) ** down * psi.numpy(), turned, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 1000, ["MPS"]), "parameters: got 1000, the nearest MPS has"),
        ((8, 300, ["Jastrow"]), "parameters: got 300, the nearest Jastrow has 72"),
        ((8, None, ["RBM"]), "names: got 'RBM'"),
        ((8, None, "MPS"), "names: got 'MPS'"),
        ((8, None, []), "names: got"),
        ((8, None, 5), "names: got 5"),
        ((3,), "num_sites: got 3"),
        ((8, 0), "parameters: got 0"),
        ((6, 5), "parameters: got 5, the nearest RBM, range 1 has"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        candidates(*arguments)


@pytest.mark.parametrize("reach", [0, 1, 2, 9, None])
@pytest.mark.parametrize("real", [False, True])
def test_parameters_of_an_rbm_are_those_that_move_psi(reach, real):
    block = RBM(6, range=reach, alpha=1.5, real=real, scale=0.5, generator=seeded())
    log_psi = block(all_configurations(6))
    weights = torch.autograd.grad((log_psi.real**2 + log_psi.imag).sum(), block.weight)
    moved = int((weights[0] != 0).sum()) + 9 + 6
    assert block.num_parameters == moved * (1 if real else 2)


def test_zeros_of_an_rbm_are_minus_infinity_with_finite_gradients():
    # 2 cosh(iπ/4 (s_0 + s_1)) vanishes where both spins are equal: cos(±π/2)
    block = RBM(4, alpha=0.25, scale=0.0, generator=seeded())
    with torch.no_grad():
        block.weight[0, :2] = 0.25j * torch.pi
    spins = all_configurations(4)
    log_psi = block(spins)
    equal = spins[:, 0] == spins[:, 1]
    assert (log_psi.real[equal] == -torch.inf).all()
    assert torch.isfinite(torch.view_as_real(log_psi[~equal])).all()
    log_psi.exp().abs().square().sum().backward()
    assert all(torch.isfinite(p.grad.abs()).all() for p in block.parameters())


def test_log_2cosh_keeps_digits_up_to_a_zero_where_it_has_no_gradient():
    # 2 cosh(iπ/2 + ε) = 2i sinh ε
    for epsilon in (1e-3, 1e-11):
        x = torch.tensor(0.5j * torch.pi + epsilon, dtype=torch.complex128)
        expected = np.log(2 * np.sinh(epsilon)) + 0.5j * np.pi
        assert abs(log_2cosh(x).item() - expected) < 1e-5
    x = torch.tensor(0.5j * torch.pi, dtype=torch.complex128, requires_grad=True)
    value = log_2cosh(x)
    assert value.real.item() == -torch.inf
    for part in (value.real, value.imag):
        (gradient,) = torch.autograd.grad(part, x, retain_graph=True)
        assert gradient.item() == 0


@pytest.mark.parametrize("num_sites", [16, 64])
def test_fields_start_of_one_size_whatever_the_number_of_sites(num_sites):
    # a field sums N weights of spread 0.3 / √N; of the estimate: 0.3 (1 ± 0.13)
    for block in (RBM(num_sites, generator=seeded()), Jastrow(num_sites)):
        weights = block.weight if isinstance(block, RBM) else block.coupling
        spread = weights.abs().square().mean().sqrt().item()
        assert spread * num_sites**0.5 == pytest.approx(0.3, rel=0.2)


def test_hidden_units_stand_evenly_and_see_their_neighbours():
    seen = RBM(8, range=1, alpha=0.5, generator=seeded()).seen
    assert [row.nonzero()[:, 0].tolist() for row in seen] == [
        [0, 1],
        [1, 2, 3],
        [3, 4, 5],
        [5, 6, 7],
    ]


@pytest.mark.parametrize("reach", [1, 2, 3, None])
def test_units_that_forbid_unequal_neighbours_make_ghz(reach):
    # 2 cosh(iπ/4 (s_i − s_{i+1})) is 2 or 0; windows of up to 5 sites go by tables
    N = 6
    block = RBM(N, range=reach, scale=0.0, generator=seeded())
    with torch.no_grad():
        for i in range(N - 1):
            block.weight[i, i], block.weight[i, i + 1] = (
                0.25j * torch.pi,
                -0.25j * torch.pi,
            )
    log_psi = block(all_configurations(N))
    assert (log_psi.real > -torch.inf).sum() == 2
    psi = block.vector().detach().abs()
    torch.testing.assert_close(psi[[0, -1]], torch.full((2,), 0.5**0.5).double())
    psi = log_psi.exp()
    (psi[0] + psi[-1]).abs().square().div(psi.abs().square().sum()).backward()
    assert all(torch.isfinite(p.grad.abs()).all() for p in block.parameters())


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_tables_of_short_windows_give_the_sum_over_hidden_units(reach, real):
    for alpha in (0.5, 1.0, 2.4):  # units at some sites, at all, several at one
        block = RBM(7, range=reach, alpha=alpha, real=real, scale=1, generator=seeded())
        spins = all_configurations(7).view(16, 8, 7)
        found = block(spins)
        weight = (block.weight * block.seen).detach().numpy()
        fields = spins.numpy() @ weight.T + block.hidden_bias.detach().numpy()
        visible = spins.numpy() @ block.visible_bias.detach().numpy()
        psi = np.exp(visible) * (2 * np.cosh(fields)).prod(-1)
        np.testing.assert_allclose(found.exp().detach(), psi, rtol=1e-11)


def test_a_state_that_is_zero_has_no_vector():
    block = RBM(4, alpha=0.25, scale=0.0, generator=seeded())
    with torch.no_grad():
        block.hidden_bias[0] = 0.5j * torch.pi
    with pytest.raises(ValueError, match="psi: got zero everywhere"):
        block.vector()


def test_jastrow_couplings_of_a_quarter_pi_make_a_graph_state_of_full_rank():
    # exp(iπ/4 (s s' − s − s' + 1)) is −1 if both spins are down and 1 otherwise
    N, edges = 6, {(0, 3), (1, 4), (2, 5)}
    block = Jastrow(N, scale=0.0, generator=seeded())
    with torch.no_grad():
        for place, (i, j) in enumerate(block.pairs.T.tolist()):
            if (i, j) in edges:
                block.coupling[place] = 0.25j * torch.pi
                block.visible_bias[[i, j]] -= 0.25j * torch.pi
    bits = (1 - all_configurations(N).numpy()) / 2
    signs = (-1) ** sum(bits[:, i] * bits[:, j] for i, j in edges)
    psi = block.vector().detach().numpy()
    np.testing.assert_allclose(psi / psi[0], signs, atol=1e-13)
    schmidt = np.linalg.svd(psi.reshape(8, 8), compute_uv=False)
    np.testing.assert_allclose(schmidt**2, 1 / 8, atol=1e-14)
    assert block.capacity(3) == 8


def test_product_multiplies_wave_functions_and_capacities():
    parts = [
        RBM(8, range=1, alpha=0.5, generator=seeded(1)),
        RBM(8, range=1, alpha=0.5, marshall=True, generator=seeded(2)),
    ]
    both = Product(parts)
    psi = parts[0].vector() * parts[1].vector()
    expected = (psi / torch.linalg.vector_norm(psi)).detach()
    found = both.vector().detach()
    # a phase is left open by the normalisation, not more
    assert abs(torch.vdot(expected, found)) == pytest.approx(1, abs=1e-13)
    for cut in range(1, 8):
        singular = torch.linalg.svdvals(found.reshape(2**cut, -1))
        rank = int((singular > 1e-10 * singular[0]).sum())
        assert rank <= both.capacity(cut) <= 2 ** min(cut, 8 - cut)
        capacities = [part.capacity(cut) for part in parts]
        assert both.capacity(cut) == min(
            capacities[0] * capacities[1], 2 ** min(cut, 8 - cut)
        )
    assert both.num_parameters == sum(part.num_parameters for part in parts)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Product([]), "blocks: got"),
        (lambda: Product([RBM(4), RBM(6)]), r"blocks: got \[4, 6\] sites"),
        (lambda: Product([torch.nn.Linear(2, 2)]), "blocks: got"),
        (lambda: Product(RBM(4)), "blocks: got .*; allowed: a sequence of Blocks"),
        (lambda: Product(4), "blocks: got 4; allowed: a sequence of Blocks"),
        (lambda: RBM(6, range=-1), "range: got -1"),
        (lambda: RBM(6, alpha=0), "alpha: got 0"),
        (lambda: Jastrow(6, scale=float("nan")), "scale: got nan"),
        (lambda: FeedForward(6, width=0), "width: got 0"),
        (lambda: FeedForward(6, depth=0), "depth: got 0"),
        (lambda: Jastrow(1), "num_sites: got 1"),
        (lambda: FeedForward(6)(torch.ones(5).double()), "spins: got 5 sites"),
    ],
)
def test_bad_settings_of_blocks_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
