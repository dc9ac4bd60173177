"""Files that are either whole or absent."""

import contextlib
import os
import tempfile
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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
