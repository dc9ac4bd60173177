"""The figure of sampled attention's error against the values it reads."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from qlib.attention.figures.marks import CLAIMED, LINE, SMALL, in_percent, of_method
from qlib.attention.trials.inputs import root_mean_square
from qlib.workbook import plotting

LAWS = ("multinomial", "importance")  # the rows of `theory`


def sampling_errors(several):
    """Error of every sampler against its budget, a panel an input, and theory's lines.

    Parameters
    ----------
    several : sequence of `trials.errors.SamplingErrors`
    """
    with plotting.style():
        size = 1.2 + 3.9 * len(several), 4.6
        figure, axes = plt.subplots(
            1, len(several), figsize=size, sharey=True, squeeze=False
        )
        for ax, found in zip(axes[0], several, strict=True):
            _panel(ax, found)
        axes[0, 0].set_ylabel("relative error of the output, Frobenius")
        handles, labels = _legend(several)
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    heads = " and ".join(str(found.errors.shape[-1]) for found in several)
    return {
        "figure": figure,
        "name": "sampling_errors",
        "alt": "Relative error against values read per query for "
        f"{', '.join(several[0].methods)}",
        "caption": "Root mean square over heads "
        f"({heads} from left to right), median of {several[0].errors.shape[2]} seeds "
        "and their range. Every logit is formed; the budget is of values. Broad lines: "
        "what theory expects of independent draws, with the softmax probabilities and "
        f"with the best. Dashed: {CLAIMED:.0%}.",
    }


def _panel(ax, found):
    pooled = root_mean_square(found.errors)  # (method, budget, seed)
    touched = np.where(found.values_touched > 0, found.values_touched, found.budgets)
    for name, errors, read in zip(found.methods, pooled, touched, strict=True):
        marks = of_method(name)
        low, middle, high = np.percentile(errors, (0, 50, 100), axis=1)
        shade = {"color": marks["color"], "alpha": 0.15, "lw": 0}
        ax.fill_between(read, low, high, **shade)
        ax.plot(read, middle, **marks)
    for law, expected in zip(LAWS, root_mean_square(found.theory), strict=True):
        color = of_method(law)["color"]
        ax.plot(found.budgets, expected, color=color, lw=5, alpha=0.25, zorder=0)
    ax.axhline(CLAIMED, **LINE)
    ax.set(xscale="log", yscale="log", xlabel="values read per query")
    ax.set_xticks(found.budgets, [str(budget) for budget in found.budgets])
    ax.xaxis.set_minor_formatter(NullFormatter())
    in_percent(ax.yaxis)
    ax.set_title(_finding(found, np.median(pooled, axis=2)), **SMALL)


def _finding(found, middle):
    """Which method errs least at the largest budget, and how far from multinomial."""
    best = int(middle[:, -1].argmin())
    ratio = middle[best, -1] / middle[found.methods.index("multinomial"), -1]
    where = f"{found.name}, {found.length} keys"
    if found.methods[best] == "multinomial":
        return f"{where}:\nno sampler errs less than multinomial"
    return (
        f"{where}: {found.methods[best]}\nerrs {ratio:.2g} × as "
        f"multinomial at a budget of {found.budgets[-1]}"
    )


def _legend(several):
    names = dict.fromkeys(name for found in several for name in found.methods)
    handles = [Line2D([], [], **of_method(name)) for name in names]
    for law in LAWS:
        color = of_method(law)["color"]
        handles.append(Line2D([], [], color=color, lw=5, alpha=0.25))
    laws = ["theory, softmax draws", "theory, best draws"]
    return handles, [*names, *laws]
