"""What one execution of a notebook found: rows, claims, figures and provenance.

A notebook makes one `Run`, fills it, and writes it once. The report page, the index,
the README's table, the tests and every comparison read only its ``result.json``.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from qlib.files import write_atomically
from qlib.workbook import claims
from qlib.workbook.provenance import provenance

VERDICTS = ("holds", "does not hold", "not testable here")
KINDS = ("result", "time")
PROFILES = ("quick", "full")
RUN_DIRECTORY = "QLIB_RUN_DIRECTORY"  # set by the runner; unset in JupyterLab


@dataclass(frozen=True)
class Claim:
    """One statement under test, what was measured, and whether it held.

    Attributes
    ----------
    text, source, stated : str
        The claim, where it was made, and the number stated there, verbatim.
    measured : float or None
        The measured counterpart of `stated`; None where nothing could be measured.
    interval : tuple of float or None
        Confidence interval of `measured`.
    verdict : str
        One of `VERDICTS`.
    seeds : int
        Independent repetitions behind `measured`, shown as n: seeds, or whatever the
        interval is taken over, such as runs, draws, chains or families.
    budget : str
        What each repetition could spend, with its unit.
    reason : str
        One sentence that says what decided the verdict.
    kind : str
        ``"time"`` where `measured` derives from seconds, else ``"result"``; see
        `Run.row`.
    """

    text: str
    source: str
    stated: str
    measured: float | None
    interval: tuple[float, float] | None
    verdict: str
    seeds: int
    budget: str
    reason: str
    kind: str = "result"


@dataclass
class Run:
    """The record of one execution of one notebook.

    Parameters
    ----------
    name : str
        The notebook's file name without its ending, such as ``"01_rastrigin"``.
    parameters : mapping
        Every parameter of the notebook; must hold ``profile`` and ``seed``.

    Attributes
    ----------
    answer : str
        What was found, in one line, for the top of the page; set by the notebook from
        its results, seconds apart. Default: none.

    Raises
    ------
    ValueError
        If `parameters` lacks ``profile`` or ``seed``, or the profile is unknown.
    """

    name: str
    parameters: Mapping
    rows: list[dict] = field(default_factory=list, init=False)
    claims: list[Claim] = field(default_factory=list, init=False)
    figures: list[dict] = field(default_factory=list, init=False)
    key_figures: list[dict] = field(default_factory=list, init=False)
    arrays: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    answer: str = field(default="", init=False)

    def __post_init__(self):
        self.parameters = dict(self.parameters)
        for needed in ("profile", "seed"):
            if needed not in self.parameters:
                raise ValueError(f"parameters must hold {needed!r}")
        _check_choice("profile", self.parameters["profile"], PROFILES)
        self._identities = set()
        self._started = time.perf_counter()

    def row(self, metric, value, *, kind="result", **labels):
        """Add one measured value.

        Parameters
        ----------
        metric : str
            What was measured, with its unit, such as ``"seconds per evaluation"``.
        value : float, int, bool or str
            An infinite value (a target never reached) is stored as null.
        kind : {"result", "time"}
            ``"time"`` for measured seconds and everything derived from them: those
            rows differ between two runs of one seed, all others must not.
        **labels : str, int or float
            What tells this row from others of the same metric, such as ``method="SA"``.

        Raises
        ------
        ValueError
            If `kind` is unknown, `value` is NaN, or the metric and labels are taken.
        """
        _check_choice("kind", kind, KINDS)
        row = {
            "metric": metric,
            "labels": {key: _plain(label) for key, label in labels.items()},
            "value": _plain(value),
            "kind": kind,
            "profile": self.parameters["profile"],
        }
        identity = (metric, tuple(sorted(row["labels"].items())))
        if identity in self._identities:
            raise ValueError(f"row {metric!r} with labels {labels} is recorded twice")
        self._identities.add(identity)
        self.rows.append(row)

    def claim(
        self,
        text,
        *,
        source,
        stated,
        measured,
        verdict,
        seeds,
        budget,
        reason,
        interval=None,
        kind="result",
    ):
        """Add one claim with its verdict; see `Claim` for the fields.

        `verdict` may be a bool (holds or does not hold). `measured` may be a triple of
        value, lower and upper limit, which then is the interval. Returns the `Claim`.

        `measured` may be inf (never reached), the upper limit inf and the lower limit
        -inf, or inf where `measured` is; all are stored as null. Of a null lower limit,
        `measured` tells the sign.

        Raises
        ------
        ValueError
            If `verdict` or `kind` is unknown, `verdict` disagrees with a missing or
            infinite `measured`, an infinity stands on the wrong side, a number is NaN,
            or a text holds a dollar sign: formulas are not typeset there.
        """
        if isinstance(measured, tuple):
            measured, *interval = measured
        if isinstance(verdict, (bool, np.bool_)):
            verdict = "holds" if verdict else "does not hold"
        _check_choice("verdict", verdict, VERDICTS)
        _check_choice("kind", kind, KINDS)
        if verdict != "not testable here" and measured is None:
            raise ValueError(f"measured is None, yet {text!r} has a verdict: {verdict}")
        for name, words in (
            ("text", text),
            ("source", source),
            ("stated", stated),
            ("budget", budget),
            ("reason", reason),
        ):
            if "$" in words:
                raise ValueError(
                    f"{name} of a claim is {words!r}; it must not hold '$', as "
                    "formulas are not typeset there"
                )
        _check_infinities(measured, interval)
        measured = _plain(measured)
        if verdict == "holds" and measured is None:
            raise ValueError(f"measured is infinite, yet {text!r} is said to hold")
        claim = Claim(
            text=text,
            source=source,
            stated=stated,
            measured=measured,
            interval=None if interval is None else tuple(map(_plain, interval)),
            verdict=verdict,
            seeds=int(seeds),
            budget=budget,
            reason=reason,
            kind=kind,
        )
        self.claims.append(claim)
        return claim

    def verdicts(self):
        """The claims so far as a Markdown list to display, a line each.

        Each with its verdict, measured value and criterion; what derives from seconds
        stands in an element that `qlib.workbook.page.without_timing` leaves out.
        """
        from IPython.display import Markdown

        return Markdown("\n".join(f"- {_told(claim)}" for claim in self.claims))

    def key_figure(self, label, value, *, kind="result"):
        """Name one number, already formatted, for the card on the index page.

        `kind` is ``"time"`` where it derives from seconds, else ``"result"``.
        """
        _check_choice("kind", kind, KINDS)
        self.key_figures.append({"label": label, "value": str(value), "kind": kind})

    def figure(self, figure, name, *, alt, caption, thumbnail=False):
        """Record a matplotlib figure and return it as something to display.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
        name : str
            Unique in the run; the anchor of the figure in the page.
        alt : str
            What a reader who cannot see the figure needs to know.
        caption : str
            How to read it.
        thumbnail : bool
            Whether this figure stands for the notebook on the index page.
        """
        from qlib.workbook import plotting

        for label, text in (("alt", alt), ("caption", caption)):
            if not text.strip():
                raise ValueError(f"{label} of figure {name!r} is empty")
        if any(known["name"] == name for known in self.figures):
            raise ValueError(f"figure {name!r} is recorded twice")
        entry = {"name": name, "alt": alt, "caption": caption}
        if thumbnail:
            entry["thumbnail"] = plotting.thumbnail(figure)
        self.figures.append(entry)
        return plotting.display_figure(figure, name, alt=alt, caption=caption)

    def array(self, name, values):
        """Keep an array beside the rows, in ``arrays.npz``."""
        values = np.asarray(values)
        if values.dtype.hasobject:
            raise ValueError(f"array {name!r} has dtype object, which would be pickled")
        self.arrays[name] = values

    def write(self, directory=None):
        """Write ``arrays.npz`` and then ``result.json``, each under a temporary name.

        Parameters
        ----------
        directory : path, optional
            Default: the runner's directory, else ``runs/<name>`` of the checkout.

        Returns
        -------
        pathlib.Path
            The path of ``result.json``.
        """
        if directory is None:
            directory = os.environ.get(RUN_DIRECTORY) or _runs() / self.name
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with write_atomically(directory / "arrays.npz") as file:
            np.savez_compressed(file, **self.arrays)
        result = {
            "name": self.name,
            "profile": self.parameters["profile"],
            "parameters": {
                key: _plain(value) for key, value in self.parameters.items()
            },
            "answer": self.answer,
            "claims": [asdict(claim) for claim in self.claims],
            "key_figures": self.key_figures,
            "rows": self.rows,
            "figures": self.figures,
            "provenance": provenance(),
            "seconds": round(time.perf_counter() - self._started, 3),
        }
        path = directory / "result.json"
        with write_atomically(path) as file:
            file.write(json.dumps(result, indent=1, allow_nan=False).encode())
        return path


def load_result(path):
    """Read a ``result.json``.

    Raises
    ------
    ValueError
        If the file is no record of a run.
    """
    result = json.loads(Path(path).read_text(encoding="utf-8"))
    missing = {"name", "profile", "parameters", "claims", "rows"} - set(result)
    if missing:
        raise ValueError(f"{path} is no record of a run: it lacks {sorted(missing)}")
    return result


def result_rows(result):
    """The rows that two runs with one seed must agree on: all but the timings."""
    return [row for row in result["rows"] if row["kind"] == "result"]


def _told(claim):
    """A claim with what was found of it, as Markdown."""
    found = f"**{claim.verdict}**, {claims.measured(asdict(claim))}"
    if claim.kind == "time":
        found = f"<span data-timing>{found}<!--/timing--></span>"
    return f"{found}: {claim.text} ({claim.reason})"


def _runs():
    return Path(__file__).resolve().parents[2] / "runs"


def _check_choice(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


def _check_infinities(measured, interval):
    """Refuse what null could not stand for unmistakably."""
    if measured == -math.inf:
        raise ValueError("measured is -inf; allowed: a finite number, inf or None")
    if interval is None:
        return
    if measured is None:
        raise ValueError(f"measured is None, yet its interval is {interval}")
    low, high = interval
    wrong = -math.inf if measured == math.inf else math.inf
    if low == wrong or high == -math.inf:
        raise ValueError(f"measured is {measured}, yet its interval is {interval}")


def _plain(value):
    """A JSON value: NumPy scalars unwrapped, infinities as None, NaN refused."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("NaN is no measured value; say what is missing instead")
        return None if math.isinf(value) else value
    raise TypeError(f"cannot record {value!r} of type {type(value).__name__}")
