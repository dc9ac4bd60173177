"""A binary head so small that all of its codes can be listed."""

import itertools
from typing import NamedTuple

import numpy as np

from qlib.weights.quantize import QuantizedHead
from qlib.weights.quantize.annealing import simulated_annealing_codes


class Toy(NamedTuple):
    """A two-class head of 2 d one-bit weights, and the loss of all 4^d codes."""

    features: np.ndarray
    labels: np.ndarray
    start: QuantizedHead
    losses: np.ndarray

    def thermal_loss(self, temperature):
        """Mean loss in nats when every code has weight exp(−loss / temperature)."""
        weights = np.exp(-(self.losses - self.losses.min()) / temperature)
        return float(np.sum(weights * self.losses) / np.sum(weights))


def draw_toy(features, labels, *, size=6):
    """The `Toy` of the two most frequent classes and the most varied features.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) array
    size : int
        Features kept, <= 8: their 4^size codes are listed.
    """
    pair = np.argsort(-np.bincount(labels), kind="stable")[:2]
    rows = np.isin(labels, pair)
    varied = np.argsort(-features.var(axis=0), kind="stable")[:size]
    inputs, targets = features[rows][:, varied], (labels[rows] == pair[1]).astype(int)
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    every = np.array(list(itertools.product((-1, 1), repeat=2 * size)))
    codes = every.reshape(-1, size, 2)
    scale = 1 / np.sqrt(size)
    margins = scale * (inputs @ (codes[:, :, 0] - codes[:, :, 1]).T)  # (n, codes)
    signs = np.where(targets == 0, 1, -1)[:, None]
    losses = np.logaddexp(0, -signs * margins).mean(axis=0)
    start = QuantizedHead(codes[0], np.full(2, scale), np.zeros(2), 1)
    return Toy(inputs, targets, start, losses)


def walk_losses(toy, temperature, *, walks, sweeps, rng):
    """Mean loss of each of many walks at one temperature, their first tenth dropped.

    Returns
    -------
    (walks,) array
    """
    found = simulated_annealing_codes(
        toy.features,
        toy.labels,
        toy.start,
        sweeps=sweeps,
        temperature_range=(temperature, temperature),
        replicas=walks,
        rng=rng,
    )
    return found.losses[:, sweeps // 10 :].mean(axis=1)
