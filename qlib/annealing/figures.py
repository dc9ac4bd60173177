"""The figures of notebook 01, each drawn from what `trials` and `measure` return.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

import numpy as np
from matplotlib import pyplot as plt

from qlib import intervals
from qlib.annealing import measure
from qlib.workbook import plotting

THIRDS = ("early", "middle", "late")
INTERVALS = "Bars are 95 % intervals over runs."


def boltzmann(samples):
    """One frame a `trials.Sample`: its histogram on the exact density.

    Returns
    -------
    dict
        The arguments of `qlib.workbook.widgets.frames`.
    """
    frames = []
    for sample in samples:
        with plotting.style():
            figure, ax = plt.subplots(figsize=(6.8, 3.0))
            ax.hist(sample.places, 120, density=True, color="#b5cbe0", label="walks")
            ax.plot(
                sample.x, sample.density, color=plotting.INK, lw=1, label="exp(−f/T)/Z"
            )
            ax.set(xlabel="x", ylabel="density")
            distance, pvalue = f"{sample.distance:.4f}", f"p = {sample.pvalue:.2f}"
            ax.set_title(f"Walks and density differ by {distance} ({pvalue})")
            ax.legend()
        frames.append(figure)
    return {
        "figures": frames,
        "labels": [f"T = {sample.temperature:g}" for sample in samples],
        "name": "boltzmann",
        "alt": "Histogram of the places of walks, on the Boltzmann density",
        "caption": "Slide to cool: mass leaves the outer wells for the deepest. The "
        "distance is Kolmogorov and Smirnov's, between cumulative distributions.",
    }


def paths(landscape, walks, maxfun):
    """Positions of one run of each method on a 1-D landscape.

    Parameters
    ----------
    landscape : Landscape
    walks : dict
        Method name to (nfev, places), as `trials.path` returns them.
    maxfun : int
        Right end of the axis, evaluations.
    """
    low, high = landscape.bounds[0]
    wells = landscape(np.linspace(low, high, 400)[None])[:, None]
    with plotting.style():
        figure, axes = plt.subplots(
            1, len(walks), figsize=(8.4, 4.2), sharey=True, squeeze=False
        )
        for ax, (name, (nfev, places)) in zip(axes[0], walks.items(), strict=True):
            ax.imshow(
                wells,
                extent=(0, maxfun, low, high),
                origin="lower",
                aspect="auto",
                cmap="Greys_r",
                vmin=wells.min() - 2 * np.ptp(wells),
                alpha=0.8,
            )
            color = plotting.method_style(name)["color"]
            ax.axhline(landscape.x_min[0], color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            ax.plot(nfev, places, ".", ms=5, color=color, rasterized=True)
            gap = np.abs(places[-1] - landscape.x_min[0]).min()
            ax.set(xlabel="evaluations", xlim=(0, maxfun))
            ax.set_title(f"{name} ends {gap:.2g} from the minimum")
            ax.grid(visible=False)
        axes[0, 0].set_ylabel("x")
    return {
        "figure": figure,
        "name": "paths",
        "alt": f"Positions of {' and of '.join(walks)} against evaluations, on stripes "
        "that are dark in the wells",
        "caption": "Every point is a place where a walker stands; darker stripes are "
        "wells, and the dashed line marks the minimum.",
    }


def convergence(landscape, results, *, floor=1e-7):
    """Median gap to the minimum, with the interquartile band, against evaluations.

    Parameters
    ----------
    landscape : Landscape
    results : dict
        Method name to a result with a run axis and no target.
    floor : float
        Gaps below it are drawn there.
    """
    last = {name: np.median(result.fun) for name, result in results.items()}
    runs = len(next(iter(results.values())).fun)
    with plotting.style():
        figure, ax = plt.subplots()
        for name, result in results.items():
            gap = np.maximum(result.history["fun"] - landscape.f_min, floor)
            plotting.band(ax, result.history["nfev"][0], gap, method=name)
        ax.set(xscale="log", yscale="log")
        ax.set(xlabel="evaluations", ylabel="best value − minimum")
        ax.set_title(f"In the median, {min(last, key=last.get)} comes closest")
        ax.legend()
    return {
        "figure": figure,
        "name": "convergence",
        "alt": f"Gap to the minimum against evaluations, for {', '.join(results)}",
        "caption": f"Median and interquartile range of {runs} runs.",
    }


def stagnation(outcomes, stuck, breadth, form):
    """Stuck share of iterations by third of the budget, and share of basins visited.

    Parameters
    ----------
    outcomes : dict
        Method name to (stuck, breadth), as `trials.stagnation` returns them.
    stuck, breadth : Estimate
        The difference of the middle thirds, and of the breadths, for the titles.
    form : str
        What is common to the methods, such as their kind of step.
    """
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), width_ratios=(3, 2))
        for place, (name, (shares, basins)) in enumerate(outcomes.items()):
            marks = {**plotting.method_style(name), "linestyle": "", "capsize": 3}
            shift = 0.2 * (place - (len(outcomes) - 1) / 2)
            _points(
                axes[0], np.arange(3) + shift, map(intervals.mean, shares.T), **marks
            )
            _points(axes[1], [place], [intervals.mean(basins)], **marks)
        axes[0].set_xticks(range(3), THIRDS)
        axes[0].set(xlabel="third of the budget", ylabel="share of iterations stuck")
        axes[0].set_title(f"{form.capitalize()}: QIA − SA = {stuck.value:+.3f}")
        axes[0].legend()
        axes[1].set_xticks(range(len(outcomes)), outcomes)
        axes[1].set(ylabel="share of basins visited")
        axes[1].set_xlim(-0.6, len(outcomes) - 0.4)
        axes[1].set_title(f"QIA − SA = {breadth.value:+.3f}")
    return {
        "figure": figure,
        "name": f"stuck-{form.replace(' ', '-')}",
        "alt": "Stuck share of iterations by third of the budget, and share of basins "
        f"visited, for {' and '.join(outcomes)}",
        "caption": f"Means, both methods with a {form}; the titles give the "
        f"differences, on the left for the middle third. {INTERVALS}",
    }


def curves(estimates, name, *, title, xlabel, ylabel="ERT, evaluations", yscale="log"):
    """An estimate with its interval for each method, against a setting.

    Parameters
    ----------
    estimates : dict
        Method name to a dict from the setting's value to a `intervals.Estimate`;
        infinite values are left out.
    name, title, xlabel, ylabel : str
    yscale : {"log", "linear"}
        The x axis is always logarithmic.
    """
    with plotting.style():
        figure, ax = plt.subplots()
        for method, by_setting in estimates.items():
            found = {x: e for x, e in by_setting.items() if np.isfinite(e.value)}
            marks = plotting.method_style(method)
            _points(ax, list(found), found.values(), **marks, capsize=3)
        ax.set(xscale="log", yscale=yscale, xlabel=xlabel, ylabel=ylabel, title=title)
        settings = sorted({x for by_setting in estimates.values() for x in by_setting})
        ax.set_xticks(settings, [f"{setting:g}" for setting in settings])
        ax.set_xticks([], minor=True)
        ax.legend()
    return {
        "figure": figure,
        "name": name,
        "alt": f"{ylabel} against {xlabel}, for {', '.join(estimates)}",
        "caption": f"{INTERVALS} Settings that never succeed are left out.",
    }


def variants(
    estimates, name, *, method, title, xlabel="ERT, evaluations", xscale="log"
):
    """An estimate with its interval for each variant of one method, one row each.

    Parameters
    ----------
    estimates : dict
        Variant to `intervals.Estimate`, from top to bottom.
    name, title, xlabel : str
    method : str
        Whose colour and marker the rows have.
    xscale : {"log", "linear"}
        Linear for values of either sign; zero is then marked.
    """
    marks = {**plotting.method_style(method), "linestyle": "", "label": None}
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 1.2 + 0.4 * len(estimates)))
        for row, estimate in enumerate(estimates.values()):
            error = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            if np.isfinite(error).all():
                ax.errorbar(estimate.value, row, xerr=error, capsize=3, **marks)
            else:
                ax.annotate(
                    "not reached", (0.02, row), xycoords=("axes fraction", "data")
                )
        ax.set_yticks(range(len(estimates)), estimates)
        ax.set_ylim(len(estimates) - 0.5, -0.5)
        ax.set(xlabel=xlabel, xscale=xscale, title=title)
        if xscale == "linear":
            ax.axvline(0, color=plotting.INK, lw=0.8)
        ax.grid(visible=False, axis="y")
    return {
        "figure": figure,
        "name": name,
        "alt": f"{xlabel} of {method} for {', '.join(estimates)}",
        "caption": INTERVALS,
    }


def running_times(evaluations, ert, budget, title):
    """ECDF of running times over runs and targets, and the ERT to the last target.

    Parameters
    ----------
    evaluations : dict
        Method name to (runs, targets) evaluations, inf where not reached.
    ert : dict
        Method name to the `intervals.Estimate` of its expected running time.
    budget : int
        Right end of the ECDF's axis.
    title : str
    """
    grid = np.geomspace(1, budget, 300)
    order = sorted(ert, key=lambda name: ert[name].value)
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2))
        for place, name in enumerate(order):
            share = measure.ecdf(evaluations[name].ravel(), grid)
            marks = {**plotting.method_style(name), "markevery": (15 + 5 * place, 60)}
            axes[0].step(grid, share, where="post", **marks)
        axes[0].set(xscale="log", xlabel="evaluations", ylim=(0, 1.02))
        axes[0].set(ylabel="share of runs × targets reached", title="Solved so far")
        axes[0].legend(fontsize=7.5)
        axes[1].set_xscale("log")
        values = [ert[name].value for name in order]
        limits = [ert[name][1:] for name in order]
        plotting.interval_points(axes[1], order, values, limits)
        axes[1].set(xlabel="ERT, evaluations", title=title)
    runs = len(evaluations[order[0]])
    return {
        "figure": figure,
        "name": "peers",
        "alt": "Share of runs and targets reached against evaluations, and expected "
        f"running times, for {', '.join(order)}",
        "caption": f"{runs} runs a method. {INTERVALS} Fastest first.",
    }


def throughput(rates):
    """Runs per second against runs at once, a line a device.

    Parameters
    ----------
    rates : dict
        Device name to a dict from the number of runs to (repeats,) rates.
    """
    with plotting.style():
        figure, ax = plt.subplots()
        for marker, (device, by_size) in zip("osD", rates.items(), strict=False):
            sizes = list(by_size)
            low, middle, high = np.transpose(
                [np.percentile(rate, (0, 50, 100)) for rate in by_size.values()]
            )
            (line,) = ax.plot(sizes, middle, marker=marker, label=device)
            ax.fill_between(sizes, low, high, color=line.get_color(), alpha=0.16, lw=0)
        gain = max(np.median(by[max(by)]) / np.median(by[1]) for by in rates.values())
        ax.set(xscale="log", yscale="log")
        ax.set(xlabel="runs at once", ylabel="runs per second")
        ax.set_title(f"Runs together go up to {gain:.0f} times as fast as one by one")
        ax.legend()
    return {
        "figure": figure,
        "name": "throughput",
        "alt": f"Runs per second against runs at once, on {', '.join(rates)}",
        "caption": "Median and range of repeated calls, after one to warm up.",
    }


def _points(ax, places, estimates, **marks):
    value, low, high = np.transpose(list(estimates))
    ax.errorbar(places, value, [value - low, high - value], **marks)
