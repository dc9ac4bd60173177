"""A run stands whole or not at all, made by this interpreter under fixed conditions."""

import json
import sys

import nbformat
import pytest

from qlib.workbook.execute import RunFailed, clear_leftovers, hold, run_notebook
from qlib.workbook.parameters import resolve_parameters
from qlib.workbook.record import load_result

CONDITIONS = """\
from IPython.paths import get_ipython_dir
import matplotlib
run.row("interpreter", sys.executable)
run.row("kernel folder", os.getcwd())
run.row("run folder", os.environ["QLIB_RUN_DIRECTORY"])
run.row("settings", get_ipython_dir())
run.row("history", str(get_ipython().history_manager.hist_file))
run.row("backend", matplotlib.get_backend())
run.row("hash", hash("the same in every run"))
run.row("threads", os.environ["OMP_NUM_THREADS"])
run.row("user's threads", os.environ["MKL_NUM_THREADS"])"""


def execute(notebook, output, **chosen):
    return run_notebook(notebook, resolve_parameters(notebook, chosen), output)


def values(result):
    return {row["metric"]: row["value"] for row in result["rows"]}


def test_the_kernel_is_this_interpreter_whatever_is_installed_or_set(
    tmp_path, monkeypatch, write_notebook
):
    decoy = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    decoy.parent.mkdir(parents=True)
    spec = {"argv": ["no-such-program"], "display_name": "?", "language": "python"}
    decoy.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    notebook = write_notebook(tmp_path / "$HOME" / "01_toy.ipynb", CONDITIONS)
    target = tmp_path / "$HOME" / "runs" / "01_toy"
    first = values(execute(notebook, target))
    unfinished = target.with_name(".01_toy.new")
    scratch = unfinished / "scratch"
    assert first["interpreter"] == sys.executable
    assert first["run folder"] == str(unfinished)
    assert first["kernel folder"] == str(scratch)
    assert first["settings"] == str(scratch / "ipython")
    assert first["history"] == ":memory:"
    assert "inline" in first["backend"]
    assert (first["threads"], first["user's threads"]) == ("1", "3")
    assert sorted(path.name for path in target.iterdir()) == [
        "arrays.npz",
        "executed.ipynb",
        "result.json",
    ]
    assert values(execute(notebook, target)) == first


def test_only_parameters_that_differ_from_their_default_are_injected(
    tmp_path, write_notebook
):
    notebook = write_notebook(tmp_path / "01_toy.ipynb")
    result = execute(notebook, tmp_path / "run", seed=5, step=0.5)
    assert result["parameters"] == resolve_parameters(notebook, {"seed": 5})
    assert result == load_result(tmp_path / "run" / "result.json")
    executed = nbformat.read(tmp_path / "run" / "executed.ipynb", as_version=4)
    injected = [
        cell.source
        for cell in executed.cells
        if "injected-parameters" in cell.metadata.tags
    ]
    assert injected == ["# Parameters\nseed = 5\n"]


@pytest.mark.parametrize(
    ("cells", "settings", "line"),
    [
        (["1 / 0"], {}, "cell 3 (1 / 0): ZeroDivisionError: division by zero"),
        (["0\nraise ValueError('a\\nb')"], {}, "cell 3 (0 ...): ValueError: a b"),
        ([("1 / 0", "raises-exception")], {}, "cell 3 (1 / 0): ZeroDivisionError"),
        (["sys.exit(0)"], {}, "cell 3 (sys.exit(0)): it ended the notebook"),
        ([("seed", "skip-execution")], {}, "cell 3 (seed): it was not executed"),
        ([], {"verdict": "run"}, "it ended without writing its result"),
        (["run.name = '02_other'"], {}, "name in its result is '02_other'"),
        (["run.parameters['seed'] = 9"], {}, "parameters in its result is"),
        (
            [],
            {"verdict": "Path(os.environ['QLIB_RUN_DIRECTORY'], 'result.json')"
             ".write_text('{')"},
            "result.json: Expecting property name",
        ),
    ],
)  # fmt: skip
def test_a_notebook_without_a_valid_result_fails_in_one_line(
    tmp_path, write_notebook, cells, settings, line
):
    notebook = write_notebook(tmp_path / "01_toy.ipynb", *cells, **settings)
    target = tmp_path / "runs" / "01_toy"
    target.mkdir(parents=True)
    (target / "result.json").write_text("the old one")
    with pytest.raises(RunFailed) as error:
        execute(notebook, target)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert (target / "result.json").read_text() == "the old one"
    kept = target.parent / "failed" / "01_toy.ipynb"
    assert f"(its cells until then: {kept})" in str(error.value)
    nbformat.validate(nbformat.read(kept, as_version=4))
    assert {path.name for path in target.parent.iterdir()} == {
        ".locks",
        "01_toy",
        "failed",
    }


def test_a_swap_cut_short_is_finished_or_undone(tmp_path):
    """Between its two renames the old run is aside; after them it is in the way."""
    aside, replaced, begun = (
        tmp_path / name for name in ("aside", "replaced", "begun")
    )
    for folder, text in (
        (tmp_path / ".aside.old", "old"),
        (tmp_path / ".aside.new", "new"),
        (tmp_path / ".replaced.old", "old"),
        (replaced, "new"),
        (tmp_path / ".begun.new", "new"),
    ):
        folder.mkdir()
        (folder / "result.json").write_text(text)
    clear_leftovers(tmp_path)
    assert (aside / "result.json").read_text() == "old"
    assert (replaced / "result.json").read_text() == "new"
    assert not begun.exists()
    assert {path.name for path in tmp_path.iterdir()} == {".locks", "aside", "replaced"}


def test_what_a_living_run_has_written_is_not_cleared(tmp_path):
    with hold(tmp_path / "01_toy"):
        (tmp_path / ".01_toy.new").mkdir()
        clear_leftovers_elsewhere(tmp_path)
        assert (tmp_path / ".01_toy.new").exists()
    clear_leftovers_elsewhere(tmp_path)
    assert not (tmp_path / ".01_toy.new").exists()


def clear_leftovers_elsewhere(folder):
    import subprocess

    code = f"from qlib.workbook.execute import *; clear_leftovers({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
