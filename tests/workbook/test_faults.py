"""What a published report survives.

Each test starts from a published report, brings a fault about in the real command line,
and asks the same: the exit code, a single clear line on stderr, every published file as
it was byte for byte, no file left anywhere, no process left, and a next run that works.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

from qlib.workbook.parameters import resolve_parameters
from qlib.workbook.record import load_result
from qlib.workbook.report import publish

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and limits")

FAULTS = """\
signs = Path(os.environ.get("QLIB_SIGNS", "."))
if fault != "none":
    (signs / "began").touch()
if fault == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "exit":
    os._exit(0)
if fault == "sleep":
    time.sleep(600)
if fault == "busy":  # in C code that holds the interpreter's lock for hours
    re.match(r"(a+)+$", "a" * 60 + "b")
while fault == "gate" and not (signs / "open").exists():
    time.sleep(0.05)
if fault == "large":
    run.array("noise", rng.random(500_000))"""


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, make_workbook, write_notebook):
    made = make_workbook(tmp_path_factory.mktemp("baseline"))
    write_notebook(made.notebooks / "01_toy.ipynb", FAULTS)
    code, _, errors = made.run()
    assert (code, errors) == (0, [])
    return made


@pytest.fixture
def published(baseline, workbook):
    """A workbook whose one notebook has a published report."""
    for folder in ("notebooks", "output"):
        shutil.copytree(
            getattr(baseline, folder), getattr(workbook, folder), dirs_exist_ok=True
        )
    return workbook


def published_names(workbook):
    return sorted(str(path) for path in workbook.published())


def outlives(workbook, before, result, *, code, line):
    """Assert all that a fault must leave as it was, and that the next run succeeds."""
    returncode, _, errors = result
    assert (returncode, len(errors)) == (code, 1), errors
    assert line in errors[0]
    assert workbook.processes() == []
    assert workbook.published() == before
    assert workbook.leftovers() == []
    succeeds(workbook)


def succeeds(workbook):
    """Assert that the job of the command line, run here, publishes another seed."""
    notebook = workbook.notebooks / "01_toy.ipynb"
    parameters = resolve_parameters(notebook, {"seed": 7})
    assert publish(notebook, parameters, workbook.output) == "1 holds"
    record = load_result(workbook.output / "reports" / "01_toy.json")
    assert record["parameters"] == parameters
    assert workbook.leftovers() == []


def test_the_report_that_stands_before_each_fault_is_whole(baseline):
    assert published_names(baseline) == [
        "reports/01_toy.html",
        "reports/01_toy.json",
        "reports/index.html",
        "runs/01_toy/arrays.npz",
        "runs/01_toy/executed.ipynb",
        "runs/01_toy/result.json",
    ]
    assert baseline.leftovers() == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        pytest.param("killed", "the kernel was killed", marks=posix_only),
        ("exit", "the kernel was killed"),
        ("sleep", "longer than the timeout of 10 s"),
    ],
)
def test_a_lost_kernel_or_a_cell_that_never_ends(published, fault, line):
    before = published.published()
    limit = ["--timeout", "10"] if fault == "sleep" else []
    result = published.run("-p", "fault", fault, *limit)
    kept = published.output / "runs" / "failed" / "01_toy.ipynb"
    assert kept.exists()
    assert str(kept) in result[2][0]
    assert "01_toy: cell 3 (signs = Path(" in result[2][0]
    outlives(published, before, result, code=1, line=line)
    assert not kept.exists()


@posix_only
@pytest.mark.parametrize("fault", ["sleep", "busy"])
def test_a_killed_runner_leaves_no_worker_and_no_kernel(published, fault):
    before = published.published()
    process = published.start("-p", "fault", fault)
    published.await_sign()
    assert len(published.processes()) >= 3  # runner, worker, kernel
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while published.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert published.processes() == []
    unfinished = published.output / "runs" / ".01_toy.new"
    assert [p for p in published.leftovers() if unfinished not in (p, *p.parents)] == []
    now = published.published()
    assert {path: now[path] for path in before} == before
    succeeds(published)


@posix_only
def test_a_killed_worker_ends_its_kernel_and_is_reported(published):
    before = published.published()
    process = published.start("-p", "fault", "busy")
    published.await_sign()
    kernel = next(
        p for p in published.processes() if "ipykernel_launcher" in p.cmdline()
    )
    kernel.parent().kill()
    outlives(
        published,
        before,
        published.finish(process),
        code=1,
        line="a worker process was killed",
    )


@posix_only
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupt_at_the_terminal_leaves_nothing_half_done(published, number, code):
    before = published.published()
    process = published.start("-p", "fault", "sleep")
    published.await_sign()
    os.killpg(process.pid, number)  # as a terminal does: the whole foreground group
    outlives(
        published, before, published.finish(process), code=code, line="interrupted"
    )


@posix_only
def test_an_impatient_interrupt_is_answered_once(published):
    before = published.published()
    process = published.start("-p", "fault", "busy")
    published.await_sign()
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    outlives(published, before, published.finish(process), code=130, line="interrupted")


@posix_only
def test_a_limit_on_the_size_of_files(published):
    import resource

    limit = 1_000_000
    before = published.published()
    result = published.run(
        "-p",
        "fault",
        "large",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    outlives(published, before, result, code=1, line="File too large")


@pytest.fixture
def small_disk(published):
    """The output folder on a file system of four megabytes."""
    disk = published.output.with_name("disk")
    disk.mkdir()
    size = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        subprocess.run(["mount", *size], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system takes Linux and root")
    shutil.copytree(published.output, disk / "output")
    published.output = disk / "output"
    yield published
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 2_000_000])
def test_a_full_disk(small_disk, room):
    filler = small_disk.output.parent / "filler"
    free = os.statvfs(filler.parent)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    before = small_disk.published()
    result = small_disk.run("-p", "fault", "large")
    filler.unlink()
    outlives(small_disk, before, result, code=1, line="No space left on device")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-p", "sede", "1"], "no parameter 'sede'; did you mean 'seed'?"),
        (["-p", "step", "2.5"], "step is 2.5; allowed: float in [0.0, 2.0]"),
        (["-f", "step: 1e-3"], "write 1.0e-3"),
    ],
)
def test_a_refused_parameter(published, tmp_path, words, line):
    before = published.published()
    if words[0] == "-f":
        file = tmp_path / "parameters.yaml"
        file.write_text(words[1])
        words = ["-f", file]
    code, out, errors = published.run(*words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert line in errors[0]
    assert published.published() == before
    assert published.leftovers() == []


def test_two_runs_of_one_notebook_at_once(published):
    before = published.published()
    first = published.start("-p", "fault", "gate")
    published.await_sign()
    code, _, errors = published.run("-p", "seed", "3")
    assert (code, len(errors)) == (1, 1)
    assert "another run of it is under way" in errors[0]
    now = published.published()
    assert {path: now[path] for path in before} == before
    (published.signs / "open").touch()
    code, _, errors = published.finish(first)
    assert (code, errors) == (0, [])
    succeeds(published)
