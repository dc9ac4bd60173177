"""Figures of supernets: how architectures form, and what becomes of them alone."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.figures.marks import of_block
from qlib.workbook import plotting

SCHEMES = {
    # scheme: (colour, marker, line)
    "darts": ("#D55E00", "s", "-"),
    "gumbel": ("#CC79A7", "D", "--"),
    "expected": ("#0072B2", "o", "-"),
    "perturbation": ("#BE8200", "v", "--"),
    "successive halving": ("#0B6E4F", "^", "-"),
    "random": ("#777777", "x", ":"),
}
STAGES = ("mixture", "one-hot, shared weights", "trained alone")


def supernets(found, target, *, seed=0):
    """Probabilities of the candidates over the steps, entropies and the temperature.

    Parameters
    ----------
    found : `trials.supernets.Supernets`
    target : str
        One of `found.targets`.
    seed : int, optional
        Place of the seed that is drawn; the first unless given.
    """
    schemes = list(found.trained)
    slots = found.shares(schemes[0], target, seed).shape[1]
    with plotting.style():
        figure = plt.figure(figsize=(9.6, 2.6 + 1.7 * slots))
        above, below = figure.subfigures(2, 1, height_ratios=(1.7 * slots, 2.3))
        axes = above.subplots(
            slots, len(schemes), sharex=True, sharey=True, squeeze=False
        )
        for column, scheme in zip(axes.T, schemes, strict=True):
            shares = found.shares(scheme, target, seed)
            for slot, ax in enumerate(column):
                _shares(ax, found.trained[scheme], shares[:, slot])
            column[0].set_title(scheme, fontsize=9.5)
        for slot, ax in enumerate(axes[:, 0], start=1):
            ax.set_ylabel(f"probability, slot {slot}")
        handles = axes[0, 0].get_legend_handles_labels()
        above.legend(*handles, loc="outside upper center", ncols=len(handles[0]))
        entropy, heat = below.subplots(1, 2)
        for scheme in schemes:
            trace = found.trained[scheme].trace
            _entropy(entropy, trace, scheme)
            heat.plot(trace.steps, trace.temperature, **_style(scheme), markevery=4)
        entropy.set(xlabel="steps", ylabel="entropy, nats")
        entropy.set_title(_undecided(found), fontsize=9.5)
        entropy.legend(loc="lower left", ncols=2)
        heat.set(xlabel="steps", ylabel="temperature", ylim=0)
        heat.set_title("Gumbel's samples are annealed", fontsize=9.5)
    return {
        "figure": figure,
        "name": "supernets",
        "alt": f"Probability of each candidate over the steps for the target {target}, "
        "by scheme and slot; entropy and temperature by scheme",
        "caption": f"Top: probability of each candidate for the target {target}, one "
        "seed, after a stretch in which the weights alone are trained. Bottom left: "
        "entropy of all slots together, mean over targets and seeds and the range of "
        "the middle half. A vertical edge in the probabilities of the perturbation "
        "scheme is a slot decided.",
    }


def gaps(found):
    """Infidelities of the mixture, of its pick with shared weights, and of it alone.

    Parameters
    ----------
    found : `trials.supernets.Supernets`
    """
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9))
        for scheme in found.trained:
            stages = (found.relaxed(scheme), found.shared(scheme), found.alone[scheme])
            stages = np.array([stage.ravel() for stage in stages])  # (3, S T)
            left.plot(range(3), stages.mean(1), **_style(scheme), label=scheme)
            marks = _style(scheme) | {"ls": "", "ms": 4.5, "alpha": 0.8}
            right.plot(stages[1], stages[2], **marks, label=scheme)
        left.set_xticks(range(3), STAGES)
        left.set_xlim(-0.3, 2.3)
        left.set_ylabel("log10 infidelity, mean")
        rise, fall = _steps(found)
        left.set_title(
            f"One-hot gates cost {rise:.1f} decades, training alone gains {fall:.1f}",
            fontsize=9.5,
        )
        left.legend(loc="lower left")
        right.axline((-3, -3), slope=1, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        right.set(xlabel="log10 infidelity of the pick, shared weights")
        right.set_ylabel("log10 infidelity of the pick, alone")
        told = f"With shared weights and alone: r = {_correlation(found):.2f}"
        right.set_title(told, fontsize=9.5)
    return {
        "figure": figure,
        "name": "gaps",
        "alt": "Mean infidelity at three stages by scheme, and infidelity of the pick "
        "trained alone against with the supernet's weights",
        "caption": "Left: the mixture as trained; the picked architecture with the "
        "weights it had in the mixture; and trained from new weights. Right: a point a "
        "target and seed; on the dashed line training alone changes nothing. "
        "Infidelities below 1e-6 count as 1e-6.",
    }


def _shares(ax, trained, shares):
    trace = trained.trace
    for k, name in enumerate(trained.names):
        marks = of_block(name) | {"ms": 3.5, "lw": 1.2, "markevery": (k, 6)}
        ax.plot(trace.steps, shares[:, k], **marks, label=name)
    ax.set_ylim(-0.04, 1.04)


def _entropy(ax, trace, scheme):
    low, high = np.percentile(trace.entropy, (25, 75), axis=1)
    color = SCHEMES[scheme][0]
    ax.fill_between(trace.steps, low, high, color=color, alpha=0.12, linewidth=0)
    ax.plot(
        trace.steps, trace.entropy.mean(1), **_style(scheme), label=scheme, markevery=4
    )
    ax.set_ylim(0)


def _style(scheme):
    color, marker, line = SCHEMES[scheme]
    return {"color": color, "marker": marker, "ls": line, "ms": 4, "lw": 1.4}


def _undecided(found):
    ends = {
        scheme: trained.trace.entropy[-1].mean()
        for scheme, trained in found.trained.items()
    }
    most, least = max(ends, key=ends.get), min(ends, key=ends.get)
    return f"At the end: {least} {ends[least]:.2f}, {most} {ends[most]:.2f} nats"


def _steps(found):
    """Mean decades lost on one-hot gates, and won by training alone."""
    rise = [(found.shared(s) - found.relaxed(s)).mean() for s in found.trained]
    fall = [found.gap(s).mean() for s in found.trained]
    return np.mean(rise), np.mean(fall)


def _correlation(found):
    shared = np.concatenate([found.shared(s).ravel() for s in found.trained])
    alone = np.concatenate([found.alone[s].ravel() for s in found.trained])
    if np.ptp(shared) == 0 or np.ptp(alone) == 0:
        return 0.0
    return float(np.corrcoef(shared, alone)[0, 1])
