"""ResNets of torchvision with weights from ImageNet, from a file, or drawn anew."""

import hashlib
import os
from pathlib import Path

from qlib.arguments import positive_integer
from qlib.data import archives

ARCHITECTURES = ("resnet18", "resnet34", "resnet50")


def build_resnet(
    arch="resnet18",
    *,
    weights="scratch",
    classes=None,
    download=False,
    device=None,
    seed=0,
):
    """A torchvision ResNet in evaluation mode.

    Parameters
    ----------
    arch : {"resnet18", "resnet34", "resnet50"}
    weights : "imagenet", "scratch" or path
        "imagenet": torchvision's ``IMAGENET1K_V1``, looked for where
        `qlib.data.load_images` looks and in torch's own cache. "scratch": torchvision's
        random initialisation. A path: a state dict, as `qlib.weights.pretraining` and
        ``torch.save(model.state_dict(), path)`` write it.
    classes : int or None
        Outputs of a new last layer, drawn at random. None keeps the last layer of the
        weights (1000 outputs for "scratch").
    download : bool
        Whether to fetch ImageNet's weights where they are nowhere found.
    device : torch device or None
        None for the CPU.
    seed : int
        Of the random initialisation.

    Returns
    -------
    torchvision.models.ResNet
        float32, convolutions stored with the colours last.

    Raises
    ------
    FileNotFoundError
        If the weights are not there; for ImageNet's the message ends in the command
        that fetches them.
    ValueError
        For an unknown `arch`, and for a file that is changed, or not a state dict of
        `arch`. Files are read without unpickling code (``weights_only``).
    """
    import torch

    if arch not in ARCHITECTURES:
        raise ValueError(f"arch: got {arch!r}; allowed: {ARCHITECTURES}")
    if classes is not None:
        classes = positive_integer("classes", classes)
    state = None
    if weights == "imagenet":
        state = _read(_imagenet(arch, download), arch)
    elif weights != "scratch":
        allowed = "allowed: 'imagenet', 'scratch' or the path of a state dict"
        if not isinstance(weights, str | os.PathLike):
            raise TypeError(f"weights: got {weights!r}; {allowed}")
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: got {str(path)!r}, which is not a file; {allowed}"
            )
        state = _read(path, arch)
    outputs = classes or (1000 if state is None else state["fc.weight"].shape[0])
    model = _initialised(arch, outputs, seed)
    if state is not None:
        if classes is not None:
            state |= {f"fc.{name}": v for name, v in model.fc.state_dict().items()}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"weights: not those of {arch}: {error}") from error
    return model.to(device, memory_format=torch.channels_last).eval()


def _initialised(arch, outputs, seed):
    """A model drawn from `seed`, torch's global generator left as it was."""
    import torch
    import torchvision

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return getattr(torchvision.models, arch)(weights=None, num_classes=outputs)


def _read(path, arch):
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"weights: {path} is not a whole state dict") from error
    if not isinstance(state, dict) or not torch.is_tensor(state.get("fc.weight")):
        raise ValueError(f"weights: {path} is not a state dict of {arch}")
    return state


def _imagenet(arch, download):
    import torch
    import torchvision

    url = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"].url
    name = url.rsplit("/", 1)[1]
    start = name.rsplit("-", 1)[1].removesuffix(".pth")  # of the file's SHA-256
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    places = [*archives.folders(), cache]
    if download and not any((place / name).is_file() for place in places):
        cache.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, cache / name, start, progress=False)
    call = f"build_resnet({arch!r}, weights='imagenet', download=True)"
    path = archives.locate(
        name,
        places,
        f'Fetch it: python -c "from qlib.weights.resnet import build_resnet; {call}"',
    )
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(start):
        raise ValueError(f"{path}: truncated or changed: SHA-256 {found}")
    return path
