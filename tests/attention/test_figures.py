"""What is drawn equals the data, and titles follow the data wherever they go."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from qlib.attention import figures
from qlib.attention.backends import BACKENDS
from qlib.attention.figures import marks
from qlib.attention.figures.pareto import coordinates
from qlib.attention.trials.errors import SamplingErrors
from qlib.attention.trials.language import Losses
from qlib.attention.trials.limits import Limits
from qlib.attention.trials.maps import Maps
from qlib.attention.trials.measurement import measurement
from qlib.attention.trials.pareto import Configuration, Pareto, Point
from qlib.attention.trials.play import WAYS, Played
from qlib.attention.trials.small import Small
from qlib.workbook import plotting


@pytest.fixture(autouse=True)
def figures_drawn_offscreen():
    plt.switch_backend("agg")
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def errors_of(methods=("multinomial", "stratified"), scale=(1.0, 0.5)):
    rng = np.random.default_rng(0)
    budgets = np.array([8, 32, 128])
    shape = len(methods), 3, 4, 2
    spread = np.exp(0.1 * rng.standard_normal(shape))
    size = np.array(scale)[:, None, None, None] / budgets[:, None, None] ** 0.5
    return SamplingErrors(
        name="Gaussian",
        length=512,
        methods=methods,
        budgets=budgets,
        errors=size * spread,
        stated=size * spread,
        values_touched=np.tile(budgets.astype(float), (len(methods), 1)),
        theory=np.ones((2, 3, 2)) / budgets[:, None] ** 0.5,
    )


def limits_of(**changed):
    whole = {
        "name": "Gaussian",
        "length": 512,
        "is_causal": False,
        "error": 0.1,
        "samples": np.array([18000.0, 19000.0, 20000.0]),
        "multinomial": np.array([18100.0, 19100.0, 20100.0]),
        "allocated": np.array([17000.0, 18000.0, 19000.0]),
        "keys": np.array([320.0, 323.0, 330.0]),
        "keys_renormalised": np.array([360.0, 361.0, 362.0]),
        "rank": np.array([300, 301, 302]),
        "output_rank": np.array([58, 59, 60]),
        "degree": np.array([4, 4, 4]),
        "features": np.array([814385.0] * 3),
    }
    return Limits(**whole | changed)


def point(name, backend, error, seconds, peak, *, exact=False, half=False):
    dtype = torch.bfloat16 if half else torch.float32
    return Point(
        Configuration(name, backend),
        precision=dtype,
        exact=exact,
        errors=np.full((1, 2), error),
        seconds=np.array([seconds, 2 * seconds]),
        peak_bytes=peak,
        keys_touched=1.0,
        values_touched=1.0,
    )


def pareto_of(error=0.05):
    points = (
        point("clusters", "blockwise", error, 0.5, 100),
        point("clusters, bf16", "blockwise", error, 0.25, 50, half=True),
        point("window", "local_window", 0.4, 0.1, 100),
        point("naive", "naive", 1e-6, 4.0, 400, exact=True),
        point("sdpa", "sdpa", 1e-7, 1.0, 80, exact=True),
        point("naive, bf16", "naive", 5e-3, 3.0, 200, exact=True, half=True),
        point("sdpa, bf16", "sdpa", 5e-3, 0.75, 40, exact=True, half=True),
    )
    return Pareto("model", 2048, True, points)


def small_of(fast=1.0):
    seconds = np.array([[1.0, 1.1], [2.0, 2.2], [4.0, 4.4]]) * [[1], [1], [fast]]
    return Small(
        length=64,
        samples=16,
        methods=("sdpa", "multinomial", "stratified"),
        exact=np.array([True, False, False]),
        seconds=seconds,
        errors=np.array([[1e-7, 1e-7], [1.2, 1.3], [0.6, 0.7]]),
    )


def losses_of():
    exact = np.array([2.0, 2.2, 2.1])
    return Losses(
        length=512,
        names=("a", "b", "c"),
        backends=("blockwise", "multinomial", "performer"),
        exact_bits=exact,
        bits=exact + np.array([[0.01] * 3, [0.1, 0.2, 0.3], [0.5, 0.4, 0.6]]),
        errors=np.array([[0.03, 0.04], [0.3, 0.4], [0.6, 0.8]]),
    )


def maps_of():
    rng = np.random.default_rng(1)
    open_pairs = np.tril(np.ones((6, 6)))
    weights = rng.random((3, 2, 2, 6, 6)) * open_pairs
    weights[0, 1, 0] = np.eye(6)
    weights /= weights.sum(-1, keepdims=True)
    entropy = rng.random((3, 2, 2)) + 1
    entropy[0] = [[1.0, 0.9], [0.0, 0.8]]
    entropy[2] = np.nan
    names = ("exact", "blocks", "drawn")
    backends = ("blockwise", "control_variate")
    return Maps(names, backends, weights.astype(np.float32), entropy)


def played_of(error=0.25, speed=0.5):
    exact = np.tril(np.full((4, 4), 0.5))
    return Played(
        name="model",
        way="multinomial",
        budget=8,
        temperature=0.5,
        exact=exact,
        weights=-exact,
        error=error,
        entropy=1.25,
        speed=np.array([speed] * 3),
    )


DRAWN = {
    "measured": lambda: figures.measured(measurement(runs=5, budgets=(1, 4))),
    "sampling_errors": lambda: figures.sampling_errors([errors_of(), errors_of()]),
    "limits": lambda: figures.limits([limits_of(), limits_of(name="model")]),
    "pareto": lambda: figures.pareto([pareto_of()] * 4),
    "small": lambda: figures.small([small_of(), small_of()]),
    "losses": lambda: figures.losses([losses_of(), losses_of()]),
    "maps": lambda: figures.maps(maps_of()),
}


def titles(figure):
    every = [
        ax.get_title(loc=where) for ax in figure.axes for where in ("left", "center")
    ]
    return [title for title in every if title]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_what_a_run_records(name):
    found = DRAWN[name]()
    assert set(found) == {"figure", "name", "alt", "caption"}
    assert found["name"] == name
    found["figure"].draw_without_rendering()
    said = [found["alt"], found["caption"], *titles(found["figure"])]
    assert all(said)
    assert "nan" not in " ".join(said)


def test_every_backend_and_every_way_to_play_has_its_marks():
    for name in [*BACKENDS, "naive", *WAYS]:
        assert marks.of_method(name)["label"] in plotting.METHODS
    assert len({marks.of_method(name)["label"] for name in BACKENDS}) == len(BACKENDS)


def test_state_counts_and_estimates_are_those_of_the_trial():
    found = measurement(runs=7, budgets=(1, 16, 256), shots=50)
    state, counts, estimates = figures.measured(found)["figure"].axes
    heights = [[bar.get_height() for bar in ax.patches] for ax in (state, counts)]
    np.testing.assert_allclose(heights[0], found.amplitudes)
    np.testing.assert_allclose(heights[1], found.counts)
    ys = [line.get_ydata() for line in estimates.lines[:3]]
    np.testing.assert_array_equal(ys, found.estimates)
    ratio = found.deviation / (found.spread / found.budgets**0.5)
    assert f"{ratio.min():.2f} to {ratio.max():.2f}" in titles(estimates.figure)[-1]
    likely = int(found.amplitudes.argmax())
    assert (
        f"key {likely}: {found.amplitudes[likely] ** 2:.0%}"
        in titles(estimates.figure)[0]
    )


def test_error_lines_are_medians_over_seeds_of_the_root_mean_square():
    found = errors_of()
    adaptive = replace(found, values_touched=found.values_touched * 0.5)
    unread = replace(found, values_touched=found.values_touched * np.nan)
    for each, factor in ((found, 1.0), (adaptive, 0.5), (unread, 1.0)):
        (ax,) = figures.sampling_errors([each])["figure"].axes
        for line, errors in zip(ax.lines[:2], each.errors, strict=True):
            pooled = np.sqrt((errors**2).mean(-1))  # (budget, seed)
            np.testing.assert_allclose(line.get_ydata(), np.median(pooled, axis=1))
            np.testing.assert_allclose(line.get_xdata(), factor * each.budgets)
        np.testing.assert_allclose(ax.lines[2].get_ydata(), each.theory[0, :, 0])


@pytest.mark.parametrize(
    ("scale", "says"),
    [((1.0, 0.5), "stratified\nerrs 0.5"), ((0.5, 1.0), "no sampler errs less")],
)
def test_the_title_names_the_sampler_that_errs_least(scale, says):
    (ax,) = figures.sampling_errors([errors_of(scale=scale)])["figure"].axes
    assert says in ax.get_title(loc="left")


def test_limits_are_medians_over_the_length_and_infinite_ones_are_arrows():
    endless = limits_of(features=np.array([1e6, np.inf, np.inf]), name="model")
    figure = figures.limits([limits_of(), endless])["figure"]
    (ax,) = figure.axes
    single = [line for line in ax.lines if len(line.get_xdata()) == 1]
    xs = sorted(float(line.get_xdata()[0]) * 512 for line in single)
    expected = [19000, 19100, 323, 361, 301]
    np.testing.assert_allclose(xs, sorted([*expected, *expected, 814385]))
    written = [text.get_text() for text in ax.texts]
    assert written.count("→ more") == 1
    assert "814 385" in written
    (said,) = titles(figure)
    assert "10% takes 19 000 draws per query, 323 keys, or rank 301" in said
    other = figures.limits([limits_of(error=0.2, keys=np.array([100.0]))])["figure"]
    assert "20% takes 19 000 draws per query, 100 keys" in titles(other)[0]


def test_points_stand_at_speed_and_error_and_are_as_large_as_their_memory():
    found = pareto_of()
    blocks, half, window, naive, *_ = found.points
    assert coordinates(found, blocks) == pytest.approx((2.0, 0.05, 0.25))
    assert coordinates(found, half) == pytest.approx((3.0, 0.05, 0.25))
    assert coordinates(found, window) == pytest.approx((10.0, 0.4, 0.25))
    (ax,) = figures.pareto([found])["figure"].axes
    drawn = [c for c in ax.collections if len(c.get_offsets()) == 1][
        : len(found.points)
    ]
    for mark, each in zip(drawn, found.points, strict=True):
        speed, error, memory = coordinates(found, each)
        x, y = mark.get_offsets()[0]
        assert (x, y) == pytest.approx((speed, max(error, 1e-3)))
        assert mark.get_sizes()[0] == pytest.approx(max(14, 110 * memory))
        hollow = len(mark.get_facecolor()) == 0
        assert hollow == (each.precision == torch.bfloat16)
    assert coordinates(found, naive)[2] == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [(0.05, "clusters, bf16: 3 times as fast"), (0.3, "none errs by less than 10%")],
)
def test_the_title_names_the_fastest_within_the_claimed_error(error, says):
    (ax,) = figures.pareto([pareto_of(error)])["figure"].axes
    assert ax.get_title(loc="left") == f"model, 2048, causal:\n{says}"


@pytest.mark.parametrize(
    ("fast", "says"),
    [(1.0, "2 times as slow"), (0.25, "as fast"), (0.125, "2 times as fast")],
)
def test_small_inputs_are_told_by_the_fastest_of_each_side(fast, says):
    figure = figures.small([small_of(fast)])["figure"]
    left, right = titles(figure)
    assert left == f"Length 64: the fastest sampler is {says}"
    assert right == "Least error: stratified, 65%"
    times = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    middle = np.median(small_of(fast).seconds, axis=1)
    np.testing.assert_allclose(
        [float(line.get_xdata()[0]) for line in times], middle / middle[0]
    )
    errors = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(
        [float(line.get_xdata()[0]) for line in errors], [1.25, 0.65]
    )


def test_losses_stand_at_error_and_excess_with_their_intervals():
    found = losses_of()
    (ax,) = figures.losses([found])["figure"].axes
    marked = [line for line in ax.lines if len(line.get_xdata()) == 1]
    for line, name in zip(marked, found.names, strict=True):
        assert float(line.get_xdata()[0]) == pytest.approx(found.error(name))
        assert float(line.get_ydata()[0]) == pytest.approx(found.excess(name).value)
    bars = [line for line in ax.lines if len(line.get_xdata()) == 2][: len(found.names)]
    for bar, name in zip(bars, found.names, strict=True):
        interval = found.excess(name)
        np.testing.assert_allclose(bar.get_ydata(), [interval.low, interval.high])
    assert ax.get_title(loc="left") == (
        "512 bytes, exact: 2.100 bits\nrank correlation of error and loss 1.00"
    )
    turned = replace(found, errors=found.errors[::-1])
    (ax,) = figures.losses([turned])["figure"].axes
    assert ax.get_title(loc="left").endswith("-1.00")


def test_maps_are_of_the_sharpest_head_and_hide_what_may_not_be_seen():
    found = maps_of()
    figure = figures.maps(found)["figure"]
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(pictures) == 3
    for picture, weights in zip(pictures, found.weights, strict=True):
        hidden = found.weights[0, 1, 0] == 0
        np.testing.assert_array_equal(np.ma.getmaskarray(picture), hidden)
        np.testing.assert_allclose(picture[~hidden], weights[1, 0][~hidden])
    said = titles(figure)
    assert said[0] == "exact:\n0 nats"
    moved = np.abs(found.entropy[1] - found.entropy[0]).mean()
    assert f"Entropy most moved by blocks: {moved:.2g} nats" in said
    apart = found.distance.mean((1, 2))
    nearest = 1 + int(apart[1:].argmin())
    assert f"Nearest to exact: {found.names[nearest]}, {apart[nearest]:.0%} off" in said


@pytest.mark.parametrize(
    ("error", "speed", "says"),
    [
        (0.25, 0.5, "Error 25.0%, above 10%; 2 times as slow"),
        (0.01, 3.0, "Error 1.0%, below 10%; 3 times as fast"),
    ],
)
def test_play_tells_error_and_speed(error, speed, says):
    found = played_of(error, speed)
    figure = figures.play(found)
    assert titles(figure) == ["Exact: 1.2 nats a query", says]
    exact, used = (ax.images[0].get_array() for ax in figure.axes)
    np.testing.assert_allclose(exact.filled(0), found.exact)
    np.testing.assert_allclose(used.filled(0), 0)  # negative weights are drawn as 0
