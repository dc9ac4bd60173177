"""A small regression, and equality of nested states to the last bit."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import nn


@dataclass
class Task:
    """A regression on fixed data, its network, and how often it was evaluated."""

    model: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor
    calls: int = 0

    def closure(self, optimizer):
        def evaluate():
            self.calls += 1
            optimizer.zero_grad()
            loss = (self.model(self.inputs) - self.targets).square().mean()
            loss.backward()
            return loss

        return evaluate

    def weights(self):
        return [weight.detach().clone() for weight in self.model.parameters()]


@pytest.fixture
def task():
    """A function that makes the same task each time, in the dtype and place asked."""

    def make(dtype=torch.float32, device="cpu"):
        generator = torch.Generator().manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.5, generator=generator)
        data = [torch.randn(16, size, generator=generator) for size in (3, 2)]
        place = {"dtype": dtype, "device": device}
        return Task(model.to(**place), *(tensor.to(**place) for tensor in data))

    return make


def _identical(first, second):
    if isinstance(first, torch.Tensor):
        return (
            isinstance(second, torch.Tensor)
            and first.dtype == second.dtype
            and first.shape == second.shape
            and torch.equal(first.isnan(), second.isnan())
            and torch.equal(first.nan_to_num(), second.nan_to_num())
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            _identical(first[key], second[key]) for key in first
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_identical, first, second))
    return first == second or (first != first and second != second)


@pytest.fixture
def identical():
    """A function: whether two nested states hold the same bits, NaN equal to NaN."""
    return _identical


@pytest.fixture
def snapshot():
    """A function that copies all that a refused call must leave as it was."""

    def copy(optimizer):
        parts = [part for group in optimizer.param_groups for part in group["params"]]
        return deepcopy(
            {
                "weights": [part.detach().clone() for part in parts],
                "gradients": [part.grad for part in parts],
                "state": optimizer.state_dict(),
                "history": list(optimizer.history),
                "global generator": torch.get_rng_state(),
            }
        )

    return copy
