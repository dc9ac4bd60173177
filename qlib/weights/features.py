"""What frozen parts of a ResNet make of images: computed once, kept, resumed."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from qlib.arguments import positive_integer
from qlib.data import MEAN, STD, resize_and_normalise
from qlib.data.archives import DOWNLOADS
from qlib.data.images import checked_images
from qlib.files import write_atomically


def features(
    model,
    images,
    *,
    size=64,
    mean=MEAN,
    std=STD,
    batch_size=250,
    cache_dir=None,
    callback=None,
):
    """Penultimate features (n, d) of images, read from a file that is written once.

    Parameters
    ----------
    model : torchvision ResNet
        Used in evaluation mode; its mode is put back afterwards.
    images : (n, H, W, C) uint8 array
        n >= 1.
    size, mean, std
        As for `qlib.data.resize_and_normalise`.
    batch_size : int
        Images at a time, >= 1; 250 at size 64 are 12 MB. Last bits may depend on it.
    cache_dir : path or None
        Where the file lies; None for ``data/features`` of the checkout.
    callback : callable or None
        ``callback(done, n)`` after each batch that was computed, once it is on disk.

    Returns
    -------
    (n, d) float32 `numpy.memmap`
        Read only. d is 512 for ResNet-18 and 34, 2048 for ResNet-50.

    Notes
    -----
    The file is named by the SHA-256 of all weights below the last layer, the images,
    and the settings, so nothing stale is ever read, and a new last layer costs nothing.
    Until it is whole it has another name, beside a record of the finished batches: a
    killed call is taken up where it ended. Two processes may compute the same file at
    once; they write the same values to the same place.
    """
    batch_size = positive_integer("batch_size", batch_size)
    images = checked_images(images)
    if len(images) == 0:
        raise ValueError(f"images: got shape {images.shape}; allowed: at least one")
    size = positive_integer("size", size)
    folder = DOWNLOADS / "features" if cache_dir is None else Path(cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"size": size, "mean": mean, "std": std, "batch_size": batch_size}
    key = _key(model, images, settings)
    whole, part = folder / f"{key}.npy", folder / f"{key}.part.npy"
    record = folder / f"{key}.part.json"
    if not whole.is_file():
        shape = (len(images), model.fc.in_features)
        values, done = _resume(part, record, shape)
        body = segment(model, None, "fc")
        for first in range(done, len(images), batch_size):
            some = slice(first, first + batch_size)
            x = resize_and_normalise(
                images[some], size, mean=mean, std=std, device=_device(model)
            )
            values[some] = apply_evaluating(body, x).cpu().numpy()
            values.flush()
            done = min(first + batch_size, len(images))
            with write_atomically(record) as file:
                file.write(json.dumps({"done": done}).encode())
            if callback is not None:
                callback(done, len(images))
        del values
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(part, whole)
        record.unlink(missing_ok=True)
    return np.load(whole, mmap_mode="r")


def stage_inputs(model, images, *, size=64, batch_size=250):
    """What `layer4` reads: the output of all stages before it, in evaluation mode.

    Training the last stage alone can start from these instead of the images
    (`qlib.weights.training.fine_tune`).

    Returns
    -------
    (n, c, h, w) float32 tensor
        On the CPU, in memory: at size 64 and ResNet-18 (n, 256, 4, 4), 16 kB an image.
    """
    import torch

    body = segment(model, None, "layer4")
    parts = [
        apply_evaluating(body, x).cpu()
        for x in batches_of(images, size, batch_size, _device(model))
    ]
    return torch.cat(parts).contiguous(memory_format=torch.channels_last)


def segment(model, first, stop):
    """The ResNet's modules from `first` up to, not including, `stop`, in a row.

    Parameters
    ----------
    first, stop : str or None
        Names of torchvision's modules, ``conv1`` to ``fc``; None for either end. The
        modules are the model's own, not copies.

    Returns
    -------
    torch.nn.Sequential
        Its output is flat, (n, d), where it includes the pooling.
    """
    from torch import nn

    names = [name for name, _ in model.named_children()]
    begin = 0 if first is None else names.index(first)
    end = len(names) if stop is None else names.index(stop)
    modules = []
    for name in names[begin:end]:
        modules.append(getattr(model, name))
        if name == "avgpool":
            modules.append(nn.Flatten())
    return nn.Sequential(*modules)


def apply_evaluating(module, x):
    """`module(x)` in evaluation mode without gradients; its modes are put back."""
    import torch

    with evaluating(module), torch.no_grad():
        return module(x)


@contextlib.contextmanager
def evaluating(module):
    """Evaluation mode inside; every submodule's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def batches_of(images, size, batch_size, device):
    """Inputs of a network, batch by batch, from uint8 images or a tensor as it is."""
    import torch

    batch_size = positive_integer("batch_size", batch_size)
    if len(images) == 0:
        raise ValueError(f"images: got shape {images.shape}; allowed: at least one")
    for first in range(0, len(images), batch_size):
        some = images[first : first + batch_size]
        if torch.is_tensor(images):
            yield some.to(device)
        else:
            yield resize_and_normalise(some, size, device=device)


def array_digest(digest, array):
    """Feed an array's type, shape and bytes to a hashlib object."""
    array = np.ascontiguousarray(array)
    digest.update(f"{array.dtype.str} {array.shape}".encode())
    digest.update(memoryview(array.reshape(-1)).cast("B"))


def _key(model, images, settings):
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        if not name.startswith("fc."):
            digest.update(name.encode())
            array_digest(digest, tensor.detach().cpu().numpy())
    array_digest(digest, images)
    return digest.hexdigest()[:24]


def _resume(part, record, shape):
    """The unfinished file, mapped for writing, and the number of finished rows."""
    if part.is_file() and record.is_file():
        done = json.loads(record.read_bytes())["done"]
        return np.lib.format.open_memmap(part, mode="r+"), done
    if not part.is_file():
        record.unlink(missing_ok=True)
        empty = part.with_name(f".{part.name}-{os.getpid()}")
        np.lib.format.open_memmap(empty, mode="w+", dtype=np.float32, shape=shape)
        try:
            os.link(empty, part)
        except FileExistsError:  # another process has just begun
            pass
        except OSError:  # a file system without links; two at once then may collide
            os.replace(empty, part)
        empty.unlink(missing_ok=True)
    return np.lib.format.open_memmap(part, mode="r+"), 0


def _device(model):
    return next(model.parameters()).device
