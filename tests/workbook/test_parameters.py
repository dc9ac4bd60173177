"""A parameter cell declares types and ranges; nothing else gets through."""

import json

import nbformat
import pytest

from qlib.workbook.parameters import (
    Parameter,
    ParameterError,
    read_parameters,
    resolve_parameters,
)

CELL = """\
particles: int = 5  # parallel particles, in [1, 64]
profile: str = "quick"  # how much to compute, in {quick, full}
step: float = 1  # width of a step, in [1e-3, 10]
tail: float = 1.5  # exponent of the tail
live: bool = False  # draw while running
seed: int = 0  # seed of every random draw
label: str = "a b"  # where to look, in words"""


@pytest.fixture
def notebook(tmp_path):
    return declare(tmp_path / "01_toy.ipynb", CELL)


def declare(path, cell):
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
    notebook.cells = [
        nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
    ]
    path.write_text(json.dumps(notebook))
    return path


def test_each_line_is_read_with_type_default_comment_and_range(notebook):
    declared = read_parameters(notebook)
    particles, profile, step, tail, live, _, label = declared.values()
    assert particles == Parameter(
        "particles", int, 5, "parallel particles, in [1, 64]", bounds=(1, 64)
    )
    assert profile.choices == ("quick", "full")
    assert (type(step.default), step.bounds) == (float, (1e-3, 10.0))
    assert (tail.bounds, tail.choices) == (None, None)
    assert live.default is False
    assert (label.default, label.choices) == ("a b", None)


def test_without_a_choice_every_parameter_keeps_its_default(notebook):
    assert resolve_parameters(notebook) == {
        "particles": 5,
        "profile": "quick",
        "step": 1.0,
        "tail": 1.5,
        "live": False,
        "seed": 0,
        "label": "a b",
    }


def test_text_is_read_by_the_declared_type_and_the_last_word_wins(notebook):
    texts = [
        ("step", "1e-3"),
        ("particles", "64"),
        ("live", "True"),
        ("label", "7"),
        ("particles", "1"),
    ]
    chosen = resolve_parameters(notebook, {"particles": 3, "step": 2}, texts)
    assert chosen["step"] == 1e-3
    assert chosen["particles"] == 1
    assert chosen["live"] is True
    assert chosen["label"] == "7"


def test_an_integer_from_a_file_is_welcome_as_a_float(notebook):
    step = resolve_parameters(notebook, {"step": 2})["step"]
    assert (type(step), step) == (float, 2.0)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("particles", "0", "int in [1, 64]"),
        ("particles", "65", "int in [1, 64]"),
        ("particles", "5.0", "int in [1, 64]"),
        ("particles", "", "int in [1, 64]"),
        ("step", "nan", "float in [0.001, 10.0]"),
        ("step", "1e-4", "float in [0.001, 10.0]"),
        ("tail", "inf", "a finite float"),
        ("tail", "nan", "a finite float"),
        ("live", "1", "bool (true or false)"),
        ("profile", "Quick", "str in {quick, full}"),
    ],
)
def test_text_out_of_range_or_of_another_type_is_refused(notebook, name, text, allowed):
    with pytest.raises(ParameterError) as error:
        resolve_parameters(notebook, texts=[(name, text)])
    message = str(error.value)
    assert message.startswith(f"01_toy: {name} is ")
    assert message.endswith(f"; allowed: {allowed}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("particles", True),
        ("particles", 5.0),
        ("particles", "5"),
        ("particles", None),
        ("live", 1),
        ("live", "true"),
        ("label", 7),
        ("step", "fast"),
        ("step", [1.0]),
    ],
)
def test_a_typed_value_of_another_type_is_refused(notebook, name, value):
    with pytest.raises(ParameterError) as error:
        resolve_parameters(notebook, {name: value})
    kind = type(value).__name__
    assert f"{name} is {value!r} of type {kind}; allowed: " in str(error.value)
    assert "write" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", "1.0e-3"), ("-2E+4", "-2.0e+4"), ("5.e7", "5.0e+7"), ("2.5e1", "2.5e+1")],
)
def test_a_number_that_yaml_reads_as_text_is_refused_with_its_yaml_spelling(
    notebook, text, number
):
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text) == text
    assert yaml.safe_load(number) == float(text)
    with pytest.raises(ParameterError, match="YAML reads this as text") as error:
        resolve_parameters(notebook, {"tail": yaml.safe_load(text)})
    assert f"write {number})" in str(error.value)


def test_an_unknown_name_is_refused_with_the_closest_and_all_known(notebook):
    with pytest.raises(ParameterError) as error:
        resolve_parameters(notebook, texts=[("particels", "3")])
    assert "no parameter 'particels'; did you mean 'particles'?" in str(error.value)
    assert "(it has: particles, profile, step, tail, live, seed, label)" in str(
        error.value
    )
    with pytest.raises(ParameterError) as error:
        resolve_parameters(notebook, {"zzz": 3})
    assert "did you mean" not in str(error.value)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("n = 5  # untyped", "n has type None"),
        ("n: list = 5  # no known type", "n has type list"),
        ("n: int = 2 + x  # no literal", "default of n is no literal"),
        ("n: int = 5  # in [6, 7]", "n is 5"),
        ("n: int = 5  # in [7, 6]", "range of n is [7, 6]"),
        ("n: int = 5  # in [1, 2, 3]", "range of n is [1, 2, 3]"),
        ("n: int = 5  # in [1, many]", "n is 'many'"),
        ('n: int = "5"  # a str', "n is '5' of type str"),
        ("n: int = 5", "it lacks profile and seed"),
        ('profile: str = "quick"', "it lacks seed"),
    ],
)
def test_a_cell_that_contradicts_itself_is_refused(tmp_path, cell, problem):
    with pytest.raises(ParameterError) as error:
        read_parameters(declare(tmp_path / "01_toy.ipynb", cell))
    assert str(error.value).startswith(f"01_toy.ipynb, parameter cell: {problem}")
