"""Samples of |psi|², by Metropolis chains and drawn exactly.

Each chain gives one sample, so that counts are multinomial and Pearson's statistic is
chi-square distributed: false alarms at 1e-4 a test, were the seeds not fixed.
"""

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from qlib.nas.blocks import MPS, RBM, Autoregressive, Jastrow
from qlib.nas.spins import all_configurations, basis_index
from qlib.nas.vmc import Metropolis, draw_exactly

N, CHAINS = 4, 3000
FALSE_ALARM = 1e-4


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def rbm(real=False, scale=0.2):
    return RBM(N, real=real, scale=scale, generator=seeded(1))


def assert_drawn_from(probabilities, spins):
    counts = np.bincount(basis_index(spins).numpy(), minlength=2**N)
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    expected = len(spins) * probabilities[possible] / probabilities.sum()
    assert expected.min() > 5
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - FALSE_ALARM, possible.sum() - 1)


def weights(block):
    return block.vector().detach().abs().numpy() ** 2


def in_sector(probabilities):
    return np.where(all_configurations(N).sum(1) == 0, probabilities, 0)


WAVES = {
    "RBM": rbm(),
    "real RBM": rbm(real=True, scale=0.15),
    "MPS": MPS(N, bond_dim=2, generator=seeded(2)),
    "Jastrow": Jastrow(N, scale=0.2, generator=seeded(2)),
}


@pytest.mark.parametrize("kind", WAVES)
@pytest.mark.parametrize("move", ["flip", "exchange"])
def test_chains_forget_their_start_and_sample_psi_squared(kind, move):
    wave = WAVES[kind]
    sampler = Metropolis(N, CHAINS, move=move, generator=seeded(3))
    sampler.spins = torch.tensor([1.0, 1, -1, -1]).double().expand(CHAINS, N)
    spins = sampler.sweep(wave, 15)
    expected = weights(wave)
    assert_drawn_from(in_sector(expected) if move == "exchange" else expected, spins)
    assert 0.1 < sampler.acceptance < 1


@pytest.mark.parametrize("move", ["flip", "exchange"])
def test_one_step_keeps_samples_of_psi_squared(move):
    """Stationarity: no time to forget, all of the error is the step's."""
    wave, count = rbm(scale=0.3), 20000
    start = draw_exactly(wave, count, generator=seeded(4))
    if move == "exchange":
        start = start[start.sum(1) == 0]
    sampler = Metropolis(N, len(start), move=move, generator=seeded(5))
    sampler.spins = start.clone()
    spins = sampler.sweep(wave)
    expected = weights(wave)
    assert_drawn_from(in_sector(expected) if move == "exchange" else expected, spins)
    assert (spins != start).any()


@pytest.mark.parametrize(
    "block", [rbm(), Autoregressive(N, dim=4, heads=2, depth=1, generator=seeded(6))]
)
def test_exact_draws(block):
    with torch.no_grad():
        spins = draw_exactly(block, 20000, generator=seeded(7))
    assert_drawn_from(weights(block), spins)


def test_the_start_is_uniform_in_the_sector():
    uniform = np.full(2**N, 2.0**-N)
    assert_drawn_from(uniform, Metropolis(N, CHAINS, generator=seeded(8)).spins)
    start = Metropolis(N, CHAINS, move="exchange", generator=seeded(8)).spins
    assert_drawn_from(in_sector(uniform), start)
    odd = Metropolis(5, 9, move="exchange", generator=seeded(8)).spins
    assert (odd.sum(1) == 1).all()


def test_zeros_of_psi_are_left_and_not_entered():
    """psi = 0 unless the first two spins agree: no chain starts or ends elsewhere."""

    def log_psi(spins):
        zero = spins[..., 0] != spins[..., 1]
        zero = zero & (spins[..., 2] > 0)
        return torch.where(zero, -torch.inf, 0.0).to(torch.complex128)

    sampler = Metropolis(N, CHAINS, generator=seeded(9))
    spins = sampler.sweep(log_psi, 15)
    assert_drawn_from(torch.exp(2 * log_psi(all_configurations(N)).real).numpy(), spins)


def test_replicas_are_chains_of_different_states():
    """Of one field each: <s> = tanh 2a; mean of 4 · 3000 spins, false alarm 1e-4."""
    field = torch.tensor([-0.3, 0.5], dtype=torch.float64)

    def log_psi(spins):  # (replicas, chains, N)
        return (field[:, None] * spins.sum(-1)).to(torch.complex128)

    sampler = Metropolis(N, (2, CHAINS), generator=seeded(10))
    spins = sampler.sweep(log_psi, 10)
    assert spins.shape == (2, CHAINS, N)
    error = torch.cosh(2 * field) ** -1 / (N * CHAINS) ** 0.5
    off = (spins.mean((1, 2)) - torch.tanh(2 * field)) / error
    assert off.abs().max() < 3.9


@pytest.mark.parametrize("kind", WAVES)
def test_one_seed_one_chain_and_calls_add_up(kind):
    first, second = (Metropolis(N, 8, generator=seeded(11)) for _ in range(2))
    reached = first.sweep(WAVES[kind], 3)
    assert torch.equal(reached, second.sweep(WAVES[kind], 3))
    kept = reached.clone()
    first.sweep(WAVES[kind])
    assert torch.equal(reached, kept)
    assert first.evaluations == 8 * (3 * N + 1) + 8 * (N + 1)


def test_a_uniform_state_accepts_every_flip():
    sampler = Metropolis(N, 8, generator=seeded(12))
    sampler.sweep(rbm(scale=0.0))
    assert sampler.acceptance == 1


def test_equal_spins_have_nothing_to_exchange():
    for wave in WAVES.values():
        sampler = Metropolis(N, 8, move="exchange", generator=seeded(13))
        sampler.spins[:] = 1.0
        assert (sampler.sweep(wave) == 1).all()


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match=r"move: got 'swap'; allowed: flip, exchange"):
        Metropolis(N, 4, move="swap", generator=seeded(0))
    with pytest.raises(ValueError, match=r"chains: got 0; allowed: an integer >= 1"):
        Metropolis(N, (2, 0), generator=seeded(0))
    with pytest.raises(ValueError, match=r"sweeps: got 0; allowed: an integer >= 1"):
        Metropolis(N, 4, generator=seeded(0)).sweep(rbm(), 0)
    with pytest.raises(ValueError, match=r"log_psi: got 6 sites; allowed: 4"):
        Metropolis(N, 4, generator=seeded(0)).sweep(RBM(6))
    for start in (Metropolis, draw_exactly):
        first = N if start is Metropolis else rbm()
        with pytest.raises(ValueError, match=r"generator: got 0; allowed: a torch.Gen"):
            start(first, 4, generator=0)
    with pytest.raises(ValueError, match=r"block: got 21 sites; allowed: at most 20"):
        draw_exactly(RBM(21), 4, generator=seeded(0))
