"""Logarithmic derivatives, and the two forms of stochastic reconfiguration."""

import copy

import numpy as np
import pytest
import torch

from qlib.entanglement import hamiltonians
from qlib.nas.blocks import (
    MPS,
    RBM,
    Attention,
    Autoregressive,
    FeedForward,
    Jastrow,
    Product,
)
from qlib.nas.spins import all_configurations
from qlib.nas.vmc import LocalEnergy, log_derivatives, natural_gradient, step_along

N = 5


def seeded(seed):
    return torch.Generator().manual_seed(seed)


BLOCKS = {
    "RBM": RBM(N, generator=seeded(0)),
    "RBM, range 1": RBM(N, range=1, generator=seeded(1)),
    "RBM, real, Marshall": RBM(N, real=True, marshall=True, generator=seeded(2)),
    "RBM, more hidden": RBM(N, alpha=2, generator=seeded(3)),
    "MPS": MPS(N, bond_dim=3, generator=seeded(4)),
    "MPS, real": MPS(N, bond_dim=3, real=True, generator=seeded(5)),
    "Jastrow": Jastrow(N, generator=seeded(6)),
    "feed-forward": FeedForward(N, width=4, generator=seeded(7)),
    "attention": Attention(N, dim=4, heads=2, depth=1, generator=seeded(8)),
    "autoregressive": Autoregressive(N, dim=4, heads=2, depth=1, generator=seeded(9)),
    "real times complex": Product(
        [RBM(N, generator=seeded(10)), FeedForward(N, width=3, generator=seeded(11))]
    ),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    return copy.deepcopy(BLOCKS[request.param])


def moved(block, direction, size):
    block = copy.deepcopy(block)
    step_along(block, direction, -size)
    with torch.no_grad():
        return block(all_configurations(N))


def test_derivatives_are_those_of_finite_differences(block):
    spins, size = all_configurations(N), 1e-5
    derivatives = log_derivatives(block, spins)
    X = derivatives.dense()
    columns = torch.randn(X.shape[1], dtype=X.dtype, generator=seeded(0))
    direction = derivatives.spread(columns)
    difference = moved(block, direction, size) - moved(block, direction, -size)
    turned = torch.remainder(difference.imag + 1, np.pi) - 1  # signs of psi dropped
    expected = torch.complex(difference.real, turned) / (2 * size)
    expected = (expected - expected.mean()) / len(spins) ** 0.5
    found = X @ columns
    if len(found) == 2 * len(spins):
        found = torch.complex(*found.chunk(2))
    found = found.to(expected.dtype)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_products_of_the_matrix_are_those_of_its_entries(block):
    spins = all_configurations(N)[3:]
    derivatives = log_derivatives(block, spins)
    X = derivatives.dense()
    assert derivatives.shape == X.shape
    assert X.reshape(-1, len(spins), X.shape[1]).mean(1).abs().max() < 1e-14
    torch.testing.assert_close(derivatives.gram(), X @ X.mH, rtol=0, atol=1e-13)
    torch.testing.assert_close(derivatives.metric(), X.mH @ X, rtol=0, atol=1e-13)
    vector = torch.randn(len(X), dtype=X.dtype, generator=seeded(1))
    torch.testing.assert_close(
        derivatives.adjoint(vector), X.mH @ vector, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("shift", [1e-3, 1.0])
def test_min_sr_is_sr(block, shift):
    spins = all_configurations(N)[::2]
    energies = LocalEnergy(hamiltonians.xy(N, 0.4, 0.3))(block, spins).detach()
    derivatives = log_derivatives(block, spins)
    one, other = (
        natural_gradient(derivatives, energies, diag_shift=shift, method=method)
        for method in ("sr", "minsr")
    )
    assert (one - other).abs().max() < 1e-8 * one.abs().max()
    X, target = derivatives.dense(), derivatives.rows(energies)
    if derivatives.shape[1] < len(one):  # out of range: not moved
        kept = block.seen.flatten() > 0
        assert (one[: len(kept)][~kept] == 0).all()
        one = torch.cat([one[: len(kept)][kept], one[len(kept) :]])
    residual = X.mH @ (X @ one - target) + shift * one
    assert residual.abs().max() < 1e-10 * target.abs().max()


@pytest.mark.parametrize("kind", ["complex", "real parameters", "positive"])
def test_the_force_is_half_the_gradient_of_the_energy(kind):
    """All configurations are equally probable, so that they are their own sample."""
    made = {
        "complex": Jastrow(N, generator=seeded(2)),
        "real parameters": FeedForward(N, width=4, generator=seeded(3)),
        "positive": RBM(N, real=True, scale=0.0),
    }
    block, H = made[kind], hamiltonians.cluster(N, 0.6)
    with torch.no_grad():
        if kind == "complex":
            for parameter in block.parameters():
                parameter.real.zero_()
        if kind == "real parameters":
            block.heads[0].zero_()
    matrix = torch.from_numpy(H.matrix()).to(torch.complex128)
    psi = block.vector()
    energy = torch.vdot(psi, matrix @ psi).real
    gradients = torch.autograd.grad(energy, list(block.parameters()))
    spins = all_configurations(N)
    derivatives = log_derivatives(block, spins)
    local = LocalEnergy(H)(block, spins)
    force = derivatives.adjoint(derivatives.rows(local))
    expected = torch.cat([one.flatten() for one in gradients])
    torch.testing.assert_close(2 * force, expected, rtol=1e-10, atol=1e-12)


def test_steps_in_imaginary_time_follow_the_exact_flow():
    """With every amplitude a parameter, SR is exp(−δτ H) to first order in δτ.

    MPS of full bond dimension in place of the amplitudes; all configurations, equally
    probable at the start.
    """
    block, H, size = MPS(3, bond_dim=2, generator=seeded(4)), hamiltonians.tfim(3), 1e-6
    with torch.no_grad():
        for parameter in block.parameters():
            parameter[:] = torch.randn(
                parameter.shape, dtype=parameter.dtype, generator=seeded(5)
            )
        psi = block.vector()
    index = np.random.default_rng(0).choice(8, 8000, p=psi.abs().numpy() ** 2)
    spins = all_configurations(3)[index]
    local = LocalEnergy(H)(block, spins).detach()
    direction = natural_gradient(
        log_derivatives(block, spins), local, diag_shift=1e-9, method="sr"
    )
    step_along(block, direction, size)
    after = block.vector().detach()
    after = after * torch.exp(-1j * torch.angle(torch.vdot(psi, after)))
    matrix = torch.from_numpy(H.matrix()).to(torch.complex128)
    energy = torch.vdot(psi, matrix @ psi)
    torch.testing.assert_close(
        (psi - after) / size, matrix @ psi - energy * psi, rtol=0, atol=0.02
    )
