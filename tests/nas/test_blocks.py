"""What holds for every block of a wave function."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch.func import functional_call, stack_module_state, vmap

from qlib.entanglement.spectrum import schmidt_probabilities_at_all_cuts
from qlib.nas.blocks import (
    MPS,
    RBM,
    Attention,
    Autoregressive,
    Block,
    FeedForward,
    Jastrow,
    Product,
)
from qlib.nas.spins import all_configurations, basis_index

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def product(num_sites, *, marshall=False, generator):
    blocks = [
        MPS(num_sites, 2, generator=generator),
        RBM(num_sites, range=1, generator=generator),
    ]
    return Product(blocks, marshall=marshall)


BLOCKS = {
    "RBM": RBM,
    "real RBM": partial(RBM, real=True),
    "RBM of range 1": partial(RBM, range=1),
    "MPS": MPS,
    "real MPS": partial(MPS, bond_dim=3, real=True),
    "Jastrow": Jastrow,
    "real Jastrow": partial(Jastrow, real=True),
    "feed-forward": FeedForward,
    "attention": partial(Attention, dim=4, depth=2),
    "attention without positions": partial(Attention, dim=4, positions=False),
    "autoregressive": partial(Autoregressive, dim=4, depth=2),
    "product": product,
}
every_block = pytest.mark.parametrize("build", BLOCKS.values(), ids=BLOCKS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_spins(*shape, seed=0):
    return 2.0 * torch.randint(2, shape, generator=seeded(seed)).double() - 1


def scaled(block, factor):
    with torch.no_grad():
        for parameter in block.parameters():
            parameter *= factor
    return block


@every_block
def test_log_psi_is_one_complex_number_a_configuration(build):
    block = build(6, generator=seeded())
    spins = random_spins(2, 3, 6)
    log_psi = block(spins)
    assert (log_psi.shape, log_psi.dtype) == ((2, 3), torch.complex128)
    each = torch.stack([block(s) for s in spins.reshape(-1, 6)])
    torch.testing.assert_close(each, log_psi.flatten(), rtol=1e-12, atol=1e-12)
    assert block(spins[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"^spins: got 5 sites; allowed: 6"):
        block(spins[..., 1:])
    with pytest.raises(ValueError, match=r"^spins: got no sites; allowed: 6"):
        block(spins[0, 0, 0])
    with pytest.raises(
        ValueError, match=r"^spins: got torch.float32; allowed: torch.f"
    ):
        block(spins.float())


@every_block
def test_gradients_are_those_of_finite_differences(build):
    block = build(4, generator=seeded(1))
    names, values = zip(*block.named_parameters(), strict=True)
    spins = random_spins(5, 4)

    def log_psi(*values):
        return functional_call(block, dict(zip(names, values, strict=True)), spins)

    assert torch.autograd.gradcheck(log_psi, values, fast_mode=True)


@every_block
def test_replicas_in_one_call_are_the_single_blocks(build):
    blocks = [build(5, generator=seeded(seed)) for seed in range(3)]
    spins = random_spins(3, 7, 5)
    stacked, buffers = stack_module_state(blocks)

    def log_psi(parameters, buffers, spins):
        return functional_call(blocks[0], (parameters, buffers), spins)

    shared = vmap(log_psi, in_dims=(0, 0, None))(stacked, buffers, spins[0])
    torch.testing.assert_close(shared, torch.stack([b(spins[0]) for b in blocks]))
    own = vmap(log_psi)(stacked, buffers, spins)
    alone = torch.stack([b(s) for b, s in zip(blocks, spins, strict=True)])
    torch.testing.assert_close(own, alone)
    for values in (own, alone):
        (values.real.sum() + 2 * values.imag.sum()).backward()
    for name, parameter in stacked.items():
        expected = torch.stack([b.get_parameter(name).grad for b in blocks])
        torch.testing.assert_close(parameter.grad, expected)


@every_block
def test_no_weights_exceed_the_stated_schmidt_rank(build):
    block = scaled(build(8, generator=seeded()), 2)
    psi = block.vector().detach().numpy()
    assert np.linalg.norm(psi) == pytest.approx(1, abs=1e-13)
    for cut, p in enumerate(schmidt_probabilities_at_all_cuts(psi), 1):
        assert block.capacity(cut) <= 2 ** min(cut, 8 - cut)
        assert p[block.capacity(cut) :].sum() < 1e-26


@pytest.mark.parametrize(
    "build",
    [
        partial(MPS, bond_dim=3, scale=1.0),
        partial(MPS, bond_dim=5, scale=1.0, real=True),
        partial(RBM, range=1, scale=0.5),
        partial(RBM, range=2, alpha=0.5, scale=0.5),
        partial(RBM, range=1, alpha=2.0, scale=0.5),  # fewer sites than units cross
    ],
)
def test_random_weights_reach_the_stated_schmidt_rank(build):
    block = build(8, generator=seeded())
    psi = block.vector().detach().numpy()
    for cut, p in enumerate(schmidt_probabilities_at_all_cuts(psi), 1):
        assert p[block.capacity(cut) - 1] > 1e-20


def test_ranks_of_a_product_multiply():
    blocks = [MPS(8, 2, scale=1.0, generator=seeded(seed)) for seed in range(2)]
    block = Product(blocks)
    assert [block.capacity(cut) for cut in range(1, 8)] == [2, 4, 4, 4, 4, 4, 2]
    psi = block.vector().detach().numpy()
    for p in schmidt_probabilities_at_all_cuts(psi)[1:-1]:
        assert p[3] > 1e-12
        assert p[4:].sum() < 1e-26


@pytest.mark.parametrize("factor", [1.0, 100.0])
@every_block
def test_64_sites_stay_finite_with_their_gradients(build, factor):
    block = scaled(build(64, generator=seeded()), factor)
    log_psi = block(random_spins(10, 64))
    assert torch.isfinite(torch.view_as_real(log_psi)).all()
    (log_psi.real.sum() + log_psi.imag.sum()).backward()
    for parameter in block.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


@every_block
def test_marshall_is_a_sign_of_the_down_spins_on_odd_sites(build):
    spins = all_configurations(5)
    plain = torch.exp(build(5, generator=seeded())(spins))
    turned = torch.exp(build(5, marshall=True, generator=seeded())(spins))
    sign = spins[:, 1] * spins[:, 3]
    torch.testing.assert_close(turned, sign * plain, rtol=1e-11, atol=1e-13)


@every_block
def test_a_seed_repeats_its_block_and_no_global_state_is_drawn_from(build):
    before = torch.get_rng_state()
    spins = all_configurations(4)
    first, second, other = (build(4, generator=seeded(k))(spins) for k in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)
    if build is not product:
        assert torch.equal(build(4)(spins), build(4, generator=seeded())(spins))
    assert torch.equal(torch.get_rng_state(), before)


@every_block
def test_a_saved_block_comes_back(build, tmp_path):
    block, other = (build(5, generator=seeded(seed)) for seed in range(2))
    torch.save(block.state_dict(), tmp_path / "block.pt")
    other.load_state_dict(torch.load(tmp_path / "block.pt", weights_only=True))
    spins = all_configurations(5)
    assert torch.equal(block(spins), other(spins))


@every_block
def test_parameters_are_counted_as_real_numbers_that_matter(build):
    """Those are the directions of nonzero derivative, but for zeros by chance."""
    block = build(5, generator=seeded(2))
    log_psi = torch.view_as_real(block(all_configurations(5)))
    weights = torch.rand(log_psi.numel(), dtype=torch.float64, generator=seeded())
    (log_psi.flatten() @ weights).backward()
    grads = [p.grad.reshape(-1) for p in block.parameters()]
    grads = [torch.view_as_real(g) if g.is_complex() else g for g in grads]
    assert sum(int((g != 0).sum()) for g in grads) == block.num_parameters


@pytest.mark.parametrize("zeros", ["MPS", "RBM"])
def test_zeros_of_psi_leave_losses_and_gradients_finite(zeros):
    """A product in which psi vanishes but at all up and all down, or at some s."""
    if zeros == "MPS":
        bulk = torch.zeros(2, 2, 2)
        bulk[0, 0, 0] = bulk[1, 1, 1] = 1
        ends = torch.eye(2)[None], torch.eye(2)[:, :, None]
        first = MPS.from_tensors([t.numpy() for t in (ends[0], bulk, bulk, ends[1])])
        first.weight.requires_grad_()
    else:
        first = scaled(RBM(4, alpha=0.25, generator=seeded()), 0)
        with torch.no_grad():
            first.weight[0, :2] = 0.25j * torch.pi  # cosh(i pi/2) = 0 at s_0 = s_1
    block = Product([first, Attention(4, generator=seeded())])
    log_psi = block(all_configurations(4))
    vanishing = log_psi.real == -torch.inf
    assert 0 < vanishing.sum() < 16
    psi = torch.exp(log_psi)
    assert (psi[vanishing] == 0).all()
    loss = 1 - psi.sum().abs() ** 2 / (16 * psi.abs().square().sum())
    loss.backward()
    assert 0 < loss < 1
    for parameter in (first.weight, *block.parameters()):
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("depth", [1, 2])
def test_attention_without_positions_does_not_see_permutations(depth):
    spins = random_spins(20, 7)
    shuffled = spins[:, torch.randperm(7, generator=seeded())]
    for positions in (False, True):
        block = Attention(7, depth=depth, positions=positions, generator=seeded(1))
        same = torch.isclose(block(spins), block(shuffled), rtol=1e-11)
        assert same.all() == (not positions)


def test_autoregressive_odds_do_not_see_later_spins():
    """p(s_0 … s_2) summed over the later spins is a sum over one half of an eighth."""
    block = Autoregressive(6, depth=2, generator=seeded())
    p = torch.exp(2 * block(all_configurations(6)).real)
    first = p.reshape(8, 8).sum(1)
    turned = block(all_configurations(6) * torch.tensor([1, 1, 1, -1, 1, 1]))
    torch.testing.assert_close(torch.exp(2 * turned.real).reshape(8, 8).sum(1), first)
    short = Autoregressive(3, depth=2, generator=seeded())
    values = dict(block.named_parameters())
    short.load_state_dict({**values, "sites": values["sites"][:, :3]})
    shorter = torch.exp(2 * short(all_configurations(3)).real)
    torch.testing.assert_close(shorter, first)


@pytest.mark.parametrize("depth", [1, 2])
def test_autoregressive_samples_follow_psi_squared(depth):
    """Chi-square of 31 degrees of freedom: false alarm 1e-4 a case."""
    block = Autoregressive(5, depth=depth, generator=seeded())
    with torch.no_grad():
        block.readings *= 16
    p = torch.exp(2 * block(all_configurations(5)).real).detach().numpy()
    samples = block.sample(10000, seeded(1))
    assert (samples.shape, samples.dtype) == ((10000, 5), torch.float64)
    counts = np.bincount(basis_index(samples).numpy(), minlength=32)
    statistic = ((counts - 10000 * p) ** 2 / (10000 * p)).sum()
    assert p.max() > 10 * p.min() > 100 / 10000
    assert statistic < chi2.ppf(1 - 1e-4, 31)
    assert torch.equal(samples, block.sample(10000, seeded(1)))


def test_a_state_of_zeros_has_no_vector():
    with pytest.raises(ValueError, match=r"^psi: got zero everywhere; allowed"):
        scaled(MPS(4, generator=seeded()), 0).vector()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@every_block
def test_blocks_move_between_devices_and_precision_stays(build, device):
    block = build(6, generator=seeded())
    spins = random_spins(9, 6)
    here = block(spins)
    there = block.to(device)(spins.to(device))
    assert (there.device.type, there.dtype) == (device, torch.complex128)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-11, atol=1e-11)
    assert block.vector().device.type == device


GENERATED = (MPS, RBM, Jastrow, FeedForward, Attention, Autoregressive)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: MPS(1), "num_sites"),
        (lambda: MPS(4, 0), "bond_dim"),
        (lambda: MPS(4, scale=-1), "scale"),
        (lambda: MPS(4, marshall=1), "marshall"),
        (lambda: MPS(4).capacity(0), "cut"),
        (lambda: MPS(4).capacity(4), "cut"),
        (lambda: MPS.from_tensors([]), "tensors"),
        (lambda: MPS.from_tensors([np.ones((1, 2, 2)), np.ones((3, 2, 1))]), "tensors"),
        (lambda: MPS.from_tensors([np.ones((1, 3, 1))] * 2), "tensors"),
        (lambda: MPS.from_tensors([np.ones((1, 2, 2))]), "tensors"),
        (lambda: MPS.from_tensors([np.full((1, 2, 1), np.nan)] * 2), "tensors"),
        (lambda: MPS.from_tensors(MPS(4)), "tensors"),
        (lambda: MPS.from_tensors(MPS(4).tensors), "tensors"),
        (lambda: MPS(4, real="no"), "real"),
        (lambda: RBM(4, real="no"), "real"),
        (lambda: Jastrow(4, real=1), "real"),
        *((partial(build, 4, generator=3), "generator") for build in GENERATED),
        (lambda: Attention(4, 1), "dim"),
        (lambda: Attention(4, 6, 4), "heads"),
        (lambda: Attention(4, 6, 0), "heads"),
        (lambda: Attention(4, depth=0), "depth"),
        (lambda: Attention(4, width=0), "width"),
        (lambda: Attention(4, units=0), "units"),
        (lambda: Attention(4, positions=None), "positions"),
        (lambda: Attention(4, scale=np.nan), "scale"),
        (lambda: Autoregressive(4, 6, 4), "heads"),
        (lambda: Autoregressive(4).sample(0, seeded()), "count"),
        (lambda: Autoregressive(4).sample(1, np.random.default_rng(0)), "generator"),
        (lambda: FeedForward(4, width=0), "width"),
        (lambda: FeedForward(4, depth=0), "depth"),
        (lambda: Jastrow(4, scale=np.inf), "scale"),
        (lambda: RBM(4, alpha=0), "alpha"),
        (lambda: RBM(4, range=-1), "range"),
        (lambda: Product([]), "blocks"),
        (lambda: Product([MPS(4), MPS(5)]), "blocks"),
    ],
)
def test_what_is_no_block_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()


def test_a_block_without_amplitudes_says_so():
    with pytest.raises(TypeError, match="Block gives no log_amplitude"):
        Block(4)(torch.ones(4, dtype=torch.float64))
