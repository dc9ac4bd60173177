import html
import re
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from qlib.workbook import claims, page
from qlib.workbook.record import Run

ORIGIN = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "python": "3.11.7",
    "packages": {"numpy": "2.2.6", "torch": None},
    "system": "Linux x86_64",
    "processor": "A processor",
    "cores": 2,
    "threads": None,
}
TITLE = "# 01 · Wells <& valleys>\n\n**Question.** Is $f$ deep? More text."


def claim(text, verdict, **others):
    return {
        "text": text,
        "source": "a report",
        "stated": "1",
        "measured": 2.0,
        "interval": (1.5, 2.5),
        "verdict": verdict,
        "seeds": 30,
        "budget": "100 evaluations",
        "reason": "A reason.",
        "kind": "result",
        **others,
    }


def record(*claims):
    return {
        "name": "01_wells",
        "profile": "quick",
        "parameters": {"profile": "quick", "seed": 7},
        "claims": list(claims),
        "rows": [],
        "figures": [],
        "key_figures": [],
        "provenance": ORIGIN,
        "seconds": 1.234,
    }


def code(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def shown(data):
    return new_output("display_data", data=data)


def printed(text, name="stdout"):
    return new_output("stream", text=text, name=name)


def render(*cells, claims=()):
    notebook = new_notebook(cells=[new_markdown_cell(TITLE), *cells])
    return page.render_page(notebook, record(*claims))


def test_the_title_the_question_and_the_profile_open_the_page():
    text = render()
    assert "<title>01 · Wells &lt;&amp; valleys&gt;</title>" in text
    assert "<h1>01 · Wells &lt;&amp; valleys&gt;</h1>" in text
    assert text.count("<h1>") == 1
    assert '<span class="badge quick">quick profile</span>' in text
    assert '<html lang="en">' in text


def test_the_page_forbids_the_browser_to_load_or_run_anything():
    policy = re.search(
        r'http-equiv="Content-Security-Policy" content="(.*?)"', render()
    )
    assert policy[1].split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
    ]


def test_a_notebook_says_what_it_asks():
    notebook = new_notebook(cells=[new_markdown_cell(TITLE)])
    assert page.describe(notebook) == {
        "title": "01 · Wells <& valleys>",
        "question": "Is $f$ deep?",
    }


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        ("Text", "# NN · Title"),
        ("# 01 · Wells", "Question"),
        ("# 01 · Wells\n\n**Question**", "Question"),
        ("# 01 · Wells of $x$\n\n**Question.** Deep?", "must not hold"),
    ],
)
def test_a_notebook_without_title_or_question_is_refused(first, missing):
    notebook = new_notebook(cells=[new_markdown_cell(first)])
    with pytest.raises(ValueError, match=missing):
        page.render_page(notebook, record())


def test_failures_stand_first_with_word_and_symbol():
    text = render(
        claims=[
            claim("One & two", "holds"),
            claim("Three", "not testable here", measured=None, interval=None),
            claim("Four", "does not hold"),
        ]
    )
    order = [text.index(what) for what in ("Four", "Three", "One &amp; two")]
    assert order == sorted(order)
    assert re.search(r"✕</span> does not hold</span>", text)
    assert "2.0 [1.5,\N{NO-BREAK SPACE}2.5]" in text
    assert "n = 30, 100 evaluations" in text
    assert "not measured" in text


def test_every_verdict_is_explained_above_the_claims():
    text = render(claims=[claim("One", "holds")])
    legend = re.search(r'<p class="legend">(.*?)</p>', text)
    assert legend.end() < text.index("<thead>")
    for verdict in claims.SYMBOLS:
        assert f"</span> {verdict}: " in legend[1]
    assert "the interval holds the boundary, or nothing was measured" in legend[1]


def test_the_answer_stands_between_the_question_and_the_claims():
    notebook = new_notebook(cells=[new_markdown_cell(TITLE)])
    result = record(claim("One", "holds")) | {"answer": "Found: a < b."}
    text = page.render_page(notebook, result)
    places = [text.index(s) for s in ("Question.", "Found: a &lt; b.", "<thead>")]
    assert places == sorted(places)
    assert 'class="answer"' not in render(claims=[claim("One", "holds")])


def test_a_listed_claim_tells_its_value_and_leaves_out_seconds():
    def listed(seconds):
        run = Run("01_wells", {"profile": "quick", "seed": 0})
        said = {"source": "here", "stated": "1", "reason": "A reason."}
        said |= {"seeds": 9, "budget": "one"}
        run.claim("Deep", measured=(2.0, 1.5, 2.5), verdict=True, **said)
        fast = seconds < 2
        run.claim("Fast", measured=seconds, verdict=fast, kind="time", **said)
        return render(code("1", shown({"text/markdown": run.verdicts().data})))

    one, two = listed(1.25), listed(4.5)
    assert "<strong>holds</strong>, 2.0 [1.5,\N{NO-BREAK SPACE}2.5]: Deep" in one
    assert "<strong>holds</strong>, 1.25" in one
    assert "<strong>does not hold</strong>, 4.5" in two
    assert page.without_timing(one) == page.without_timing(two)


def test_cells_for_play_are_left_out():
    text = render(
        new_markdown_cell("## Play", metadata={"tags": ["interactive"]}),
        code("widgets.sliders()", printed("moved"), tags=["interactive"]),
    )
    assert "Play" not in text
    assert "sliders" not in text
    assert "moved" not in text


def test_widgets_outside_such_cells_are_left_out_too():
    view = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
        "text/plain": "IntSlider(value=3)",
    }
    assert "IntSlider" not in render(code("1", shown(view)))


def test_code_is_folded_and_text_is_not():
    text = render(
        code("seed: int = 0", tags=["parameters"]),
        code("seed = 7", tags=["injected-parameters"]),
        code("import numpy", tags=["setup"]),
        code("claims.table()", printed("as stated"), tags=["claims"]),
        code("a < b"),
    )
    names = re.findall(r'<details class="code"><summary>(.*?)</summary>', text)
    assert names == [
        "Parameters and their defaults",
        "Parameters of this run",
        "Setup",
        "Claims as stated, before measuring",
        "code",
    ]
    assert "<details open" not in text
    folded = text.partition("Claims as stated")[2].partition("</details>")[0]
    assert "as stated</pre>" in folded


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"text/html": "<b>bold</b>", "text/plain": "plain"}, "<b>bold</b>"),
        ({"text/markdown": "so *it* is", "text/plain": "x"}, "so <em>it</em> is"),
        ({"text/latex": "$\\displaystyle x^2$", "text/plain": "x"}, 'x^2" width'),
        ({"text/plain": "a < b"}, "a &lt; b"),
    ],
)
def test_the_richest_form_of_an_output_is_shown(data, expected):
    text = render(code("1", shown(data)))
    assert expected in text
    assert "plain</pre>" not in text


def test_tables_scroll_and_lose_the_style_they_bring():
    table = (
        "<div>\n<style scoped>\n .dataframe tbody tr th {}\n</style>\n"
        '<table border="1" class="dataframe"><tr><td>1</td></tr></table></div>'
    )
    text = render(code("frame", shown({"text/html": table})))
    assert "tbody tr th {}" not in text
    assert re.search(r'<div class="scroll" [^>]*tabindex="0"><div>\s*<table', text)


def test_printed_text_keeps_its_colour_and_its_last_state():
    text = render(
        code("1", printed("\x1b[31mred\x1b[0m <b>\n10%\r50%\r100%\r\ndone\n"))
    )
    assert '<span class="ansi-red-fg">red</span> &lt;b&gt;\n100%\ndone</pre>' in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "/home/me/env/lib/numpy/core.py:12: UserWarning: x",
            "core.py:12: UserWarning",
        ),
        ("C:\\Users\\me\\env\\core.py:12: UserWarning", "core.py:12: UserWarning"),
        ("/tmp/ipykernel_4711/1234567.py:3: UserWarning", "cell:3: UserWarning"),
        ("<Line2D object at 0x7f00deadbeef>", "&lt;Line2D object&gt;"),
        ('File "/tmp/ipykernel_4711/12.py", line 3', 'File "cell", line 3'),
        ("a / b and 1/2", "a / b and 1/2"),
    ],
)
def test_printed_text_names_no_place_of_this_machine(text, expected):
    text = html.unescape(render(code("1", printed(text, "stderr"))))
    assert f">{html.unescape(expected)}" in text


def test_no_output_names_a_folder_of_this_machine_nor_of_the_run(tmp_path):
    places = [Path.home(), Path(sys.prefix), Path(page.__file__).parents[2]]

    def rendered(run):
        text = " ".join(f"{place}/a.csv" for place in (run, *places))
        cells = [
            code("1", printed(text)),
            code("2", shown({"text/html": f"<p>file://{run}/a {text}</p>"})),
        ]
        notebook = new_notebook(cells=[new_markdown_cell(TITLE), *cells])
        notebook.metadata["papermill"] = {"output_path": str(run / "executed.ipynb")}
        return page.render_page(notebook, record())

    one = rendered(tmp_path / ".01_wells.new")
    assert one == rendered(tmp_path / "elsewhere" / ".01_wells.new")
    for place in (tmp_path, *places):
        assert str(place) not in one
    assert one.count("the run's folder/a") == 3


def test_a_longer_word_is_no_folder_of_this_machine():
    kept = f"/elsewhere{Path.home()} {Path.home()}y"
    assert kept in render(code("1", printed(kept)))


def test_long_printed_text_is_cut_in_its_middle():
    text = render(code("1", printed("\n".join(map(str, range(10**5))))))
    left_out = int(re.search(r"\n… (\d+) lines left out\n", text)[1])
    printed_lines = text[text.index(">0\n1\n") : text.index("99999</pre>")]
    assert printed_lines.count("\n") + left_out == pytest.approx(10**5, abs=2)
    assert len(printed_lines) < page.MOST_TEXT + 100


def test_what_derives_from_seconds_can_be_left_out():
    def timed(seconds):
        return render(
            code("1", printed(f"{seconds} s <div> deep </div>"), tags=["timing"]),
            code(
                "2",
                shown({"text/html": f"<div><p>{seconds}</p></div>"}),
                tags=["timing"],
            ),
            code("3", printed("kept")),
            claims=[
                claim(
                    "Fast", "holds", kind="time", measured=seconds, reason=f"{seconds}"
                )
            ],
        )

    one, two = timed(1.23), timed(4.56)
    assert one != two
    assert page.without_timing(one) == page.without_timing(two)
    assert "kept" in page.without_timing(one)
    assert "Fast" in page.without_timing(one)


def test_a_flipped_verdict_of_speed_changes_only_what_is_timed():
    def judged(verdict):
        return render(
            claims=[
                claim("Fast", verdict, kind="time"),
                claim("Slow", "not testable here", kind="time"),
                claim("Deep", "holds"),
            ]
        )

    one, two = judged("holds"), judged("does not hold")
    assert one != two
    assert page.without_timing(one) == page.without_timing(two)


def test_one_record_gives_one_page():
    cells = (new_markdown_cell("## A $x$"), code("1", shown({"text/latex": "$x$"})))
    text = render(*cells, claims=[claim("One", "holds")])
    assert text == render(*cells, claims=[claim("One", "holds")])
    assert "1.234" not in text


def test_addresses_stand_as_text_only():
    text = render(
        new_markdown_cell("See [it](https://a.example/b) and https://a.example/c."),
        code('open("https://a.example/d")', printed("see http://a.example/e")),
        code("4", shown({"text/html": "<svg viewBox='0 0 1 1'></svg>"})),
    )
    assert "://" not in text
    assert "open" in text


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        (
            code("draw()", shown({"image/png": "AA==", "text/plain": "<Figure>"})),
            r"code cell that starts with 'draw\(\)': .*no alternative text.*Run.figure",
        ),
        (
            code("show()", shown({"text/html": '<img src="data:image/png;,">'})),
            "'show.*no alternative text",
        ),
        (
            code("embed()", shown({"text/html": "<script>1</script>"})),
            "'embed.*<script> would load",
        ),
        (
            code("tear()", shown({"text/html": "<p>1</p></div></section>"})),
            "'tear.*</div> closes no open element",
        ),
        (new_markdown_cell("![a](b.png)"), "markdown cell .*'b.png' outside the page"),
        (new_markdown_cell("so $\\foo$"), r"markdown cell .*unknown command"),
    ],
)
def test_a_cell_that_breaks_the_page_is_named(cell, error):
    with pytest.raises(ValueError, match=error):
        render(cell)


def test_contents_lead_to_every_heading():
    text = render(new_markdown_cell("## Convergence\n\n### In detail\n\n#### Finer"))
    contents = text[text.index('class="toc"') : text.index("</nav>")]
    assert re.findall(r'href="#([^"]*)"', contents) == ["convergence", "in-detail"]


def test_the_footer_says_where_the_numbers_come_from():
    text = render()
    foot = text[text.index("<footer") :]
    assert "not in a git checkout" not in foot
    for fact in (ORIGIN["commit"], "numpy 2.2.6", "A processor, 2 cores", "seed = 7"):
        assert fact in foot
    assert "torch" not in foot
