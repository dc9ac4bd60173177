"""Figures of single ground states: a known case, spectra, laws of growth, RBMs."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, ScalarFormatter

from qlib import intervals
from qlib.entanglement.scaling import MARGINS
from qlib.entanglement.trials.chains import CHAINS, multiplicities
from qlib.entanglement.trials.laws import RAINBOW
from qlib.workbook import plotting

LEAST = 1e-17  # errors of exactly 0 are drawn there
HIGHEST = 12.0  # nats above which entanglement energies are not drawn
MULTIPLETS = {
    # multiplicity: (colour, marker, size in points)
    1: ("#777777", ".", 4),
    2: ("#0072B2", "s", 3.5),
    4: ("#D55E00", "D", 4),
    0: ("#882255", "x", 4),  # any other
}
CURVES = {
    # chain: (colour, marker, line style)
    "Ising, h = 2": ("#0072B2", "o", "-"),
    "Ising, h = 1": ("#D55E00", "s", "-"),
    "XX": ("#009E73", "^", "--"),
    "rainbow": ("#5B2A9B", "D", "-"),
    "random states": ("#000000", "*", ":"),
}


def known(routes, apart):
    """Energies of the open critical Ising chain against the exact ones, by route.

    Parameters
    ----------
    routes : dict
        Method to `trials.known.Route`.
    apart : float
        Largest difference of entropies of two routes, nats.
    """
    worst = max(one.errors.max() for one in routes.values())
    exact = sum(np.count_nonzero(one.errors == 0) for one in routes.values())
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.7))
        for place, (name, one) in enumerate(routes.items()):
            marks = plotting.method_style(name) | {"linewidth": 1}
            left.plot(one.sizes, np.maximum(one.errors, LEAST), **marks)
            size = {"ms": 13 - 4 * place, "mfc": "none", "mew": 1.4}
            right.plot(one.sizes, one.entropies, **marks | size)
        left.set(yscale="log", ylabel="error of the energy, relative")
        right.set(ylabel="entropy of the half chain, nats")
        left.set_title(f"Energies are right to {worst:.1g}")
        right.set_title(f"Entropies differ by at most {apart:.1g}")
        for ax in (left, right):
            _sizes(ax, np.unique(np.concatenate([r.sizes for r in routes.values()])))
        left.legend()
    return {
        "figure": figure,
        "name": "known",
        "alt": "Error of the energy and entropy of the half chain against the number "
        f"of sites, by {', '.join(routes)}",
        "caption": "The open Ising chain at h = J, whose energy is known in closed "
        "form. Left: rounding alone stands at 1e-16; errors of exactly 0 "
        f"({exact} here) are drawn at {LEAST:g}. Right: points of the three "
        "routes, drawn in three sizes, lie in one another.",
    }


def spectra(sweeps):
    """Half-chain spectra against each chain's parameter, a panel a chain.

    Parameters
    ----------
    sweeps : sequence of `trials.chains.Sweep`
        Four.
    """
    with plotting.style():
        figure, axes = plt.subplots(2, 2, figsize=(9.4, 7.0))
        for ax, one in zip(axes.flat, sweeps, strict=True):
            counts = np.array([multiplicities(levels) for levels in one.levels])
            above = one.levels - one.levels[:, :1]
            for many, (color, marker, size) in MULTIPLETS.items():
                drawn = (above < HIGHEST) & (counts == many)
                if many == 0:
                    drawn = (above < HIGHEST) & ~np.isin(counts, [1, 2, 4])
                place, level = np.nonzero(drawn)
                label = f"{many}-fold" if many else "other"
                style = {"color": color, "marker": marker, "ms": size, "ls": ""}
                ax.plot(one.x[place], above[place, level], **style, label=label)
            chain = CHAINS[one.name]
            ax.axvline(chain.transition, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            for x, phase in zip((0.03, 0.97), chain.phases, strict=True):
                side = "left" if x < 0.5 else "right"
                ax.text(
                    x, 0.95, phase, ha=side, transform=ax.transAxes, color="#5c636d"
                )
            ax.set(xlabel=chain.label, ylim=(-0.6, 1.12 * HIGHEST))
            ax.set_title(_doublets(one, counts[:, 0]), fontsize=9.5)
        for ax in axes[:, 0]:
            ax.set_ylabel("ξ − ξ₁, nats")
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4, markerscale=1.5)
    sizes = ", ".join(f"{one.name} {one.num_sites}" for one in sweeps)
    return {
        "figure": figure,
        "name": "spectra",
        "alt": "Entanglement energies above the lowest against a parameter of the "
        f"Hamiltonian, for {', '.join(CHAINS)}; marks tell how many coincide",
        "caption": "Energies ξ = −ln p of the half chain above the lowest. Levels that "
        "follow one another within 0.01 nats are one multiplet; colour and shape "
        "tell how many it has, other: 3, 5 or more. Dashed: the transition, where a "
        f"chain without end is critical. Sites: {sizes}. Rings are cut twice, which "
        f"squares a multiplicity. {_apart(sweeps)}",
    }


def laws(growths, charges, page):
    """Half-chain entropies against size, and central charges from all cuts.

    Parameters
    ----------
    growths : dict
        Chain to `trials.laws.Growth`.
    charges : dict
        Critical chain to `trials.laws.Charge`.
    page : (sizes, entropies)
        Mean entropy of random states.
    """
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4))
        curves = {name: (one.sizes, one.entropies) for name, one in growths.items()}
        for name, (sizes, entropies) in (curves | {"random states": page}).items():
            color, marker, line = CURVES[name]
            marks = {"color": color, "marker": marker, "ls": line}
            named = f"rainbow, α = {RAINBOW:g}" if name == "rainbow" else name
            label = f"{named}: {_times(entropies)}"
            left.plot(sizes, entropies, **marks, label=label)
        left.set(yscale="log", ylabel="entropy of the half chain, nats")
        _sizes(left, page[0])
        left.legend(loc="upper left")
        left.set_title(_extremes(growths), fontsize=9.5)
        for name, one in charges.items():
            _charge(right, name, one)
        right.set(xlabel="chord length (1/6) ln[(2N/π) sin(πℓ/N)]")
        right.set_ylabel("entropy of the first ℓ sites, nats")
        right.legend(loc="upper left")
        found = [f"{name}: c = {c.estimate.value:.3f}" for name, c in charges.items()]
        right.set_title("; ".join(found), fontsize=9.5)
    sites = len(one.entropies) + 1
    kept = _window(sites)
    return {
        "figure": figure,
        "name": "laws",
        "alt": "Entropy of the half chain against size on logarithmic axes for "
        f"{', '.join(curves)} and random states; entropy against chord length for "
        f"{' and '.join(charges)}",
        "caption": "Left: area law (flat), logarithmic law, volume law (straight with "
        "slope one); ×: how many times the entropy grows from the first size to the "
        f"last. Right: all cuts of {sites} sites; on this axis an open critical "
        f"chain is a line of slope c. Filled: cuts {kept.start} to {kept.stop - 1}, of "
        "which the fit is made, with a correction near the ends; hollow: cuts left "
        "out. Lines have the slope found. Random states: Page's formula.",
    }


def rbms(growths, built, grid, ranks):
    """Entropies of RBMs against size, over weights, and ranks against the bound.

    Parameters
    ----------
    growths : dict
        Kind of RBM to `trials.rbms.Growth`.
    built : (sizes, entropies)
        Of the constructed RBM, nats.
    grid : dict
        (weights, scale) to `trials.rbms.Growth` of RBMs whose units see all sites.
    ranks : `trials.rbms.Ranks`
    """
    with plotting.style():
        figure, axes = plt.subplots(2, 2, figsize=(9.6, 8.4))
        _growth(axes[0, 0], growths, built)
        _grid(axes[0, 1], grid)
        _ranks(axes[1, 0], ranks)
        _filled(axes[1, 1], ranks)
    counts = dict.fromkeys(len(one.entropies) for one in growths.values())
    draws = " or ".join(str(count) for count in counts)
    ranges = {k: len(one.sizes) for k, one in growths.items() if "range" in k}
    sizes = ", ".join(f"{count} ({kind})" for kind, count in ranges.items())
    return {
        "figure": figure,
        "name": "rbms",
        "alt": "Entropy of the half chain of random RBMs against size, for "
        f"{', '.join(growths)}; gain by kind and scale of weights; Schmidt rank and "
        "entropy against range with their bounds",
        "caption": f"Top left: means of {draws} draws of complex weights with 95 % "
        "intervals; the constructed RBM has (N/2) ln 2. A range r starts at 4r sites, "
        "below which the ends are felt, so that gains rest on as many sizes: "
        f"{sizes}. Top right: entropy gained with a site of the half chain, in ln 2, "
        "where every unit sees every site. Bottom: every draw of complex weights; "
        "crosses: how many Schmidt probabilities hold all but 1e-8 of the weight. "
        "A rank of 2^q could hold an entropy of q ln 2.",
    }


def _growth(ax, growths, built):
    for (kind, one), marks in zip(growths.items(), _marks(), strict=False):
        means = [intervals.student_mean(column) for column in one.entropies.T]
        ends = np.array([(mean.low, mean.high) for mean in means]).T
        ax.vlines(one.sizes, *ends, color=marks["color"], lw=1)
        ax.plot(one.sizes, one.entropies.mean(axis=0), **marks, label=kind)
    ax.plot(*built, color=plotting.INK, marker="*", label="constructed")
    ax.set(xlabel="sites N", ylabel="entropy of the half chain, nats")
    ax.set_xticks(built[0])
    ax.set_ylim(0, 1.4 * built[1].max())
    ax.legend(loc="upper left")
    short = max(g.gains.mean() for kind, g in growths.items() if "range" in kind)
    ax.set_title(f"Short ranges gain at most {short:.2f} ln 2 a site", fontsize=9.5)


def _grid(ax, grid):
    kinds = list(dict.fromkeys(weights for weights, _ in grid))
    scales = list(dict.fromkeys(scale for _, scale in grid))
    gains = np.array([[grid[k, s].gains.mean() for s in scales] for k in kinds])
    ax.imshow(gains, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(gains.shape):
        ink = "white" if gains[row, column] > 0.6 else plotting.INK
        text = f"{gains[row, column]:.2f}"
        ax.text(column, row, text, ha="center", va="center", color=ink)
    ax.set_xticks(range(len(scales)), [f"{scale:.2g}" for scale in scales])
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set_xlabel("scale of the weights")
    ax.grid(visible=False)
    low, high = gains.min(), gains.max()
    says = f"Units that see all sites gain {low:.2f} to {high:.2f} ln 2 a site"
    ax.set_title(says, fontsize=9.5)


def _ranks(ax, ranks):
    shift = np.linspace(-0.12, 0.12, ranks.rank.shape[1])
    places = ranks.reach[:, None] + shift
    ax.plot(ranks.reach, ranks.bound, color=plotting.INK, ls="--", label="bound 2^q")
    ax.plot(
        places.ravel(), ranks.rank.ravel(), "o", color="#0072B2", ms=4, label="rank"
    )
    effective = ranks.effective.ravel()
    ax.plot(places.ravel(), effective, "x", color="#D55E00", ms=4, label="R(1e−8)")
    ax.set_yscale("log", base=2)
    ax.set(xlabel="range, sites to either side", ylabel="Schmidt rank")
    ax.set_xticks(ranks.reach)
    ax.legend(loc="upper left")
    reached = (ranks.rank == ranks.bound[:, None]).mean()
    ax.set_title(f"{reached:.0%} of draws have the rank 2^q", fontsize=9.5)


def _filled(ax, ranks):
    most = np.log(ranks.bound)
    shift = np.linspace(-0.12, 0.12, ranks.entropy.shape[1])
    places = ranks.reach[:, None] + shift
    ax.plot(ranks.reach, most, color=plotting.INK, ls="--", label="bound q ln 2")
    dots = {"color": "#0072B2", "marker": "o", "ls": "", "ms": 4}
    ax.plot(places.ravel(), ranks.entropy.ravel(), **dots, label="entropy")
    ax.set(xlabel="range, sites to either side", ylabel="entropy, nats")
    ax.set_xticks(ranks.reach)
    ax.set_ylim(0)
    ax.legend(loc="upper left")
    used = (ranks.entropy / most[:, None]).mean()
    ax.set_title(f"Their entropy is {used:.0%} of q ln 2 on average", fontsize=9.5)


def _marks():
    colors = ("#0072B2", "#3F97D0", "#332288", "#D55E00", "#BE8200", "#882255")
    for color, marker, line in zip(
        colors, "os^DvP", ("-",) * 3 + ("--",) * 3, strict=True
    ):
        yield {"color": color, "marker": marker, "ls": line}


def _sizes(ax, sizes):
    """A logarithmic axis of numbers of sites, with round ticks."""
    ax.set(xscale="log", xlabel="sites N")
    powers = [n for n in (8, 16, 32, 64, 128, 256, 400) if sizes[0] <= n <= sizes[-1]]
    ax.set_xticks(powers)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())


def _doublets(one, lowest):
    """Where the lowest level of a chain is degenerate, in words."""
    many = np.unique(lowest[lowest > 1])
    if not len(many):
        return f"{one.name}: lowest nowhere degenerate"
    low, high = one.x[lowest > 1][[0, -1]]
    fold = "- or ".join(str(number) for number in many)
    where = f"{low:.2g} ≤ {_symbol(one)} ≤ {high:.2g}".replace("-", "−")
    return f"{one.name}: lowest {fold}-fold for {where}"


def _apart(sweeps):
    """What chains without a degenerate lowest level have instead."""
    parts = []
    for one in sweeps:
        gaps = one.levels[:, 1] - one.levels[:, 0]
        if all(multiplicities(levels)[0] == 1 for levels in one.levels):
            parts.append(
                f"In the {one.name} chain of {one.num_sites} sites the two lowest "
                f"levels stay {gaps.min():.1g} nats apart or more: a doublet of the "
                f"{CHAINS[one.name].phases[-1]} takes longer ones."
            )
    return " ".join(parts)


def _symbol(one):
    return CHAINS[one.name].label.split()[-1]


def _times(entropies):
    """How many times the last entropy is the first."""
    return f"× {entropies[-1] / entropies[0]:.3g}"


def _extremes(growths):
    """Which entropy grows most and which least, in words."""
    told = sorted(
        growths, key=lambda name: -np.divide(*growths[name].entropies[[-1, 0]])
    )
    sizes = growths[told[0]].sizes
    most, least = (
        f"{n}: {_times(growths[n].entropies)}" for n in told[:: len(told) - 1]
    )
    return f"{sizes[-1] // sizes[0]} times the sites: {most}; {least}"


def _window(num_sites):
    """Cuts that the fit of a central charge is made of."""
    margin = round(MARGINS[1] * num_sites)
    return range(margin, num_sites - margin + 1)


def _charge(ax, name, one):
    color, marker, _ = CURVES[name]
    num_sites = len(one.entropies) + 1
    cuts = np.arange(1, num_sites)
    chord = np.log(2 * num_sites / np.pi * np.sin(np.pi * cuts / num_sites)) / 6
    kept = np.isin(cuts, _window(num_sites))
    low, high = one.estimate.low, one.estimate.high
    label = f"{name}: c in [{low:.3f}, {high:.3f}]"
    style = {"color": color, "marker": marker, "ls": "", "ms": 4}
    ax.plot(chord[~kept], one.entropies[~kept], **style, mfc="none")
    ax.plot(chord[kept], one.entropies[kept], **style, label=label)
    offset = np.mean(one.entropies[kept] - one.estimate.value * chord[kept])
    ax.plot(chord, offset + one.estimate.value * chord, color=color, lw=1)
