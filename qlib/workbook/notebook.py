"""A notebook file as its cells, standard library only."""

import json
import re
from pathlib import Path

NAME = re.compile(r"[0-9]{2}_[A-Za-z0-9_]+")  # it becomes a folder, a page and a link


def read_notebook(path):
    """Read a notebook file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Its JSON; each cell has ``cell_type``, ``metadata`` and, as one str, ``source``.

    Raises
    ------
    ValueError
        If it is no notebook of format 4.
    OSError
        If it cannot be read.
    """
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4:
        raise ValueError("it is no notebook of format 4")
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not isinstance(notebook.get("metadata"), dict):
        raise ValueError("it lacks cells or metadata")
    for number, cell in enumerate(cells, 1):
        if not _is_cell(cell):
            raise ValueError(f"cell {number} lacks its type, metadata or source")
        cell["source"] = "".join(cell["source"])
    return notebook


def _is_cell(cell):
    return (
        isinstance(cell, dict)
        and isinstance(cell.get("cell_type"), str)
        and isinstance(cell.get("metadata"), dict)
        and isinstance(cell.get("source"), (str, list))
        and all(isinstance(line, str) for line in cell["source"])
    )


def code_cells(path):
    """The code cells of a notebook file, as `read_notebook` gives them."""
    cells = read_notebook(path)["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def has_tag(cell, tag):
    """Whether a cell is tagged so."""
    return tag in (cell["metadata"].get("tags") or ())
