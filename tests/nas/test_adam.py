import numpy as np
import pytest
import torch

from qlib.nas.adam import Adam


def reference(value, gradients, rate):
    """Algorithm 1 of Kingma and Ba, for one real number."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        value -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return value


def test_steps_are_those_of_algorithm_1_for_real_and_imaginary_parts():
    gradients = np.random.default_rng(0).standard_normal((7, 3))
    weights = {
        "real": torch.tensor([0.5], dtype=torch.float64),
        "complex": torch.tensor([1 - 2j], dtype=torch.complex128),
    }
    adam = Adam(weights, rates={"real": 1.0, "complex": 0.25})
    for real, first, second in gradients:
        given = [
            torch.tensor([number], dtype=weight.dtype)
            for number, weight in zip(
                (real, complex(first, second)), weights.values(), strict=True
            )
        ]
        adam.step(weights, given, 0.1)
    expected = [
        reference(start, column, rate)
        for start, column, rate in zip(
            (0.5, 1, -2), gradients.T, (0.1, 0.025, 0.025), strict=True
        )
    ]
    assert weights["real"].item() == pytest.approx(expected[0], rel=1e-12)
    assert weights["complex"].item() == pytest.approx(complex(*expected[1:]), rel=1e-12)


def test_a_quadratic_of_complex_weights_is_minimised():
    """|w − c|², with torch's gradient of a complex leaf."""
    goal = torch.tensor([1 + 1j, -2j], dtype=torch.complex128)
    weights = {"w": torch.zeros(2, dtype=torch.complex128, requires_grad=True)}
    adam = Adam(weights)
    for step in range(160):
        loss = (weights["w"] - goal).abs().square().sum()
        adam.step(weights, torch.autograd.grad(loss, [weights["w"]]), 0.2 * 0.96**step)
    torch.testing.assert_close(weights["w"].detach(), goal, rtol=0, atol=1e-2)
