"""Archives: where they are looked for, how they are checked and fetched."""

import hashlib
import os
import tempfile
import urllib.error
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DOWNLOADS = CHECKOUT / "data"


def folders(root=None):
    """Folders in which archives are looked for, first to last.

    Parameters
    ----------
    root : path or None
        The only folder to look in; None for the one that the environment variable
        ``QLIB_DATA`` names, ``../shared/data`` beside the checkout, and its ``data``.

    Raises
    ------
    ValueError
        If `root` or ``QLIB_DATA`` is not a folder.
    """
    if root is not None:
        return [_folder("root", root)]
    named = os.environ.get("QLIB_DATA")
    first = [_folder("QLIB_DATA", named)] if named else []
    return [*first, CHECKOUT.parent / "shared" / "data", DOWNLOADS]


def locate(filename, places, remedy):
    """Path of the first `filename` in `places`.

    Raises
    ------
    FileNotFoundError
        If no place has it; the message lists them and ends in `remedy`.
    """
    for place in places:
        if (place / filename).is_file():
            return place / filename
    looked = ", ".join(str(place) for place in places)
    raise FileNotFoundError(f"{filename}: not found in {looked}. {remedy}")


def check_md5(path, expected, ours):
    """Refuse a file whose MD5 is not `expected`.

    MD5 finds accidents, and is what the data's authors publish; it does not stop
    somebody who can make collisions.

    Parameters
    ----------
    path : path
    expected : str
    ours : path
        Folder that downloads go to. A bad file there is renamed to ``<name>.refused``,
        so that it is not met again; one elsewhere is the user's and stays.

    Raises
    ------
    ValueError
        Names the file and both checksums.
    """
    found = _md5_of(path)
    if found != expected:
        refuse(path, f"truncated or changed: MD5 {found}; allowed: {expected}", ours)


def refuse(path, fault, ours):
    """Raise ValueError for a bad archive; one among our downloads is moved aside."""
    after = "It is left where it lies, as it is not a download of ours."
    if path.parent.resolve() == Path(ours).resolve():
        aside = path.with_name(path.name + ".refused")
        os.replace(path, aside)
        after = f"Moved to {aside}."
    raise ValueError(f"{path}: {fault}. {after}")


def download(url, folder, expected):
    """Fetch a file through torchvision; it appears in `folder` once its MD5 is right.

    Parameters
    ----------
    url : str
        Address; its last part is the file's name.
    folder : path
        Made if it does not exist.
    expected : str
        MD5.

    Raises
    ------
    ValueError
        If what arrived is truncated or changed; nothing is left behind.
    OSError
        If nothing arrived.
    """
    from torchvision.datasets.utils import download_url

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = url.rsplit("/", 1)[1]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as unfinished:
        arrived = Path(unfinished) / name
        try:
            download_url(url, unfinished, name)
        except (urllib.error.URLError, OSError) as error:
            raise OSError(
                f"{name}: could not be fetched from {url}: {error}"
            ) from error
        found = _md5_of(arrived)
        if found != expected:
            raise ValueError(
                f"{name}: truncated or changed on its way from {url}: MD5 {found}; "
                f"allowed: {expected}. It is not kept."
            )
        os.replace(arrived, folder / name)


def _md5_of(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _folder(name, value):
    path = Path(value).expanduser()
    if not path.is_dir():
        raise ValueError(f"{name}: got {str(value)!r}; allowed: a folder that exists")
    return path
