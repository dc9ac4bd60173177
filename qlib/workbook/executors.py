"""Where jobs run: a pool of processes on this machine, or dask workers on many."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
import uuid
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

MARK = "QLIB_POOL"  # environment variable inherited by all that a worker starts


def executor(jobs=1, address=None, *, timeout=10.0):
    """Open a `concurrent.futures.Executor` and leave no process behind on closing.

    The local pool holds spawned processes. They and all that they started (Jupyter
    kernels, their children) end with the ``with`` block, with this process however it
    ends, SIGKILL included, and on Ctrl-C, without a traceback of their own. If one
    worker dies, the others end too and open jobs raise
    `concurrent.futures.process.BrokenProcessPool`.

    Parameters
    ----------
    jobs : int
        Processes of the local pool; at least 1.
    address : str, optional
        A running ``dask.distributed`` scheduler, such as ``"tcp://host:8786"``. Jobs
        then go to its workers and `jobs` is not used. A job whose worker is lost starts
        again on another, so jobs must be idempotent; one that raises is not repeated.
        On Ctrl-C waiting jobs are forgotten, and those that run come to their end.
    timeout : float
        Seconds to wait for the scheduler at `address`.

    Returns
    -------
    context manager of a concurrent.futures.Executor

    Raises
    ------
    ValueError
        If `jobs` is no integer of at least 1.
    ConnectionError
        If no scheduler answers at `address`, or it has no workers.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs is {jobs!r}; allowed: an integer of at least 1")
    return _local(jobs) if address is None else _remote(address, timeout)


@contextlib.contextmanager
def _local(jobs):
    mark = uuid.uuid4().hex
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start_worker, initargs=(reader, mark)
    )
    try:
        with _interrupts_ignored():  # a starting worker inherits this across spawn
            for _ in range(jobs):
                pool.submit(os.getpid)
        yield pool
        pool.shutdown()
    finally:
        writer.close()
        pool.shutdown(cancel_futures=True)
        reader.close()
        kill_marked(mark)


def _start_worker(reader, mark):
    """Tie this worker's life to the other end of `reader`.

    The pipe ends when the pool closes or its process dies. Ctrl-C at a terminal
    reaches the process group of the pool only, which then closes the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[MARK] = mark
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_await_end, args=(reader, mark), daemon=True).start()


def _await_end(reader, mark):
    """Wait for the pipe to end, then become a program that kills what was started.

    Replacing the program stops the job, so that nothing new is started meanwhile.
    """
    with contextlib.suppress(EOFError, OSError):
        reader.recv_bytes()
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from qlib.workbook.executors import kill_marked; kill_marked({mark!r})"
    )
    os.environ.pop(MARK)
    os.execv(sys.executable, [sys.executable, "-c", program])


def kill_marked(mark, patience=5.0):
    """Kill every process whose environment holds `mark`, and what it starts meanwhile.

    The environment, unlike the parent's id, stays when a dead worker's kernel is handed
    to another parent. Cost: O(processes of the machine), at least once; `patience` is
    the time in seconds after which a process that cannot be killed is left.
    """
    import psutil

    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = False
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == mark:
                    found = True
                    process.kill()
        if not found:
            return
        time.sleep(0.01)


@contextlib.contextmanager
def _interrupts_ignored():
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def _remote(address, timeout):
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook's thread has its own loop
            aside.submit(lambda: asyncio.run(_knock(address, timeout))).result()
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at {address!r} within {timeout:g} s"
        ) from error
    with Client(address, timeout=timeout, set_as_default=False) as client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise ConnectionError(f"the dask scheduler at {address!r} has no workers")
        pool = client.get_executor(pure=False)
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False)
            raise


async def _knock(address, timeout):
    """Connect once: a `Client` that never connected takes long to be rid of."""
    from distributed.comm import connect
    from distributed.security import Security

    settings = Security().get_connection_args("client")
    comm = await connect(address, timeout=timeout, **settings)
    await comm.close()
