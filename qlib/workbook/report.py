"""Run notebooks and publish their pages; each page is replaced whole or not at all."""

import contextlib
import json
import time
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from qlib.files import clear_unfinished, write_atomically
from qlib.workbook.claims import count_verdicts
from qlib.workbook.execute import RunFailed, hold, one_line, run_notebook, why_failed
from qlib.workbook.schemas import import_jsonschema


def publish(notebook, parameters, output, timeout=None):
    """Run one notebook and write its page and record.

    Parameters
    ----------
    notebook, parameters, timeout
        As in `qlib.workbook.execute.run_notebook`.
    output : path
        Gets ``runs/<name>/``, ``reports/<name>.html`` and ``reports/<name>.json``, the
        record with the notebook's ``title`` and ``question``.

    Returns
    -------
    str
        The verdicts counted in words.

    Raises
    ------
    RunFailed
        If the run failed, or what it shows makes no page. The old page then stands.
    OSError
        If a file cannot be written.
    """
    import_jsonschema()
    import nbformat

    from qlib.workbook.page import describe, render_page

    name = Path(notebook).stem
    directory = Path(output) / "runs" / name
    reports = Path(output) / "reports"
    with hold(directory):
        result = run_notebook(notebook, parameters, directory, timeout)
        executed = nbformat.read(directory / "executed.ipynb", as_version=4)
        try:
            page = render_page(executed, result)
            record = {**result, **describe(executed)}
        except ValueError as error:
            raise RunFailed(f"its page: {one_line(error)}") from error
        reports.mkdir(parents=True, exist_ok=True)
        targets = [reports / f"{name}.{ending}" for ending in ("html", "json")]
        texts = page, json.dumps(record, indent=1, allow_nan=False)
        with contextlib.ExitStack() as both:  # renames them only once both are written
            for target, text in zip(targets, texts, strict=True):
                clear_unfinished(target)
                file = both.enter_context(write_atomically(target))
                file.write(text.encode())
                file.flush()
    counts = ", ".join(count["text"] for count in count_verdicts(result["claims"]))
    return counts or "no claims"


def publish_all(plan, output, pool, *, jobs, timeout=None, progress=print):
    """Publish several notebooks; one that fails does not stop the others.

    Parameters
    ----------
    plan : mapping of path to mapping
        Notebooks with their complete, checked parameters.
    output : path
    pool : concurrent.futures.Executor
    jobs : int
        How many to have under way at once.
    timeout : float, optional
        Seconds that one cell may take. Default: no limit.
    progress : callable
        Gets a line when a notebook starts or is done.

    Returns
    -------
    list of str
        One line for each that failed, in the order of `plan`.
    """
    waiting, running, failures = list(plan), {}, {}
    while waiting or running:
        while waiting and len(running) < jobs:
            notebook = waiting.pop(0)
            try:
                job = pool.submit(publish, notebook, plan[notebook], output, timeout)
            except BrokenProcessPool:
                failures[notebook] = "not run, as a worker process was killed"
                continue
            progress(f"{notebook.stem}: running, {plan[notebook]['profile']} profile")
            running[job] = notebook, time.perf_counter()
        for job in wait(running, return_when=FIRST_COMPLETED).done:
            notebook, started = running.pop(job)
            seconds = time.perf_counter() - started
            reason = why_failed(job)
            if reason is None:
                progress(f"{notebook.stem}: {job.result()} ({seconds:.0f} s)")
            else:
                failures[notebook] = reason
    return [f"{path.stem}: {failures[path]}" for path in plan if path in failures]
