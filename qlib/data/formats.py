"""Readers of published image formats: CIFAR's pickles, idx, and zips of JPEG."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np

# What a pickle raises that is damaged, or holds something else than images and labels.
_MALFORMED = (
    pickle.UnpicklingError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)


def read_cifar(path, folder, parts, meta, labels, names):
    """Images, labels and class names of an archive in CIFAR's published format.

    A ``.tar.gz`` whose members are pickled dictionaries: ``data`` is ``(n, 3072)``
    uint8 (red, green, blue planes, each row by row), `labels` a list of n integers.
    Nothing is unpacked to disk.

    Parameters
    ----------
    path : path
        Archive; the caller has checked its checksum.
    folder : str
        Folder inside the archive.
    parts : dict
        "train" and "test" to the names of their members, in order.
    meta : str
        Member with the class names, under the key `names`.
    labels, names : str
        Keys.

    Returns
    -------
    arrays : dict
        train_x, test_x: (n, 32, 32, 3) uint8; train_y, test_y: (n,) int64.
    class_names : tuple of str

    Raises
    ------
    ValueError
        If members, keys, shapes or label values are not those of the format.

    Notes
    -----
    The format is a pickle, and unpickling can run code. The reader therefore resolves
    five names only, those that rebuild a NumPy array (`_ArraysOnly`), and refuses every
    other; the checksum stands before it.
    """
    arrays = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            class_names = _entry(archive, f"{folder}/{meta}", names)
            for part, members in parts.items():
                entries = [f"{folder}/{member}" for member in members]
                x = [_entry(archive, entry, "data") for entry in entries]
                y = [_entry(archive, entry, labels) for entry in entries]
                arrays[f"{part}_x"] = _planes_last(np.concatenate(x))
                arrays[f"{part}_y"] = np.concatenate(y).astype(np.int64)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole .tar.gz: {error}") from error
    except _MALFORMED as error:
        raise ValueError(f"{path}: not in CIFAR's published format: {error}") from error
    class_names = tuple(map(_text, class_names))
    for part in parts:
        _check_labels(path, arrays, part, len(class_names))
    return arrays, class_names


def read_idx(path):
    """Array of a gzipped idx file of unsigned bytes, as MNIST and its kin use.

    Big-endian: two zero bytes, type 8, the number of axes, their lengths, the values.

    Returns
    -------
    uint8 array

    Raises
    ------
    ValueError
        If the file is not whole or holds another type.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: got {content[:4]!r}; allowed: idx of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != np.prod(shape):
        raise ValueError(f"{path}: {len(content) - start} values for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def contents_digest(path):
    """SHA-256 of the names and bytes of a zip's files, in the order of their names.

    It does not depend on how the zip was made, only on what it holds.

    Raises
    ------
    ValueError
        If the zip is truncated or an entry fails its CRC-32.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _files(archive):
                content = archive.read(name)
                digest.update(f"{name} {len(content)}\n".encode())
                digest.update(content)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: truncated or changed: {error}") from error
    return digest.hexdigest()


def read_jpeg_zip(path):
    """Images of a zip with ``train/<class>/<number>.jpg`` and ``test/…``.

    Returns
    -------
    arrays : dict
        train_x, test_x: (n, H, W, 3) uint8, in the order of the names; train_y,
        test_y: (n,) int64, classes numbered by their names' order.
    class_names : tuple of str
    """
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        files = [name.split("/") for name in _files(archive)]
        class_names = sorted({kind for _, kind, _ in files})
        arrays = {}
        for part in ("train", "test"):
            mine = [file for file in files if file[0] == part]
            contents = (io.BytesIO(archive.read("/".join(file))) for file in mine)
            images = [np.asarray(Image.open(content)) for content in contents]
            arrays[f"{part}_x"] = np.stack(images)
            arrays[f"{part}_y"] = np.array(
                [class_names.index(kind) for _, kind, _ in mine], dtype=np.int64
            )
    return arrays, tuple(class_names)


class _ArraysOnly(pickle.Unpickler):
    """An unpickler for numbers, text, lists, dictionaries and NumPy arrays."""

    _rebuild = np.empty(0).__reduce__()[0]
    _allowed = {  # noqa: RUF012 (read only)
        ("numpy.core.multiarray", "_reconstruct"): _rebuild,  # NumPy 1
        ("numpy._core.multiarray", "_reconstruct"): _rebuild,  # NumPy 2
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
    }

    def find_class(self, module, name):
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is refused") from None


def _entry(archive, member, key):
    content = archive.extractfile(member)
    if content is None:
        raise KeyError(f"{member} is not a file")
    entries = _ArraysOnly(content, encoding="latin1").load()
    if not isinstance(entries, dict):
        raise KeyError(f"{member} holds no dictionary")
    return {_text(k): value for k, value in entries.items()}[key]


def _planes_last(data):
    if data.ndim != 2 or data.shape[1] != 3072 or data.dtype != np.uint8:
        raise ValueError(
            f"data: got {data.dtype} of shape {data.shape}; allowed: uint8 (n, 3072)"
        )
    planes = data.reshape(-1, 3, 32, 32)  # (image, colour, row, column)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _check_labels(path, arrays, part, classes):
    x, y = arrays[f"{part}_x"], arrays[f"{part}_y"]
    if y.shape != (len(x),) or y.size == 0 or y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"{path}: {part}: got labels of shape {y.shape} for {len(x)} images; "
            f"allowed: one each, in 0..{classes - 1}"
        )


def _text(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def _files(archive):
    return sorted(name for name in archive.namelist() if name.endswith(".jpg"))
