"""The figure of attention maps by backend, and of the entropy of heads."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import PowerNorm

from qlib.attention.figures.marks import SHADE, SMALL, of_method, seen
from qlib.workbook import plotting

COLUMNS = 4


def maps(found):
    """Maps of one head by backend; entropies, and distances from exact, of all heads.

    Parameters
    ----------
    found : `trials.maps.Maps`
    """
    head = sharpest(found)
    rows = -(-len(found.names) // COLUMNS)
    with plotting.style():
        figure = plt.figure(figsize=(10.2, 2.75 * rows + 3.6))
        above, below = figure.subfigures(2, 1, height_ratios=(2.75 * rows, 3.6))
        axes = above.subplots(rows, COLUMNS, squeeze=False).flat
        norm = PowerNorm(SHADE, 0, found.weights[0][head].max())
        for ax in axes[len(found.names) :]:
            ax.set_visible(False)
        for place in range(len(found.names)):
            _map(axes[place], found, place, head, norm)
        left, right = below.subplots(1, 2)
        order = np.argsort(found.entropy[0], axis=None)
        _heads(left, found, found.entropy, order)
        left.set(ylabel="entropy, nats, mean over queries")
        left.set_title(_moved(found), **SMALL)
        _heads(right, found, found.distance, order)
        right.set(ylabel="total variation from exact")
        right.set_title(_nearest(found), **SMALL)
        handles = left.get_legend_handles_labels()
        below.legend(*handles, loc="outside lower center", ncols=COLUMNS)
    layer, number = head
    return {
        "figure": figure,
        "name": "maps",
        "alt": f"Attention maps of one head by {', '.join(found.names)}, and entropy "
        "and distance from exact of all heads",
        "caption": f"Top: head {number} of layer {layer}, whose exact weights have the "
        f"least entropy; bright: large (power {SHADE}, so that small weights are "
        "seen), white: not allowed. Queries from top to bottom, keys from left to "
        "right. Bottom: all heads in the order of their exact entropies. Estimates "
        "that can be negative have no entropy.",
    }


def sharpest(found):
    """(layer, head) of the exact weights of least entropy."""
    exact = found.entropy[0]
    place = np.unravel_index(exact.argmin(), exact.shape)
    return tuple(int(index) for index in place)


def _map(ax, found, place, head, norm):
    shown = seen(found.weights[place][head], found.weights[0][head])
    ax.imshow(shown, norm=norm, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    told = f"differs by {found.distance[place][head]:.0%}"
    if place == 0:
        told = f"{found.entropy[0][head]:.2g} nats"
    ax.set_title(f"{found.names[place]}:\n{told}", **SMALL)


def _heads(ax, found, numbers, order):
    """One number of each head, by configuration."""
    names = zip(found.names, ("exact", *found.backends), numbers, strict=True)
    for name, backend, row in names:
        if backend == "exact":
            marks = {"color": plotting.INK, "lw": 1.4, "label": name}
        else:
            marks = of_method(backend) | {"linestyle": "", "ms": 4.5, "label": name}
        ax.plot(row.ravel()[order], **marks)
    ax.set(xlabel="heads, by exact entropy", ylim=0, xticks=range(len(order)))


def _moved(found):
    """The configuration whose entropies are furthest from the exact ones."""
    moved = np.abs(found.entropy - found.entropy[0]).mean((1, 2))[1:]
    if not np.isfinite(moved).any():
        return "Entropy of the heads"
    place = int(np.nanargmax(moved))
    return f"Entropy most moved by {found.names[1 + place]}: {moved[place]:.2g} nats"


def _nearest(found):
    """The configuration whose weights are nearest to the exact ones."""
    apart = found.distance.mean((1, 2))[1:]
    place = int(apart.argmin())
    return f"Nearest to exact: {found.names[1 + place]}, {apart[place]:.0%} off"
