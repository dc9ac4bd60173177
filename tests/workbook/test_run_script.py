"""`run.py`: the environment it makes, and the words it understands."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qlib.workbook.__main__ import COMMANDS
from qlib.workbook.arguments import describe_notebooks, parse_arguments

ROOT = Path(__file__).resolve().parents[2]
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

BACKEND = """\
import base64, hashlib, pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    if {slow}:
        pathlib.Path({sign!r}).touch()
        time.sleep(600)
    about = "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n"
    wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files = {{"METADATA": about, "WHEEL": wheel, "RECORD": ""}}
    name = "{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{name}-1.dist-info/{{file}}", text)
    return name

build_wheel = build_editable
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
version = "1"
"""
SAY = """\
import sys
from importlib.metadata import version
import qlib
print(sys.prefix, qlib.__file__, version("checkout"), *sys.argv[1:], sep="\\n")
sys.exit("--fail" in sys.argv)
"""


def package(folder, name, slow=False):
    """A package that pip installs without a network."""
    folder.mkdir(exist_ok=True)
    sign = str(folder / "installing")
    (folder / "backend.py").write_text(BACKEND.format(name=name, slow=slow, sign=sign))
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name))
    return folder


@pytest.fixture
def checkout(tmp_path):
    """The least of a checkout that `run.py` makes an environment for."""
    folder = package(tmp_path / "checkout", "checkout")
    shutil.copy(ROOT / "run.py", folder)
    for path in ["qlib/__init__.py", *(ROOT / "qlib" / "workbook").glob("*.py")]:
        target = folder / (ROOT / path).relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "say.py").write_text(SAY)
    (folder / "requirements.txt").write_text("# nothing\n")
    return folder


def start(checkout, *words):
    return subprocess.Popen(
        [sys.executable, "run.py", *words],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    out, errors = process.communicate(timeout=120)
    return process.returncode, out.splitlines(), errors.splitlines()


@posix_only
def test_an_environment_cut_short_is_made_anew_once_and_then_kept(checkout):
    package(checkout / "slow", "slow", slow=True)
    (checkout / "requirements.txt").write_text("./slow\n")
    process = start(checkout, "bench", "say")
    deadline = time.monotonic() + 60
    while not (checkout / "slow" / "installing").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    code, _, errors = finish(process)
    assert code == 130
    assert errors[-1].startswith("interrupted; ")
    stamp = checkout / ".venv" / "qlib-workbook-stamp"
    assert (checkout / ".venv").exists()
    assert not stamp.exists()

    (checkout / ".venv" / "half").touch()
    package(checkout / "slow", "slow")
    both = [start(checkout, "bench", "say", word) for word in ("--quick", "--fail")]
    results = [finish(process) for process in both]
    assert [code for code, _, _ in results] == [0, 1]
    for (_, out, errors), word in zip(results, ("--quick", "--fail"), strict=True):
        assert errors == []
        here = str(checkout / "qlib" / "__init__.py")
        assert out[-4:] == [str(checkout / ".venv"), here, "1", word]
    made = [line for _, out, _ in results for line in out if line.startswith("Making")]
    assert len(made) == 1
    assert not (checkout / ".venv" / "half").exists()

    kept = stamp.stat().st_mtime_ns
    code, out, _ = finish(start(checkout, "bench"))
    assert (code, len(out)) == (0, 3)
    assert stamp.stat().st_mtime_ns == kept


def test_an_environment_that_cannot_be_made_is_said_and_left_without_a_stamp(checkout):
    (checkout / "requirements.txt").write_text("./absent\n")
    code, _, errors = finish(start(checkout, "bench"))
    assert code == 3
    line = "the environment could not be made: pip could not install -r "
    assert errors[-1].startswith(line)
    assert not (checkout / ".venv" / "qlib-workbook-stamp").exists()


@pytest.fixture(scope="module")
def run_script():
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stamp_follows_requirements_and_python(run_script, tmp_path, monkeypatch):
    file = tmp_path / "requirements.txt"
    monkeypatch.setattr(run_script, "REQUIREMENTS", file)
    stamps = set()
    for text in ("numpy==1\n", "numpy==2\n"):
        for version in ((3, 11, 0), (3, 12, 0)):
            file.write_text(text)
            monkeypatch.setattr(sys, "version_info", version)
            stamps.add(run_script.expected_stamp())
    assert len(stamps) == 4
    monkeypatch.setattr(sys, "version_info", (3, 12, 9))
    assert run_script.expected_stamp() in stamps


def test_compiled_kernels_follow_their_sources(run_script, tmp_path, monkeypatch):
    monkeypatch.setattr(run_script, "ROOT", tmp_path)
    kernel = tmp_path / "qlib" / "kernel.py"
    kernel.parent.mkdir()
    folders = set()
    for text in ("from numba import njit", "from numba import njit  # changed"):
        kernel.write_text(text)
        folders |= {run_script.kernel_cache(), run_script.kernel_cache()}
    assert len(folders) == 2
    (kernel.parent / "other.py").write_text("no kernel")
    assert run_script.kernel_cache() in folders


@pytest.mark.parametrize("minor", [10, 14])
def test_an_unfit_python_is_named_with_what_is_needed(
    run_script, monkeypatch, capsys, minor
):
    monkeypatch.setattr(sys, "version_info", (3, minor, 4))
    monkeypatch.setattr(sys, "version", f"3.{minor}.4 (main)")
    assert run_script.main([]) == 3
    errors = capsys.readouterr().err
    assert errors == f"Python 3.11 to 3.13 is needed; this is 3.{minor}.4\n"


def test_a_wrong_usage_ends_before_anything_is_installed(checkout):
    code, _, errors = finish(start(checkout, "report", "--job", "2"))
    assert code == 2
    assert errors[-1] == "run.py: error: unknown argument '--job'"
    assert not (checkout / ".venv").exists()


def test_no_command_means_report():
    assert vars(parse_arguments([])) == vars(parse_arguments(["report"]))
    assert parse_arguments(["--full"]).command == "report"


def test_every_option_of_a_report_is_read():
    words = "report 01 03 --full -p seed 7 -p step 1e-3 -f a.yaml --jobs 2 --timeout 9"
    options = parse_arguments([*words.split(), "--scheduler", "tcp://a:1"])
    assert options.notebook == ["01", "03"]
    assert options.full
    assert options.texts == [["seed", "7"], ["step", "1e-3"]]
    assert (options.file, options.jobs, options.timeout) == (Path("a.yaml"), 2, 9)
    assert options.scheduler == "tcp://a:1"


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["test", "-k", "name", "tests/a.py"], ["-k", "name", "tests/a.py"]),
        (["lab", "--port", "9000"], ["--port", "9000"]),
        (["lab", "--", "--help"], ["--help"]),
        (["bench", "annealing", "--runs", "3"], ["--runs", "3"]),
    ],
)
def test_what_another_program_must_answer_is_passed_on(words, rest):
    assert parse_arguments(words).rest == rest


@pytest.mark.parametrize(
    "option", ["--jobs=0", "--jobs=-1", "--jobs=1.5", "--timeout=nan", "--timeout=9.5"]
)
def test_a_number_that_is_not_whole_and_positive_is_refused(option, capsys):
    with pytest.raises(SystemExit) as error:
        parse_arguments(["report", option])
    assert error.value.code == 2
    assert "invalid positive int value: " in capsys.readouterr().err


def test_a_notebook_in_the_place_of_a_command_is_answered_with_the_command(capsys):
    with pytest.raises(SystemExit) as error:
        parse_arguments(["01", "--full"])
    assert error.value.code == 2
    assert "no command '01'; did you mean 'report 01'?" in capsys.readouterr().err


def test_help_tells_the_parameters_of_each_notebook(tmp_path, write_notebook):
    write_notebook(tmp_path / "01_toy.ipynb", "not_shown = 1")
    text = describe_notebooks(tmp_path)
    assert "  01_toy\n" in text
    assert (
        "    seed: int = 0  # seed of every random draw, in [0, 4294967295]\n" in text
    )
    assert "not_shown" not in text


def test_notebooks_are_chosen_by_the_start_of_their_names(workbook, write_notebook):
    for name in ("01_hills", "02_valleys"):
        write_notebook(workbook.notebooks / f"{name}.ipynb")
    write_notebook(workbook.notebooks / "03_other.ipynb", kernel="julia")
    known = "(there are: 01_hills, 02_valleys, 03_other)"
    assert workbook.run("01_hils") == (
        2,
        "",
        [f"no notebook '01_hils'; did you mean '01_hills'? {known}"],
    )
    assert workbook.run("03", "-p", "seed", "1") == (
        2,
        "",
        ["03_other: its kernel is 'julia'; allowed: 'python3'"],
    )
    (workbook.notebooks / "04_torn.ipynb").write_text('{"cells": [')
    assert "    cannot be read: Expecting" in describe_notebooks(workbook.notebooks)
    code, _, errors = workbook.run("04")
    assert (code, len(errors)) == (2, 1)
    assert errors[0].startswith("04_torn cannot be read: Expecting")
    code, _, errors = workbook.run("01", "02", "-f", workbook.notebooks / "absent.yaml")
    assert (code, len(errors)) == (2, 1)
    assert "absent.yaml" in errors[0]
    assert workbook.published() == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[]", "01_toy cannot be read: it is no notebook of format 4"),
        ("{}", "01_toy cannot be read: it is no notebook of format 4"),
        ('{"nbformat": 4}', "01_toy cannot be read: it lacks cells or metadata"),
        (
            '{"nbformat": 4, "metadata": {}, "cells": [1]}',
            "01_toy cannot be read: cell 1 lacks its type, metadata or source",
        ),
        (
            '{"nbformat": 4, "metadata": {}, "cells": []}',
            "01_toy: its kernel is None; allowed: 'python3'",
        ),
        (
            '{"nbformat": 4, "nbformat_minor": 5, "cells": [],'
            ' "metadata": {"kernelspec": {"name": "python3", "language": "python"}}}',
            "01_toy.ipynb, parameter cell: it lacks profile and seed",
        ),
    ],
)
def test_a_damaged_notebook_is_refused_in_one_line_and_help_stands(
    workbook, text, line
):
    (workbook.notebooks / "01_toy.ipynb").write_text(text)
    assert describe_notebooks(workbook.notebooks).count("\n") <= 2
    for command in ("report", "sweep"):
        code, out, errors = workbook.run(command=command)
        assert (code, out, errors) == (2, "", [line])
    assert list(workbook.output.iterdir()) == []


@pytest.mark.parametrize("name", ["toy", "1_toy", "01-toy", "01_a b", "01_a.b", "01_é"])
def test_a_notebook_whose_name_makes_no_page_is_refused(workbook, write_notebook, name):
    write_notebook(workbook.notebooks / f"{name}.ipynb")
    line = f"{name + '.ipynb'!r} is no notebook's name; allowed: NN_topic.ipynb"
    assert workbook.run() == (2, "", [line])


@pytest.mark.parametrize("flag", ["-I", "-P"])
def test_the_script_finds_its_checkout_whatever_python_puts_on_the_path(
    checkout, flag, tmp_path
):
    ended = subprocess.run(
        [sys.executable, flag, checkout / "run.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith(f"no notebooks in {checkout / 'notebooks'}\n")


@pytest.mark.parametrize("failing", [None, "check", "format", "pytest"])
def test_the_test_command_runs_all_three_and_fails_if_one_does(
    monkeypatch, capsys, failing
):
    ran = []

    def call(command, **settings):
        ran.append(command)
        return int(failing in command)

    monkeypatch.setattr(subprocess, "call", call)
    code = COMMANDS["test"](parse_arguments(["test", "-k", "name"]))
    assert code == (failing is not None)
    assert [command[2] for command in ran] == ["ruff", "ruff", "pytest"]
    assert ran[-1][-2:] == ["-k", "name"]
    said = capsys.readouterr().out
    assert ("failed" in said) == (failing in ("check", "format"))
