import base64
import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from qlib.workbook import plotting

# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.fixture(autouse=True)
def figures_drawn_offscreen(monkeypatch):
    plt.switch_backend("agg")
    yield
    plt.close("all")


def draw(points=50):
    with plotting.style():
        figure, ax = plt.subplots()
        x = np.linspace(0, 1, points)
        ax.plot(x, np.sin(9 * x), **plotting.method_style("QIA"))
    return figure


def linear(color):
    c = np.array(mpl.colors.to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    t = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_method_colours_have_contrast_3_on_white():
    for name, (color, _, _) in plotting.METHODS.items():
        luminance = linear(color) @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) >= 3, name


@pytest.mark.parametrize("vision", VISIONS)
def test_methods_are_told_apart_in_every_colour_vision(vision):
    for one, other in itertools.combinations(plotting.METHODS, 2):
        (c, marker, line), (d, marker2, line2) = (
            plotting.METHODS[one],
            plotting.METHODS[other],
        )
        assert marker != marker2
        far = np.linalg.norm(
            lab(VISIONS[vision] @ linear(c)) - lab(VISIONS[vision] @ linear(d))
        )
        assert far > 15 or line != line2, (one, other, far)


def test_an_unknown_method_gets_no_colour():
    with pytest.raises(ValueError, match=r"method is 'annealing'; allowed: SA, QIA"):
        plotting.method_style("annealing")


def test_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    figure = draw()
    plotting.thumbnail(figure)
    plotting.display_figure(figure, "wave", alt="A wave.", caption="One wave.")
    assert dict(mpl.rcParams) == before


def test_a_title_set_later_looks_like_one_set_at_once():
    with plotting.style():
        _, (one, two) = plt.subplots(1, 2)
        one.set_title("It holds")
    plotting.title(two, "It holds")
    styles = [
        (text.get_text(), text.get_fontsize(), text.get_fontweight(), text.get_color())
        for ax in (one, two)
        for text in ax.findobj(mpl.text.Text)
        if text.get_text() == "It holds"
    ]
    assert len(styles) == 2
    assert styles[0] == styles[1]


def test_the_same_figure_gives_the_same_bytes():
    one, two = (
        plotting.display_figure(draw(), "wave", alt="A wave.", caption="One.").data
        for _ in range(2)
    )
    assert one == two
    assert plotting.thumbnail(draw()) == plotting.thumbnail(draw())


def test_a_displayed_figure_is_closed_and_escaped():
    figure = draw()
    shown = plotting.display_figure(
        figure, "wave", alt='"f" < 0 & so on', caption="f < 0 & g"
    ).data
    assert not plt.fignum_exists(figure.number)
    assert 'alt="&quot;f&quot; &lt; 0 &amp; so on"' in shown
    assert "<figcaption>f &lt; 0 &amp; g</figcaption>" in shown
    assert '<figure id="figure-wave">' in shown


def test_a_figure_without_alternative_text_is_refused():
    with pytest.raises(ValueError, match="alt of figure 'wave' is empty"):
        plotting.display_figure(draw(), "wave", alt=" ", caption="One wave.")


def test_a_hundred_thousand_points_become_pixels():
    few = len(plotting.image_tag(draw(50), "wave", alt="A wave."))
    with plotting.style():
        figure, ax = plt.subplots()
        steps = np.random.default_rng(0).normal(size=(2, 100_000))
        ax.scatter(*steps, s=2)
        ax.plot(*steps.cumsum(axis=1))  # short strokes: long ones fill the page slowly
    many = len(plotting.image_tag(figure, "cloud", alt="A cloud."))
    assert many < 20 * few


def test_the_thumbnail_of_noise_fits_its_budget():
    with plotting.style():
        figure, ax = plt.subplots(figsize=(12, 12))
        ax.imshow(np.random.default_rng(0).random((600, 600)), cmap="hsv")
    address = plotting.thumbnail(figure)
    assert len(address) <= 40_000
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG")


def test_the_band_spans_the_quartiles_around_the_median():
    _, ax = plt.subplots()
    samples = np.arange(5.0)[:, None] * np.ones(3)
    line = plotting.band(ax, [1, 2, 3], samples, method="SA")
    assert (line.get_ydata() == 2).all()
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1, 3)


@pytest.mark.parametrize(
    ("x", "samples", "error"),
    [
        ([1, 2], np.ones((4, 3)), r"shape \(4, 3\); allowed: \(runs, 2\)"),
        ([1, 2], np.ones(2), r"shape \(2,\); allowed: \(runs, 2\)"),
        ([1, 2], [[1, np.nan]], "not finite"),
    ],
)
def test_a_band_refuses_samples_it_cannot_draw(x, samples, error):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=error):
        plotting.band(ax, x, samples, method="SA")


def test_a_method_that_never_arrives_says_so_in_its_row():
    _, ax = plt.subplots()
    plotting.interval_points(ax, ["SA", "QIA"], [100, np.inf], [(80, np.inf), None])
    assert [text.get_text() for text in ax.texts] == ["not reached"]
    assert ax.texts[0].get_position()[1] == 1
    assert max(line.get_xdata()[-1] for line in ax.lines) == 150
    assert [label.get_text() for label in ax.get_yticklabels()] == ["SA", "QIA"]


def test_interval_points_need_one_value_a_method():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="lengths 2, 1 and 2"):
        plotting.interval_points(ax, ["SA", "QIA"], [1], [None, None])
