"""The gradient side: SGD on the last layer, fine-tuning of the network, evaluation."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from qlib.arguments import number_between, positive_integer
from qlib.weights.arguments import (
    below_one,
    check_samples,
    class_labels,
    classes_of,
    head_start,
)
from qlib.weights.features import batches_of, evaluating, segment, stage_inputs


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A softmax head after SGD.

    Attributes
    ----------
    weights : (d, C) array
    bias : (C,) array
    loss, accuracy : (epochs + 1,) arrays
        Mean cross-entropy in nats and share correct on the training data, at the start
        and after each epoch.
    """

    weights: np.ndarray
    bias: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Share of images classified correctly, and mean cross-entropy in nats."""

    accuracy: float
    loss: float


def train_last_layer(
    features,
    labels,
    *,
    lr,
    epochs=30,
    batch_size=64,
    momentum=0.9,
    cosine=False,
    l2=0.0,
    classes=None,
    start=None,
    callback=None,
    rng=None,
):
    """A softmax head by stochastic gradient descent with momentum, on fixed features.

    v ← momentum · v + ∇loss(batch) + l2 · W;  W ← W − lr · v (torch's convention), each
    epoch in a new random order, the last batch as small as it comes. NumPy, float64.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) integer array
        In 0..C−1.
    lr : float
        > 0. Stable below about 2 (1 + momentum) / λ with λ the curvature, at most half
        the largest squared length of a feature vector.
    epochs : int
    batch_size : int
        64 in the study under test.
    momentum : float
        In [0, 1). The customary value.
    cosine : bool
        Whether the rate falls to zero as a half cosine over the epochs, so that SGD
        ends at the minimum instead of about it; else it is constant.
    l2 : float
        >= 0; adds l2/2 ‖W‖² to the loss (not for the bias).
    classes : int or None
        C; None takes the largest label + 1.
    start : (weights, bias) or None
        (d, C) and (C,) arrays; None starts from zero.
    callback : callable or None
        ``callback(epoch, weights, bias)`` after each epoch, arrays not to be kept.
    rng : int, `numpy.random.Generator` or None
        Source of randomness: the orders.

    Returns
    -------
    LastLayer

    Notes
    -----
    O(epochs · n d C).
    """
    if classes is None:
        classes = classes_of(labels)
    features, labels = check_samples(features, labels, classes)
    number_between("lr", lr, 0.0, np.inf, open_low=True)
    number_between("l2", l2, 0.0, np.inf)
    below_one("momentum", momentum)
    batch_size = positive_integer("batch_size", batch_size)
    n, d = features.shape
    if start is None:
        start = np.zeros((d, classes)), np.zeros(classes)
    weights, bias = head_start(start, d, classes)
    rng = np.random.default_rng(rng)
    speed, bias_speed = np.zeros_like(weights), np.zeros_like(bias)
    history = [_assess(features @ weights + bias, labels)]
    for epoch in range(positive_integer("epochs", epochs)):
        rate = lr * (1 + np.cos(np.pi * epoch / epochs)) / 2 if cosine else lr
        order = rng.permutation(n)
        for first in range(0, n, batch_size):
            chosen = order[first : first + batch_size]
            x = features[chosen]
            slope = _softmax(x @ weights + bias)
            slope[np.arange(len(chosen)), labels[chosen]] -= 1.0
            slope /= len(chosen)
            speed = momentum * speed + x.T @ slope + l2 * weights
            bias_speed = momentum * bias_speed + slope.sum(axis=0)
            weights -= rate * speed
            bias -= rate * bias_speed
        history.append(_assess(features @ weights + bias, labels))
        if callback is not None:
            callback(epoch, weights, bias)
    loss, accuracy = np.array(history).T
    return LastLayer(weights, bias, loss, accuracy)


def fine_tune(
    model,
    images,
    labels,
    *,
    lr,
    parameters="all",
    epochs=1,
    batch_size=64,
    momentum=0.9,
    weight_decay=0.0,
    size=64,
    bfloat16=False,
    callback=None,
    rng=None,
):
    """Train a network further, in place, by SGD with momentum at a constant rate.

    Parameters
    ----------
    model : torchvision ResNet
        Changed. Left in evaluation mode.
    images : (n, H, W, C) uint8 array, or (n, c, h, w) float tensor
        The tensor is what `qlib.weights.features.stage_inputs` returned, for
        "last_stage" only: the stages below are frozen, so one pass serves all epochs
        and all starts that share them. No augmentation: every start sees the same.
    labels : (n,) integer array
        In 0..C−1, C the model's outputs.
    lr : float
        > 0.
    parameters : {"all", "last_stage"}
        "last_stage" trains `layer4` and `fc` only. BatchNorm layers that are trained
        normalise by their batch and update their running statistics; frozen ones use
        their running statistics, unchanged.
    epochs, batch_size, momentum, rng
        As for `train_last_layer`; the order of images depends on `rng` alone, so two
        starts with one seed see the same batches. A last batch of one image is left
        out: BatchNorm would normalise it by itself.
    weight_decay : float
        >= 0, on all trained parameters.
    size : int
        Side to which images are resized.
    bfloat16 : bool
        As for `qlib.weights.pretraining.Pretraining`.
    callback : callable or None
        ``callback(epoch, loss)`` after each epoch with its mean training loss; the
        model is in evaluation mode there, and may be evaluated.

    Returns
    -------
    (epochs,) float64 array
        Mean training loss of each epoch, in nats, measured while it trains.

    Notes
    -----
    Channels zeroed by `qlib.weights.inject.mask_channels` stay zero: no gradient
    passes a ReLU at 0.
    """
    import torch

    if parameters not in ("all", "last_stage"):
        raise ValueError(
            f"parameters: got {parameters!r}; allowed: 'all', 'last_stage'"
        )
    number_between("lr", lr, 0.0, np.inf, open_low=True)
    number_between("weight_decay", weight_decay, 0.0, np.inf)
    below_one("momentum", momentum)
    epochs = positive_integer("epochs", epochs)
    batch_size = positive_integer("batch_size", batch_size)
    labels = class_labels(labels, len(images), model.fc.out_features)
    if torch.is_tensor(images) and parameters == "all":
        raise ValueError(
            "images: got a tensor; allowed with parameters='all': uint8 images"
        )
    network = model
    if parameters == "last_stage":
        network = segment(model, "layer4", None)
        if not torch.is_tensor(images):
            images = stage_inputs(model, images, size=size)
    rng = np.random.default_rng(rng)
    optimizer = torch.optim.SGD(
        network.parameters(), lr, momentum=momentum, weight_decay=weight_decay
    )
    losses = []
    for epoch in range(epochs):
        order = rng.permutation(len(labels))
        if len(order) % batch_size == 1 and len(order) > 1:
            order = order[:-1]
        network.train()
        losses.append(
            _epoch(
                network, optimizer, images, labels, order, batch_size, size, bfloat16
            )
        )
        model.eval()
        if callback is not None:
            callback(epoch, losses[-1])
    return np.array(losses)


def evaluate(model, images, labels, *, size=64, batch_size=250):
    """Accuracy and loss of a network in evaluation mode.

    Parameters
    ----------
    model, images, labels, size
        As for `fine_tune`; for a tensor of stage inputs only the last stage is run.

    Returns
    -------
    Evaluation
    """
    import torch

    labels = class_labels(labels, len(images), model.fc.out_features)
    last_only = torch.is_tensor(images)
    network = segment(model, "layer4", None) if last_only else model
    device = model.fc.weight.device
    with evaluating(model), torch.no_grad():
        logits = [
            network(x).cpu() for x in batches_of(images, size, batch_size, device)
        ]
    logits = torch.cat(logits).double().numpy()
    loss, accuracy = _assess(logits, labels)
    return Evaluation(accuracy=accuracy, loss=loss)


def _epoch(network, optimizer, images, labels, order, batch_size, size, bfloat16):
    """One pass over the images in the given order; their mean loss."""
    import torch
    from torch.nn.functional import cross_entropy

    device = next(network.parameters()).device
    total = 0.0
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        (x,) = batches_of(images[chosen], size, batch_size, device)
        y = torch.from_numpy(labels[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(order)


def _assess(logits, labels):
    """Mean cross-entropy in nats, and share correct."""
    own = logits[np.arange(len(labels)), labels]
    loss = float(np.mean(logsumexp(logits, axis=1) - own))
    return loss, float(np.mean(logits.argmax(axis=1) == labels))


def _softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
