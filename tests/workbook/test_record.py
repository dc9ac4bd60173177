"""What a `Run` accepts, what it refuses, and what stands in ``result.json``."""

import json
import math

import numpy as np
import pytest

from qlib.workbook import record
from qlib.workbook.record import RUN_DIRECTORY, Run, load_result, result_rows


@pytest.fixture
def run():
    return Run("01_toy", {"profile": "quick", "seed": 7})


def add_claim(run, **changes):
    fields = {
        "text": "A beats B",
        "source": "somewhere, p. 3",
        "stated": "2x",
        "measured": 1.5,
        "verdict": False,
        "seeds": 30,
        "budget": "1000 evaluations",
        "reason": "1.5 is less than 2",
    }
    return run.claim(**(fields | changes))


def written(run, directory):
    return load_result(run.write(directory))


@pytest.mark.parametrize("missing", ["profile", "seed"])
def test_a_run_needs_its_profile_and_seed(missing):
    parameters = {"profile": "quick", "seed": 0}
    del parameters[missing]
    with pytest.raises(ValueError, match=f"'{missing}'"):
        Run("01_toy", parameters)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'fast'; allowed: quick, full"):
        Run("01_toy", {"profile": "fast", "seed": 0})


def test_an_unknown_kind_is_refused_with_the_known_ones(run):
    for attempt in (
        lambda: run.row("seconds", 1.0, kind="timing"),
        lambda: add_claim(run, kind="timing"),
        lambda: run.key_figure("seconds", "1.0", kind="timing"),
    ):
        with pytest.raises(ValueError, match="'timing'; allowed: result, time"):
            attempt()
    assert run.rows == run.claims == run.key_figures == []


@pytest.mark.parametrize("verdict", ["Holds", "true", "", None, 1])
def test_an_unknown_verdict_is_refused_with_the_known_ones(run, verdict):
    with pytest.raises(ValueError, match="allowed: holds, does not hold, not testable"):
        add_claim(run, verdict=verdict)
    assert run.claims == []


@pytest.mark.parametrize(
    ("given", "stands"), [(True, "holds"), (np.bool_(False), "does not hold")]
)
def test_a_boolean_verdict_holds_or_does_not(run, given, stands):
    assert add_claim(run, verdict=given).verdict == stands


@pytest.mark.parametrize("verdict", [True, False, "holds", "does not hold"])
def test_a_claim_without_a_measured_value_has_no_such_verdict(run, verdict):
    with pytest.raises(ValueError, match="measured is None"):
        add_claim(run, measured=None, verdict=verdict)
    assert run.claims == []


def test_a_claim_without_a_measured_value_can_be_not_testable(run):
    assert add_claim(run, measured=None, verdict="not testable here").measured is None


def test_an_infinite_measure_can_fail_but_not_hold(run):
    assert add_claim(run, measured=np.inf, verdict="does not hold").measured is None
    with pytest.raises(ValueError, match="infinite"):
        add_claim(run, measured=np.inf, verdict="holds")


@pytest.mark.parametrize(
    ("measured", "interval", "stands"),
    [
        (1.5, (-math.inf, math.inf), (None, None)),
        (math.inf, (1.5, math.inf), (1.5, None)),
        (math.inf, (math.inf, math.inf), (None, None)),
        (1.5, (1, None), (1, None)),
    ],
)
def test_an_interval_may_be_open(run, measured, interval, stands):
    assert add_claim(run, measured=measured, interval=interval).interval == stands


@pytest.mark.parametrize(
    ("measured", "interval"),
    [
        (-math.inf, None),
        (1.5, (1.0, -math.inf)),
        (1.5, (math.inf, math.inf)),
        (math.inf, (-math.inf, math.inf)),
        (math.inf, (1.0, -math.inf)),
    ],
)
def test_an_infinity_on_the_wrong_side_is_refused(run, measured, interval):
    with pytest.raises(ValueError, match="inf"):
        add_claim(run, measured=measured, interval=interval)
    assert run.claims == []


def test_an_interval_of_nothing_is_refused(run):
    with pytest.raises(ValueError, match="measured is None, yet its interval"):
        add_claim(run, measured=None, interval=(1.0, 2.0), verdict="not testable here")


@pytest.mark.parametrize("name", ["text", "source", "stated", "budget", "reason"])
def test_a_formula_in_a_claim_is_refused_by_name(run, name):
    with pytest.raises(ValueError, match=f"{name} of a claim is 'at \\$x\\$'"):
        add_claim(run, **{name: "at $x$"})
    assert run.claims == []


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan")])
def test_nan_is_refused_wherever_a_number_is_recorded(run, nan):
    for attempt in (
        lambda: run.row("gap", nan),
        lambda: run.row("gap", 1.0, step=nan),
        lambda: add_claim(run, measured=nan),
        lambda: add_claim(run, interval=(0.0, nan)),
    ):
        with pytest.raises(ValueError, match="NaN"):
            attempt()
    assert run.rows == []
    assert run.claims == []


@pytest.mark.parametrize("infinite", [math.inf, -math.inf, np.float32("inf")])
def test_an_infinite_value_stands_as_null(run, tmp_path, infinite):
    run.row("expected running time [evaluations]", infinite)
    text = run.write(tmp_path).read_text()
    assert json.loads(text)["rows"][0]["value"] is None
    assert "Infinity" not in text


@pytest.mark.parametrize(
    "value", [np.float64(0.1), np.int64(-3), np.bool_(True), "12 qubits", 2**53 + 1]
)
def test_scalars_come_back_equal_and_of_the_same_python_type(run, tmp_path, value):
    run.row("anything", value)
    (row,) = written(run, tmp_path)["rows"]
    plain = value.item() if isinstance(value, np.generic) else value
    assert row["value"] == plain
    assert type(row["value"]) is type(plain)


@pytest.mark.parametrize("value", [np.arange(3), [1.0], {"a": 1}, 1j, object()])
def test_what_is_no_scalar_is_refused_as_a_value(run, value):
    with pytest.raises(TypeError, match="cannot record"):
        run.row("gap", value)
    assert run.rows == []


def test_one_metric_with_the_same_labels_is_recorded_once(run):
    run.row("gap", 1.0, method="SA", dimension=5)
    run.row("gap", 1.0, method="SA", dimension=10)
    run.row("gap", 1.0, method="QIA", dimension=5)
    run.row("ratio", 1.0, method="SA", dimension=5)
    for value, dimension in ((1.0, 5), (2.0, 5), (1.0, np.int64(5))):
        with pytest.raises(ValueError, match="recorded twice"):
            run.row("gap", value, dimension=dimension, method="SA")
    assert len(run.rows) == 4


def test_arrays_come_back_bit_for_bit(run, tmp_path):
    arrays = {
        "curve": np.random.default_rng(0).normal(size=(3, 4)),
        "counts": np.arange(5, dtype=np.uint8),
        "empty": np.empty((0, 2)),
        "with gaps": np.array([1.0, np.nan, -np.inf]),
    }
    for name, values in arrays.items():
        run.array(name, values)
    run.write(tmp_path)
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as back:
        assert set(back.files) == set(arrays)
        for name, values in arrays.items():
            assert back[name].dtype == values.dtype
            np.testing.assert_array_equal(back[name], values)


@pytest.mark.parametrize("values", [[None, 1], [{}, {}], np.array([object()])])
def test_an_array_of_objects_is_refused_by_name(run, values):
    with pytest.raises(ValueError, match="'curve' has dtype object"):
        run.array("curve", values)
    assert run.arrays == {}


@pytest.mark.parametrize("empty", ["alt", "caption"])
def test_a_figure_without_words_is_refused(run, empty):
    words = {"alt": "A line rises.", "caption": "Read it upwards."} | {empty: " "}
    with pytest.raises(ValueError, match=f"{empty} of figure 'line' is empty"):
        run.figure(None, "line", **words)
    assert run.figures == []


def test_a_figure_stands_under_its_own_name_and_one_stands_for_the_notebook(
    run, tmp_path
):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([0, 1])
    words = {"alt": "A line rises.", "caption": "Read it upwards."}
    run.figure(figure, "line", thumbnail=True, **words)
    run.figure(figure, "again", **words)
    with pytest.raises(ValueError, match="figure 'line' is recorded twice"):
        run.figure(figure, "line", **words)
    line, again = written(run, tmp_path)["figures"]
    assert line.pop("thumbnail").startswith("data:image/png;base64,")
    assert line == {"name": "line", **words}
    assert again == {"name": "again", **words}


def test_what_was_recorded_comes_back_from_the_file(tmp_path):
    run = Run("01_toy", {"profile": "full", "seed": np.int64(3), "step": 0.5})
    run.row("gap", 0.25, method="SA")
    run.row("seconds", 1.25, kind="time", method="SA")
    run.key_figure("best", f"{-17.9999:.4f}")
    run.key_figure("speed", "2.0x", kind="time")
    add_claim(run, kind="time", interval=(np.float64(1.25), 1.75))
    result = written(run, tmp_path)
    assert result["name"] == "01_toy"
    assert result["profile"] == "full"
    assert result["parameters"] == {"profile": "full", "seed": 3, "step": 0.5}
    assert result["rows"] == [
        {
            "metric": "gap",
            "labels": {"method": "SA"},
            "value": 0.25,
            "kind": "result",
            "profile": "full",
        },
        {
            "metric": "seconds",
            "labels": {"method": "SA"},
            "value": 1.25,
            "kind": "time",
            "profile": "full",
        },
    ]
    assert result["key_figures"] == [
        {"label": "best", "value": "-17.9999", "kind": "result"},
        {"label": "speed", "value": "2.0x", "kind": "time"},
    ]
    (claim,) = result["claims"]
    assert claim["verdict"] == "does not hold"
    assert claim["measured"] == 1.5
    assert claim["kind"] == "time"
    assert claim["interval"] == [1.25, 1.75]


def test_result_rows_are_all_rows_but_the_timings(run, tmp_path):
    run.row("gap", 0.25)
    run.row("seconds", 1.25, kind="time")
    run.row("speed ratio", 2.0, kind="time")
    run.row("stuck", 3)
    rows = result_rows(written(run, tmp_path))
    assert [row["metric"] for row in rows] == ["gap", "stuck"]


def test_a_run_goes_where_the_runner_says_unless_told_otherwise(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv(RUN_DIRECTORY, str(tmp_path / "by the runner"))
    assert run.write() == tmp_path / "by the runner" / "result.json"
    assert run.write(tmp_path / "told") == tmp_path / "told" / "result.json"
    assert load_result(tmp_path / "told" / "result.json")["name"] == "01_toy"


def test_a_failed_write_leaves_the_old_result(run, tmp_path, monkeypatch):
    run.row("gap", 1.0)
    old = run.write(tmp_path).read_bytes()

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "provenance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.write(tmp_path)
    assert (tmp_path / "result.json").read_bytes() == old
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "arrays.npz"}


@pytest.mark.parametrize("text", ["{}", '{"name": "01_toy", "rows": []}', "[]"])
def test_a_file_that_is_no_record_is_refused_by_path(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"result\.json is no record of a run"):
        load_result(path)
