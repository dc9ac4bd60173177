"""Files that are either whole or absent."""

import contextlib
import os
import uuid
from pathlib import Path


@contextlib.contextmanager
def write_atomically(path):
    """Open a binary file under a temporary name; rename it to `path` on success.

    Parameters
    ----------
    path : path
        Where the file will stand; its folder must exist. On any error, Ctrl-C
        included, the temporary file is removed and what stood at `path` is untouched.

    Yields
    ------
    file object
        Open for writing bytes.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise


def clear_unfinished(path):
    """Remove what killed writers of `path` left; none may be writing it now."""
    path = Path(path)
    for leftover in path.parent.glob(f".{path.name}-*"):
        leftover.unlink()
