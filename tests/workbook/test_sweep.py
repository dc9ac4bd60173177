"""A sweep runs every point once, wherever it runs, and says the same everywhere."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest

from qlib.workbook.execute import RunFailed
from qlib.workbook.executors import executor
from qlib.workbook.parameters import ParameterError
from qlib.workbook.sweep import plan_points, sweep

ROOT = Path(__file__).parents[2]
PATIENCE = 10  # seconds in which whatever should be gone must be gone

PARAMETERS = """\
particles: int = 5  # parallel particles, in [1, 64]
step: float = 0.5  # width of a proposal
profile: str = "quick"  # how much to compute, in {quick, full}
seed: int = 0  # seed of every random draw, in [0, 100]
"""
# Leaves a line in the log when it starts, then waits until the gate stands open.
EXPERIMENT = """\
import os, time
from pathlib import Path
import numpy as np
from qlib.workbook.record import Run

with open(os.environ["TOY_LOG"], "a") as log:
    log.write(f"{particles} {seed} {os.getppid()}\\n")
while not Path(os.environ["TOY_GATE"]).exists():
    time.sleep(0.02)
if particles == 13:
    raise ValueError("13 particles are too many")
parameters = {"particles": particles, "step": step, "profile": profile, "seed": seed}
run = Run("toy", parameters)
draw = np.random.default_rng(seed).normal(size=particles)
run.row("mean", draw.mean() * step, method="SA", particles=2 * particles)
run.row("never reached", np.inf, method="QIA, slow")
run.row("seconds", time.perf_counter(), kind="time", method="SA")
run.write()
"""
GRID = ["particles=20,1,5", "seed=1,0"]


def write_notebook(path, experiment=EXPERIMENT):
    parameters = nbformat.v4.new_code_cell(
        PARAMETERS, metadata={"tags": ["parameters"]}, id="parameters"
    )
    cell = nbformat.v4.new_code_cell(experiment, id="experiment")
    notebook = nbformat.v4.new_notebook(
        cells=[parameters, cell],
        metadata={
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
        },
    )
    nbformat.write(notebook, path)
    return path


class Toy:
    """A notebook in a folder of its own, with a log of its executions and a gate."""

    def __init__(self, folder):
        self.notebook = write_notebook(folder / "toy.ipynb")
        self.log = folder / "log"
        self.gate = folder / "gate"

    def started(self):
        """One (particles, seed, process that started the kernel) for each execution."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        return [tuple(map(int, line.split())) for line in lines]

    def kill_a_worker_amid(self, running):
        """Once so many points run, kill one's worker; return it with its kernels."""
        end = time.monotonic() + 60
        while len(self.started()) < running and time.monotonic() < end:
            time.sleep(0.02)
        worker = psutil.Process(self.started()[0][2])
        kernels = worker.children(recursive=True)
        worker.send_signal(signal.SIGKILL)
        _, left = psutil.wait_procs(kernels, timeout=PATIENCE)
        self.gate.touch()
        return len(kernels), left


@pytest.fixture
def toy(tmp_path, monkeypatch):
    toy = Toy(tmp_path)
    monkeypatch.setenv("TOY_LOG", str(toy.log))
    monkeypatch.setenv("TOY_GATE", str(toy.gate))
    return toy


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """A finished sweep over `GRID`, one point after the other: its folder and toy."""
    folder = tmp_path_factory.mktemp("serial")
    toy = Toy(folder)
    toy.gate.touch()
    points = plan_points([toy.notebook], grid=GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_LOG", str(toy.log))
        patch.setenv("TOY_GATE", str(toy.gate))
        with executor(1) as pool:
            assert sweep(points, folder / "out", pool) == []
    return toy, folder / "out"


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_each_point_is_run_once_and_stands_in_the_table_once(serial):
    toy, out = serial
    ran = [(particles, seed) for particles, seed, _ in toy.started()]
    assert sorted(ran) == [(p, s) for p in (1, 5, 20) for s in (0, 1)]
    rows = read(out / "table.csv")
    means = [row for row in rows if row["metric"] == "mean"]
    assert [(int(row["particles"]), int(row["seed"])) for row in means] == sorted(ran)
    assert len(rows) == 12


def test_the_table_holds_what_each_run_recorded_and_no_seconds(serial):
    _, out = serial
    recorded = {}
    for path in (out / "points").glob("*/result.json"):
        result = json.loads(path.read_text())
        key = (result["parameters"]["particles"], result["parameters"]["seed"])
        recorded[key] = result["rows"]
    assert len(recorded) == 6
    for row in read(out / "table.csv"):
        mean, never, _ = recorded[int(row["particles"]), int(row["seed"])]
        assert row["notebook"] == "toy"
        assert (row["step"], row["profile"]) == ("0.5", "quick")
        if row["metric"] == "mean":
            assert float(row["value"]) == mean["value"]
            assert int(row["label_particles"]) == 2 * int(row["particles"])
        else:
            assert never["value"] is None
            assert (row["metric"], row["value"]) == ("never reached", "")
            assert (row["method"], row["label_particles"]) == ("QIA, slow", "")
    seconds = read(out / "timings.csv")
    assert [row["metric"] for row in seconds] == ["seconds"] * 6


def test_a_finished_sweep_runs_nothing_again_and_writes_the_same_table(serial):
    toy, out = serial
    ran, table = toy.started(), (out / "table.csv").read_bytes()
    reported = []
    points = plan_points([toy.notebook], grid=["seed=0,1", "particles=1,20,5"])
    with executor(1) as pool:
        assert sweep(points, out, pool, callback=reported.append) == []
    assert toy.started() == ran
    assert reported == []
    assert (out / "table.csv").read_bytes() == table


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_costs_a_second_call_and_leaves_nothing(toy, serial):
    points = plan_points([toy.notebook], grid=["particles=5,1"])
    out = toy.notebook.parent / "out"
    with ThreadPoolExecutor(1) as aside, executor(2) as pool:
        sabotage = aside.submit(toy.kill_a_worker_amid, running=2)
        failed = sweep(points, out, pool)
        kernels, left = sabotage.result()
    assert (kernels, left) == (1, [])
    assert failed == [(point, "a worker process was killed") for point in points]
    assert read(out / "table.csv") == []

    with executor(2) as pool:
        assert sweep(points, out, pool) == []
    assert read(out / "table.csv") == [
        row
        for row in read(serial[1] / "table.csv")
        if row["particles"] in "15" and row["seed"] == "0"
    ]
    assert not list((out / "points").glob(".toy*"))


@pytest.fixture
def cluster(toy):
    """Two dask workers on this machine, in processes that are replaced when lost."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_dask_worker_costs_no_point(toy, serial, cluster):
    points = plan_points([toy.notebook], grid=GRID)
    out = toy.notebook.parent / "out"
    with (
        ThreadPoolExecutor(1) as aside,
        executor(address=cluster.scheduler_address) as pool,
    ):
        sabotage = aside.submit(toy.kill_a_worker_amid, running=2)
        assert sweep(points, out, pool) == []
        kernels, left = sabotage.result()
    assert (kernels, left) == (1, [])
    assert len(toy.started()) == 7
    assert (out / "table.csv").read_bytes() == (serial[1] / "table.csv").read_bytes()
    assert len(list((out / "points").glob("toy-*"))) == 6
    assert not list((out / "points").glob(".toy*"))


def test_a_failed_point_is_named_with_its_reason_and_the_rest_stands(toy):
    toy.gate.touch()
    out = toy.notebook.parent / "out"
    points = plan_points([toy.notebook], grid=["particles=13,2"])
    reported = []
    with executor(1) as pool:
        failed = sweep(points, out, pool, callback=lambda *told: reported.append(told))
        ((point, reason),) = failed
        assert point.parameters["particles"] == 13
        assert "ValueError: 13 particles are too many" in reason
        assert "\n" not in reason
        assert reported == [(1, 2, points[0], None), (2, 2, points[1], reason)]
        rows = read(out / "table.csv")
        assert {row["particles"] for row in rows} == {"2"}

        assert sweep(points, out, pool) == failed
    assert [particles for particles, _, _ in toy.started()] == [2, 13, 13]


def test_a_notebook_whose_code_changed_runs_again_and_one_whose_prose_changed_not(toy):
    toy.gate.touch()
    out = toy.notebook.parent / "out"
    with executor(1) as pool:
        assert sweep(plan_points([toy.notebook]), out, pool) == []
        before = read(out / "table.csv")

        notebook = nbformat.read(toy.notebook, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Prose", id="prose"))
        notebook.metadata["edited"] = True
        nbformat.write(notebook, toy.notebook)
        assert sweep(plan_points([toy.notebook]), out, pool) == []
        assert len(toy.started()) == 1
        assert read(out / "table.csv") == before

        write_notebook(toy.notebook, EXPERIMENT.replace("* step", "* step + 1"))
        assert sweep(plan_points([toy.notebook]), out, pool) == []
    assert len(toy.started()) == 2
    after = read(out / "table.csv")
    assert float(after[0]["value"]) == float(before[0]["value"]) + 1


def test_a_changed_library_makes_other_points(toy, tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setattr("qlib.workbook.sweep.LIBRARY", library)
    names = []
    for text in ("step = 1", "step = 2", "step = 1"):
        (library / "method.py").write_text(text)
        names += [point.name for point in plan_points([toy.notebook])]
    assert names[0] == names[2] != names[1]


def test_an_interrupted_sweep_keeps_its_finished_points_and_the_old_table(toy):
    toy.gate.touch()
    out = toy.notebook.parent / "out"
    out.mkdir()
    (out / "table.csv").write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    points = plan_points([toy.notebook], grid=["seed=0,1"])
    with pytest.raises(KeyboardInterrupt), executor(1) as pool:
        sweep(points, out, pool, callback=interrupt)
    assert (out / "table.csv").read_text() == "old"
    finished = len(list((out / "points").glob("*/result.json")))
    assert finished >= 1

    reported = []
    with executor(1) as pool:
        sweep(points, out, pool, callback=lambda done, *_: reported.append(done))
    assert reported == list(range(finished + 1, 3))
    assert {row["seed"] for row in read(out / "table.csv")} == {"0", "1"}
    assert not list((out / "points").glob(".toy*"))


def test_a_second_sweep_in_one_folder_is_refused(toy):
    out = toy.notebook.parent / "out"
    holder = (
        "import sys; from qlib.workbook.execute import hold\n"
        "with hold(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(out)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunFailed, match=r"another run of it is .* in .*out$"):
            sweep(plan_points([toy.notebook]), out, pool=None)
    assert toy.started() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"grid": ["particles=5,65"]},
            r"toy: particles is 65; allowed: int in \[1, 64",
        ),
        ({"grid": ["particels=5"]}, "no parameter 'particels'; did you mean 'particle"),
        ({"grid": ["particles"]}, "grid is 'particles'; allowed: name=value,value"),
        ({"grid": ["particles=1,,2"]}, "grid is 'particles=1,,2'; allowed: name=value"),
        ({"grid": ["=1"]}, "grid is '=1'; allowed: name=value"),
        ({"grid": ["seed=1", "seed=2"]}, "grid has 'seed' twice"),
        ({"grid": ["seed=1,2,1"]}, "listed twice: toy particles=5 step=0.5 .* seed=1"),
        ({"values": [{"step": "1e-3"}]}, "step is '1e-3' of type str; .* 1.0e-3"),
        ({"values": [{"seed": 1}, {"seed": True}]}, "seed is True of type bool"),
        ({"values": {"seed": 1}}, "points are {'seed': 1}; allowed: a list of map"),
        ({"values": []}, r"points are \[\]; allowed: a list of mappings"),
        ({"values": [{"seed": 1}, 5]}, "point 2 is 5; allowed: a mapping"),
        ({"texts": [("profile", "fast")]}, "profile is 'fast'; allowed: .*quick, full"),
    ],
)
def test_one_wrong_point_refuses_the_whole_sweep(toy, settings, message):
    with pytest.raises(ParameterError, match=message):
        plan_points([toy.notebook], **settings)


def test_a_notebook_listed_twice_is_refused(toy):
    with pytest.raises(ParameterError, match="notebook 'toy' is listed twice"):
        plan_points([toy.notebook, toy.notebook])


def test_points_are_the_product_of_notebooks_values_and_grid(toy):
    other = write_notebook(toy.notebook.parent / "other.ipynb")
    points = plan_points(
        [toy.notebook, other],
        values=[{"step": 2}, {"step": 0.25, "seed": 9}],
        grid=["seed=7,3"],
        texts=[("profile", "full"), ("seed", "1")],
    )
    assert [(p.notebook.stem, *p.parameters.values()) for p in points] == [
        (name, 5, step, "full", seed)
        for name in ("other", "toy")
        for step in (0.25, 2.0)
        for seed in (3, 7)
    ]
    assert len({point.name for point in points}) == 8
