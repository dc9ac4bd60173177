"""The figure of long chains from end to end."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.workbook import plotting

LEAST = 1e-12  # infidelities and errors of energies below it are drawn there
STATES = {
    # state: (colour, marker, fill)
    "DMRG": ("#000000", "D", "none"),
    "DMRG, χ = 4": ("#777777", "D", "full"),
    "search": ("#0072B2", "o", "none"),
    "search, then VMC": ("#0072B2", "o", "full"),
    "fixed": ("#D55E00", "s", "none"),
    "fixed, then VMC": ("#D55E00", "s", "full"),
}
STARTS = ("search", "fixed")
SIZE = {"fontsize": 9.5}


def long_chain(chains):
    """Screen and search, energies against seconds, and R₂, a row a chain.

    Parameters
    ----------
    chains : sequence of `trials.long_chain.Found`
        One or two.
    """
    with plotting.style():
        size = 10.2, 3.5 * len(chains)
        figure, axes = plt.subplots(len(chains), 3, figsize=size, squeeze=False)
        for row, found in zip(axes, chains, strict=True):
            _searched(row[0], found)
            _energies(row[1], found)
            _entropies(row[2], found)
        axes[0, 1].legend(fontsize=7.5)
    told = [_told(found) for found in chains]
    return {
        "figure": figure,
        "name": "long_chain",
        "alt": "For Ising chains of "
        f"{chains[0].chain.num_sites} sites: bounds and infidelities of candidates, "
        "errors of energies against seconds, and Rényi-2 entropies against the cut",
        "caption": f"{' '.join(told)} Left: the bound on each candidate's infidelity, "
        "by the forecast (ring) and by the exact spectrum (cross), and the least "
        "infidelity of any seed before it was dropped, by the samples that it was "
        f"trained on (bar's end); none below {LEAST:g} is drawn; above it the median "
        "of what was picked, by fresh samples. Middle and right: what was picked, the "
        "RBM of all sites trained for as many evaluations, both after variational "
        "Monte Carlo, and DMRG; 95 % intervals (triangle: upper end of one that holds "
        "0); line: exact; "
        "pale where the swap estimate is not reliable.",
    }


def _told(found):
    """Forecast and pick of a chain, in words."""
    told, half = found.screened.forecast, found.chain.num_sites // 2 - 1
    picks = [name for (name,) in found.search.architectures]
    picked = ", ".join(f"{n} ({picks.count(n)})" for n in dict.fromkeys(picks))
    return (
        f"h = {found.chain.field:g}: S forecast as {told.entropy.value:.3f} "
        f"[{told.entropy.low:.3f}, {told.entropy.high:.3f}], exactly "
        f"{found.chain.entropy[half]:.3f} nats; picked (seeds): {picked}."
    )


def _searched(ax, found):
    bounds = found.screened.bounds
    best = {name: np.nan for name in bounds}
    tables = [rung["scores"] for rung in found.search.history]
    for scored in (*tables, found.search.table):
        for (name,), scores in scored.items():
            best[name] = np.fmin(best[name], np.nanmin(scores))
    places = np.arange(len(bounds))
    values = np.array(list(bounds.values())).T
    reached = np.array(list(best.values()))
    ax.hlines(places, LEAST, np.maximum(reached, LEAST), color="#9ec3e6", lw=5)
    ends = {"ls": "", "color": plotting.INK, "clip_on": False}
    ax.plot(np.maximum(values[0], LEAST), places, marker="o", mfc="none", **ends)
    ax.plot(np.maximum(values[1], LEAST), places, marker="x", **ends)
    ax.set(xscale="log", xlim=(LEAST, 3), xlabel="infidelity", ylim=(-0.6, None))
    ax.set_yticks(places, bounds)
    ax.grid(visible=False, axis="y")
    picked = np.median(found.infidelity["search"])
    ax.set_title(f"h = {found.chain.field:g}: picked at {picked:.2g}", **SIZE)


def _energies(ax, found):
    for one in found.reached:
        color, marker, fill = STATES[one.name]
        value, low, high = np.maximum(one.energy_error, LEAST)
        style = {"color": color, "marker": marker, "fillstyle": fill, "ls": ""}
        if one.energy_error.low > 0:
            ax.plot([one.seconds] * 2, [low, high], color=color, lw=1)
        else:  # zero is in the interval: its upper end
            value, style["marker"] = high, "v"
        ax.plot(one.seconds, value, **style)
        ax.plot([], [], **style | {"marker": marker}, label=one.name)
    ax.set(xscale="log", yscale="log", xlabel="seconds")
    ax.set_ylabel("error of the energy, (E − E₀) / |E₀|")
    ours, fixed = (found.state(f"{n}, then VMC").energy_error for n in STARTS)
    seconds = [one.seconds for one in found.reached]
    ends = np.floor(np.log10(min(seconds))), np.ceil(np.log10(max(seconds)))
    ax.set_xlim(10 ** ends[0], 10 ** ends[1])
    most = "" if ours.low > 0 else "≤ "
    error = ours.value if ours.low > 0 else ours.high
    ax.set_title(f"Energy off by {most}{error:.1g}; fixed: {fixed[0]:.1g}", **SIZE)


def _entropies(ax, found):
    N = found.chain.num_sites
    ax.plot(np.arange(1, N), found.chain.renyi2, color=plotting.INK, lw=1)
    step = N / 60
    for place, one in enumerate(found.reached):
        color, marker, fill = STATES[one.name]
        style = {"color": color, "marker": marker, "fillstyle": fill, "ls": ""}
        for index, cut in enumerate(found.cuts):
            alpha = 1.0 if one.reliable[index] else 0.35
            x = cut + (place - 2) * step
            ends = np.clip([one.low[index], one.high[index]], 0, 10)
            ax.plot([x, x], ends, color=color, lw=1, alpha=alpha)
            ax.plot(x, one.renyi2[index], alpha=alpha, **style)
    ax.set(xlabel="cut", ylabel="R₂, nats", xlim=(0, 0.6 * N))
    highest = max(np.nanmax(one.renyi2) for one in found.reached)
    ax.set_ylim(0, 1.2 * max(highest, found.chain.renyi2.max()))
    exact = found.chain.renyi2[found.cuts[-1] - 1]
    off = abs(found.state("search, then VMC").renyi2[-1] - exact)
    ax.set_title(f"R₂ of the half chain off by {off:.1g}", **SIZE)
