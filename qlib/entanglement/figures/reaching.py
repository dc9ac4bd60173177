"""Figures of the predictors beyond diagonalisation, and of what they cost."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from qlib.entanglement.figures.learning import KINDS
from qlib.entanglement.trials.costs import spent
from qlib.workbook import plotting


def errors(comparisons, size):
    """Mean absolute error of every method at one size, a panel a setting.

    Parameters
    ----------
    comparisons : sequence of `trials.reach.Comparison`
    size : int
    """
    every = [one.error(n, size) for one in comparisons for n in one.errors]
    edge = min(one.value for one in every) / 4  # where intervals are cut on the left
    furthest = max(one.high for one in every)
    with plotting.style():
        figure, axes = plt.subplots(
            1, len(comparisons), figsize=(9.6, 3.9), sharex=True
        )
        for ax, found in zip(axes, comparisons, strict=True):
            ax.set_xscale("log")
            names = list(found.errors)
            means = [found.error(name, size) for name in names]
            ends = [(max(one.low, edge), one.high) for one in means]
            plotting.interval_points(ax, names, [one.value for one in means], ends)
            for place, one in enumerate(means):
                if one.low < edge:
                    color = plotting.method_style(names[place])["color"]
                    ax.plot(edge, place, marker="<", color=color, ms=6)
            ax.set_xlim(edge / 1.3, 1.3 * furthest)
            ax.set_xlabel("mean absolute error of the entropy, nats")
            ax.xaxis.set_minor_formatter(NullFormatter())
            first, second = sorted(names, key=lambda n: found.error(n, size).value)[:2]
            apart = found.difference(first, second, size).high < 0
            says = f"{first} leads" if apart else "no clear leader"
            ax.set_title(f"{found.setting}: {says}", fontsize=9.5)
    points, families = len(found.truth), len(np.unique(found.family))
    trainings = [len(one.errors["size flow"]) for one in comparisons]
    known, unseen = ("once" if n == 1 else f"{n} times" for n in trainings)
    return {
        "figure": figure,
        "name": "errors",
        "alt": f"Mean absolute error of the half-chain entropy at {size} sites, for "
        f"{', '.join(names)}",
        "caption": f"{size} sites, {points} chains, means over {families} families "
        "with 95 % intervals; arrows: an interval that goes on to 0 or near "
        "it. Left: other points of families that were learnt. Right: families held out "
        f"whole. Each learnt method was trained {known} (left), and {unseen} for each "
        "part held out (right). One method leads where the paired difference from the "
        "second says so.",
    }


def predicted(found, size):
    """Predicted against true entropies, a panel a method.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    size : int
    """
    truth, shown = found.truth[:, -1], ("plain network", found.best(), "size flow")
    with plotting.style():
        figure, axes = plt.subplots(1, len(shown), figsize=(9.8, 4.0), sharey=True)
        ends = np.array([0, 1.05 * truth.max()])
        for ax, name in zip(axes, shown, strict=True):
            said = truth + found.errors[name][0, :, -1]
            ax.plot(ends, ends, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            for phase, (color, marker) in KINDS.items():
                here = found.phase == phase
                marks = {"color": color, "marker": marker, "ls": "", "ms": 4.5}
                ax.plot(truth[here], said[here], **marks, alpha=0.75, label=phase)
            error = found.error(name, size).value
            ax.set(xlabel="true entropy, nats")
            ax.set_title(f"{name}: off by {error:.2g} nats", fontsize=9.5)
        axes[0].set_ylabel("predicted entropy, nats")
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4)
    cover = {name: found.coverage(name, size) for name in shown}
    held = [f"{name} {one.value:.0%}" for name, one in cover.items() if one]
    return {
        "figure": figure,
        "name": "predicted",
        "alt": f"Predicted against true entropies at {size} sites, for "
        f"{', '.join(shown)}",
        "caption": f"Half chains of {size} sites, a point a chain; on the dashed line "
        "the prediction is right. In the middle the best baseline. Intervals of nine "
        f"tenths hold: {', '.join(held)}.",
    }


def costs(found, by_truncation, size):
    """Error against seconds a chain, of predictors and DMRG.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    by_truncation : dict
        Truncation of DMRG to `trials.costs.Cost`, the same chains.
    size : int
    """
    fine = by_truncation[min(by_truncation)]
    sound, style = ~fine.broken, {"linestyle": "", "ms": 9}
    with plotting.style():
        figure, ax = plt.subplots(figsize=(8.4, 4.4))
        marks = plotting.method_style("DMRG") | style
        for limit, one in by_truncation.items():
            fill = "full" if one is fine else "none"
            alone = ~one.broken
            wrong = np.mean(np.abs(one.dmrg_error[alone]))
            marks |= {"label": f"DMRG, truncation {limit:g}", "fillstyle": fill}
            ax.plot(np.median(one.dmrg_seconds[alone]), wrong, **marks)
        for name in found.errors:
            wrong = found.absolute(name, size)[fine.place][sound].mean()
            seconds = np.median(spent(fine, name, found)[sound])
            ax.plot(seconds, wrong, **plotting.method_style(name) | style)
        ax.set(xscale="log", yscale="log", xlabel="seconds a chain, training left out")
        ax.set_ylabel("mean absolute error, nats")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        wrong = np.mean(np.abs(fine.dmrg_error[sound]))
        seconds = np.median(fine.dmrg_seconds[sound])
        says = f"DMRG, truncation {min(by_truncation):g}: off by {wrong:.1g} nats"
        ax.set_title(f"{says} after {seconds:.2g} seconds")
    return {
        "figure": figure,
        "name": "costs",
        "alt": f"Error against seconds a chain at {size} sites, by method",
        "caption": f"Open chains of {size} sites whose answer is exact, "
        f"{sound.sum()} in number; medians of seconds, on one thread. All but the "
        "plain network and the boosted trees need the chain diagonalised first. Left "
        "out: chains of several ground states, "
        f"{fine.broken.sum()} in number, where DMRG, without sectors, takes one and "
        "says so.",
    }
