"""The figure of a language model's loss beside the error of its attention."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.attention.figures.marks import LINE, SMALL, in_percent, of_method
from qlib.workbook import plotting

LEAST = 1e-4  # bits; less than that is drawn there
LEAST_ERROR = 1e-3


def losses(several):
    """Extra bits per character against the error of the attention, a panel a length.

    Parameters
    ----------
    several : sequence of `trials.language.Losses`
    """
    with plotting.style():
        size = 1.4 + 3.6 * len(several), 4.5
        figure, axes = plt.subplots(
            1, len(several), figsize=size, sharey=True, squeeze=False
        )
        for ax, found in zip(axes[0], several, strict=True):
            _panel(ax, found)
        axes[0, 0].set_ylabel("bits per character above exact attention")
        for backend in dict.fromkeys(b for found in several for b in found.backends):
            axes[0, 0].plot([], [], **of_method(backend) | {"linestyle": ""})
        figure.legend(loc="outside lower center", ncols=5 if len(several) > 1 else 3)
    return {
        "figure": figure,
        "name": "losses",
        "alt": "Bits per character above exact attention against the relative error of "
        f"the attention, for {', '.join(several[0].names)}",
        "caption": "Every layer attends by the same backend, of a model trained with "
        "exact attention. Mean over windows of the test text with 95 % intervals, "
        "paired with exact attention; on the dashed line none is lost, below "
        f"{LEAST:g} the axis is linear. Error: root mean square over heads, on the "
        "model's own queries, keys and values; below "
        f"{LEAST_ERROR:.1%} it is drawn there.",
    }


def _panel(ax, found):
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=LEAST)
    for name, backend in zip(found.names, found.backends, strict=True):
        marks = of_method(backend) | {"linestyle": "", "label": None}
        excess, error = found.excess(name), max(found.error(name), LEAST_ERROR)
        ax.plot([error] * 2, [excess.low, excess.high], color=marks["color"], lw=1.2)
        ax.plot(error, excess.value, ms=6, **marks)
    in_percent(ax.xaxis)
    ax.axhline(0, **LINE)
    ax.set_xlabel("relative error of the attention")
    ax.set_title(_finding(found), **SMALL)


def _finding(found):
    bits = np.mean(found.exact_bits)
    told = f"{found.length} bytes, exact: {bits:.3f} bits\n"
    if len(found.names) < 3:
        return told
    agree = found.correlation().value
    return told + f"rank correlation of error and loss {agree:.2f}"
