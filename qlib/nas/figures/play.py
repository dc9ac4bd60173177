"""One target and one λ: the bounds on its candidates, and what a supernet picks."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.figures.marks import of_block
from qlib.workbook import plotting

LEAST = 1e-7  # bounds and infidelities below it are drawn there


def pick(target, bounds, found, *, replica=0, penalty=0.0):
    """Bounds of the candidates beside the pick's infidelity, and how it was picked.

    Parameters
    ----------
    target : str
    bounds : dict
        Name of a candidate to its bound; see `qlib.nas.screen.screen`.
    found : `qlib.nas.supernet.TrainedSupernet`
    replica : int, optional
        Its place among the supernet's seeds and targets.
    penalty : float, optional
        λ.

    Returns
    -------
    matplotlib.figure.Figure
    """
    reached, names = float(found.score[replica]), list(bounds)
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
        left.axhline(max(reached, LEAST), color=plotting.INK, lw=1, ls=(0, (6, 4)))
        for place, name in enumerate(names):
            mark = of_block(name) | {"linestyle": "", "ms": 8}
            left.plot(place, max(bounds[name], LEAST), **mark)
        left.set_xticks(range(len(names)), names, rotation=30, ha="right")
        left.set(yscale="log", ylabel="infidelity 1 − F", ylim=(LEAST / 3, 2))
        left.set_title("Marks: bounds; line: what the pick reaches", fontsize=9.5)
        shares = found.trace.shares[:, replica].mean(1)  # (C, K), over slots
        for share, name in zip(shares.T, found.names, strict=True):
            mark = of_block(name) | {"ms": 3.5, "markevery": 4}
            right.plot(found.trace.steps, share, **mark, label=name)
        right.set(xlabel="steps", ylabel="probability, mean over slots", ylim=(0, 1.04))
        right.legend(ncols=2, fontsize=7.5)
        right.set_title(
            f"Picked: {' × '.join(found.architectures[replica])}", fontsize=9.5
        )
        title = f"{target}, λ = {penalty:.2g}, infidelity {reached:.2g}"
        figure.suptitle(title, fontsize=10)
    return figure


def picks(figures, labels):
    """A slider over figures of `pick`, that works without a kernel."""
    return {
        "figures": figures,
        "labels": labels,
        "name": "picks",
        "alt": "Bounds on candidates and the pick of a DARTS supernet",
        "caption": "Slide through the targets. Left: the infidelity that each "
        f"candidate cannot fall below, none below {LEAST:g} drawn, and what the pick "
        "reaches with the supernet's weights. Right: how the supernet came to pick.",
        "start": int(np.argmax([label == "rainbow" for label in labels])),
    }
