"""Verdicts follow the measurements: with random search in QIA's place some change."""

import json
from pathlib import Path

import nbformat

from qlib.workbook.execute import run_notebook
from qlib.workbook.parameters import resolve_parameters

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_rastrigin.ipynb"
HONEST = 'methods = {"SA": SA, "QIA": QIA,'
SWAPPED = """def swapped(*args, step=0, tunnelling=0, pull=0, particles=0, **rest):
    return qa.random_search(*args, **rest)

methods = {"SA": SA, "QIA": swapped,"""


def verdicts(record):
    return {claim["text"]: claim["verdict"] for claim in record["claims"]}


def test_random_search_in_place_of_qia_changes_verdicts(tmp_path, quick_reports):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (setup,) = (cell for cell in notebook.cells if HONEST in cell.source)
    setup.source = setup.source.replace(HONEST, SWAPPED)
    path = tmp_path / NOTEBOOK.name
    nbformat.write(notebook, path)
    swapped = verdicts(
        run_notebook(path, resolve_parameters(path), tmp_path / NOTEBOOK.stem, 600)
    )
    published = (quick_reports / f"{NOTEBOOK.stem}.json").read_text(encoding="utf-8")
    honest = verdicts(json.loads(published))
    changed = {text for text in honest if honest[text] != swapped[text]}
    assert "QIA finds the minimum of the double Rastrigin function" in changed
    assert "QIA needs fewer evaluations than SA, each at its best settings" in changed
