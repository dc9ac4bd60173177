"""Maps of single vectors to states: two routes to each, and their special values."""

import math
from functools import reduce

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from qlib.attention.encoding import IQP, Amplitude, Fourier, Projection
from qlib.attention.encoding.iqp import walsh_hadamard
from qlib.attention.encoding.multiscale import haar, levels


def gaussian(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def on_each(gate, qubits):
    return reduce(np.kron, [gate] * qubits)


def z_on(places, qubits):
    z, one = np.diag([1.0, -1.0]), np.eye(2)
    return reduce(np.kron, [z if site in places else one for site in range(qubits)])


@pytest.mark.parametrize("qubits", [1, 2, 4])
def test_iqp_states_are_those_of_the_circuit_gate_by_gate(qubits):
    x = gaussian(qubits, seed=qubits).numpy()
    t = math.pi * (1 + np.tanh(0.7 * x))
    generator = sum(t[j] * z_on({j}, qubits) for j in range(qubits))
    for j in range(qubits):
        for other in range(j + 1, qubits):
            phase = (math.pi - t[j]) * (math.pi - t[other])
            generator = generator + phase * z_on({j, other}, qubits)
    diagonal = expm(1j * generator)
    walls = on_each(np.array([[1, 1], [1, -1]]) / math.sqrt(2), qubits)
    ground = np.eye(2**qubits)[0]
    state = diagonal @ walls @ diagonal @ walls @ ground
    ours = IQP(qubits, bandwidth=0.7)(torch.from_numpy(x))
    np.testing.assert_allclose(ours.numpy(), state, atol=1e-12)


def test_iqp_of_zero_is_the_state_of_no_excitation():
    fidelity = IQP(4)(torch.zeros(4, dtype=torch.float64)).abs() ** 2
    torch.testing.assert_close(fidelity, torch.eye(16, dtype=torch.float64)[0])


def test_walsh_hadamard_is_the_product_of_hadamard_gates():
    x = gaussian(3, 8)
    gates = on_each(np.array([[1.0, 1.0], [1.0, -1.0]]), 3)
    np.testing.assert_allclose(walsh_hadamard(x).numpy(), x.numpy() @ gates)


def fidelities(qubits, **settings):
    """Between the states of different Gaussian vectors of unit variance."""
    feature_map = IQP(qubits, **settings)
    states = feature_map(gaussian(300, qubits))
    apart = ~torch.eye(300, dtype=torch.bool)
    return feature_map.kernel(states, states)[apart]


def test_wide_angles_concentrate_fidelities():
    """Fidelities of states drawn at random have mean and spread 2^-m."""
    wide = fidelities(6, bandwidth=2.0)
    assert float(wide.mean()) == pytest.approx(2**-6, rel=0.25)
    assert float(wide.std()) < 1.5 * 2**-6


@pytest.mark.parametrize("qubits", [3, 5, 8])
def test_fidelities_spread_most_near_the_default_angles(qubits):
    ladder = [0.6 / qubits * 2.0**power for power in (-2, -0.75, -0.25, 0.25, 0.75, 2)]
    grid = [fidelities(qubits, bandwidth=each).std() for each in ladder]
    assert fidelities(qubits).std() > 0.93 * max(grid)
    assert max(grid[0], grid[-1]) < 0.8 * max(grid)


def test_amplitudes_are_normalised_components_and_empty_amplitudes_are_zero():
    state = Amplitude(3)(torch.tensor([3.0, 0.0, -4.0]))
    torch.testing.assert_close(state, torch.tensor([0.6, 0.0, -0.8, 0.0]))


@pytest.mark.parametrize(
    ("width", "qubits"), [(1, 1), (2, 1), (3, 2), (64, 6), (65, 7)]
)
def test_a_register_has_the_fewest_qubits_that_hold_a_vector(width, qubits):
    assert Amplitude(width).qubits == qubits
    assert Amplitude(width)(gaussian(5, width)).shape == (5, 2**qubits)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_amplitudes_do_not_depend_on_the_length_of_a_vector(size):
    x = gaussian(4, 6, dtype=torch.float32)
    torch.testing.assert_close(Amplitude(6)(size * x), Amplitude(6)(x))


def test_a_zero_vector_has_no_direction_and_finite_gradients():
    x = torch.zeros(2, 4, requires_grad=True)
    state = Amplitude(4)(x)
    assert not state.any()
    state.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("qubits", [0, 1, 2, 5])
def test_haar_preserves_inner_products(qubits):
    x, y = gaussian(4, 2**qubits), gaussian(4, 2**qubits, seed=1)
    torch.testing.assert_close(haar(x) @ haar(y).mT, x @ y.mT)


def test_haar_of_four_numbers():
    x = torch.tensor([4.0, 2.0, 1.0, 5.0])
    half = 0.5**0.5
    expected = torch.tensor([6.0, 0.0, 2 * half, -4 * half])
    torch.testing.assert_close(haar(x), expected)


def test_haar_coefficients_of_a_constant_are_on_level_zero_only():
    assert levels(3).tolist() == [0, 1, 2, 2, 3, 3, 3, 3]
    coefficients = haar(torch.ones(8))
    assert torch.equal(coefficients != 0, levels(3) == 0)


@pytest.mark.parametrize(("dim", "width"), [(1, 1), (8, 8), (8, 3), (64, 6)])
def test_projections_start_orthonormal(dim, width):
    weight = Projection(3, dim, width).weight
    torch.testing.assert_close(weight.mT @ weight, torch.eye(width).expand(3, -1, -1))


def test_fourier_kernel_tends_to_the_gaussian_kernel_as_features_grow():
    """A mean of F bounded terms errs as F^-1/2.

    Over 60 other seeds the slope had mean -0.500 and standard deviation 0.009, the
    last error 0.66 and 0.023 in units of F^-1/2: both bounds lie 5 deviations or more
    away, a false-alarm rate below 1e-6.
    """
    x = gaussian(20, 5)
    exact = torch.exp(-torch.cdist(x, x).square() / (2 * 1.5**2))
    errors = []
    for count in (16, 256, 4096):
        squared = []
        for seed in range(10):
            generator = torch.Generator().manual_seed(seed)
            feature_map = Fourier(5, count, spread=1.5, generator=generator)
            states = feature_map(x)
            squared.append((feature_map.kernel(states, states) - exact).square().mean())
        errors.append(float(torch.stack(squared).mean().sqrt()))
    slope = np.polyfit(np.log([16, 256, 4096]), np.log(errors), 1)[0]
    assert -0.55 < slope < -0.45
    assert errors[-1] < 0.8 * 4096**-0.5


def test_fourier_spread_is_by_default_the_typical_distance():
    x = gaussian(400, 6)
    distance = torch.pdist(x).square().mean().sqrt()
    assert Fourier(6, 1).spread == pytest.approx(float(distance), rel=0.05)
