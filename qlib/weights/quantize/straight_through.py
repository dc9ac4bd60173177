"""Straight-through training: gradients at the codes move real weights behind them."""

from dataclasses import dataclass

import numpy as np

from qlib.arguments import number_between, positive_integer
from qlib.weights.quantize.calibration import calibration_data, real_head
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, levels, nearest
from qlib.weights.quantize.refit import refit_products

FIRST_DECAY, SECOND_DECAY, FLOOR = 0.9, 0.999, 1e-12  # Adam's own, and no 0/0


def straight_through(
    features,
    labels,
    weights,
    bias,
    bits,
    *,
    seeds=(0,),
    steps=500,
    learning_rate=0.003,
    gain_learning_rate=0.05,
    noise=0.1,
    batch=None,
    l2=0.0,
):
    """One trained head a seed, all seeds in one matrix product.

    Behind every code stands a real latent weight u in units of the scale, at first
    w/scale of `fit_scale`. The head computes with q(u), the nearest level; the gradient
    with respect to q is applied to u as if q were the identity, inside the grid's range
    and half a step beyond it, and is zero outside. Scale (through its logarithm) and
    bias have true gradients. Adam with a cosine to zero moves all three; its second
    moment is averaged over the weights of a class, without which weights of no use move
    as fast as the others. Kept are the codes of least calibration loss met, with scale
    and bias refitted.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) integer array
        Classes 0 … C − 1.
    weights, bias : (d, C) and (C,) array
        The real head where training starts: the optimum (`qlib.weights.convex`), or
        ``head.weights, head.bias`` of a quantised head, whose codes are then the start.
    bits : {1, 1.58, 2, 3, 4}
    seeds : sequence of int
        One run each; a run does not depend on the seeds beside it.
    steps : int
        Gradient steps, >= 1. Four times the default gains nothing on digits.
    learning_rate : float
        Of the latent weights, > 0. On digits, and on 512 features of a ResNet-18, the
        loss is flat from 0.003 to 0.01 and higher from 0.03 on; 0.001 is too slow for
        one bit on the latter.
    gain_learning_rate : float
        Of log scale and bias, > 0; the best of 0.01 to 0.3 on digits.
    noise : float
        Standard deviation of the latent weights' start about w/scale, >= 0, by which
        seeds differ. 0.5 was worse, most of all for ternary codes.
    batch : int or None
        Samples a step, drawn with replacement by each seed; the whole loss is then
        taken once in n/batch steps. None is all samples: no noise and shared products.
    l2 : float
        Strength >= 0 of the penalty l2/2 ‖W‖² in the loss.

    Returns
    -------
    tuple of QuantizedHead
        One a seed, in their order.

    Notes
    -----
    O(n d C) a step and seed, in float64; n is `batch` where that is given. Memory
    O(n C) a seed. The gradient of a linear head is one product, so NumPy does.

    References
    ----------
    Y. Bengio, N. Léonard, A. Courville, arXiv:1308.3432 (2013).
    S. K. Esser et al., Learned Step Size Quantization, ICLR 2020: there the scale also
    moves the rounding; that did not lower the loss on digits.
    """
    weights, bias = real_head(weights, bias)
    features, labels = calibration_data(features, labels, weights.shape)
    steps = positive_integer("steps", steps)
    learning_rate = number_between(
        "learning_rate", learning_rate, 0.0, np.inf, open_low=True
    )
    gain_learning_rate = number_between(
        "gain_learning_rate", gain_learning_rate, 0.0, np.inf, open_low=True
    )
    rates = (learning_rate, gain_learning_rate, gain_learning_rate)
    noise = number_between("noise", noise, 0.0, np.inf)
    l2 = number_between("l2", l2, 0.0, np.inf)
    if batch is not None and positive_integer("batch", batch) > labels.size:
        raise ValueError(f"batch: got {batch}; allowed: None or 1 … {labels.size}")
    rngs = [np.random.default_rng(seed) for seed in _checked_seeds(seeds)]

    training = _start(features, labels, weights, bias, bits, rngs, noise, l2)
    parameters = [training.latent, training.log_scale, training.bias]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    epoch = 1 if batch is None else -(-labels.size // batch)
    for step in range(1, steps + 1):
        if batch is None:
            loss, gradients = loss_and_gradients(training, features, labels)
            training.keep(loss)
        else:
            if step % epoch == 1 or epoch == 1:
                training.keep(loss_and_gradients(training, features, labels)[0])
            drawn = np.stack([rng.integers(0, labels.size, batch) for rng in rngs])
            _, gradients = loss_and_gradients(training, features[drawn], labels[drawn])
        cosine = 0.5 * (1 + np.cos(np.pi * step / steps))
        for p, gradient, m, v, rate in zip(
            parameters, gradients, first, second, rates, strict=True
        ):
            _adam(p, gradient, m, v, step, rate * cosine)
        np.clip(training.latent, -training.reach, training.reach, out=training.latent)
    training.keep(loss_and_gradients(training, features, labels)[0])
    return tuple(
        refit_products(head, features @ head.codes.astype(np.float64), labels, l2=l2)
        for head in training.best
    )


@dataclass
class Training:
    """Parameters of S heads and the best codes of each so far."""

    latent: np.ndarray  # (S, C, d), in units of the scale
    log_scale: np.ndarray  # (S, C)
    bias: np.ndarray  # (S, C)
    bits: float
    l2: float
    least: np.ndarray  # (S,)
    best: list

    @property
    def reach(self):
        """Largest |latent| that still receives a gradient."""
        grid = levels(self.bits)
        return grid[-1] + 0.5 * (grid[1] - grid[0])

    @property
    def codes(self):
        """Nearest levels (S, C, d), int8."""
        flat = self.latent.reshape(-1, 1)
        return nearest(flat, self.bits, np.ones(1)).reshape(self.latent.shape)

    def keep(self, loss):
        """Store the heads whose loss (S,) is the least of their run."""
        better = np.flatnonzero(loss < self.least)
        if better.size == 0:
            return
        codes = self.codes
        for run in better:
            self.least[run] = loss[run]
            self.best[run] = QuantizedHead(
                codes[run].T, np.exp(self.log_scale[run]), self.bias[run], self.bits
            )


def _start(features, labels, weights, bias, bits, rngs, noise, l2):
    """Training at the real weights, scale and bias refitted to their nearest codes."""
    scale = fit_scale(weights, bits)
    head = QuantizedHead(nearest(weights, bits, scale), scale, bias, bits)
    products = features @ head.codes.astype(np.float64)
    head = refit_products(head, products, labels, l2=l2)
    shape = weights.T.shape
    latent = [
        weights.T / scale[:, None] + noise * r.standard_normal(shape) for r in rngs
    ]
    runs = len(rngs)
    training = Training(
        np.stack(latent),
        np.tile(np.log(head.scale), (runs, 1)),
        np.tile(head.bias, (runs, 1)),
        bits,
        l2,
        np.full(runs, np.inf),
        [None] * runs,
    )
    np.clip(training.latent, -training.reach, training.reach, out=training.latent)
    return training


def loss_and_gradients(training, features, labels):
    """Losses (S,) and straight-through gradients of latent, log scale and bias.

    Features are (n, d) with labels (n,), shared by all runs, or (S, n, d) with labels
    (S, n).
    """
    runs, classes, d = training.latent.shape
    scale = np.exp(training.log_scale)[..., None]
    codes = training.codes.astype(np.float64)
    weights = codes * scale  # (S, C, d)
    samples = labels.shape[-1]
    if features.ndim == 2:
        logits = weights.reshape(-1, d) @ features.T
        logits = logits.reshape(runs, classes, samples)
    else:
        logits = weights @ features.transpose(0, 2, 1)
    logits += training.bias[..., None]
    chosen = np.broadcast_to(labels, (runs, samples))[:, None]  # (S, 1, n)
    top = logits.max(axis=1, keepdims=True)
    logits -= top
    label_logits = np.take_along_axis(logits, chosen, axis=1)
    slope = np.exp(logits, out=logits)
    total = slope.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total) - label_logits, axis=(1, 2))
    loss += training.l2 / 2 * np.sum(weights**2, axis=(1, 2))
    slope /= total
    shares = np.take_along_axis(slope, chosen, axis=1)
    np.put_along_axis(slope, chosen, shares - 1, axis=1)
    slope /= samples
    if features.ndim == 2:
        of_weights = slope.reshape(-1, samples) @ features
        of_weights = of_weights.reshape(weights.shape)
    else:
        of_weights = slope @ features
    of_weights += training.l2 * weights
    inside = np.abs(training.latent) <= training.reach
    of_latent = of_weights * scale * inside
    of_log_scale = np.sum(of_weights * weights, axis=2)
    return loss, (of_latent, of_log_scale, slope.sum(axis=2))


def _adam(parameter, gradient, first, second, step, rate):
    """One step of Adam in place; the last axis of latent weights shares `second`."""
    first += (1 - FIRST_DECAY) * (gradient - first)
    second += (1 - SECOND_DECAY) * (gradient**2 - second)
    spread = second.mean(axis=2, keepdims=True) if second.ndim == 3 else second
    spread = np.sqrt(spread / (1 - SECOND_DECAY**step)) + FLOOR
    parameter -= rate * first / (1 - FIRST_DECAY**step) / spread


def _checked_seeds(seeds):
    seeds = list(seeds) if np.ndim(seeds) == 1 else None
    if not seeds or not all(
        isinstance(s, int | np.integer) and s >= 0 and not isinstance(s, bool)
        for s in seeds
    ):
        raise ValueError(f"seeds: got {seeds}; allowed: at least one integer >= 0")
    return seeds
