"""A pre-trained ResNet with the features of its study, and fine-tuning from heads."""

import copy
from typing import NamedTuple

import numpy as np

from qlib.data import Images, load_images, split_classes
from qlib.weights.features import features, stage_inputs
from qlib.weights.inject import inject_head
from qlib.weights.pretraining import Pretraining, pretrain
from qlib.weights.resnet import build_resnet
from qlib.weights.training import evaluate, fine_tune

WANTED = "cifar100", "cifar10", "cifar10-jpeg"

BRIEF = Pretraining(
    sizes=(32,) * 4, batch_size=64, lr=0.02, padding=2, flip=False, bfloat16=False
)
"""Pre-training for the quick profile: seconds on the few images of digits."""


class Backbone(NamedTuple):
    """A frozen network and what it makes of the images of the study's classes.

    Attributes
    ----------
    model : torchvision ResNet
    images : Images
    features, test_features : (n, d) float32 arrays
        Of its train and test images.
    origin : str
        Where the weights come from.
    size : int
        Side to which images are resized.
    """

    model: object
    images: Images
    features: np.ndarray
    test_features: np.ndarray
    origin: str
    size: int


def available(data):
    """Images by name; "auto" is the first of `WANTED` that is there.

    Raises
    ------
    FileNotFoundError
        With the command that fetches the data.
    """
    if data != "auto":
        return load_images(data)
    for name in WANTED[:-1]:
        try:
            return load_images(name)
        except FileNotFoundError:
            continue
    return load_images(WANTED[-1])


def backbone(images, *, weights, size, pretraining=None, folder=None):
    """A ResNet-18 and its features, each computed once and then read from disk.

    Parameters
    ----------
    images : Images
    weights : {"pretrained here", "imagenet"}
        The first trains on the first half of the classes, and the study is of the
        others; with ImageNet's weights it is of all classes.
    size : int
    pretraining : Pretraining or None
        None for its defaults.
    folder : path or None
        Where weights and features lie; None for ``data``.
    """
    if weights == "imagenet":
        model = build_resnet(weights=weights, classes=len(images.class_names))
        origin = "ImageNet"
    else:
        half = len(images.class_names) // 2
        names = images.class_names[:half]
        other = split_classes(images, names)
        images = split_classes(images, images.class_names[half:])
        settings = Pretraining() if pretraining is None else pretraining
        place = None if folder is None else folder / "weights"
        path = pretrain(other.train_x, other.train_y, settings, folder=place)
        model = build_resnet(weights=path, classes=len(images.class_names))
        origin = f"{images.source}, classes {', '.join(names)}"
    cache = None if folder is None else folder / "features"
    made = [
        features(model, part, size=size, cache_dir=cache)
        for part in (images.train_x, images.test_x)
    ]
    return Backbone(model, images, *made, origin, size)


class Curves(NamedTuple):
    """Fine-tuning from a head: values after each epoch, with the start first.

    Attributes
    ----------
    loss, accuracy : (epochs + 1,) arrays, of several draws (draws, epochs + 1)
        Mean cross-entropy on the training images in nats, and test accuracy, both with
        BatchNorm's running statistics.
    """

    loss: np.ndarray
    accuracy: np.ndarray


class Stage(NamedTuple):
    """What the last stage reads for some training and test images, and their labels."""

    inputs: object  # (n, c, h, w) tensor
    labels: np.ndarray  # (n,)
    test_inputs: object  # (m, c, h, w) tensor
    test_labels: np.ndarray  # (m,)


def last_stage(net, rows, test):
    """The `Stage` of training images `rows` and test images `test` of a `Backbone`."""
    images = net.images
    return Stage(
        stage_inputs(net.model, images.train_x[rows], size=net.size),
        images.train_y[rows],
        stage_inputs(net.model, images.test_x[test], size=net.size),
        images.test_y[test],
    )


def fine_tuning(net, stage, head, *, lr, epochs, rng):
    """`Curves` of the last stage and the head trained together from a given head.

    Momentum starts anew each epoch, with the epoch's rate.

    Parameters
    ----------
    net : Backbone
        Its model is left as it is.
    stage : Stage
    head : (weights (d, C), bias (C,))
        On raw features; put in before the first step.
    lr : float
        Of the first epoch; it falls as a half cosine over the epochs.
    epochs : int
    rng : int
        Of the order of images; one seed for all heads gives them the same batches.
    """
    rng = np.random.default_rng(rng)
    model = inject_head(copy.deepcopy(net.model), *head)
    curve = []

    for epoch in range(epochs + 1):
        if epoch > 0:
            rate = lr * (1 + np.cos(np.pi * (epoch - 1) / epochs)) / 2
            ways = dict(lr=rate, parameters="last_stage", rng=rng)
            fine_tune(model, stage.inputs, stage.labels, **ways)
        training = evaluate(model, stage.inputs, stage.labels)
        test = evaluate(model, stage.test_inputs, stage.test_labels)
        curve.append((training.loss, test.accuracy))
    return Curves(*np.array(curve).T)


def compare_starts(net, draws, heads, test, *, lr, epochs):
    """`Curves` of several draws of training images, from each draw's heads.

    Parameters
    ----------
    net : Backbone
    draws : sequence of (n,) arrays
        Training images; the number of a draw seeds the order of its images.
    heads : sequence of dict
        For each draw, method to (weights, bias) on raw features.
    test : (m,) array
        Test images.
    lr, epochs
        As for `fine_tuning`.

    Returns
    -------
    dict
        Method to `Curves` of (draws, epochs + 1) arrays.
    """
    curves = {}
    for draw, (rows, starts) in enumerate(zip(draws, heads, strict=True)):
        stage = last_stage(net, rows, test)
        for name, head in starts.items():
            one = fine_tuning(net, stage, head, lr=lr, epochs=epochs, rng=draw)
            curves.setdefault(name, []).append(one)
    return {name: Curves(*np.stack(ones, axis=1)) for name, ones in curves.items()}
