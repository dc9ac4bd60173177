"""The figure of samplers and exact kernels on inputs as small as the roadmap's."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.attention.figures.marks import (
    CLAIMED,
    LINE,
    SMALL,
    in_percent,
    of_method,
    pace,
)
from qlib.workbook import plotting


def small(several):
    """Time over that of the fastest exact kernel, and errors, by length.

    Parameters
    ----------
    several : sequence of `trials.small.Small`
    """
    with plotting.style():
        rows = max(len(found.methods) for found in several)
        figure, axes = plt.subplots(
            len(several),
            2,
            figsize=(9.6, 0.6 + (0.8 + 0.24 * rows) * len(several)),
            sharex="col",
            squeeze=False,
        )
        for row, found in zip(axes, several, strict=True):
            _times(row[0], found)
            _errors(row[1], found)
        axes[-1, 0].set_xlabel("CPU seconds over those of the fastest exact kernel")
        axes[-1, 1].set_xlabel("relative error of the output")
    return {
        "figure": figure,
        "name": "small",
        "alt": "Time over the fastest exact kernel's and relative error of "
        f"{', '.join(several[0].methods)}",
        "caption": f"Gaussian inputs, one head of 64 dimensions; samplers read "
        f"{', '.join(str(found.samples) for found in several)} values of "
        f"{', '.join(str(found.length) for found in several)}. Left: median of turns "
        "and their range; on the dashed line as fast as the fastest exact kernel. "
        "Right: median of inputs and their range; exact kernels have no mark. Dashed: "
        f"{CLAIMED:.0%}.",
    }


def _times(ax, found):
    fastest = np.median(found.seconds[found.exact], axis=1).min()
    _spread(ax, found, found.seconds / fastest, np.ones(len(found.methods), bool))
    ax.set_yticks(range(len(found.methods)), found.methods)
    ax.axvline(1, **LINE)
    speed = pace(np.median(found.speed()))
    title = f"Length {found.length}: the fastest sampler is {speed}"
    ax.set_title(title, **SMALL)


def _errors(ax, found):
    _spread(ax, found, found.errors, ~found.exact)
    ax.set_yticks(range(len(found.methods)), [])
    in_percent(ax.xaxis)
    ax.axvline(CLAIMED, **LINE)
    middle = np.median(found.errors, axis=1)
    middle[found.exact] = np.inf
    best = int(middle.argmin())
    title = f"Least error: {found.methods[best]}, {middle[best]:.0%}"
    ax.set_title(title, **SMALL)


def _spread(ax, found, values, drawn):
    """Median and range of the rows to be drawn, one method a row."""
    ax.set_xscale("log")
    for row in np.flatnonzero(drawn):
        marks = of_method(found.methods[row]) | {"linestyle": ""}
        ends = values[row].min(), values[row].max()
        ax.plot(ends, [row] * 2, color=marks["color"], lw=1.6)
        ax.plot(np.median(values[row]), row, ms=6, **marks)
    ax.set_ylim(len(found.methods) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
