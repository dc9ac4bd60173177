"""Making the dataset: in chunks, over processes, and on from where it stopped."""

import hashlib
import json
import operator
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from os import _exit
from pathlib import Path
from threading import Thread

from threadpoolctl import threadpool_limits

from qlib.arguments import one_of, positive_integer
from qlib.entanglement.dataset.families import FAMILIES
from qlib.entanglement.dataset.rows import solve, version
from qlib.entanglement.dataset.storage import Dataset, join

CHUNK = 8  # points in a file


def make_dataset(
    points,
    families=None,
    sizes=(10, 12, 14, 16),
    seed=0,
    *,
    folder=None,
    workers=1,
):
    """Solve drawn chains at every size: energies, spectra and features at every cut.

    Point k is of family k modulo their number, its parameters drawn from
    ``SeedSequence([seed, k])``. A row depends on the seed, the family, the point and
    the size alone: not on the number of workers, on other rows, nor on a restart.

    Parameters
    ----------
    points : int
        Drawn chains; the rows are `points` times the number of sizes.
    families : sequence of str, optional
        Names in `FAMILIES`; all of them if None. A `Family` has the ranges drawn from
        and, as ``build``, the Hamiltonian, with the units that `hamiltonians` names.
    sizes : sequence of int
        Sites N, even and at least 4.
    seed : int
        At least 0.
    folder : path, optional
        Where finished chunks of 8 points are kept, made if it does not exist. A later
        call with the same arguments reads what is there and solves the rest; one with
        other arguments, or after the definition of a family has changed, finds no
        chunk of its own and reads none of others.
    workers : int
        Processes, one BLAS thread each. 1 solves in this process.

    Returns
    -------
    Dataset
        Rows by point, then size. A ground state that is degenerate even in its sector
        keeps its row, with the flag and without spectrum or features.

    Raises
    ------
    ValueError
        By the argument's name; also for a chunk in `folder` that is damaged or holds
        other rows than its name says.

    Notes
    -----
    A row takes the Lanczos steps of `exact.ground_state`, O(2^N) each, and the singular
    values of the middle cut, O(2^(3N/2)).

    Where Sz = 0 and the flip of all spins are conserved, each Schmidt probability of a
    block of an odd number of sites occurs twice, since the flip joins its parts of Sz
    and −Sz. Half chains of N = 10, 14, … are a series of their own beside those of
    N = 8, 12, 16, …: compare sizes that are multiples of four.
    """
    points = positive_integer("points", points)
    workers = positive_integer("workers", workers)
    plan = _plan(families, sizes, seed)
    folder = None if folder is None else _made(folder)
    starts = range(0, points, CHUNK)
    jobs = [range(first, min(first + CHUNK, points)) for first in starts]
    work = partial(_chunk, plan, folder)
    if workers == 1 or len(jobs) == 1:
        return join([work(job) for job in jobs])
    with ProcessPoolExecutor(
        min(workers, len(jobs)), get_context("spawn"), _end_with_parent
    ) as pool:
        return join(list(pool.map(work, jobs)))


def _plan(families, sizes, seed):
    """Seed, names and sizes, checked; with the points, they decide a chunk's rows."""
    families = tuple(FAMILIES) if families is None else families
    names = _distinct("families", families, "names of families")
    names = tuple(one_of("families", name, tuple(FAMILIES)) for name in names)
    sizes = _distinct("sizes", sizes, "even integers >= 4")
    sizes = tuple(positive_integer("sizes", size) for size in sizes)
    if any(size % 2 or size < 4 for size in sizes):
        raise ValueError(f"sizes: got {sizes!r}; allowed: even integers >= 4")
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63 or isinstance(seed, bool):
        raise ValueError(f"seed: got {seed!r}; allowed: an integer in [0, 2^63)")
    return number, names, sizes


def _distinct(name, values, allowed):
    """A sequence of one value or more, none twice, as a tuple."""
    sequence = isinstance(values, Iterable) and not isinstance(values, str)
    given = tuple(values) if sequence else ()
    if not given or len(set(given)) != len(given):
        raise ValueError(
            f"{name}: got {values!r}; allowed: a sequence of {allowed}, none twice"
        )
    return given


def _made(folder):
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder: got {str(folder)!r}, a file; allowed: a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _chunk(plan, folder, points):
    """The rows of some points: read if there are any, else solved and written."""
    seed, names, sizes = plan
    if folder is None:
        return _solved(plan, points)
    versions = [version(name) for name in names]
    content = json.dumps([seed, names, versions, sizes, points.start, points.stop])
    path = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.npz"
    if not path.exists():
        rows = _solved(plan, points)
        rows.save(path)
        return rows
    rows = Dataset.load(path)
    expected = [
        (point, name, size, seed, version(name))
        for point in points
        for name in (names[point % len(names)],)
        for size in sizes
    ]
    columns = rows.table[["point", "family", "size", "seed", "version"]]
    if list(columns.itertuples(index=False, name=None)) != expected:
        raise ValueError(f"folder: got other rows in {path}; allowed: what it is named")
    return rows


def _solved(plan, points):
    """Rows solved with one BLAS thread: two would round differently."""
    seed, names, sizes = plan
    with threadpool_limits(1):
        return solve(seed, points, names, sizes)


def _end_with_parent():
    """Let this worker end when the process that started it does, however it does."""

    def wait():
        parent_process().join()
        _exit(1)

    Thread(target=wait, daemon=True).start()
