"""The figure of a state of a few keys: amplitudes, counts, and what they estimate."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.attention.figures.marks import LINE, SMALL
from qlib.workbook import plotting


def measured(found):
    """Amplitudes of a query's state, its measurements, and the mean measured value.

    Parameters
    ----------
    found : `trials.measurement.Measurement`
    """
    color = plotting.method_style("multinomial")["color"]
    with plotting.style():
        figure, axes = plt.subplots(
            1, 3, figsize=(10.2, 3.5), width_ratios=(1, 1.15, 1.3)
        )
        places = np.arange(len(found.amplitudes))
        axes[0].bar(places, found.amplitudes, color="#9ec3e6", width=0.7)
        axes[0].set_ylabel("amplitude ψ = √a")
        likeliest = int(found.amplitudes.argmax())
        share = found.amplitudes[likeliest] ** 2
        axes[0].set_title(f"ψ² of key {likeliest}: {share:.0%}", **SMALL)
        _counts(axes[1], found, places, color)
        for ax in axes[:2]:
            ax.set(xticks=places, xlabel="key")
            ax.grid(visible=False, axis="x")
        _estimates(axes[2], found, color)
    return {
        "figure": figure,
        "name": "measured",
        "alt": f"Amplitudes of {len(places)} keys, counts of {found.shots} "
        "measurements, and estimates of the output against measurements",
        "caption": "Left: the softmax weights a of one query as a state whose "
        "amplitudes are their roots. Middle: how often each key is measured, strokes: "
        "what is expected. In classical words, keys are drawn with probability a. "
        f"Right: the mean of the measured values, {found.estimates.shape[1]} runs for "
        "each number of measurements; solid: the output of softmax attention; dashed: "
        "theory's standard error around it.",
    }


def _counts(ax, found, places, color):
    expected = found.shots * found.amplitudes**2
    ax.bar(places, found.counts, color=color, width=0.7)
    ax.hlines(expected, places - 0.45, places + 0.45, color=plotting.INK, lw=1.6)
    ax.set_ylabel(f"counts of {found.shots} measurements")
    off = np.abs(found.counts - expected).sum() / 2 / found.shots
    ax.set_title(f"Counts: {off:.0%} lie elsewhere than expected", **SMALL)


def _estimates(ax, found, color):
    budgets = found.budgets.astype(float)
    for budget, estimates in zip(budgets, found.estimates, strict=True):
        spread = budget * np.geomspace(0.8, 1.25, len(estimates))
        ax.plot(spread, estimates, ".", color=color, ms=3, alpha=0.35)
    ax.axhline(found.exact, color=plotting.INK, lw=1.2)
    ends = np.geomspace(budgets[0] / 1.4, budgets[-1] * 1.4, 100)
    for sign in (-1, 1):
        ax.plot(ends, found.exact + sign * found.spread / ends**0.5, **LINE)
    ax.set(xscale="log", xlabel="measurements S", ylabel="estimate of Σ a v")
    ratio = found.deviation / (found.spread / budgets**0.5)
    title = f"Error × √S: {ratio.min():.2f} to {ratio.max():.2f} of theory's"
    ax.set_title(title, **SMALL)
