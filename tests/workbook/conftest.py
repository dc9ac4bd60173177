"""A workbook of one's own in a temporary folder, and the command line to run it."""

import os
import subprocess
import sys
import time
import uuid

import nbformat
import psutil
import pytest

PARAMETERS = """\
profile: str = "quick"  # how much to compute, in {quick, full}
seed: int = 0  # seed of every random draw, in [0, 4294967295]
step: float = 0.5  # width of a step, in [0, 2]
fault: str = "none"  # what goes wrong"""
SETUP = """\
import os, re, signal, sys, time
from pathlib import Path
import numpy as np
from qlib.workbook.record import Run
run = Run({name!r}, dict(profile=profile, seed=seed, step=step, fault=fault))
rng = np.random.default_rng(seed)"""
VERDICT = """\
mean = rng.normal(scale=step, size=100).mean()
run.row("mean", mean)
run.claim("The mean is 0.", source="here", stated="0", measured=mean,
          interval=(mean - 1, mean + 1), verdict=bool(abs(mean) < 1), seeds=1,
          budget="100 draws", reason="The interval covers it.")
run.write();"""


def write_notebook(path, *cells, setup=SETUP, verdict=VERDICT, kernel="python3"):
    """A notebook with the given code cells, or (code, tag), between setup and end."""
    code = nbformat.v4.new_code_cell
    name = path.stem
    spec = {"name": kernel, "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
    notebook.cells = [
        nbformat.v4.new_markdown_cell(f"# {name[:2]} · Toy\n\n**Question.** Is it so?"),
        code(PARAMETERS, metadata={"tags": ["parameters"]}),
        code(setup.format(name=name), metadata={"tags": ["setup"]}),
    ]
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell
        notebook.cells.append(code(source, metadata={"tags": tags}))
    notebook.cells.append(code(verdict, metadata={"tags": ["verdict"]}))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


class Workbook:
    """Notebooks, an output folder, and a machine of which all that is left shows."""

    def __init__(self, folder):
        self.notebooks = folder / "notebooks"
        self.output = folder / "output"
        self.homes = [folder / "home", folder / "temporary"]
        self.signs = folder / "signs"
        self.mark = uuid.uuid4().hex
        for path in (self.notebooks, self.output, self.signs, *self.homes):
            path.mkdir(parents=True)

    def start(self, *words, command="report", jobs=1, **settings):
        """Start the command line with a home and a temporary folder of its own."""
        home, temporary = map(str, self.homes)
        own = {"HOME": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
        own |= {"QLIB_TEST": self.mark, "QLIB_SIGNS": str(self.signs)}
        ours = ("XDG_", "JUPYTER", "IPYTHON")
        env = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | own
        words += ("--notebooks", self.notebooks, "--output", self.output)
        return subprocess.Popen(
            [sys.executable, "-m", "qlib.workbook", command, *words, f"--jobs={jobs}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,
            **settings,
        )

    def run(self, *words, **settings):
        """Run it to its end: exit code, stdout, and the lines of stderr."""
        return self.finish(self.start(*words, **settings))

    def finish(self, process):
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err.splitlines()

    def await_sign(self, name="began"):
        """Wait until a cell has said that it is running."""
        deadline = time.monotonic() + 60
        while not (self.signs / name).exists():
            assert time.monotonic() < deadline, f"no cell gave the sign {name!r}"
            time.sleep(0.05)
        (self.signs / name).unlink()

    def processes(self):
        """All living processes that the command line started, directly or not."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("QLIB_TEST") == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.status() != psutil.STATUS_ZOMBIE]

    def published(self):
        """Every file of the reports and of the runs behind them, with its bytes."""
        return {
            path.relative_to(self.output): path.read_bytes()
            for path in self.output.rglob("*")
            if path.is_file() and not {".locks", "failed"} & set(path.parts)
        }

    def leftovers(self):
        """What nobody asked for: hidden or temporary files, wherever they may be."""
        hidden = [
            path
            for path in self.output.rglob(".*")
            if path.name != ".locks" and path.parent.name != ".locks"
        ]
        return hidden + [p for home in self.homes for p in home.rglob("*")]


@pytest.fixture
def workbook(tmp_path):
    made = Workbook(tmp_path)
    yield made
    for process in made.processes():
        process.kill()


@pytest.fixture(scope="session")
def make_workbook():
    return Workbook


@pytest.fixture(scope="session", name="write_notebook")
def notebook_writer():
    return write_notebook
