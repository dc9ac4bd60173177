"""The figure of error, time and memory of every configuration."""

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from qlib.attention.figures.marks import (
    CLAIMED,
    LINE,
    SMALL,
    in_percent,
    of_method,
    pace,
)
from qlib.workbook import plotting

WANTED = 2.0  # times as fast
LEAST = 1e-3  # errors below are drawn there
AREA = 110.0  # square points of a mark that needs as much memory as the naive formula
SMALLEST = 14.0
HALVES = ("float16", "bfloat16")


def pareto(several):
    """Error against speed, marks as large as the memory, a panel an input.

    Parameters
    ----------
    several : sequence of `trials.pareto.Pareto`
    """
    columns = min(3, len(several))
    rows = -(-len(several) // columns)
    with plotting.style():
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(1.0 + 3.5 * columns, 1.2 + 3.5 * rows),
            sharey=True,
            squeeze=False,
        )
        for ax in axes.flat[len(several) :]:
            ax.set_visible(False)
        for ax, found in zip(axes.flat, several, strict=False):
            _panel(ax, found)
        for ax in axes[:, 0]:
            ax.set_ylabel("relative error of the output")
        for ax in axes.flat[max(0, len(several) - columns) : len(several)]:
            ax.set_xlabel("times as fast as SDPA of its precision")
        figure.legend(*_legend(several), loc="outside lower center", ncols=5)
    return {
        "figure": figure,
        "name": "pareto",
        "alt": "Relative error against speed over SDPA for every configuration, "
        f"{len(several)} inputs",
        "caption": "CPU seconds of one thread, methods in turns, least of the repeats; "
        "hollow: products in half precision, against SDPA in half precision. Error: "
        f"root mean square over heads and seeds, drawn at {LEAST:.1%} if below. Area "
        "of a mark: peak memory over the naive formula's of its precision. Shaded: "
        f"below {CLAIMED:.0%} and {WANTED:g} times as fast. Named: the fastest that is "
        f"not exact and errs by less than {CLAIMED:.0%}.",
    }


def coordinates(found, point):
    """Where a point stands: speed over SDPA, error, and memory over the naive formula.

    Parameters
    ----------
    found : `trials.pareto.Pareto`
    point : `trials.pareto.Point`

    Returns
    -------
    (float, float, float)
    """
    rival = found.rival(point, "sdpa")
    speed = rival.seconds.min() / point.seconds.min()
    return speed, point.error, found.memory(point, "naive")


def _panel(ax, found):
    ax.set(xscale="log", yscale="log")
    for point in found.points:
        speed, error, memory = coordinates(found, point)
        marks = of_method(point.configuration.backend)
        half = str(point.precision).removeprefix("torch.") in HALVES
        ax.scatter(
            speed,
            max(error, LEAST),
            s=max(SMALLEST, AREA * memory),
            marker=marks["marker"],
            color=marks["color"],
            facecolor="none" if half else marks["color"],
            alpha=0.85,
        )
    in_percent(ax.yaxis)
    ax.axvline(1, **LINE)
    ax.axhline(CLAIMED, **LINE)
    low, high = ax.get_xlim()
    ax.set_xlim(low, max(high, 1.3 * WANTED))
    ax.set_ylim(LEAST / 1.5)
    corner = {"color": "#117755", "alpha": 0.1, "lw": 0, "zorder": 0}
    ax.fill_between([WANTED, ax.get_xlim()[1]], LEAST / 2, CLAIMED, **corner)
    ax.set_title(_finding(found), **SMALL)


def _finding(found):
    """The fastest within the claimed error that is not exact."""
    causal = ", causal" if found.is_causal else ""
    where = f"{found.name}, {found.length}{causal}:"
    point = found.fastest(CLAIMED)
    if point is None:
        return f"{where}\nnone errs by less than {CLAIMED:.0%}"
    speed, _, _ = coordinates(found, point)
    return f"{where}\n{point.configuration.name}: {pace(speed)}"


def _legend(several):
    backends = dict.fromkeys(
        point.configuration.backend for found in several for point in found.points
    )
    styles = [of_method(backend) | {"linestyle": ""} for backend in backends]
    handles = [Line2D([], [], ms=7, **style) for style in styles]
    return handles, [style["label"] for style in styles]
