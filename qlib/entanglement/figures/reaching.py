"""Figures of the predictors beyond diagonalisation, and of what they cost."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from qlib.entanglement.figures.learning import KINDS
from qlib.entanglement.trials.costs import spent
from qlib.workbook import plotting

SHOWN = ("plain network", "same as largest", "size flow")


def errors(comparisons, size):
    """Mean absolute error of every method at one size, a panel a setting.

    Parameters
    ----------
    comparisons : sequence of `trials.reach.Comparison`
    size : int
    """
    with plotting.style():
        figure, axes = plt.subplots(
            1, len(comparisons), figsize=(9.6, 3.9), sharex=True
        )
        for ax, found in zip(axes, comparisons, strict=True):
            ax.set_xscale("log")
            names = list(found.errors)
            means = [found.error(name, size) for name in names]
            ends = [(one.low, one.high) for one in means]
            plotting.interval_points(ax, names, [one.value for one in means], ends)
            ax.set_xlabel("mean absolute error of the entropy, nats")
            ax.xaxis.set_minor_formatter(NullFormatter())
            best = min(zip(means, names, strict=True))[1]
            ax.set_title(f"{found.setting}: {best} is lowest", fontsize=9.5)
    points, seeds = len(found.truth), len(found.errors["size flow"])
    return {
        "figure": figure,
        "name": "errors",
        "alt": f"Mean absolute error of the half-chain entropy at {size} sites, for "
        f"{', '.join(names)}",
        "caption": f"{size} sites, means over {points} chains with 95 % intervals, "
        f"{seeds} trainings each. Left: other points of families that were learnt. "
        "Right: families held out whole; the mean is over families. Whether one method "
        "beats another is decided on paired differences, under Verdict.",
    }


def predicted(found, size):
    """Predicted against true entropies, a panel a method.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    size : int
    """
    truth = found.truth[:, -1]
    with plotting.style():
        figure, axes = plt.subplots(1, len(SHOWN), figsize=(9.8, 4.0), sharey=True)
        ends = np.array([0, 1.05 * truth.max()])
        for ax, name in zip(axes, SHOWN, strict=True):
            said = truth + found.errors[name][0, :, -1]
            ax.plot(ends, ends, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            for phase, (color, marker) in KINDS.items():
                here = found.phase == phase
                marks = {"color": color, "marker": marker, "ls": "", "ms": 4.5}
                ax.plot(truth[here], said[here], **marks, alpha=0.75, label=phase)
            error = found.error(name, size).value
            ax.set(xlabel="true entropy, nats")
            ax.set_title(f"{name}: off by {error:.2g}", fontsize=9.5)
        axes[0].set_ylabel("predicted entropy, nats")
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4)
    held = ", ".join(f"{name} {found.coverage(name, size).value:.0%}" for name in SHOWN)
    return {
        "figure": figure,
        "name": "predicted",
        "alt": f"Predicted against true entropies at {size} sites, for "
        f"{', '.join(SHOWN)}",
        "caption": f"Half chains of {size} sites, a point a chain; on the dashed line "
        f"the prediction is right. Intervals of nine tenths hold: {held}.",
    }


def costs(found, cost, size):
    """Error against seconds a chain, of predictors and DMRG.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    cost : `trials.reach.Cost`
    size : int
    """
    sound = ~cost.broken
    rows = {"DMRG": (np.abs(cost.dmrg_error), cost.dmrg_seconds)}
    for name in found.errors:
        wrong = found.absolute(name, size)[cost.place]
        rows[name] = wrong, spent(cost, name, found)
    with plotting.style():
        figure, ax = plt.subplots(figsize=(8.0, 4.4))
        for name, (wrong, seconds) in rows.items():
            marks = plotting.method_style(name) | {"linestyle": "", "ms": 9}
            ax.plot(np.median(seconds[sound]), np.mean(wrong[sound]), **marks)
        ax.set(xscale="log", yscale="log", xlabel="seconds a chain, training left out")
        ax.set_ylabel("mean absolute error, nats")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        wrong, seconds = np.mean(rows["DMRG"][0][sound]), np.median(cost.dmrg_seconds)
        ax.set_title(f"DMRG is off by {wrong:.1g} nats after {seconds:.2g} seconds")
    return {
        "figure": figure,
        "name": "costs",
        "alt": f"Error against seconds a chain at {size} sites, by method",
        "caption": f"{sound.sum()} open chains of {size} sites whose answer is exact, "
        "one thread. All but the network and the trees need the chain diagonalised "
        f"first. Passed over: {cost.broken.sum()} chains of several ground states, of "
        "which DMRG, without sectors, takes one and says so.",
    }
