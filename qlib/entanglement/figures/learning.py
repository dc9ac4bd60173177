"""Figures of the dataset, and of what its spectra tell about phases."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.entanglement.dataset import PHASES
from qlib.entanglement.trials.cutoffs import change
from qlib.workbook import plotting

KINDS = {
    # phase: (colour, marker)
    "gapped": ("#0072B2", "o"),
    "gapless": ("#009E73", "^"),
    "critical": ("#D55E00", "s"),
    "topological": ("#5B2A9B", "D"),
}
FLOOR = 1e-16  # a gap below it is drawn there
NARROW = 0.02  # a gap that a solver, or a few more sites, take for none


def rows(halves, gaps):
    """Entropy against capacity of the largest chains, and gaps with and without sector.

    Parameters
    ----------
    halves : pandas.DataFrame
        Of `Dataset.half_chain`.
    gaps : `trials.sectors.Gaps`
    """
    largest = halves[halves["size"] == halves["size"].max()]
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4))
        for phase, (color, marker) in KINDS.items():
            marks = {
                "color": color,
                "marker": marker,
                "ls": "",
                "ms": 4.5,
                "alpha": 0.75,
            }
            here = largest[largest["phase"] == phase]
            left.plot(here["entropy"], here["capacity"], **marks, label=phase)
            of = gaps.phase == phase
            every, named = np.maximum((gaps.every[of], gaps.named[of]), FLOOR)
            right.plot(every, named, **marks)
        left.set(xlabel="entropy of the half chain S, nats")
        left.set_ylabel("capacity C, variance of ξ, nats²")
        left.set_title(
            f"{len(largest)} ground states of {largest['size'].iloc[0]} sites"
        )
        handles = left.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4)
        ends = np.array([gaps.named.min(), gaps.named.max()])
        right.plot(ends, ends, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        right.set(xscale="log", yscale="log")
        right.set(xlabel="gap among all states, J", ylabel="gap in the sector, J")
        alone, named = ((gap < NARROW).sum() for gap in (gaps.every, gaps.named))
        right.set_title(f"Gaps below {NARROW:g} J: {alone}; in their sectors: {named}")
    return {
        "figure": figure,
        "name": "rows",
        "alt": "Capacity against entropy of ground states by phase; gap within the "
        "named sector against the gap among all states",
        "caption": "Left: phases overlap in these two numbers. Right: a point a chain "
        f"of {gaps.sites} sites; on the dashed line the sector changes nothing. To the "
        "left lie chains of several orders or with modes at their ends: as they grow, "
        "a solver without sectors returns any mixture of states.",
    }


def phases(found, points, families, simple):
    """Which phase a forest names for which, known and unknown families.

    Parameters
    ----------
    found : `trials.phases.Spectra`
    points, families : `trials.phases.Named`
    simple : (Named, Named)
        Of forests that see entropy and capacity alone.
    """
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.4))
        for ax, one, other, what in (
            (axes[0], points, simple[0], "points held out"),
            (axes[1], families, simple[1], "families held out"),
        ):
            pairs = [
                [(found.phase == p) & (one.named == n) for n in PHASES] for p in PHASES
            ]
            counts = np.sum(pairs, axis=-1)
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for row, column in np.ndindex(counts.shape):
                ink = "white" if shares[row, column] > 0.6 else plotting.INK
                text = f"{shares[row, column]:.0%}"
                ax.text(column, row, text, ha="center", va="center", color=ink)
            ax.set_xticks(range(len(PHASES)), PHASES)
            ax.set_yticks(range(len(PHASES)), PHASES if ax is axes[0] else [])
            ax.set_xlabel("phase named")
            ax.grid(visible=False)
            right, plain = one.accuracy.value, other.accuracy.value
            says = f"{what}: {right:.0%} right, {plain:.0%} from S and C"
            ax.set_title(says, fontsize=9.5)
        axes[0].set_ylabel("true phase")
    return {
        "figure": figure,
        "name": "phases",
        "alt": "Two tables of true against named phases, for points and for families "
        "held out",
        "caption": "Shares of each row. A forest sees the eight lowest entanglement "
        "energies of the half chain and their distances. Left: it knows other points "
        "of the same families. Right: it knows other families alone. Shares right are "
        "means over families; beside them, those of a forest that sees entropy and "
        "capacity alone.",
    }


def cutoffs(found):
    """Variance of the log-spectrum against the cut-off, unweighted and weighted.

    Parameters
    ----------
    found : `trials.cutoffs.Moments`
    """
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8))
        for ax, values, color, name in (
            (axes[0], found.unweighted, "#D55E00", "every level alike"),
            (axes[1], found.weighted, "#0072B2", "weighted by p"),
        ):
            faint = min(0.5, 50 / len(values))
            ax.plot(found.cutoffs, values.T, color=color, lw=0.5, alpha=faint)
            median = np.median(values, axis=0)
            ax.plot(found.cutoffs, median, color=plotting.INK, marker="o")
            ax.set(xscale="log", xlabel="cut-off on p", ylabel="variance of ξ, nats²")
            ax.set_ylim(0)
            ax.invert_xaxis()
            moved = change(values).value
            ax.set_title(f"{name}: moves by {moved:.2g} spreads", fontsize=9.5)
    return {
        "figure": figure,
        "name": "cutoffs",
        "alt": "Variance of the entanglement spectrum against the cut-off, every level "
        "counted alike, and weighted",
        "caption": f"Thin: {len(found.weighted)} ground states; thick: their median. A "
        "lower cut-off lets in ever more levels of no weight, each of which counts as "
        "much as the first on the left, and nothing on the right. A spread is the "
        "standard deviation among the states.",
    }
