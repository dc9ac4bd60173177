"""One backend at one budget: its map, its error and its speed, to play with."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import PowerNorm

from qlib.attention.figures.marks import CLAIMED, SHADE, SMALL, pace, seen
from qlib.workbook import plotting


def play(found):
    """Exact weights, those of a backend, and their error and speed.

    Parameters
    ----------
    found : `trials.play.Played`

    Returns
    -------
    matplotlib.figure.Figure
    """
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.3))
        norm = PowerNorm(SHADE, 0, found.exact.max())
        for ax, weights in zip(axes, (found.exact, found.weights), strict=True):
            shown = seen(weights, found.exact)
            ax.imshow(shown, norm=norm, interpolation="nearest")
            ax.set(xticks=[], yticks=[], xlabel="key")
            ax.grid(visible=False)
        axes[0].set_ylabel("query")
        axes[0].set_title(f"Exact: {found.entropy:.2g} nats a query", **SMALL)
        axes[1].set_title(_finding(found), **SMALL)
        title = (
            f"{found.name}, {len(found.exact)} keys, temperature "
            f"{found.temperature:.2g}, {found.way} with {found.budget}"
        )
        figure.suptitle(title, fontsize=10)
    return figure


def _finding(found):
    side = "below" if found.error < CLAIMED else "above"
    speed = pace(np.median(found.speed))
    return f"Error {found.error:.1%}, {side} {CLAIMED:.0%}; {speed}"
