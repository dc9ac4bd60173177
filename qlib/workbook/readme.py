"""The README's table of notebooks and verdicts, written from the published records."""

import re
from pathlib import Path

from qlib.files import write_atomically
from qlib.workbook import claims
from qlib.workbook.index import load_published

BEGIN, END = "<!-- verdicts:begin -->", "<!-- verdicts:end -->"


def table(results):
    """Write what each notebook asks and what it found, as Markdown.

    Parameters
    ----------
    results : list of dict
        As `qlib.workbook.index.load_published` returns them.

    Returns
    -------
    str
        For each notebook its question, its verdicts and one table row a claim, failures
        first.
    """
    return "\n\n".join(_notebook(result) for result in results)


def embedded(readme):
    """The table that stands in a README's text.

    Raises
    ------
    ValueError
        If the text does not hold both markers, in order, once each.
    """
    return _block(readme)[1].strip()


def update(readme, reports):
    """Rewrite the table between the markers of a README; the rest stays as it is.

    Parameters
    ----------
    readme, reports : path
        The file, and the folder of published records.

    Raises
    ------
    ValueError
        If a marker is missing or a record is damaged; the file is then unchanged.
    """
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8")
    block = _block(text)
    content = f"\n{table(load_published(reports))}\n"
    with write_atomically(readme) as file:
        file.write((text[: block.start(1)] + content + text[block.end(1) :]).encode())


def _block(text):
    found = re.findall(f"{BEGIN}|{END}", text)
    if found != [BEGIN, END]:
        raise ValueError(f"README must hold {BEGIN} and then {END}, once each")
    return re.search(f"{BEGIN}(.*?){END}", text, re.DOTALL)


def _notebook(result):
    counts = ", ".join(
        f"{count['symbol']} {count['text']}"
        for count in claims.count_verdicts(result["claims"])
    )
    lines = [
        f"**[{result['title']}](reports/{result['name']}.html)** "
        f"({result['profile']} profile: {counts or 'no claims'})",
        "",
        result["question"],
        "",
        "| verdict | claim | stated | measured |",
        "| --- | --- | --- | --- |",
    ]
    for claim in claims.failures_first(result["claims"]):
        cells = (
            f"{claims.SYMBOLS[claim['verdict']]} {claim['verdict']}",
            claim["text"],
            claim["stated"],
            claims.measured(claim),
        )
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines)


def _cell(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
