"""A small task for a real ResNet: seeded images, a network off its symmetric start."""

import numpy as np
import pytest
import torch

from qlib.weights.resnet import build_resnet


@pytest.fixture(scope="session")
def images():
    """Twelve images (12, 16, 16, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def network():
    """A ResNet-18 of 3 classes with every BatchNorm value and statistic its own."""
    model = build_resnet(classes=3, seed=2)
    generator = torch.Generator().manual_seed(1)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.3, 0.3),
                (part.running_mean, -0.2, 0.2),
                (part.running_var, 0.5, 2.0),
            ):
                draw = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(low + (high - low) * draw)
    return model
