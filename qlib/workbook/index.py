"""The first page of the reports: every claim with its verdict, and every notebook."""

from pathlib import Path

import jinja2

from qlib.files import write_atomically
from qlib.workbook import claims
from qlib.workbook.markup import Markup
from qlib.workbook.page import TEMPLATES
from qlib.workbook.record import load_result
from qlib.workbook.selfcontained import check_page


def write_index(reports):
    """Write ``index.html`` from the records that stand beside the pages.

    Parameters
    ----------
    reports : path
        Folder of ``<name>.json``, one a notebook: its record with the ``title`` and
        ``question`` of `qlib.workbook.page.describe`.

    Returns
    -------
    pathlib.Path
        The index; replaced whole or, on an error, not at all.

    Raises
    ------
    ValueError
        Naming the file that is no published record.
    """
    reports = Path(reports)
    path = reports / "index.html"
    text = render_index(load_published(reports))
    with write_atomically(path) as file:
        file.write(text.encode())
    return path


def load_published(reports):
    """Read every published record of a folder, in the order of the notebooks.

    Raises
    ------
    ValueError
        Naming the file that is damaged or lacks what publishing adds.
    """
    results = []
    for path in sorted(Path(reports).glob("*.json")):
        try:
            result = load_result(path)
        except ValueError as error:
            raise ValueError(f"{path.name} is no published record: {error}") from error
        missing = {"title", "question", "key_figures", "figures", "provenance"}
        missing -= set(result)
        if missing:
            raise ValueError(
                f"{path.name} is no published record: it lacks {sorted(missing)}"
            )
        results.append(result)
    return results


def render_index(results):
    """Turn published records into the HTML of the index."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True
    )
    markup = Markup()
    environment.filters["measured"] = claims.measured
    environment.filters["markdown"] = markup.markdown
    every = [
        {**claim, "notebook": result["name"], "profile": result["profile"]}
        for result in results
        for claim in result["claims"]
    ]
    page = environment.get_template("index.html.j2").render(
        cards=[_card(result) for result in results],
        claims=claims.failures_first(every),
        counts=claims.count_verdicts(every),
        symbols=claims.SYMBOLS,
        origins=_origins(results),
        markup=markup,
    )
    check_page(page)
    return page


def _card(result):
    drawn = [figure for figure in result["figures"] if "thumbnail" in figure]
    return {
        **result,
        "thumbnail": drawn[0] if drawn else None,
        "counts": claims.count_verdicts(result["claims"]),
    }


def _origins(results):
    """Each distinct provenance once, with the notebooks that share it."""
    origins = []
    for result in results:
        for origin in origins:
            if origin["provenance"] == result["provenance"]:
                origin["names"].append(result["name"])
                break
        else:
            origins.append(
                {"provenance": result["provenance"], "names": [result["name"]]}
            )
    return origins
