"""Provenance says which code made a result, and nothing about who or where."""

import getpass
import json
import re
import socket
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from qlib.workbook.provenance import provenance


def git(root, *words):
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A git repository with one committed file in it and one in ``reports/``."""
    root = tmp_path / "checkout"
    (root / "reports").mkdir(parents=True)
    (root / "code.py").write_text("x = 1\n")
    (root / "reports" / "page.html").write_text("old\n")
    (root / ".gitignore").write_text("runs/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Start")
    return root


def test_a_clean_checkout_is_named_by_its_commit(checkout):
    found = provenance(checkout)
    assert found["commit"] == git(checkout, "rev-parse", "HEAD")
    assert found["dirty"] is False


@pytest.mark.parametrize("name", ["code.py", "new.py", "folder/reports/new.py"])
def test_an_uncommitted_change_makes_it_dirty(checkout, name):
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("x = 2\n")
    assert provenance(checkout)["dirty"] is True


def test_a_staged_and_a_deleted_file_make_it_dirty(checkout):
    (checkout / "code.py").write_text("x = 2\n")
    git(checkout, "add", "code.py")
    assert provenance(checkout)["dirty"] is True
    git(checkout, "commit", "--quiet", "--message", "Change")
    assert provenance(checkout)["dirty"] is False
    (checkout / "code.py").unlink()
    assert provenance(checkout)["dirty"] is True


@pytest.mark.parametrize(
    "name", ["reports/page.html", "reports/new.html", "runs/01_toy/result.json"]
)
def test_written_reports_and_ignored_runs_leave_it_clean(checkout, name):
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("new\n")
    assert provenance(checkout)["dirty"] is False


def test_outside_a_checkout_nothing_is_claimed(tmp_path):
    found = provenance(tmp_path)
    assert found["commit"] is None
    assert found["dirty"] is None


def test_a_repository_further_up_is_not_taken_for_the_checkout(checkout):
    installed = checkout / "runs" / "site-packages"
    installed.mkdir(parents=True)
    assert provenance(installed)["commit"] is None


def test_a_checkout_of_which_git_says_nothing_has_an_unknown_commit(
    checkout, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = provenance(checkout)
    assert (found["commit"], found["dirty"]) == ("unknown", None)


def test_a_checkout_that_git_refuses_to_read_has_an_unknown_commit(checkout):
    (checkout / ".git" / "HEAD").unlink()
    found = provenance(checkout)
    assert (found["commit"], found["dirty"]) == ("unknown", None)


def test_it_names_no_path_user_or_host(checkout):
    text = json.dumps(provenance(checkout))
    host = socket.gethostname()
    private = {str(checkout), str(Path.home()), getpass.getuser(), host}
    private |= {host.partition(".")[0], str(Path(__file__).parents[2])}
    for word in private - {""}:
        assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text), word


def test_versions_are_those_installed(checkout):
    found = provenance(checkout)["packages"]
    for name in ("numpy", "scipy", "torch", "matplotlib"):
        assert found[name] == metadata.version(name)
