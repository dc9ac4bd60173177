from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from qlib.entanglement.dmrg import MPS, dmrg
from qlib.entanglement.hamiltonians import tfim
from qlib.nas.blocks import RBM
from qlib.nas.replicas import Replicas
from qlib.nas.spins import all_configurations, basis_index
from qlib.nas.targets import ChainTarget
from qlib.nas.tasks import Sampled
from qlib.nas.tasks.sampled import SampledBatch, balance, metropolis
from qlib.nas.training import Training

N = 6
FALSE_ALARM = 1e-6  # of each statistical test; seeds are fixed
CHAIN = ChainTarget(dmrg(tfim(N)).mps, "critical Ising")
SPINS = all_configurations(N)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def exact_batch(block, samples, seed):
    """Both halves drawn exactly: what the chains of psi tend to."""
    with torch.no_grad():
        p = torch.exp(2 * block(SPINS).real)
    of_psi = torch.multinomial(p, samples, replacement=True, generator=seeded(seed))
    spins = torch.cat([CHAIN.sample(samples, seeded(seed)), SPINS[of_psi]])
    return SampledBatch("all", spins, CHAIN.log_psi(spins))


def flat_gradient(loss, block):
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, [*block.parameters()])]
    )


def test_loss_and_gradient_average_to_those_of_the_full_sum():
    """Means over 40 batches of 2 × 2000 samples; the bias, of order 1 / samples, is
    below their errors."""
    block = RBM(N, scale=0.3, generator=seeded(1))
    task = Sampled(CHAIN, samples=2, pool=8)
    phi = torch.tensor(CHAIN.mps.vector() + 0j)
    exact = -torch.log((phi.conj() @ block.vector()).abs().square())
    assert 0.2 < exact < 2
    expected = torch.view_as_real(flat_gradient(exact, block)).flatten()
    losses, gradients = [], []
    for seed in range(40):
        batch = exact_batch(block, 2000, seed)
        loss = task.loss(batch, block(batch.spins))
        score = task.score(batch, block(batch.spins))
        assert score.item() == pytest.approx(1 - np.exp(-loss.item()), rel=1e-9)
        losses.append(loss.detach())
        gradients.append(torch.view_as_real(flat_gradient(loss, block)).flatten())
    for seen, value in [(losses, exact.detach()), (gradients, expected)]:
        seen = torch.stack(seen)
        error = seen.std(0) / 40**0.5
        assert (error > 0).all()
        assert ((seen.mean(0) - value).abs() < 6 * error).all()  # 98 t-tests: 5e-5


def test_the_estimate_is_the_product_of_one_sided_means():
    """<psi/phi> over |phi|² times <phi/psi> over |psi|² is F as well."""
    block = RBM(N, scale=0.05, generator=seeded(2))
    task = Sampled(CHAIN, samples=2, pool=8)
    batch = exact_batch(block, 50_000, 3)
    with torch.no_grad():
        log_psi = block(batch.spins)
    ratio = torch.exp(log_psi - batch.log_phi)
    product = (ratio[:50_000].mean() * (1 / ratio[50_000:]).mean()).real.item()
    assert 1 - task.score(batch, log_psi).item() == pytest.approx(product, abs=0.01)


def test_at_the_target_itself_there_is_no_noise():
    task = Sampled(CHAIN, samples=50, pool=200)
    batch = task.batch("all", seeded(0), CHAIN.log_psi)
    log_psi = (batch.log_phi + (3 - 2j)).requires_grad_()
    loss = task.loss(batch, log_psi)
    assert 0 <= loss.item() < 1e-14
    (gradient,) = torch.autograd.grad(loss, log_psi)
    assert gradient.abs().max() < 1e-14
    assert task.score(batch, log_psi).item() < 1e-14


def test_the_norm_of_psi_is_found_from_both_samples():
    block = RBM(N, scale=0.3, generator=seeded(4))
    batch = exact_batch(block, 50_000, 5)
    with torch.no_grad():
        excess = 2 * (block(batch.spins).real - batch.log_phi.real)
        log_z = torch.logsumexp(2 * block(SPINS).real, 0)
    assert balance(excess).item() == pytest.approx(log_z.item(), abs=0.05)
    half = torch.sigmoid(excess - balance(excess)).mean().item()
    assert half == pytest.approx(0.5, abs=1e-8)
    assert balance(excess + 7).item() == pytest.approx(balance(excess).item() + 7)
    excess = torch.tensor([[-np.inf, 3.0, 3.0], [-np.inf] * 3])
    assert torch.isfinite(balance(excess)).all()


def test_states_without_common_configurations_have_no_fidelity():
    task = Sampled(CHAIN, samples=2, pool=8)
    log_phi = torch.tensor([0, 0, -np.inf, -np.inf], dtype=torch.complex128)
    batch = SampledBatch("all", torch.ones(4, N).double(), log_phi)
    log_psi = log_phi.flip(0).requires_grad_()
    assert task.score(batch, log_psi).item() == 1
    loss = task.loss(batch, log_psi)
    assert loss > 700
    (gradient,) = torch.autograd.grad(loss, log_psi)
    assert torch.isfinite(torch.view_as_real(gradient)).all()


def test_long_chains_have_the_probabilities_of_psi():
    block = RBM(4, scale=0.5, generator=seeded(6))
    count = 4000
    with torch.no_grad():
        starts = torch.ones(count, 4).double()
        ends = metropolis(block, starts, 100, seeded(7))
        expected = count * block.vector().abs().square().numpy()
    seen = np.bincount(basis_index(ends), minlength=16)
    assert expected.min() > 5
    distance = ((seen - expected) ** 2 / expected).sum()
    assert distance < chi2.ppf(1 - FALSE_ALARM, 15)
    assert torch.equal(starts, torch.ones(count, 4).double())


def test_a_replica_has_the_samples_that_it_has_alone():
    task = Sampled(CHAIN, samples=8, pool=64)
    build = partial(RBM, N, scale=0.5)
    together = Replicas(build, [seeded(0), seeded(1), seeded(2)])
    alone = Replicas(build, [seeded(1)])
    batch = task.batch("all", seeded(3), together.log_psi)
    assert batch.spins.shape == (3, 16, N)
    torch.testing.assert_close(batch.log_phi, CHAIN.log_psi(batch.spins))
    assert not torch.equal(batch.spins[0, 8:], batch.spins[1, 8:])
    own = task.batch("all", seeded(3), alone.log_psi)
    torch.testing.assert_close(own.spins[0], batch.spins[1], rtol=0, atol=0)
    losses = task.loss(batch, together.log_psi(batch.spins))
    torch.testing.assert_close(losses[1:2], task.loss(own, alone.log_psi(own.spins)))
    again = task.batch("all", seeded(3), together.log_psi)
    torch.testing.assert_close(again.spins, batch.spins, rtol=0, atol=0)


def test_parts_take_their_samples_of_phi_from_halves_of_the_pool():
    """All configurations of 40 spins along X are equally likely: none comes twice."""
    tensor = np.full((1, 2, 1), np.sqrt(0.5))
    flat = ChainTarget(MPS((tensor,) * 40, (np.ones(1),) * 39), "along X")
    task = Sampled(flat, samples=10, pool=40, proposals=1)

    def rows(part):
        batches = [task.batch(part, seeded(i), flat.log_psi) for i in range(20)]
        return {tuple(row) for b in batches for row in b.spins[:10].tolist()}

    batch = task.batch("all", seeded(0), flat.log_psi)
    apart = (batch.spins[:10] != batch.spins[10:]).sum(1)
    assert apart.median() > 5  # chains start from samples of their own
    weights, architecture = rows("weights"), rows("architecture")
    assert len(weights) == len(architecture) == 20
    assert not weights & architecture
    assert rows("all") <= weights | architecture


def test_a_training_draws_its_batches_by_its_first_seed():
    task = Sampled(CHAIN, samples=4, pool=64)

    def trained(*seeds):
        def build(*, generator):
            return RBM(N, generator=seeded(5))  # whatever the seed

        training = Training(build, task, seeds=seeds, steps=3)
        training.advance(1)
        training.score_now()  # draws nothing
        training.advance(3)
        return training.replicas.weights["weight"]

    weights = trained(1, 2)
    through = Training(partial(RBM, N), task, seeds=[5], steps=3)
    through.generator.manual_seed(1)
    through.advance(3)
    torch.testing.assert_close(weights[0], through.replicas.weights["weight"][0])
    torch.testing.assert_close(weights[0], trained(1)[0])
    assert not torch.allclose(weights[0], trained(2)[0])


def test_evaluations_are_counted():
    calls = []

    def counted(spins):
        calls.append(spins[..., 0].numel())
        return CHAIN.log_psi(spins)

    task = Sampled(CHAIN, samples=8, pool=64, proposals=5)
    batch = task.batch("weights", seeded(0), counted)
    task.loss(batch, counted(batch.spins))
    assert sum(calls) == task.cost("weights") == task.cost("all")
    assert task.select([0, 0]) is task


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match="target: got str"):
        Sampled("critical Ising")
    for name in ("samples", "proposals"):
        with pytest.raises(ValueError, match=f"{name}: got 0"):
            Sampled(CHAIN, **{name: 0})
    with pytest.raises(ValueError, match="pool: got 100"):
        Sampled(CHAIN, samples=50, pool=100)
    task = Sampled(CHAIN, samples=8, pool=64)
    with pytest.raises(ValueError, match="part: got 'test'"):
        task.batch("test", seeded(0), CHAIN.log_psi)
    with pytest.raises(ValueError, match="indices: got 1"):
        task.select([1])
