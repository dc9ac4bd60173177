"""The rules every committed notebook keeps, and proof that each rule bites."""

import ast
import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from qlib.workbook.parameters import ParameterError, read_parameters

NOTEBOOKS = sorted(Path(__file__).parents[2].glob("notebooks/*.ipynb"))
TAGS = {
    "parameters", "setup", "claims", "figure", "verdict", "timing", "interactive",
}  # fmt: skip
MOST_CELLS, MOST_LINES, LONGEST_FUNCTION = 36, 200, 10
NUMBER = re.compile(r"\d[.,]\d|\d\s*%|\d\s*(?:×|times\b|-fold|fold\b)|\d[eE][-+]?\d")
SPOKEN = {"caption", "alt", "reason", "title"}  # keywords whose text may state a result
MEASURED = {"measured", "interval", "seeds", "value"}


def faults(path):
    """Every broken rule of one notebook file, in words."""
    notebook = nbformat.read(path, as_version=4)
    found = []
    for rule in (layout, title, outputs, tags, order, code, play, typed_numbers):
        found += rule(notebook, path)
    return found + parameters(path)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def layout(notebook, path):
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    if len(notebook.cells) > MOST_CELLS:
        yield f"{len(notebook.cells)} cells; at most {MOST_CELLS}"
    lines = sum(
        bool(line.strip())
        for cell in code_cells(notebook)
        for line in cell.source.splitlines()
    )
    if lines > MOST_LINES:
        yield f"{lines} lines of code; at most {MOST_LINES}"


def title(notebook, path):
    number, _, topic = path.stem.partition("_")
    first = notebook.cells[0].source
    match = re.match(r"# (\d\d) · (.+)", first)
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem):
        yield f"file name {path.name} is not NN_topic.ipynb"
    if not match or match[1] != number:
        yield f"the first line is not '# {number} · Title'"
    elif not any(word in match[2].lower() for word in topic.split("_")):
        yield f"the title names no word of {topic!r}"
    if "**Question.**" not in first:
        yield "the first cell asks no **Question.**"


def outputs(notebook, path):
    for cell in code_cells(notebook):
        if cell.outputs or cell.execution_count is not None:
            yield f"output is committed: {cell.source[:40]!r}"


def tags(notebook, path):
    for cell in notebook.cells:
        for tag in set(cell.metadata.get("tags", [])) - TAGS:
            yield f"unknown tag {tag!r}"
    for tag in ("parameters", "setup"):
        if len(tagged(notebook, tag)) != 1:
            yield f"{len(tagged(notebook, tag))} cells are tagged {tag!r}; exactly one"
    if not tagged(notebook, "verdict"):
        yield "no cell is tagged 'verdict'"


def order(notebook, path):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    places = [text.find(f"\n## {name}") for name in ("Claims under test", "Limits")]
    if -1 in places or places != sorted(places):
        yield "the sections '## Claims under test' and then '## Limits' are missing"


def parameters(path):
    try:
        declared = read_parameters(path)
    except ParameterError as error:
        return [str(error)]
    found = [f"{name} has no comment" for name, p in declared.items() if not p.help]
    profile, seed = declared["profile"], declared["seed"]
    if (profile.default, profile.choices) != ("quick", ("quick", "full")):
        found.append("profile is not a str in {quick, full}, quick by default")
    if seed.type is not int or not seed.bounds:
        found.append("seed is not an int with a range")
    return found


def code(notebook, path):
    for cell in code_cells(notebook):
        if re.search(r"^\s*[!%]", cell.source, re.MULTILINE):
            yield f"a shell or magic line: {cell.source[:40]!r}"
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ClassDef):
                yield f"class {node.name}; classes belong into qlib"
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    yield f"function {node.name} has {lines} lines; at most 10"


def play(notebook, path):
    """What is only for play stands together at the end, its heading included."""
    marks = ["interactive" in cell.metadata.get("tags", []) for cell in notebook.cells]
    if marks != sorted(marks):
        yield "cells tagged 'interactive' do not stand at the end"
    for number in range(1, len(marks)):
        cell, before = notebook.cells[number], notebook.cells[number - 1]
        invites = before.cell_type == "markdown" and not marks[number - 1]
        if cell.cell_type == "code" and marks[number] and invites:
            yield f"text for play is left on the page: {before.source[:40]!r}"


def typed_numbers(notebook, path):
    """No decimal, percentage or ratio is typed after the claims: they are computed."""
    after = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(
                r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|^>.*?$|\]\([^)]*\)",
                " ",
                cell.source,
                flags=re.DOTALL | re.MULTILINE,
            )
            verdict = re.match(r"#+ Verdict", prose)
            number = re.search(r"\d", prose) if verdict else NUMBER.search(prose)
            if after and number:
                yield f"a number typed by hand: {_around(prose, number)!r}"
            after = after or "## Claims under test" in cell.source
        elif not re.search(r"^\s*[!%]", cell.source, re.MULTILINE):
            yield from _typed_in_code(ast.parse(cell.source))


def _typed_in_code(tree):
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", "")
        said = [kw.value for kw in call.keywords if kw.arg in SPOKEN]
        said += call.args if name in ("set_title", "suptitle", "title") else []
        numbers = [kw.value for kw in call.keywords if kw.arg in MEASURED]
        numbers += call.args[1:] if name in ("row", "key_figure") else []
        for text in (text for value in said for text in _texts(value)):
            number = NUMBER.search(text)
            if number:
                yield f"a number typed by hand: {_around(text, number)!r}"
        if name not in ("claim", "row", "key_figure"):
            continue
        for value in numbers:
            try:
                literal = ast.literal_eval(value)
            except ValueError:
                continue
            if literal is not None and literal != 0:
                yield f"{name} records a number typed by hand: {literal!r}"


def _texts(value):
    """The texts in an expression, without the format of what an f-string inserts."""
    nodes = list(ast.walk(value))
    formats = [node.format_spec for node in nodes if hasattr(node, "format_spec")]
    within = {id(part) for spec in formats if spec for part in ast.walk(spec)}
    constants = (
        node.value
        for node in nodes
        if id(node) not in within and isinstance(node, ast.Constant)
    )
    return [value for value in constants if isinstance(value, str)]


def _around(text, match):
    return " ".join(text[max(0, match.start() - 20) : match.end() + 10].split())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert faults(path) == []


def test_there_are_notebooks():
    assert NOTEBOOKS


def good():
    def cell(source, *tags):
        return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})

    return new_notebook(
        metadata={
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
        },
        cells=[
            new_markdown_cell("# 01 · Deep wells\n\n**Question.** Is it 3.5 deep?"),
            new_markdown_cell("Text.\n\n## Claims under test\n\n95 % and −17.9999"),
            cell(
                'profile: str = "quick"  # how much, in {quick, full}\n'
                "seed: int = 0  # of every draw, in [0, 10]",
                "parameters",
            ),
            cell("run = 1", "setup"),
            new_markdown_cell("Storn and Price (1997) use $0.5$ and `F = 0.8`."),
            cell('run.figure(1, "a", alt="A", caption=f"At {T:.2%}.")', "figure"),
            new_markdown_cell("## Verdict"),
            cell('run.claim("17.9", stated="17.9", measured=a, seeds=n)', "verdict"),
            new_markdown_cell("## Limits\n\nOne dimension of 20."),
            new_markdown_cell("## Play", metadata={"tags": ["interactive"]}),
            cell("sliders()", "interactive"),
        ],
    )


def source(number, text):
    def change(notebook):
        notebook.cells[number].source = text

    return change


def append(number, text):
    def change(notebook):
        notebook.cells[number].source += text

    return change


def drop_tags(notebook):
    del notebook.cells[9].metadata["tags"]


def move_play(notebook):
    notebook.cells.insert(3, notebook.cells.pop())


def keep_output(notebook):
    notebook.cells[3].outputs = [new_output("stream", text="x")]


def count_execution(notebook):
    notebook.cells[3].execution_count = 1


def other_kernel(notebook):
    notebook.metadata.kernelspec.name = "qlib-env"


def many_cells(notebook):
    notebook.cells[4:4] = [new_markdown_cell("x") for _ in range(40)]


def second_setup(notebook):
    notebook.cells[5].metadata["tags"] = ["setup"]


def odd_tag(notebook):
    notebook.cells[5].metadata["tags"] = ["figrue"]


def fault_list(notebook, folder, name="01_deep_wells"):
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return faults(path)


def test_a_notebook_that_keeps_the_rules_has_no_faults(tmp_path):
    assert fault_list(good(), tmp_path) == []


def test_the_file_name_must_match_the_title(tmp_path):
    assert any("'# 02 · Title'" in f for f in fault_list(good(), tmp_path, "02_wells"))
    assert any(
        "no word of 'rastr'" in f for f in fault_list(good(), tmp_path, "01_rastr")
    )
    assert any("NN_topic" in f for f in fault_list(good(), tmp_path, "01-wells"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (keep_output, "output is committed"),
        (count_execution, "output is committed"),
        (other_kernel, "kernel is not python3"),
        (many_cells, "cells; at most"),
        (second_setup, "2 cells are tagged 'setup'"),
        (odd_tag, "unknown tag 'figrue'"),
        (drop_tags, "text for play"),
        (move_play, "do not stand at the end"),
        (source(0, "# 01 · Deep wells\n\nText"), "asks no"),
        (source(1, "## Claims"), "'## Claims under test'"),
        (source(8, "## Ends"), "then '## Limits'"),
        (source(2, 'profile: str = "quick"  # x, in {quick, full}'), "it lacks seed"),
        (source(2, 'profile: str = "a"  # x\nseed: int = 0  # x'), "profile is not"),
        (
            source(2, 'profile: str = "quick"  # in {quick, full}\nseed: int = 0  # x'),
            "seed is not",
        ),
        (append(2, "\nparticles = 5  # how many"), "particles has type"),
        (append(2, "\nparticles: int = 5"), "particles has no comment"),
        (append(2, "\nparticles: int = 5  # of, in [7, 9]"), "particles is 5"),
        (source(3, "x = 1\n" * 240), "245 lines of code"),
        (source(3, "class A:\n    pass"), "class A"),
        (source(3, "def f():\n" + "    x = 1\n" * 10), "function f has 11 lines"),
        (source(3, "!pip install x"), "magic line"),
        (append(4, " It wins by 12.5 points."), "12.5 points"),
        (append(4, " In 95 % of runs."), "In 95 % of runs"),
        (append(4, " It is 6× faster."), "6× faster"),
        (append(6, "\n\nAll 30 runs agree."), "All 30 runs agr"),
        (source(5, 'run.figure(f, "a", alt="A", caption="At 0.25.")'), "At 0.25"),
        (source(5, 'ax.set_title(f"{a} wins by 40 %")'), "wins by 40 %"),
        (source(7, 'run.claim("a", measured=-17.99, seeds=n)'), "-17.99"),
        (source(7, 'run.claim("a", measured=a, interval=(1, 2))'), "(1, 2)"),
        (source(7, 'run.claim("a", reason="In 29.5 of 30.")'), "In 29.5 of 30"),
        (source(7, 'run.row("success", 0.93, method="SA")'), "row records"),
        (source(7, 'run.key_figure("success", "0.93")'), "key_figure records"),
    ],
)
def test_each_broken_rule_is_found(tmp_path, change, fault):
    notebook = copy.deepcopy(good())
    change(notebook)
    found = fault_list(notebook, tmp_path)
    assert any(fault in one for one in found), found
