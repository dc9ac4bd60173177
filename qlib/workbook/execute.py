"""Execute one notebook; its results stand in one directory, whole or not at all."""

import contextlib
import logging
import os
import shutil
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from qlib.workbook.notebook import code_cells, has_tag
from qlib.workbook.record import RUN_DIRECTORY, load_result
from qlib.workbook.schemas import import_jsonschema

THREADS = (  # one thread each: kernels side by side, and sums in one order
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
INLINE = "module://matplotlib_inline.backend_inline"
KERNEL = "python3"


class RunFailed(Exception):
    """Why a notebook could not be executed to a valid result, in one line."""


def why_failed(job):
    """Say in one line why a future has no result; None if it has one."""
    if job.cancelled():
        return "cancelled: the dask scheduler was lost"
    error = job.exception()
    if error is None:
        return None
    if isinstance(error, RunFailed):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return "a worker process was killed"
    return one_line(error)


def one_line(error):
    """An error's type and message without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def run_notebook(notebook, parameters, directory, timeout=None):
    """Execute a notebook and put all that it wrote in `directory`.

    The kernel is this interpreter's own. It works in a directory beside the target,
    which is checked and renamed into place at the end, so an earlier run's results stay
    as they are until then. A job may be repeated: the second replaces the first.

    Parameters
    ----------
    notebook : path
    parameters : mapping
        A value for every parameter, as `resolve_parameters` gives them.
    directory : path
        Will hold ``executed.ipynb``, ``result.json`` and ``arrays.npz``.
    timeout : int, optional
        Whole seconds that one cell may take. Default: no limit.

    Returns
    -------
    dict
        The record in ``result.json``.

    Raises
    ------
    RunFailed
        If a cell failed, ran too long or lost its kernel, if the result is missing or
        another notebook's, or if another run holds `directory`. What the cells showed
        until then is kept as ``failed/<name>.ipynb`` beside `directory`.
    OSError
        If a file cannot be written.
    """
    notebook, directory = Path(notebook).resolve(), Path(directory).resolve()
    with hold(directory):
        new, old = _beside(directory, "new"), _beside(directory, "old")
        kept = directory.parent / "failed" / f"{directory.name}.ipynb"
        executed = new / "executed.ipynb"
        new.mkdir()
        try:
            _execute(notebook, parameters, new, executed, timeout)
            result = _check_result(new / "result.json", notebook.stem, parameters)
            if directory.exists():
                directory.rename(old)
            new.rename(directory)
        except RunFailed as error:
            if not executed.exists():
                raise
            kept.parent.mkdir(exist_ok=True)
            executed.replace(kept)
            raise RunFailed(f"{error} (its cells until then: {kept})") from None
        finally:
            _recover(directory)
        kept.unlink(missing_ok=True)
        return result


@contextlib.contextmanager
def hold(directory):
    """Keep other runs off `directory` and clear what a killed one left beside it.

    The lock ends with the process that holds it, and may be taken again inside.

    Raises
    ------
    RunFailed
        If another run holds it.
    """
    from filelock import FileLock, Timeout

    directory = Path(directory).resolve()
    locks = directory.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{directory.name}.lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise RunFailed(f"another run of it is under way in {directory}") from None
    try:
        if lock.lock_counter == 1:
            _recover(directory)
        yield
    finally:
        lock.release()


def clear_leftovers(parent):
    """Clear what killed runs left in a folder, but nothing of a run under way."""
    for kind in ("new", "old"):
        for path in Path(parent).glob(f".*.{kind}"):
            name = path.name.removeprefix(".").removesuffix(f".{kind}")
            with contextlib.suppress(RunFailed), hold(path.with_name(name)):
                pass


def _recover(directory):
    """Finish or undo a swap that was cut short; remove an unfinished run."""
    old, new = _beside(directory, "old"), _beside(directory, "new")
    if old.exists() and not directory.exists():
        old.rename(directory)
    for leftover in (old, new):
        if leftover.exists():
            shutil.rmtree(leftover)


def _beside(directory, what):
    return directory.with_name(f".{directory.name}.{what}")


def _execute(notebook, parameters, new, executed, timeout):
    import_jsonschema()
    import papermill
    from nbclient.exceptions import CellTimeoutError

    from qlib.workbook.parameters import read_parameters

    declared = read_parameters(notebook)
    changed = {
        name: value
        for name, value in parameters.items()
        if value != declared[name].default
    }
    scratch = new / "scratch"
    scratch.mkdir()
    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)  # errors are raised
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            changed,
            kernel_name=KERNEL,
            progress_bar=False,
            execution_timeout=timeout,
            kernel_manager_class=_own_kernel(new, scratch),
            resources={"metadata": {"path": str(scratch)}},
        )
    except papermill.PapermillExecutionError as error:
        problem = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        problem = f"it ran longer than the timeout of {timeout} s"
    except RuntimeError as error:
        problem = f"the kernel was killed or crashed ({error})"
    else:
        problem = None
    cells = _code_cells(executed)
    if problem is not None:
        begun = [n for n, cell in enumerate(cells, 1) if _began(cell)]
        failed = [n for n, cell in enumerate(cells, 1) if _erred(cell)] or begun[-1:]
        where = _place(cells, failed[0]) if failed else "its kernel"
        raise RunFailed(f"{where}: {' '.join(problem.split())}")
    for number, cell in enumerate(cells, 1):
        if _erred(cell):
            raise RunFailed(f"{_place(cells, number)}: it ended the notebook")
        if cell["source"].strip() and cell["execution_count"] is None:
            raise RunFailed(f"{_place(cells, number)}: it was not executed")
    shutil.rmtree(scratch)


def _code_cells(executed):
    """The code cells that the notebook had, without the one that set parameters."""
    if not executed.exists():
        return []
    cells = code_cells(executed)
    return [cell for cell in cells if not has_tag(cell, "injected-parameters")]


def _place(cells, number):
    """A code cell by its number and first line."""
    first, *rest = cells[number - 1]["source"].strip().splitlines() or [""]
    return f"cell {number} ({first}{' ...' * bool(rest)})"


def _began(cell):
    return cell["metadata"].get("papermill", {}).get("start_time") is not None


def _erred(cell):
    return any(output["output_type"] == "error" for output in cell["outputs"])


def _own_kernel(new, scratch):
    """The manager of a kernel that is this interpreter, whatever others are installed.

    Its connection file, log, IPython's folder and stray files stay in `scratch`.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    environment = {name: os.environ.get(name, "1") for name in THREADS} | {
        RUN_DIRECTORY: str(new),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLBACKEND": INLINE,
        "PYTHONHASHSEED": "0",
    }
    spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name=KERNEL,
        language="python",
        env={name: value.replace("$", "$$") for name, value in environment.items()},
    )

    class OwnKernelManager(AsyncKernelManager):
        kernel_spec = spec

        def _connection_file_default(self):
            return str(scratch / "connection.json")

        async def start_kernel(self, **settings):
            with open(scratch / "kernel.log", "wb") as log:
                await super().start_kernel(stdout=log, stderr=log, **settings)

    return OwnKernelManager


def _check_result(path, name, parameters):
    try:
        result = load_result(path)
    except FileNotFoundError:
        raise RunFailed("it ended without writing its result") from None
    except ValueError as error:
        raise RunFailed(f"result.json: {error}") from None
    for key, wanted in (("name", name), ("parameters", dict(parameters))):
        if result[key] != wanted:
            raise RunFailed(f"{key} in its result is {result[key]!r}, not {wanted!r}")
    return result
