"""The figure of blocks trained alone, each above its bound."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.figures.marks import of_block
from qlib.nas.trials.solo import REACHED
from qlib.workbook import plotting

LEAST = 1e-10  # infidelities below are drawn there
GAP = 1.6  # rows left free between targets
BESIDE = 0.2  # rows up and down, of runs without and with Marshall's signs
QUIET = "#5c636d"


def solo(found):
    """Infidelities of every block on every target, the bound's reach shaded.

    Parameters
    ----------
    found : `trials.solo.Solo`
    """
    order = np.argsort(found.entropy, kind="stable")
    height = len(found.blocks) + GAP
    with plotting.style():
        figure, ax = plt.subplots(figsize=(9.0, 0.6 + 0.13 * height * len(order)))
        ax.set(xscale="log", xlim=(LEAST / 2, 2.5))
        for place, target in enumerate(order):
            _target(ax, found, target, place * height)
            if place:
                ax.axhline(place * height - GAP / 2 - 0.5, color=plotting.FAINT, lw=0.8)
        centers = height * np.arange(len(order)) + (len(found.blocks) - 1) / 2
        ax.set_yticks(centers, [_named(found, target) for target in order])
        ax.set_ylim(height * len(order) - GAP / 2 - 0.5, -GAP / 2 - 0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.axvline(REACHED, color=plotting.INK, lw=0.8, ls=(0, (6, 4)), zorder=0)
        ax.set_xlabel("infidelity, 1 − F")
        ax.set_title(_finding(found))
        for name in found.blocks:
            ax.plot([], [], ms=6, label=name, **of_block(name) | {"linestyle": "-"})
        ax.plot([], [], color=QUIET, alpha=0.4, lw=5, label="excluded by entanglement")
        if found.ruled:
            style = {"color": QUIET, "marker": "o", "mfc": "white", "ls": ""}
            ax.plot([], [], label="with Marshall's signs", **style)
        figure.legend(loc="outside lower center", ncols=4)
    return {
        "figure": figure,
        "name": "solo",
        "alt": f"Infidelity of {', '.join(found.blocks)}, each trained alone on "
        f"{', '.join(found.targets)}, with the range that entanglement excludes",
        "caption": f"{found.num_sites} sites, {found.infidelity.shape[-1]} seeds: the "
        "median, and a line from the least to the most; blocks of "
        f"{found.parameters.min()} to {found.parameters.max()} real parameters. Bars "
        "from the left end at the bound 1 − Σ of the largest Schmidt weights that "
        "the block's capacity holds; no bar: full capacity, nothing is excluded. "
        "Targets by the entropy S of their half chain, nats. Hollow: with the Marshall "
        "sign rule, where the target is the ground state of a bipartite "
        f"antiferromagnet. Dashed: {REACHED:g}. Infidelities below {LEAST:g} are drawn "
        "there.",
    }


def _target(ax, found, target, top):
    ruled = found.ruled.get(found.targets[target])
    for place, name in enumerate(found.blocks):
        style = of_block(name)
        row = top + place
        bound = found.bound[target, place]
        if bound > LEAST:
            ends = {"solid_capstyle": "butt", "alpha": 0.3, "lw": 6}
            ax.plot([LEAST / 2, bound], [row] * 2, color=style["color"], **ends)
        apart = 0.0 if ruled is None else BESIDE
        runs = found.infidelity[target, place]
        _runs(ax, runs, row - apart, style, style["color"])
        if ruled is not None:
            _runs(ax, ruled[place], row + apart, style, "white")


def _runs(ax, runs, row, style, fill):
    drawn = np.maximum(runs, LEAST)
    ax.plot([drawn.min(), drawn.max()], [row] * 2, color=style["color"], lw=1.2)
    marks = {"color": style["color"], "marker": style["marker"], "mfc": fill, "ms": 5}
    ax.plot(np.median(drawn), row, **marks)


def _named(found, target):
    return f"{found.targets[target]}\nS = {found.entropy[target]:.2f}"


def _finding(found):
    """How many blocks reach a target, of those that the bound lets."""
    reached, allowed = found.median <= REACHED, found.allowed
    barred, free = np.count_nonzero(~allowed), np.count_nonzero(allowed)
    below = np.count_nonzero(reached & allowed)
    return (
        f"Entanglement keeps {barred} of {allowed.size} pairs above 1 − F = "
        f"{REACHED:g}; {below} of the other {free} come below"
    )
