"""Notebooks over many parameter points: resumable, and one table out.

A sweep's folder holds ``points/`` (the run of each point, named by a hash of what
decides its result), ``notebooks/`` (the notebooks as they were), ``table.csv`` and
``timings.csv``.
"""

import csv
import hashlib
import io
import itertools
import json
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from qlib.files import clear_unfinished, write_atomically
from qlib.workbook.execute import hold, run_notebook, why_failed
from qlib.workbook.notebook import code_cells
from qlib.workbook.parameters import ParameterError, resolve_parameters
from qlib.workbook.record import KINDS, load_result

LIBRARY = Path(__file__).resolve().parents[1]
TABLES = dict(zip(KINDS, ("table.csv", "timings.csv"), strict=True))


@dataclass(frozen=True)
class Point:
    """One notebook with a value for each of its parameters.

    Attributes
    ----------
    notebook : pathlib.Path
    parameters : dict
    content : str
        Hash of the code of notebook and library; either's change makes other points.
    """

    notebook: Path
    parameters: dict
    content: str

    @property
    def name(self):
        """The folder of this point: equal for equal notebook, code and parameters."""
        key = json.dumps([self.content, self.parameters], sort_keys=True)
        return f"{self.notebook.stem}-{_hash(key)}"

    def __str__(self):
        values = (f"{name}={value}" for name, value in self.parameters.items())
        return " ".join((self.notebook.stem, *values))


def plan_points(notebooks, *, values=({},), grid=(), texts=()):
    """Check and list the points of a sweep: notebooks × values × grid.

    Parameters
    ----------
    notebooks : sequence of path
    values : sequence of mapping
        Typed parameters, such as the list in a YAML file. What a point does not set
        keeps the notebook's default.
    grid : sequence of str
        Axes ``"name=value,value,..."``, as on a command line. They win over `values`.
    texts : sequence of (str, str)
        Further parameters as on a command line, the same at every point.

    Returns
    -------
    list of Point
        Ordered by notebook and then by parameter values.

    Raises
    ------
    ParameterError
        If a notebook does not have a parameter or allow a value, an axis is malformed,
        or a notebook or point is listed twice.
    """
    if not isinstance(values, (list, tuple)) or not values:
        raise ParameterError(f"points are {values!r}; allowed: a list of mappings")
    for number, point in enumerate(values, 1):
        if not isinstance(point, dict):
            raise ParameterError(
                f"point {number} is {point!r}; allowed: a mapping of names to values"
            )
    notebooks = [Path(notebook).resolve() for notebook in notebooks]
    for name, copies in itertools.groupby(sorted(path.stem for path in notebooks)):
        if len(list(copies)) > 1:
            raise ParameterError(f"notebook {name!r} is listed twice")
    axes = _read_axes(grid)
    points, library = [], _library()
    for notebook in notebooks:
        code = [cell["source"] for cell in code_cells(notebook)]
        content = _hash(json.dumps([code, library], sort_keys=True))
        for chosen, crossing in itertools.product(values, itertools.product(*axes)):
            parameters = resolve_parameters(notebook, chosen, [*texts, *crossing])
            points.append(Point(notebook, parameters, content))
    points.sort(key=lambda point: (point.notebook.stem, *point.parameters.values()))
    for before, point in itertools.pairwise(points):
        if before.name == point.name:
            raise ParameterError(f"a point is listed twice: {point}")
    return points


def sweep(points, directory, pool, *, timeout=None, callback=None):
    """Run the points that are not finished yet, and write the tables of all finished.

    ``table.csv`` has a line for each recorded result: the notebook, its parameters, the
    metric, its labels and the value (empty where infinite). It depends on the points
    and on nothing else: not on where or in which order they ran. ``timings.csv`` has
    the rows of measured seconds. A label named as another column gets the prefix
    ``label_``.

    A point runs again when its parameters, the code in its notebook or any source file
    of the library change.

    Parameters
    ----------
    points : sequence of Point
    directory : path
        Made if absent. Dask workers on other machines must see it by the same name.
    pool : concurrent.futures.Executor
    timeout : int, optional
        Whole seconds that one cell may take. Default: no limit.
    callback : callable, optional
        Called as ``callback(done, total, point, reason)`` when a point ends; `reason`
        is None, or one line that says why it failed.

    Returns
    -------
    list of (Point, str)
        The points that failed, and why.

    Raises
    ------
    RunFailed
        If another sweep is running in `directory`.
    """
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with hold(directory):
        folders = {point.name: directory / "points" / point.name for point in points}
        missing = [p for p in points if not _finished(folders[p.name])]
        jobs = {}
        for point in missing:
            notebook = _keep_notebook(point, directory)
            job = pool.submit(
                _run_point, notebook, point.parameters, folders[point.name], timeout
            )
            jobs[job] = point
        reasons = {}
        for done, job in enumerate(as_completed(jobs), len(points) - len(missing) + 1):
            point = jobs[job]
            reason = why_failed(job)
            if reason is not None:
                reasons[point.name] = reason
            if callback is not None:
                callback(done, len(points), point, reason)
        records = [
            (point, load_result(folders[point.name] / "result.json"))
            for point in points
            if _finished(folders[point.name])
        ]
        for kind, name in TABLES.items():
            clear_unfinished(directory / name)
            with write_atomically(directory / name) as file:
                file.write(_table(records, kind).encode())
    return [(point, reasons[point.name]) for point in points if point.name in reasons]


def _read_axes(grid):
    """Each axis as the list of its (name, text) pairs."""
    axes = {}
    for axis in grid:
        name, equals, texts = axis.partition("=")
        texts = texts.split(",")
        if not (name and equals and all(texts)):
            raise ParameterError(f"grid is {axis!r}; allowed: name=value,value,...")
        if name in axes:
            raise ParameterError(f"grid has {name!r} twice")
        axes[name] = [(name, text) for text in texts]
    return list(axes.values())


def _library():
    """Every source file of the library, by its place in it."""
    return {
        path.relative_to(LIBRARY).as_posix(): path.read_text(encoding="utf-8")
        for path in LIBRARY.rglob("*.py")
    }


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keep_notebook(point, directory):
    """A copy to run from: edits during a sweep must not reach its later points."""
    kept = directory / "notebooks" / point.content / point.notebook.name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(kept) as file:
            file.write(point.notebook.read_bytes())
    return kept


def _run_point(notebook, parameters, folder, timeout):
    """Make sure of a point; dask asks again for what a lost worker had finished."""
    if not _finished(folder):
        run_notebook(notebook, parameters, folder, timeout)


def _finished(folder):
    return (folder / "result.json").exists()


def _table(records, kind):
    """The rows of one kind as CSV text; a name that did not occur is an empty cell."""
    parameters = _in_order(point.parameters for point, _ in records)
    rows = [
        (point, row)
        for point, result in records
        for row in result["rows"]
        if row["kind"] == kind
    ]
    labels = _in_order(row["labels"] for _, row in rows)
    taken = {"notebook", *parameters, "metric", "value"}
    titles = [f"label_{name}" if name in taken else name for name in labels]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["notebook", *parameters, "metric", *titles, "value"])
    for point, row in rows:
        table.writerow(
            [
                point.notebook.stem,
                *(point.parameters.get(name) for name in parameters),
                row["metric"],
                *(row["labels"].get(name) for name in labels),
                row["value"],
            ]
        )
    return text.getvalue()


def _in_order(mappings):
    """All keys, each once, in the order in which they first occur."""
    return list(dict.fromkeys(itertools.chain.from_iterable(mappings)))
