"""A notebook's parameters: read from its cell, checked before anything runs.

The cell tagged ``parameters`` holds one typed assignment a line, with a comment that
may end in the allowed range::

    particles: int = 5  # parallel particles, in [1, 64]
    profile: str = "quick"  # how much to compute, in {quick, full}
"""

import ast
import difflib
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from qlib.workbook.schemas import import_jsonschema

TYPES = {"int": int, "float": float, "str": str, "bool": bool}
TRUTH = {"true": True, "false": False}
ALLOWED = re.compile(r"\bin (?:\[(?P<bounds>[^\[\]]*)\]|\{(?P<choices>[^{}]*)\})$")


class ParameterError(ValueError):
    """A parameter that a notebook does not have, or a value it does not allow."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameter cell.

    Attributes
    ----------
    name, help : str
        The variable and the comment beside it.
    type : type
        One of int, float, str, bool.
    default : int, float, str or bool
    bounds : tuple or None
        Lowest and highest allowed value, both included.
    choices : tuple or None
        The allowed values.
    """

    name: str
    type: type
    default: object
    help: str
    bounds: tuple | None = None
    choices: tuple | None = None

    def parse(self, text):
        """Turn text from a command line into a checked value.

        Raises
        ------
        ParameterError
            If `text` does not spell a value of this type, or an allowed one.
        """
        if self.type is bool:
            value = TRUTH.get(text.lower())
        else:
            try:
                value = self.type(text)
            except ValueError:
                value = None
        if value is None:
            raise ParameterError(f"{self.name} is {text!r}; allowed: {self.allowed}")
        return self.check(value)

    def check(self, value):
        """Return `value`, an int being welcome as a float, if it is allowed.

        Raises
        ------
        ParameterError
            If it has another type, is not finite, or is out of range.
        """
        if self.type is float and type(value) is int:
            value = float(value)
        if type(value) is not self.type:
            raise ParameterError(
                f"{self.name} is {value!r} of type {type(value).__name__}; "
                f"allowed: {self.allowed}{self._spelling(value)}"
            )
        if not self._holds(value):
            raise ParameterError(f"{self.name} is {value!r}; allowed: {self.allowed}")
        return value

    @property
    def allowed(self):
        """The allowed values in words, such as ``int in [1, 64]``."""
        if self.bounds:
            return f"{self.type.__name__} in [{self.bounds[0]}, {self.bounds[1]}]"
        if self.choices:
            return f"{self.type.__name__} in {{{', '.join(map(str, self.choices))}}}"
        if self.type is bool:
            return "bool (true or false)"
        return "a finite float" if self.type is float else self.type.__name__

    def _holds(self, value):
        if self.type is float and not math.isfinite(value):
            return False
        if self.bounds:
            return self.bounds[0] <= value <= self.bounds[1]
        return not self.choices or value in self.choices

    def _spelling(self, value):
        """YAML 1.1 takes ``1e-3`` for text: say how to write it as a number."""
        if self.type is not float or not isinstance(value, str):
            return ""
        number = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", value)
        if number is None:
            return ""
        whole, fraction, sign, power = number.groups()
        fraction = fraction if fraction and fraction != "." else ".0"
        return (
            f" (YAML reads this as text: write {whole}{fraction}e{sign or '+'}{power})"
        )


def read_parameters(notebook):
    """Read the parameter cell of a notebook file.

    Parameters
    ----------
    notebook : path

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    ParameterError
        If a line lacks a known type or a literal default, or excludes its own default,
        or ``profile`` or ``seed`` is not there.
    """
    import_jsonschema()
    from papermill import inspect_notebook

    notebook = Path(notebook)
    try:
        lines = inspect_notebook(str(notebook)).values()
        declared = {line["name"]: _declare(line) for line in lines}
        missing = [name for name in ("profile", "seed") if name not in declared]
        if missing:
            raise ParameterError(f"it lacks {' and '.join(missing)}")
    except ValueError as error:
        raise ParameterError(f"{notebook.name}, parameter cell: {error}") from None
    return declared


def resolve_parameters(notebook, values=None, texts=()):
    """Complete a choice of parameters by the notebook's defaults.

    Parameters
    ----------
    notebook : path
    values : mapping, optional
        Typed values, as a YAML file gives them.
    texts : iterable of (str, str), optional
        Names and values as written on a command line; they win over `values`, and a
        later one over an earlier one.

    Returns
    -------
    dict
        A value for every parameter of the notebook, in the order of its cell.

    Raises
    ------
    ParameterError
        If a name is unknown or a value is not allowed.
    """
    declared = read_parameters(notebook)
    chosen = {name: parameter.default for name, parameter in declared.items()}
    name = Path(notebook).stem
    try:
        for key, value in (values or {}).items():
            chosen[key] = _find(declared, key).check(value)
        for key, text in texts:
            chosen[key] = _find(declared, key).parse(text)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None
    return chosen


def suggest(word, known):
    """Name the closest of the `known` words: ``"; did you mean ...?"``, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _find(declared, name):
    if name not in declared:
        raise ParameterError(
            f"no parameter {name!r}{suggest(str(name), declared)} "
            f"(it has: {', '.join(declared) or 'none'})"
        )
    return declared[name]


def _declare(line):
    name, declared_type = line["name"], line["inferred_type_name"]
    if declared_type not in TYPES:
        raise ParameterError(
            f"{name} has type {declared_type}; allowed: {', '.join(TYPES)}"
        )
    try:
        default = ast.literal_eval(line["default"])
    except (ValueError, SyntaxError):
        raise ParameterError(
            f"default of {name} is no literal: {line['default']}"
        ) from None
    parameter = Parameter(name, TYPES[declared_type], default, line["help"])
    found = ALLOWED.search(parameter.help)
    if found:
        limits = found[found.lastgroup].split(",")
        limits = tuple(parameter.parse(limit.strip()) for limit in limits)
        if found.lastgroup == "bounds" and (len(limits) != 2 or limits[0] > limits[1]):
            raise ParameterError(
                f"range of {name} is [{found['bounds']}]; allowed: [low, high]"
            )
        parameter = replace(parameter, **{found.lastgroup: limits})
    return replace(parameter, default=parameter.check(default))
