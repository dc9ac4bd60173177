"""Where jobs run, and that nothing outlives the pool that started it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from qlib.workbook.executors import executor

ROOT = Path(__file__).parents[2]
PATIENCE = 10  # seconds in which whatever should be gone must be gone

# A job's child as a kernel would be: in a session of its own, with a child of its own.
SLEEPER = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "time.sleep(600)",
]

SLEEPING_POOL = f"""
import signal, subprocess, sys
from qlib.workbook.executors import executor
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with executor(2) as pool:
        for _ in range(3):
            pool.submit(subprocess.call, {SLEEPER!r}, start_new_session=True)
        signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""


def alive(mark):
    """Processes that inherited `mark` in their environment, and still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_MARK") == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def reaches(count, mark, seconds):
    """Whether `count` processes with `mark` are alive before the time is over."""
    end = time.monotonic() + seconds
    while len(alive(mark)) != count:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def mark(monkeypatch):
    """A mark that every process started in this test inherits; none is left behind."""
    resource_tracker.ensure_running()  # one for this whole process: without a mark
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TEST_MARK", mark)
    yield mark
    for process in alive(mark):
        process.kill()


@pytest.mark.parametrize("jobs", [0, -1, True, 1.5, "2", None])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(jobs):
    with pytest.raises(ValueError, match=f"jobs is {jobs!r}; allowed: an integer"):
        executor(jobs)


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_run_in_so_many_other_processes_and_answer_in_order(mark, jobs):
    with executor(jobs) as pool:
        assert list(pool.map(pow, range(20), range(20))) == [k**k for k in range(20)]
        ran_in = {pool.submit(os.getpid).result() for _ in range(20)}
        assert len(alive(mark)) == jobs
        assert ran_in <= {process.pid for process in alive(mark)}
    assert alive(mark) == []


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "Ctrl-C"])
def test_nothing_outlives_a_pool_whose_process_ends(mark, end):
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPING_POOL],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as pool:
        # itself, multiprocessing's tracker, 2 workers, 2 sleepers with a child each
        assert reaches(8, mark, 60)
        if end == "Ctrl-C":
            os.killpg(pool.pid, signal.SIGINT)
        else:
            pool.send_signal(getattr(signal, end))
        assert reaches(0, mark, PATIENCE), [p.cmdline() for p in alive(mark)]
        said = pool.stderr.read()
    if end == "Ctrl-C":
        assert said == b""
        assert pool.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_workers_neither_hear_nor_heed_the_ctrl_c_of_a_terminal():
    before = signal.getsignal(signal.SIGINT)
    with executor(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN
        assert pool.submit(os.getpgrp).result() != os.getpgrp()
        assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_is_an_error_and_leaves_nothing(mark):
    with executor(2) as pool:
        worker = pool.submit(os.getpid).result()
        sleepers = [
            pool.submit(subprocess.call, SLEEPER, start_new_session=True)
            for _ in range(3)
        ]
        assert reaches(6, mark, 60)
        os.kill(worker, signal.SIGKILL)
        for sleeper in sleepers:
            with pytest.raises(BrokenProcessPool):
                sleeper.result(PATIENCE)
    assert reaches(0, mark, PATIENCE)


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_block_ends_running_jobs_and_forgets_waiting_ones(mark, fault):
    with pytest.raises(fault), executor(1) as pool:  # noqa: PT012
        jobs = [pool.submit(subprocess.call, SLEEPER) for _ in range(3)]
        assert reaches(3, mark, 60)
        raise fault
    assert all(job.done() for job in jobs)
    assert reaches(0, mark, PATIENCE)


def test_what_a_finished_job_left_running_ends_with_the_pool(mark):
    with executor(1) as pool:
        start = f"import subprocess; subprocess.Popen({SLEEPER!r})"
        assert pool.submit(subprocess.call, [sys.executable, "-c", start]).result() == 0
        assert reaches(3, mark, 60)
    assert reaches(0, mark, PATIENCE)


@pytest.mark.parametrize("address", ["nowhere", "carrier-pigeon://host:1"])
def test_what_is_no_address_is_refused_by_name(address):
    with (
        pytest.raises(ConnectionError, match=f"no dask .* answers at '{address}'"),
        executor(address=address, timeout=1),
    ):
        pass


def test_an_address_where_nobody_listens_is_refused_by_name():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    with (
        pytest.raises(ConnectionError, match=f"no dask .* '{address}' within 0.5 s"),
        executor(address=address, timeout=0.5),
    ):
        pass


def test_a_scheduler_is_looked_for_from_a_notebook_too():
    """There a loop runs in the thread that calls."""

    async def cell():
        test_an_address_where_nobody_listens_is_refused_by_name()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(cell())).result()
