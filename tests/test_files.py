"""A file written atomically is the old one or the new one, whatever goes wrong."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qlib.files import write_atomically

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_fault_while_writing_leaves_the_old_file_and_no_other(tmp_path, fault):
    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    with pytest.raises(fault), write_atomically(path) as file:  # noqa: PT012
        file.write(b"new, but only half of i")
        raise fault
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_fault_where_nothing_stood_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), write_atomically(tmp_path / "new") as file:  # noqa: PT012
        file.write(b"half")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_readers_see_the_old_bytes_until_the_block_ends(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    with write_atomically(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_umask_decides_who_may_read_what_was_written(tmp_path, umask):
    previous = os.umask(umask)
    try:
        with write_atomically(tmp_path / "page.html") as file:
            file.write(b"page")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == 0o666 & ~umask


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(OSError), write_atomically(tmp_path / "taken") as file:  # noqa: PT011
        file.write(b"page")
    assert os.listdir(tmp_path) == ["taken"]
    assert os.listdir(tmp_path / "taken") == ["inside"]


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="nowhere"),
        write_atomically(tmp_path / "nowhere" / "file"),
    ):
        pass


WRITE_MORE_THAN_FITS = """
import resource, sys
from qlib.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    with write_atomically(sys.argv[1]) as file:
        file.write(bytes(10**6))
except OSError as error:
    sys.exit(f"refused: {error.strerror}")
"""

WRITE_WHERE_FORBIDDEN = """
import os, sys
from qlib.files import write_atomically
os.chdir(os.path.dirname(sys.argv[1]))
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    with write_atomically("result.json") as file:
        file.write(b"new")
except PermissionError as error:
    sys.exit(f"refused: {error.strerror}")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither limit nor mode bits")
@pytest.mark.parametrize(
    ("script", "mode"), [(WRITE_MORE_THAN_FITS, 0o755), (WRITE_WHERE_FORBIDDEN, 0o555)]
)
def test_no_room_or_no_permission_leaves_the_old_file_and_no_other(
    tmp_path, script, mode
):
    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    tmp_path.chmod(mode)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        tmp_path.chmod(0o755)
    assert "refused: " in ended.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.json"]
