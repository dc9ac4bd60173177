"""Published pages: equal bytes for equal runs, and one failure stops no other."""

import json
import re
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from qlib.workbook.execute import RunFailed
from qlib.workbook.page import without_timing
from qlib.workbook.parameters import resolve_parameters
from qlib.workbook.record import load_result, result_rows
from qlib.workbook.report import publish, publish_all

CLOCK = ("print(time.time_ns())", "timing")
SECONDS = 'run.row("time", time.time(), kind="time")'


@pytest.fixture(scope="module")
def twice(tmp_path_factory, make_workbook, write_notebook):
    """Two good notebooks around a failing one: one after the other, then at once."""
    books = []
    for jobs in (1, 2):
        book = make_workbook(tmp_path_factory.mktemp("book"))
        write_notebook(book.notebooks / "01_clock.ipynb", CLOCK, SECONDS)
        write_notebook(book.notebooks / "02_wrong.ipynb", "1 / 0")
        write_notebook(book.notebooks / "03_right.ipynb", "print({'a', 'b', 'c'})")
        books.append((book, book.run("-p", "seed", "3", jobs=jobs)))
    return books


def page(book, name):
    return (book.output / "reports" / f"{name}.html").read_text(encoding="utf-8")


def test_a_failing_notebook_stops_no_other_and_is_named(twice):
    for book, (code, out, errors) in twice:
        assert (code, len(errors)) == (1, 1)
        assert (
            "02_wrong: cell 3 (1 / 0): ZeroDivisionError: division by zero" in errors[0]
        )
        published = {path.name for path in (book.output / "reports").iterdir()}
        assert published == {"index.html"} | {
            f"{name}.{ending}"
            for name in ("01_clock", "03_right")
            for ending in ("html", "json")
        }
        lines = out.splitlines()
        assert lines[-1] == str(book.output / "reports" / "index.html")
        assert sum("running, quick profile" in line for line in lines) == 3
        assert (
            sum(re.search(r": 1 holds \(\d+ s\)$", line) is not None for line in lines)
            == 2
        )


def test_one_seed_twice_serial_or_parallel_gives_equal_rows_and_pages(twice):
    (serial, _), (parallel, _) = twice
    for name in ("01_clock", "03_right"):
        first, second = (
            load_result(book.output / "reports" / f"{name}.json")
            for book in (serial, parallel)
        )
        assert len(result_rows(first)) == 1
        assert result_rows(first) == result_rows(second)
        assert first["claims"] == second["claims"]
    assert page(serial, "03_right") == page(parallel, "03_right")
    clocks = page(serial, "01_clock"), page(parallel, "01_clock")
    assert clocks[0] != clocks[1]
    assert without_timing(clocks[0]) == without_timing(clocks[1])
    indexes = page(serial, "index"), page(parallel, "index")
    assert without_timing(indexes[0]) == without_timing(indexes[1])


def test_another_seed_gives_another_page(twice, tmp_path):
    book, _ = twice[0]
    notebook = book.notebooks / "03_right.ipynb"
    publish(notebook, resolve_parameters(notebook, {"seed": 4}), tmp_path)
    record = json.loads((tmp_path / "reports" / "03_right.json").read_text())
    old = load_result(book.output / "reports" / "03_right.json")
    assert result_rows(record) != result_rows(old)
    other = (tmp_path / "reports" / "03_right.html").read_text(encoding="utf-8")
    assert other != page(book, "03_right")


def test_a_run_that_makes_no_page_leaves_the_old_one(tmp_path, write_notebook):
    script = "from IPython.display import HTML; HTML('<script>1</script>')"
    notebook = write_notebook(tmp_path / "01_toy.ipynb", script)
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "01_toy.html").write_text("the old page")
    (reports / ".01_toy.html-killed").write_text("half a p")
    with pytest.raises(RunFailed, match=r"^its page: ValueError: "):
        publish(notebook, resolve_parameters(notebook), tmp_path)
    assert (reports / "01_toy.html").read_text() == "the old page"
    write_notebook(notebook)
    publish(notebook, resolve_parameters(notebook), tmp_path)
    assert sorted(path.name for path in reports.iterdir()) == [
        "01_toy.html",
        "01_toy.json",
    ]


def test_a_record_that_cannot_be_written_leaves_the_old_page(tmp_path, write_notebook):
    notebook = write_notebook(tmp_path / "01_toy.ipynb")
    reports = tmp_path / "reports"
    (reports / "01_toy.json" / "in the way").mkdir(parents=True)
    (reports / "01_toy.html").write_text("the old page")
    with pytest.raises(OSError, match=r"01_toy\.json"):
        publish(notebook, resolve_parameters(notebook), tmp_path)
    assert (reports / "01_toy.html").read_text() == "the old page"
    names = sorted(path.name for path in reports.iterdir())
    assert names == ["01_toy.html", "01_toy.json"]


class Broken:
    """A pool that loses a worker over its first job, and then takes no other."""

    lost = False

    def submit(self, *job):
        error = BrokenProcessPool("a process was terminated abruptly")
        if self.lost:
            raise error
        self.lost = True
        future = Future()
        future.set_exception(error)
        return future


def test_after_a_lost_worker_every_notebook_that_did_not_run_is_named(tmp_path):
    names = ["01_a", "02_b", "03_c"]
    plan = {tmp_path / f"{name}.ipynb": {"profile": "quick"} for name in names}
    failures = publish_all(plan, tmp_path, Broken(), jobs=1, progress=[].append)
    assert failures == [
        "01_a: a worker process was killed",
        "02_b: not run, as a worker process was killed",
        "03_c: not run, as a worker process was killed",
    ]
