"""Images to learn with a network that learns them: digits, and small pictures."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from qlib.data import load_images, stratified_subset

WANTED = "cifar10", "cifar10-jpeg", "fashion-mnist"
HELD = 0.2  # share of the training images that validates


class Part(NamedTuple):
    """Inputs and labels as tensors."""

    inputs: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class Task:
    """Images to learn, and the network that learns them.

    Attributes
    ----------
    source : str
        What a report must call the images.
    build : callable
        () -> a new network, drawn from torch's global generator.
    train, validation, test : Part
    batch : int
    mode : {"vectorized", "loop"}
        How a swarm evaluates its agents: what is faster on a CPU. It is fixed, as a
        choice by the clock would change results from run to run.
    """

    source: str
    build: object
    train: Part
    validation: Part
    test: Part
    batch: int
    mode: str

    def model(self, seed):
        """A network of its own seed; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build()

    def batches(self, seed):
        """Endless (inputs, labels), drawn without replacement within an epoch."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self.train.labels), generator=generator)
            for rows in order.split(self.batch):
                if len(rows) == self.batch:
                    yield self.train.inputs[rows], self.train.labels[rows]


def digits(*, hidden=64, batch=32):
    """scikit-learn's digits and a perceptron of two hidden layers."""

    def build():
        layers = nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        return nn.Sequential(*layers, nn.Linear(hidden, 10))

    return _task(
        load_images("digits"), build, flatten=True, batch=batch, mode="vectorized"
    )


def pictures(name, *, size, channels=(16, 32, 64), batch=32):
    """Colour or grey images and a convolutional network of three layers.

    Parameters
    ----------
    name : str
        Of `qlib.data.load_images`, or "auto" for the first of `WANTED` that is there.
    size : int
        Training images, validation included; half as many, if there are, are tested.
    channels : tuple of int
    batch : int
    """
    images = _first_there() if name == "auto" else load_images(name)
    colours = images.train_x.shape[3]

    def build():
        layers, before = [], colours
        for width in channels:
            convolution = nn.Conv2d(before, width, 3, stride=2, padding=1)
            layers += [convolution, nn.ReLU()]
            before = width
        pool = nn.AdaptiveAvgPool2d(2), nn.Flatten()
        return nn.Sequential(*layers, *pool, nn.Linear(4 * before, 10))

    return _task(images, build, flatten=False, batch=batch, mode="loop", size=size)


def _first_there():
    for name in WANTED[:-1]:
        try:
            return load_images(name)
        except FileNotFoundError:
            continue
    try:
        return load_images(WANTED[-1])
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"pictures: none of {', '.join(WANTED)} is there; 'none' goes without; "
            f"{error}"
        ) from None


def _task(images, build, *, flatten, batch, mode, size=None):
    """A `Task` of images, a share of whose training images validates."""
    rows = np.arange(len(images.train_y))
    if size is not None:
        rows = stratified_subset(images.train_y, size, rng=0)
    held = stratified_subset(images.train_y[rows], round(HELD * len(rows)), rng=0)
    learnt = np.delete(rows, held)

    def part(x, y):
        inputs = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)
        inputs = inputs.float() / 255 - 0.5
        return Part(inputs.flatten(1) if flatten else inputs, torch.from_numpy(y))

    x, y = images.train_x, images.train_y
    parts = part(x[learnt], y[learnt]), part(x[rows[held]], y[rows[held]])
    shown = np.arange(len(images.test_y))
    if size is not None:
        shown = stratified_subset(images.test_y, min(len(shown), size // 2), rng=0)
    test = part(images.test_x[shown], images.test_y[shown])
    return Task(images.source, build, *parts, test, batch, mode)
