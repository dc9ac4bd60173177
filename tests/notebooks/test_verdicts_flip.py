"""Verdicts follow the measurements: with random search in QIA's place they change.

Proposals ten boxes wide, folded back and always accepted, are uniform points. Such a
walk is never stuck and visits every basin, and it does not find the minimum.
"""

import json
from pathlib import Path

import nbformat

from qlib.workbook.execute import run_notebook
from qlib.workbook.parameters import resolve_parameters

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_rastrigin.ipynb"
HONEST = "QIA = partial(qa.quantum_inspired_annealing, particles=particles)"
SWAPPED = """
def QIA(*args, step=0, tunnelling=0, pull=0, particles=0, **rest):
    hot = dict(step=10, thermal_step=False, cooling=lambda progress: 1e300)
    ignored = ("temperature_ratio", "thermal_step")
    rest = {name: value for name, value in rest.items() if name not in ignored}
    return qa.simulated_annealing(*args, replicas=5, **hot, **rest)
"""
CHANGED = {
    "QIA finds the minimum of the double Rastrigin function",
    "QIA has fewer stuck iterations than SA in the middle of a run",
    "QIA has fewer stuck iterations than an SA whose step never narrows",
    "QIA explores more broadly than SA",
}


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
    assert {text for text in honest if honest[text] != swapped[text]} >= CHANGED
