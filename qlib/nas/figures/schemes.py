"""Figures of schemes of search: what their picks are short of the best."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.figures.supernets import SCHEMES
from qlib.workbook import plotting

UNSEARCHED = {"any architecture": ("#8a9099", "d"), "fixed": ("#000000", "*")}
WORDS = {
    "any architecture": "any architecture, mean",
    "fixed": "best on the other targets",
}


def schemes(found):
    """Mean regret of each way to search with its interval, and by target.

    Parameters
    ----------
    found : `trials.schemes.Regrets`
    """
    names = sorted(
        [*found.score, *UNSEARCHED], key=lambda name: found.regret(name).mean()
    )
    regret = np.array([found.regret(name).mean(0) for name in names])  # (ways, T)
    with plotting.style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 1.7 + 0.33 * len(names)), sharey=True
        )
        for place, (name, row) in enumerate(zip(names, regret, strict=True)):
            color, marker, filled = _marks(name)
            mean = found.mean(name)
            left.plot(row, np.full(len(row), place), "|", color=color, ms=7, alpha=0.6)
            left.plot([mean.low, mean.high], [place] * 2, color=color, lw=2)
            face = color if filled else "white"
            left.plot(mean.value, place, marker, color=color, mfc=face, ms=7)
        left.set_yticks(range(len(names)), [WORDS.get(name, name) for name in names])
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set_xlabel("regret, decades of infidelity")
        left.set_xlim(min(-0.05, regret.min()))
        left.grid(visible=False, axis="y")
        left.set_title(_finding(found), fontsize=9, loc="left")
        _heat(right, regret, found.targets)
        right.set_title(_hardest(found, regret), fontsize=9)
    share = np.mean(list(found.evaluations.values())) / found.exhaustive
    return {
        "figure": figure,
        "name": "schemes",
        "alt": "Mean regret of each scheme of search with its interval, and a table of "
        "regrets by target",
        "caption": "log10 of the infidelity of the pick, trained alone, over that of "
        f"the best of all {len(found.architectures)} architectures, at {share:.0%} of "
        "the evaluations that training all of them takes. Left: means with 95 % "
        "intervals over targets; strokes are targets; open marks are screened or have "
        "an entanglement term λ. Two rows need no search: the mean over all "
        "architectures, and the architecture best on average over the other targets. "
        "Infidelities below 1e-6 count as 1e-6.",
    }


def _heat(ax, regret, targets):
    ax.imshow(regret, aspect="auto", cmap="Blues", vmin=0, vmax=max(1, regret.max()))
    for row, column in np.ndindex(regret.shape):
        value = regret[row, column]
        ink = "white" if value > 0.6 * max(1, regret.max()) else plotting.INK
        style = {"ha": "center", "va": "center", "color": ink, "fontsize": 8}
        ax.text(column, row, f"{value:.1f}", **style)
    ax.set_xticks(range(len(targets)), targets, rotation=35)
    plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    ax.grid(visible=False)


def _marks(name):
    """Colour, marker, and whether it is filled."""
    if name in UNSEARCHED:
        return *UNSEARCHED[name], True
    scheme = name.split(",")[0]
    color, marker, _ = SCHEMES[scheme]
    return color, marker, name == scheme


def _finding(found):
    first, *rest = found.ranked()
    own = found.regret(first)
    second = next((n for n in rest if (found.regret(n) != own).any()), rest[0])
    by = found.less(first, second)
    clear = "clearly" if by.high < 0 else "not clearly"
    return f"Least: {first},\n{clear} below {second}"


def _hardest(found, regret):
    place = int(regret.mean(0).argmax())
    return f"Most is lost on:\n{found.targets[place]}"
