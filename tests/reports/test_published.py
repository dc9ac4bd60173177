"""The committed pages: whole, offline, in step with their records and each other."""

import json
from pathlib import Path

import pytest

from qlib.workbook import readme
from qlib.workbook.index import load_published, render_index

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def published():
    return load_published(REPORTS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_published_page_is_whole(name, check_page_and_record):
    record = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    check_page_and_record(REPORTS / f"{name}.html", record)
    assert record["claims"]


def test_every_notebook_and_nothing_else_is_published(published):
    assert [record["name"] for record in published] == NOTEBOOKS
    assert {path.stem for path in REPORTS.glob("*.html")} == {"index", *NOTEBOOKS}


def test_the_published_index_is_made_from_the_published_records(published):
    text = (REPORTS / "index.html").read_text(encoding="utf-8")
    assert text == render_index(published)


def test_the_readme_shows_the_published_verdicts(published):
    quick = [record["name"] for record in published if record["profile"] != "full"]
    if quick:
        pytest.skip(f"the README shows the full profile; quick: {', '.join(quick)}")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.embedded(text) == readme.table(published)
