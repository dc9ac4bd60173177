"""Supervised pre-training on classes that the study does not use.

Where ImageNet's weights cannot be had, this stands in for them: features learnt from
other classes of the same data. A report that uses it says so.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from qlib.arguments import number_between, positive_integer
from qlib.data import resize_and_normalise
from qlib.data.archives import DOWNLOADS
from qlib.data.images import checked_images
from qlib.files import write_atomically
from qlib.weights.arguments import below_one
from qlib.weights.features import array_digest
from qlib.weights.resnet import build_resnet


@dataclass(frozen=True)
class Pretraining:
    """Settings of a pre-training: SGD with Nesterov momentum, one cycle of the rate.

    Attributes
    ----------
    arch : str
        As for `build_resnet`.
    sizes : tuple of int
        Image size of each epoch. Small images first cost a quarter and teach the early
        layers; by default 8 epochs at 32 and 7 at 64, the study's size (progressive
        resizing, J. Howard, fast.ai's DAWNBench entry, 2018). At the 600 and 195 images
        a second measured on one core, 20 minutes for half of CIFAR-10.
    batch_size : int
        The last incomplete batch of an epoch is left out.
    lr : float
        Highest learning rate, > 0: rises linearly over the share `warmup` of all steps,
        then falls to 0 as a half cosine.
    momentum, weight_decay, warmup, label_smoothing : float
        Each in [0, 1). With `lr` the customary values for CIFAR.
    padding : int
        Each image is reflected over its border by this many pixels and cropped at
        random, before resizing.
    flip : bool
        Whether half of the images are mirrored left to right; not for digits.
    bfloat16 : bool
        Whether products are taken in bfloat16 (1.5 to 1.8 times as fast on a core that
        has it, slower elsewhere); weights and sums stay float32.
    seed : int
    """

    arch: str = "resnet18"
    sizes: tuple = (32,) * 8 + (64,) * 7
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2
    label_smoothing: float = 0.1
    padding: int = 4
    flip: bool = True
    bfloat16: bool = True
    seed: int = 0

    def __post_init__(self):
        positive_integer("batch_size", self.batch_size)
        number_between("lr", self.lr, 0.0, np.inf, open_low=True)
        for name in ("momentum", "weight_decay", "warmup", "label_smoothing"):
            below_one(name, getattr(self, name))
        if not self.sizes:
            raise ValueError("sizes: got (); allowed: one size >= 1 an epoch")
        for size in self.sizes:
            positive_integer("sizes", size)
        if self.padding != 0:
            positive_integer("padding", self.padding)


def pretrain(images, labels, settings=None, *, folder=None, device=None, callback=None):
    """Path of the weights that pre-training gives, trained unless the file is there.

    Parameters
    ----------
    images : (n, H, W, C) uint8 array
        At least one batch of them.
    labels : (n,) integer array
        0..C−1, every class present.
    settings : Pretraining or None
        None for the defaults.
    folder : path or None
        Where the file lies; None for ``data/weights`` of the checkout.
    device : torch device or None
        None for the CPU.
    callback : callable or None
        ``callback(epoch, loss)`` after each epoch computed, once it is on disk; the
        loss is the epoch's mean, label smoothing included.

    Returns
    -------
    Path
        A state dict for `build_resnet`. Named by the SHA-256 of settings, images and
        labels. A killed call resumes after its last whole epoch, with the same draws:
        on one machine the result is the same.
    """
    settings = Pretraining() if settings is None else settings
    images, labels = checked_images(images), np.asarray(labels)
    if labels.shape != (len(images),) or len(labels) < settings.batch_size:
        raise ValueError(
            f"labels: got shape {labels.shape} for {len(images)} images; allowed: one "
            f"an image, at least batch_size = {settings.batch_size}"
        )
    kinds = np.unique(labels)
    if not np.array_equal(kinds, np.arange(kinds.size)):
        raise ValueError(f"labels: got classes {kinds}; allowed: 0, 1, … without gaps")
    folder = DOWNLOADS / "weights" if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(json.dumps(asdict(settings)).encode())
    array_digest(digest, images)
    array_digest(digest, labels.astype(np.int64))
    name = f"{settings.arch}-{digest.hexdigest()[:16]}"
    whole, part = folder / f"{name}.pt", folder / f"{name}.part.pt"
    if not whole.is_file():
        labels = labels.astype(np.int64)
        model = _train(images, labels, settings, part, device, callback)
        state = model.state_dict().items()
        _save({name: value.cpu().contiguous() for name, value in state}, whole)
        part.unlink(missing_ok=True)
    return whole


def one_cycle(progress, warmup):
    """Factor of the learning rate at `progress` in (0, 1): ramp, then half a cosine."""
    if progress < warmup:
        return progress / warmup
    return float(0.5 * (1 + np.cos(np.pi * (progress - warmup) / (1 - warmup))))


def augment(images, rng, *, padding, flip):
    """Random crops of the images reflected over their border, half of them mirrored.

    Parameters
    ----------
    images : (n, H, W, C) array
    rng : `numpy.random.Generator`
    padding : int
        >= 0 and < H, W.
    flip : bool

    Returns
    -------
    array of the same shape
    """
    n, height, width, _ = images.shape
    border = (padding, padding)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
    top, left = rng.integers(0, 2 * padding + 1, (2, n))
    rows = np.arange(height) + top[:, None]  # (n, H)
    columns = np.arange(width) + left[:, None]  # (n, W)
    if flip:
        mirrored = rng.random(n) < 0.5
        columns[mirrored] = columns[mirrored, ::-1]
    image = np.arange(n)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]]


def _train(images, labels, settings, part, device, callback):
    import torch

    model = build_resnet(
        settings.arch, classes=labels.max() + 1, device=device, seed=settings.seed
    )
    optimizer = torch.optim.SGD(
        model.parameters(),
        settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )
    start = 0
    if part.is_file():
        kept = _load(part)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        start = kept["epochs"]
    for epoch in range(start, len(settings.sizes)):
        loss = _epoch(model, optimizer, images, labels, settings, epoch)
        kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        _save({**kept, "epochs": epoch + 1}, part)
        if callback is not None:
            callback(epoch, loss)
    return model


def _epoch(model, optimizer, images, labels, settings, epoch):
    """One pass; its draws depend on the seed and the epoch alone. Mean loss."""
    import torch
    from torch.nn.functional import cross_entropy

    device = model.fc.weight.device
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(images))
    batches = len(images) // settings.batch_size
    total = batches * len(settings.sizes)
    losses = 0.0
    model.train()
    for batch in range(batches):
        chosen = order[batch * settings.batch_size :][: settings.batch_size]
        progress = (epoch * batches + batch + 0.5) / total
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * one_cycle(progress, settings.warmup)
        x = augment(images[chosen], rng, padding=settings.padding, flip=settings.flip)
        x = resize_and_normalise(x, settings.sizes[epoch], device=device)
        y = torch.from_numpy(labels[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            loss = cross_entropy(model(x), y, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses += loss.item()
    return losses / batches


def _load(path):
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _save(content, path):
    import torch

    with write_atomically(path) as file:
        torch.save(content, file)
