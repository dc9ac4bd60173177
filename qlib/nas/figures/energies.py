"""The figure of energies that are right and entropies that are not."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.trials.energies import SMALL, TOLD, certificate
from qlib.workbook import plotting

MARKS = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#117755", "^", "-."),
    ("#882255", "D", (0, (1, 1))),
)
LEAST = 1e-9, 1e-5  # relative errors of energies, and nats, below which none is drawn


def energies(pairs, found):
    """Errors of entropies against those of energies: constructed and trained states.

    Parameters
    ----------
    pairs : sequence of `trials.energies.Pairs`
        At most four.
    found : `trials.energies.Trained`
        Of at most four targets.
    """
    with plotting.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.1))
        _constructed(left, pairs)
        _trained(right, found)
        for ax in (left, right):
            ax.axvline(SMALL, 0, 0.84, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            ax.set(xscale="log", xlabel="error of the energy, (E − E₀) / |E₀|")
    return {
        "figure": figure,
        "name": "energies",
        "alt": "Error of the half-chain entropy against the relative error of the "
        f"energy, for {', '.join(one.name for one in pairs)}, and for "
        f"{', '.join(found.blocks)} trained on the energy of "
        f"{', '.join(found.targets)}",
        "caption": "Left: constructed states and DMRG of small bond dimension, "
        f"{', '.join(f'{one.name}: {_ends(one)}' for one in pairs)}. Right: "
        f"{found.energy_error.size} states of {found.num_sites} sites trained on the "
        "energy alone; lines: the most that energy and gap allow, flat where they "
        f"allow anything; told: to {TOLD:g} nats. Errors below {LEAST[0]:g} and "
        f"{LEAST[1]:g} nats are drawn there; dashed line: {SMALL:g}.",
    }


def _constructed(ax, pairs):
    shares = []
    for one, (color, marker, line) in zip(pairs, MARKS, strict=False):
        missing = abs(one.entropy - one.exact) / one.exact
        x = np.maximum(one.energy_error, LEAST[0])
        style = {"color": color, "marker": marker, "ls": line, "lw": 1}
        ax.plot(x, missing, label=one.name, **style)
        place = one.worst()
        shares.append(0.0 if place is None else missing[place])
    ax.set(ylabel="error of the entropy, share of it", ylim=(-0.03, 1.45))
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.legend(loc="upper left", ncols=2)
    ax.set_title(f"Energy right to {SMALL:g}, entropy off by up to {max(shares):.0%}")


def _trained(ax, found):
    x = np.geomspace(LEAST[0], 1, 200)
    for row, (color, marker, line) in enumerate(MARKS[: len(found.targets)]):
        most = certificate(x / found.gaps[row], found.num_sites // 2)
        ax.plot(x, most, color=color, ls=line, lw=1)
        ax.plot(
            np.maximum(found.energy_error[row].ravel(), LEAST[0]),
            np.maximum(abs(found.entropy_error[row]).ravel(), LEAST[1]),
            color=color,
            marker=marker,
            ls="",
            ms=4,
            mfc="none",
            label=found.targets[row],
        )
    low = max(LEAST[0], found.energy_error.min() / 3)
    ax.set(yscale="log", ylabel="error of the entropy, nats", xlim=(low, 1))
    least = max(LEAST[1], abs(found.entropy_error).min())
    ax.set_ylim(least / 2, 20 * found.num_sites)
    ax.legend(loc="upper left", ncols=2)
    ax.set_title(f"Energy and gap tell {found.told:.0%} of entropies")


def _ends(one):
    """The first and last label of some pairs."""
    return f"{one.labels[0]} to {one.labels[-1]}"
