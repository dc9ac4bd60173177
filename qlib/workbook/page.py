"""An executed notebook as one self-contained page.

The page holds no script and asks for nothing outside itself. Its text comes first and
its code is folded. Two runs that measured the same give the same bytes, but for what
derives from seconds, which stands in elements with a ``data-timing`` attribute.
"""

import html
import re
import sys
from pathlib import Path

from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.preprocessors import TagRemovePreprocessor

from qlib.workbook import claims
from qlib.workbook.markup import Markup, scrollable
from qlib.workbook.selfcontained import check_fragment, check_page

TEMPLATES = Path(__file__).with_name("templates")
FOLDED = {  # tag: what the folded cell is called
    "parameters": "Parameters and their defaults",
    "injected-parameters": "Parameters of this run",
    "setup": "Setup",
    "claims": "Claims as stated, before measuring",
}
MOST_TEXT = 200_000  # characters of one printed output
WIDGET = "application/vnd.jupyter.widget-view+json"


def render_page(notebook, result):
    """Turn an executed notebook and its record into HTML.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        With outputs. Cells tagged ``interactive`` are left out.
    result : dict
        As `qlib.workbook.record.load_result` returns it.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError
        If the notebook has no title, an image lacks its alternative text, a formula
        cannot be typeset, or an output holds a script, refers to an address outside
        the page or leaves an element open.
    """
    markup = Markup()
    exporter = TemplateExporter(
        template_file="page.html.j2", extra_template_paths=[str(TEMPLATES)]
    )
    exporter.register_preprocessor(
        TagRemovePreprocessor(remove_cell_tags={"interactive"}), enabled=True
    )
    exporter.register_filter("shown", lambda cell: _shown(cell, markup))
    exporter.register_filter("code", Highlight2HTML(pygments_lexer="python3"))
    exporter.register_filter("measured", claims.measured)
    exporter.environment.autoescape = True
    exporter.environment.globals.update(
        describe(notebook),
        result=result,
        claims=claims.failures_first(result["claims"]),
        counts=claims.count_verdicts(result["claims"]),
        symbols=claims.SYMBOLS,
        folded=FOLDED,
        markup=markup,
    )
    page, _ = exporter.from_notebook_node(notebook)
    page = _without_places(page, notebook)
    check_page(page)
    return page.replace("://", ":&#47;&#47;")  # text only; a search then finds none


def without_timing(page):
    """Leave out what derives from seconds, for comparing two pages."""
    return re.sub(
        r"(<(div|span)[^>]* data-timing>).*?<!--/timing--></\2>",
        r"\1</\2>",
        page,
        flags=re.DOTALL,
    )


def describe(notebook):
    """Read what a notebook is called and asks.

    Returns
    -------
    dict
        ``title``: its first line without the ``#``; ``question``: the first sentence
        after ``**Question.**``, as Markdown.

    Raises
    ------
    ValueError
        If the first cell has no such title or question, or the title has a formula.
    """
    first = notebook.cells[0].source if notebook.cells else ""
    title = re.match(r"# (.+)", first)
    question = re.search(r"\*\*Question\.?\*\*:?\s+(.+?[.?])(?=\s|$)", first, re.DOTALL)
    if not title or not question:
        missing = "the line '# NN · Title'" if not title else "'**Question.** ...'"
        raise ValueError(f"the first cell of the notebook lacks {missing}")
    if "$" in title[1]:
        raise ValueError(f"the title is {title[1]!r}; it must not hold '$'")
    return {
        "title": title[1].strip(),
        "question": re.sub(r"\s+", " ", question[1]),
    }


def _without_places(page, notebook):
    """Name the folders of this machine by what they are, wherever they stand."""
    run = notebook.metadata.get("papermill", {}).get("output_path")
    places = {
        Path.home(): "the home folder",
        Path(sys.prefix): "the environment",
        Path(__file__).resolve().parents[2]: "the checkout",
    }
    if run:
        places[Path(run).parent] = "the run's folder"
    for place in sorted(places, key=lambda path: len(str(path)), reverse=True):
        if len(place.parts) > 1:
            found = rf"(?<![\w.+-]){re.escape(str(place))}(?![\w-])"
            page = re.sub(found, lambda _, name=places[place]: name, page)
    return page


def _shown(cell, markup):
    """The text of a Markdown cell or the outputs of a code cell as HTML."""
    try:
        if cell.cell_type == "markdown":
            text = markup.markdown(cell.source, cell.get("attachments"))
        else:
            text = _outputs(cell, markup)
        check_fragment(text)
        check_page(text)
    except ValueError as error:
        first = cell.source.strip().partition("\n")[0]
        raise ValueError(
            f"{cell.cell_type} cell that starts with {first!r}: {error}"
        ) from error
    return text


def _outputs(cell, markup):
    shown = []
    for output in cell.outputs:
        if output.output_type == "stream":
            shown.append(_stream(output.text, output.name))
        elif output.output_type == "error":
            shown.append(_stream("\n".join(output.traceback), "stderr"))
        elif WIDGET not in output.data:
            shown.append(_display(output.data, markup))
    return "\n".join(shown)


def _display(data, markup):
    """The richest form of one output that a page can hold."""
    if "text/html" in data:
        text = re.sub(r"<style scoped>.*?</style>", "", data["text/html"], flags=re.S)
        return scrollable(text) if "<table" in text else text
    if "text/markdown" in data:
        return markup.markdown(data["text/markdown"])
    if "text/latex" in data:
        return markup.tex(data["text/latex"].strip().strip("$"), display=True)
    for kind in data:
        if kind.startswith("image/"):
            raise ValueError(
                f"an output of type {kind} has no alternative text; show figures with "
                "Run.figure or plotting.display_figure"
            )
    return _stream(data.get("text/plain", ""), "stdout")


def _stream(text, name):
    """Printed text: the last state of each line, in colour, without this machine."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    text = _shortened("\n".join(lines).rstrip("\n"))
    text = re.sub(r"[^\s\"']*[/\\]ipykernel_\d+[/\\]\d+\.py", "cell", text)
    text = re.sub(
        r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:\"']+)+[/\\](\S+?\.py)\b", r"\1", text
    )
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return f'<pre class="{html.escape(name)}">{ansi2html(text)}</pre>'


def _shortened(text):
    """The start and the end of a long text, with a word on what is left out."""
    if len(text) <= MOST_TEXT:
        return text
    half = MOST_TEXT // 2
    left_out = text[half:-half].count("\n") + 1
    lines = "1 line" if left_out == 1 else f"{left_out} lines"
    return f"{text[:half]}\n… {lines} left out\n{text[-half:]}"
