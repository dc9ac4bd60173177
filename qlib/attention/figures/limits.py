"""The picture of the table of limits: what each kind of method must spend."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.attention.figures.marks import LINE
from qlib.workbook import plotting

NEEDS = {
    # array of `Limits`: what it counts
    "samples": "draws per query, best",
    "multinomial": "draws per query, softmax",
    "keys": "keys per query, kept",
    "keys_renormalised": "keys per query, renormalised",
    "rank": "rank of the weights",
    "features": "polynomial features",
}
LOOKS = (("#D55E00", "s"), ("#0072B2", "o"), ("#117755", "^"), ("#5B2A9B", "D"))


def limits(several):
    """What must be spent to reach an error, over the number of keys, by input.

    Parameters
    ----------
    several : sequence of `trials.limits.Limits`
        One to four, of one error.
    """
    count, first = len(several), several[0]
    step = 0.7 / count
    with plotting.style():
        figure, ax = plt.subplots(figsize=(9.2, 1.6 + 0.2 * (count + 1) * len(NEEDS)))
        ax.set_xscale("log")
        for place, found in enumerate(several):
            marks = dict(zip(("color", "marker"), LOOKS[place], strict=True))
            for row, name in enumerate(NEEDS):
                height = row + (place - (count - 1) / 2) * step
                _heads(ax, getattr(found, name), found.length, height, marks)
            ax.plot([], [], ls="", ms=6, label=_named(found), **marks)
        ax.axvline(1, **LINE)
        ax.set_xlim(*_ends(several))
        ax.set_yticks(range(len(NEEDS)), NEEDS.values())
        ax.set_ylim(len(NEEDS) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("needed, over the number of keys")
        ax.set_title(_finding(first), loc="left")
        figure.legend(loc="outside lower center", ncols=count)
    return {
        "figure": figure,
        "name": "limits",
        "alt": "Draws, keys, rank and features needed over the number of keys, for "
        f"{' and '.join(_named(found) for found in several)}",
        "caption": f"Median of heads and their range, for a relative error of "
        f"{first.error:.0%}; numbers: the median itself. On the dashed line as much is "
        "needed as there are keys. Draws: of the best distribution, and of the softmax "
        "probabilities. Keys: the fewest that an oracle may keep, with the weights "
        "as they are and divided by their sum. Rank: of the best approximation of the "
        "weights. Features: monomials of the least degree that is enough, an arrow "
        "where none that was tried is.",
    }


def _ends(several):
    """Ends of the axis, with room for a number on the right."""
    shares = [
        np.ravel(getattr(found, name)) / found.length
        for found in several
        for name in NEEDS
    ]
    shares = np.concatenate(shares)
    shares = shares[np.isfinite(shares)]
    return shares.min() / 2, 50 * max(shares.max(), 1)


def _heads(ax, numbers, length, height, marks):
    """Median and range over heads; an arrow to the right where it is infinite."""
    shares = np.asarray(numbers, dtype=float) / length
    middle = np.median(shares)
    finite = shares[np.isfinite(shares)]
    if finite.size:
        ax.plot([finite.min(), finite.max()], [height] * 2, color=marks["color"], lw=2)
    text, right = "→ more", max([*finite, 1])
    if np.isfinite(middle):
        ax.plot(middle, height, ms=6, **marks)
        text, right = _count(middle * length), finite.max()
    under = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    style = {"va": "center", "fontsize": 8, "color": marks["color"], "bbox": under}
    ax.text(1.3 * right, height, text, **style)


def _count(number):
    if number < 1e12:
        return f"{number:,.0f}".replace(",", " ")
    return f"{number:.1e}"


def _named(found):
    return f"{found.name}, {found.length}{', causal' if found.is_causal else ''}"


def _finding(found):
    """What the first input needs."""
    keys, rank, draws = (
        np.median(getattr(found, name)) for name in ("keys", "rank", "samples")
    )
    return (
        f"{_named(found)}: {found.error:.0%} takes {_count(draws)} draws per query, "
        f"{keys:.0f} keys, or rank {rank:.0f}"
    )
