import itertools
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import optimize

from qlib.workbook import plotting, widgets
from qlib.workbook.record import RUN_DIRECTORY
from qlib.workbook.selfcontained import check_page


@pytest.fixture(autouse=True)
def figures_drawn_offscreen():
    plt.switch_backend("agg")
    yield
    plt.close("all")


class Clock:
    """Seconds that pass only when something says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


def waves(number):
    figures = []
    for _ in range(number):
        with plotting.style():
            figure, ax = plt.subplots()
        ax.plot([0, 1])
        figures.append(figure)
    return figures


def state(nfev, fun):
    return optimize.OptimizeResult(nfev=nfev, fun=fun)


def test_frames_are_radio_buttons_each_with_its_label_and_image():
    text = widgets.frames(
        waves(3), ["T = 1", "T < 2", "T = 3"], name="heat", alt="A wave", caption="So."
    ).data
    check_page(text)
    assert text.count("<img ") == 3
    assert re.findall(r'alt="([^"]*)"', text) == [
        "A wave (T = 1)",
        "A wave (T &lt; 2)",
        "A wave (T = 3)",
    ]
    inputs = re.findall(r'<input type="radio" name="([^"]*)" id="([^"]*)"', text)
    assert {group for group, _ in inputs} == {"frames-heat"}
    assert re.findall(r'<label for="([^"]*)"', text) == [key for _, key in inputs]
    assert text.count(" checked>") == 1
    assert not plt.get_fignums()


def test_frames_start_where_asked_and_repeat_their_bytes():
    one, two = (
        widgets.frames(
            waves(2), ["a", "b"], name="heat", alt="A wave", caption="So.", start=1
        ).data
        for _ in range(2)
    )
    assert one == two
    assert re.search(r'id="frames-heat-1"[^>]* checked>', one)


@pytest.mark.parametrize(
    ("number", "labels", "alt"),
    [
        (1, ["a"], "A wave"),
        (2, ["a"], "A wave"),
        (2, ["a", "a"], "A wave"),
        (2, ["a", "b"], " "),
    ],
)
def test_frames_without_distinct_labels_or_text_are_refused(number, labels, alt):
    with pytest.raises(ValueError, match="frames"):
        widgets.frames(waves(number), labels, name="heat", alt=alt, caption="So.")


def test_frames_start_at_one_of_them():
    with pytest.raises(ValueError, match="start is 2; allowed: 0 to 1"):
        widgets.frames(
            waves(2), ["a", "b"], name="heat", alt="A wave", caption="So.", start=2
        )


def test_sliders_show_nothing_where_nobody_can_move_them(monkeypatch):
    monkeypatch.setenv(RUN_DIRECTORY, "somewhere")
    drawn = []
    assert widgets.sliders(drawn.append, alt="A wave", T=(1.0, 0.5, 2.0)) is None
    assert drawn == []


def test_moving_a_slider_calls_the_function_with_the_new_value(monkeypatch):
    monkeypatch.delenv(RUN_DIRECTORY, raising=False)
    calls = []

    def draw(**values):
        calls.append(values)
        return waves(1)[0]

    box = widgets.sliders(draw, alt="A wave", heat=(1.0, 0.5, 2.5), particles=(5, 1, 9))
    heat, particles, _ = box.children
    heat.value = 2.0
    particles.value = 7
    assert calls == [
        {"heat": 1.0, "particles": 5},
        {"heat": 2.0, "particles": 5},
        {"heat": 2.0, "particles": 7},
    ]
    assert heat.step == pytest.approx(0.02)
    assert isinstance(particles.value, int)


@pytest.mark.parametrize("control", [(3, 1, 2), (0, 1, 2), (1, 1, 1), (np.nan, 0, 1)])
def test_a_slider_that_starts_outside_its_range_is_refused(control):
    with pytest.raises(ValueError, match="control heat"):
        widgets.sliders(lambda heat: None, alt="A wave", heat=control)


@pytest.mark.parametrize("seed", range(5))
def test_drawing_takes_at_most_a_tenth_of_the_elapsed_time(seed):
    rng = np.random.default_rng(seed)
    clock = Clock()
    costs = itertools.chain([0.2, 0.2], iter(lambda: rng.choice([0.02, 0.2]), None))
    spent = []

    def show(figure):
        spent.append(next(costs))
        clock.pass_(spent[-1])

    live = widgets.LiveConvergence(0.0, show=show, clock=clock)
    begin = clock()
    spent.clear()
    for nfev in range(1, 1500):
        live(state(nfev, 1 / nfev))
        assert sum(spent) <= 0.1 * (clock() - begin) + 1e-9
        clock.pass_(rng.exponential(0.02))
    assert live.drawings == len(spent) >= 10  # and it does draw


def test_a_drawing_slower_than_any_before_is_paid_back():
    clock = Clock()
    costs = iter([0.01, 0.01, 5.0] + [0.01] * 1000)
    live = widgets.LiveConvergence(
        0.0, show=lambda figure: clock.pass_(next(costs)), clock=clock
    )
    begin = clock()
    while live.drawings < 3:
        live(state(1, 1.0))
        clock.pass_(0.05)
    while live.drawings == 3:
        live(state(1, 1.0))
        clock.pass_(0.05)
    assert clock() - begin >= 10 * 5.0


def test_the_last_state_is_drawn_when_the_block_ends():
    shown = []
    with widgets.LiveConvergence(
        -18.0,
        show=lambda figure: shown.append(figure.axes[0].lines[0].get_xydata()),
        clock=Clock(),
    ) as live:
        live(state(10, -17.0))
        live(state(20, np.array([-17.5, -17.9])))
    np.testing.assert_allclose(shown[-1], [[10, 1.0], [20, 0.1]])
    assert not plt.get_fignums()


@pytest.mark.parametrize("live", [True, False])
def test_watching_leaves_the_result_of_the_optimiser_alone(monkeypatch, live):
    if not live:
        monkeypatch.setenv(RUN_DIRECTORY, "somewhere")

    def minimise(callback):
        return optimize.differential_evolution(
            optimize.rosen, [(-2, 2)] * 2, maxiter=30, rng=3, callback=callback
        )

    watch = widgets.LiveConvergence(0.0, show=(lambda figure: None) if live else None)
    alone, watched = minimise(None), minimise(watch)
    assert alone.nfev == watched.nfev
    assert alone.fun == watched.fun
    assert len(watch.gap) > 5
    assert watch.drawings > 0 if live else watch.drawings == 0
