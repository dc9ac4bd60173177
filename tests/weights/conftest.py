"""Small tasks: images and a network off its symmetric start; heads of few features."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from qlib.data import Images
from qlib.weights.features import features
from qlib.weights.resnet import build_resnet
from qlib.weights.trials.network import Backbone
from qlib.weights.trials.studies import draw_studies, standardise


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


@pytest.fixture
def net(network, images):
    """The network with its images at size 32 for training and, reversed, for tests."""
    labels = np.array([0, 1, 2] * 4)
    data = Images("noise", "noise", images, labels, images[::-1], labels, tuple("abc"))
    made = [features(network, part, size=32) for part in (data.train_x, data.test_x)]
    return Backbone(network, data, *made, "scratch", 32)


@pytest.fixture(scope="session")
def studies():
    """Two draws of 120 handwritten digits with twelve features, ten classes."""
    digits = load_digits()
    standard = standardise(digits.data[:1000], most=12)
    train, test = slice(0, 1000), slice(1000, 1300)
    return draw_studies(
        *[
            (standard.features(digits.data[part]), digits.target[part])
            for part in (train, test)
        ],
        size=120,
        repeats=2,
        l2=0.01,
        rng=np.random.default_rng(0),
    )


@pytest.fixture(scope="session")
def study(studies):
    """The first of `studies`."""
    return studies[0]
