"""Every notebook runs in the quick profile and its page holds what it found."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted(Path(__file__).parents[2].glob("notebooks/*.ipynb"))


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_page_and_record_agree(name, quick_reports, check_page_and_record):
    record = json.loads((quick_reports / f"{name}.json").read_text(encoding="utf-8"))
    page = check_page_and_record(quick_reports / f"{name}.html", record)
    assert record["profile"] == "quick"
    assert record["claims"]
    assert record["key_figures"]
    assert sum("thumbnail" in figure for figure in record["figures"]) == 1
    for figure in record["figures"]:
        assert f'id="figure-{figure["name"]}"' in page.raw
    assert all(claim["seeds"] > 0 for claim in record["claims"] if claim["measured"])


def test_every_notebook_stands_in_the_index(quick_reports):
    text = (quick_reports / "index.html").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f'<a href="{path.stem}.html">' in text
