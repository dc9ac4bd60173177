"""Figures to play with: sliders that re-run, a live plot, frames that need no kernel.

In a run by the runner (`QLIB_RUN_DIRECTORY` is set) nobody can move a slider, so
`sliders` shows nothing and `LiveConvergence` draws nothing; `frames` works everywhere.
"""

import html
import io
import os
import time
from pathlib import Path

import numpy as np

from qlib.workbook import plotting
from qlib.workbook.record import RUN_DIRECTORY

DRAWING_SHARE = 0.1  # of the elapsed time


def frames(figures, labels, *, name, alt, caption, start=0):
    """Show one of several figures, chosen by a slider that needs no script.

    The slider is a row of radio buttons, so the arrow keys move it; on paper the chosen
    figure stands alone and says so.

    Parameters
    ----------
    figures : sequence of matplotlib.figure.Figure
        At least two, of equal size. Closed afterwards.
    labels : sequence of str
        What each tick says, such as ``"T = 5"``; no two alike.
    name : str
        Unique in the notebook; the anchor in the page is ``figure-<name>``.
    alt : str
        Alternative text; the label is added for each figure.
    caption : str
        How to read the figures.
    start : int
        Index of the figure shown first.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If there are fewer than two figures, not one distinct label for each, no such
        `start`, or no alternative text.
    """
    from IPython.display import HTML

    figures, labels = list(figures), list(labels)
    if (
        len(figures) < 2
        or len(set(labels)) != len(figures)
        or len(labels) != len(figures)
    ):
        raise ValueError(
            f"frames {name!r} has {len(figures)} figures and {len(set(labels))} "
            "distinct labels; allowed: two or more figures, each with its own label"
        )
    if start not in range(len(figures)):
        raise ValueError(f"start is {start}; allowed: 0 to {len(figures) - 1}")
    group = html.escape(f"frames-{name}")
    width = round(96 * figures[0].get_figwidth())
    ticks = []
    for place, (figure, label) in enumerate(zip(figures, labels, strict=True)):
        key, shown = f"{group}-{place}", html.escape(label)
        image = plotting.image_tag(
            figure, key, alt=f"{alt} ({label})" if alt.strip() else ""
        )
        ticks.append(
            f'<input type="radio" name="{group}" id="{key}" style="--at:{place + 1}"'
            " data-lm-suppress-shortcuts"  # JupyterLab leaves the arrow keys to it
            f"{' checked' if place == start else ''}>"
            f'<label for="{key}" style="--at:{place + 1}">{shown}</label>{image}'
        )
    css = (
        Path(__file__).with_name("templates").joinpath("frames.css").read_text("utf-8")
    )
    return HTML(
        f'<figure class="qlib-frames" id="figure-{html.escape(name)}">'
        f"<style>{css}</style>"
        f'<fieldset style="--frames:{len(figures)};--width:{width}px" '
        f'aria-label="{html.escape(alt)}">'
        f"{''.join(ticks)}</fieldset>"
        f"<figcaption>{html.escape(caption, quote=False)}"
        f'<span class="on-paper"> One of {len(figures)} frames; the page on a screen '
        "shows all.</span></figcaption></figure>"
    )


def sliders(draw, *, alt, **controls):
    """Sliders that call a function and show the figure it returns.

    Parameters
    ----------
    draw : callable
        Takes each control by name, returns a matplotlib figure.
    alt : str
        Alternative text of the figure; the controls' values are added.
    **controls : (start, low, high)
        All int for a slider of whole numbers, else of 100 steps between low and high.

    Returns
    -------
    ipywidgets.VBox or None
        None in a run by the runner.

    Raises
    ------
    ValueError
        If a control does not satisfy ``low <= start <= high`` and ``low < high``.
    """
    for name, (start, low, high) in controls.items():
        if not (low <= start <= high and low < high):
            raise ValueError(
                f"control {name} is (start, low, high) = {(start, low, high)}; "
                "allowed: low <= start <= high, low < high"
            )
    if RUN_DIRECTORY in os.environ:
        return None
    import ipywidgets
    from IPython.display import HTML, display

    def show(**values):
        chosen = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        figure = draw(**values)
        display(HTML(plotting.image_tag(figure, "sliders", alt=f"{alt} ({chosen})")))

    made = {name: _slider(name, *control) for name, control in controls.items()}
    return ipywidgets.VBox([*made.values(), ipywidgets.interactive_output(show, made)])


def _slider(name, start, low, high):
    import ipywidgets

    whole = all(isinstance(number, int) for number in (start, low, high))
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    step = 1 if whole else (high - low) / 100
    return kind(
        value=start,
        min=low,
        max=high,
        step=step,
        description=name.replace("_", " "),
        continuous_update=False,
        layout=ipywidgets.Layout(width="32em"),
        style={"description_width": "10em"},
    )


class LiveConvergence:
    """A plot of the best value so far, drawn while an optimiser runs.

    Use as ``with LiveConvergence(minimum) as live: method(..., callback=live)``. A
    drawing starts only if it is expected to keep the time spent on drawing within
    `DRAWING_SHARE` of the time elapsed since the first call, going by the slowest
    drawing so far; the optimiser's result is never touched. Leaving the ``with`` block
    draws the last state, whatever it costs.

    Parameters
    ----------
    minimum : float
        Known minimum; the gap to it is drawn on a logarithmic axis.
    method : str
        One of `plotting.METHODS`.
    show : callable, optional
        Takes a matplotlib figure and shows it. Default: in place, below the cell; in a
        run by the runner, nothing is drawn.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, minimum, *, method="SA", show=None, clock=time.perf_counter):
        self.nfev = []
        self.gap = []
        self.drawings = 0
        self._minimum = minimum
        self._slowest = self._spent = 0.0
        self._clock = clock
        self._show = _show_in_place() if show is None else show
        self._started = None
        self._figure, self._line = _empty_plot(method)
        if self._show is not None:
            self._draw()  # loads fonts; the second one tells what a drawing costs
            self._slowest = 0.0
            self._draw()
        self.drawings, self._spent = 0, 0.0

    def __call__(self, intermediate_result):
        """Note one state of the optimiser; draw it if there is time to."""
        now = self._clock()
        if self._started is None:
            self._started = now
        self.nfev.append(intermediate_result.nfev)
        self.gap.append(float(np.min(intermediate_result.fun)) - self._minimum)
        if self._show is None:
            return
        then = self._spent + self._slowest
        if then <= DRAWING_SHARE * (now - self._started + self._slowest):
            self._draw()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._show is not None:
            self._draw()

    def _draw(self):
        began = self._clock()
        positive = [gap if gap > 0 else np.nan for gap in self.gap]
        self._line.set_data(self.nfev, positive)
        self._line.axes.relim()
        self._line.axes.autoscale_view()
        self._show(self._figure)
        self.drawings += 1
        cost = self._clock() - began
        self._spent += cost
        self._slowest = max(self._slowest, cost)


def _empty_plot(method):
    from matplotlib import pyplot as plt

    with plotting.style():
        figure, ax = plt.subplots(layout="none")  # fixed margins draw faster
        (line,) = ax.plot([], [], **plotting.method_style(method), markevery=0.1)
        ax.set(xlabel="evaluations", ylabel="gap to the minimum, f − f*")
        ax.set_yscale("log")
    plt.close(figure)  # drawn by us alone, not once more below the cell
    return figure, line


def _show_in_place():
    """A function that shows each figure where the first one stood."""
    if RUN_DIRECTORY in os.environ:
        return None
    from IPython.display import HTML, Image, display

    handle = display(HTML(""), display_id=True)

    def show(figure):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        handle.update(Image(buffer.getvalue(), alt="Best value against evaluations."))

    return show
