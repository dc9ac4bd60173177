"""One chain at one cut: its spectrum and its entropies, to play with."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.entanglement import scaling
from qlib.entanglement.trials.chains import CHAINS, multiplicities
from qlib.workbook import plotting


def cut(found, name, x, position):
    """Entanglement energies at one cut, and entropies at all cuts.

    Parameters
    ----------
    found : `trials.chains.Cut`
    name : str
        Of `trials.chains.CHAINS`.
    x : float
        The chain's parameter.
    position : int
        Sites on the left of the cut.

    Returns
    -------
    matplotlib.figure.Figure
    """
    num_sites = len(found.entropies) + 1
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.6))
        levels = found.spectrum[np.isfinite(found.spectrum)]
        counts = multiplicities(levels)
        left.hlines(levels, np.arange(len(levels)), np.arange(len(levels)) + 0.8, lw=3)
        for place in np.flatnonzero(counts > 1):
            left.plot(place + 0.4, levels[place], "D", color="#D55E00", ms=5)
        left.set(xlabel="level", ylabel="entanglement energy ξ, nats")
        many = f"{counts[0]}-fold" if counts[0] > 1 else "not degenerate"
        left.set_title(f"Lowest level {many}")
        right.plot(np.arange(1, num_sites), found.entropies, marker="o", ms=3)
        right.axvline(position, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        right.set(xlabel="sites ℓ left of the cut", ylabel="entropy S(ℓ), nats")
        right.set_ylim(0, 1.1 * max(found.entropies.max(), 0.1))
        right.set_title(_charge(found.entropies, CHAINS[name].boundary))
        label = CHAINS[name].label
        figure.suptitle(f"{name}, N = {num_sites}, {label} = {x:.2f}", fontsize=10)
    return figure


def cuts(figures, labels, name):
    """A slider over figures of `cut`, that works without a kernel."""
    return {
        "figures": figures,
        "labels": labels,
        "name": "cuts",
        "alt": f"Entanglement spectrum and entropies of the {name} chain",
        "caption": "Slide through the transition. Left: energies at the half chain; "
        "diamonds mark levels that coincide with a neighbour. Right: entropies at all "
        "cuts, and c where the chain's entropies follow the critical law.",
        "start": len(figures) // 2,
    }


def _charge(entropies, boundary):
    try:
        charge = scaling.central_charge(entropies, boundary)
    except ValueError:
        return "not critical: no c"
    return f"c = {charge.value:.2f} [{charge.low:.2f}, {charge.high:.2f}]"
