"""No process that runs notebooks compiles the grammar of addresses."""

import os
import subprocess
import sys

import pytest

from qlib.workbook.schemas import GRAMMAR

SIGN = """\
import os, pathlib
pathlib.Path(os.environ["QLIB_SIGNS"], "grammar").touch()
is_valid_syntax = None
"""
LATER = "from qlib.workbook.schemas import import_jsonschema; import_jsonschema()"


@pytest.fixture
def sign(workbook, tmp_path, monkeypatch):
    """A grammar that leaves a file behind when it is imported."""
    (tmp_path / f"{GRAMMAR}.py").write_text(SIGN)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("QLIB_SIGNS", str(workbook.signs))
    return workbook.signs / "grammar"


@pytest.mark.parametrize("command", ["report", "sweep"])
def test_notebooks_run_without_the_grammar(workbook, write_notebook, sign, command):
    write_notebook(workbook.notebooks / "01_toy.ipynb")
    code, _, errors = workbook.run(command=command)
    assert (code, errors) == (0, [])
    assert not sign.exists()


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import jsonschema", True),
        (LATER, False),
        (f"{LATER}; import {GRAMMAR}", True),
        (f"import {GRAMMAR}; {LATER}; assert '{GRAMMAR}' in sys.modules", True),
        (f"import jsonschema; {LATER}; assert '{GRAMMAR}' in sys.modules", True),
    ],
)
def test_only_jsonschema_goes_without_it(sign, statement, imported):
    subprocess.run([sys.executable, "-c", f"import sys; {statement}"], check=True)
    assert sign.exists() == imported
