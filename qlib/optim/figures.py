"""The figures of notebook 03, each drawn from what `trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.ticker import NullFormatter

from qlib import intervals
from qlib.optim.trials.problems import FLOOR, SHAPES
from qlib.workbook import plotting


def known(mixed, difference):
    """Diversity of agents that only talk, measured and exact.

    Parameters
    ----------
    mixed : dict
        Topology to `trials.known.Mixing`.
    difference : float
        Of one agent from torch's RMSprop.
    """
    apart = max(np.abs(one.diversity - one.exact).max() for one in mixed.values())
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 3.6))
        for (topology, one), marker in zip(mixed.items(), "os^D", strict=False):
            steps = np.arange(len(one.exact))
            (line,) = ax.plot(steps, one.exact, lw=1)
            every = max(1, len(steps) // 15)
            label = f"{topology}, last rate {one.rate:.4f}"
            marks = {"ls": "", "marker": marker, "color": line.get_color()}
            ax.plot(steps[::every], one.diversity[::every], label=label, **marks)
            last = one.exact[-1] * one.rate ** (steps - steps[-1])
            ax.plot(steps, last, color=plotting.INK, lw=0.7, ls=(0, (6, 4)))
        low = min(one.exact[-1] for one in mixed.values())
        ax.set(yscale="log", xlabel="steps", ylabel="distance from the mean, relative")
        ax.set_ylim(low / 2, 1.5)
        ax.set_title(f"Measured and exact differ by at most {apart:.1g}")
        ax.legend()
    return {
        "figure": figure,
        "name": "known",
        "alt": "Diversity against steps on a logarithmic axis: points on lines, for "
        f"{', '.join(mixed)} topologies",
        "caption": "Points: agents that only talk. Lines: powers of the mixing matrix; "
        "dashed: its second eigenvalue alone. The weights of one agent and of torch's "
        f"RMSprop differ by {difference:g}.",
    }


def paths(found):
    """Swarms on the contours of two-dimensional landscapes, one panel each.

    Parameters
    ----------
    found : sequence of `trials.swarms.Path`
    """
    with plotting.style():
        figure, axes = plt.subplots(
            1, len(found), figsize=(3.6 * len(found), 3.8), squeeze=False
        )
        for ax, one in zip(axes[0], found, strict=True):
            _contour(ax, one.name)
            for agent, falls, jumps in _split(one):
                ax.plot(*falls.T, color="white", lw=0.6, alpha=0.8)
                ax.plot(*jumps.T, color="#D55E00", lw=1.2, ls=(0, (1, 1)))
                ax.plot(*agent[0], marker="o", ms=3.5, color="white", mec=plotting.INK)
                ax.plot(*agent[-1], marker="X", ms=6, color="#D55E00", mec="white")
            ax.set(xlabel="first coordinate", ylabel="second coordinate")
            ax.set_title(f"{one.name}: {one.best:.2g} above the minimum", fontsize=9.5)
    agents = found[0].places.shape[1]
    names = ", ".join(one.name for one in found)
    return {
        "figure": figure,
        "name": "paths",
        "alt": f"Paths of {agents} agents on the contours of {names}",
        "caption": f"Paths of {agents} agents from their starts (circles) to their "
        "ends (crosses); dark is low. Dotted: steps with a jump; other leaps are "
        "moves to the best agent. In the titles: the lowest value that any agent met.",
    }


def contests(found):
    """Best value so far against gradients, and in the end, a column a landscape.

    Parameters
    ----------
    found : sequence of `trials.tuning.Contest`
    """
    names = list(found[0].traces)
    with plotting.style():
        figure, axes = plt.subplots(
            2, len(found), figsize=(3.7 * len(found), 6.6), squeeze=False
        )
        for (upper, lower), one in zip(axes.T, found, strict=True):
            for name in names:
                trace = np.clip(one.traces[name], FLOOR, 1e12)
                plotting.band(upper, one.evaluations, trace, method=name)
            upper.set(xscale="log", xlabel="gradients")
            upper.xaxis.set_minor_formatter(NullFormatter())
            medians = one.medians()
            rows = [
                intervals.Estimate(*np.maximum(medians[name], FLOOR)) for name in names
            ]
            ends = [(row.low, row.high) for row in rows]
            values = [row.value for row in rows]
            _scale(lower.xaxis, np.concatenate(ends))
            _scale(upper.yaxis, np.concatenate([_quartiles(one, n) for n in names]))
            plotting.interval_points(lower, names, values, ends)
            lower.set_xlabel("median best value above the minimum")
            says = lead(names, rows) if one.decides() else "nearly all on the plateau"
            upper.set_title(f"{one.landscape}: {says}", fontsize=9.5)
        for ax in axes[1, 1:]:
            ax.set_yticklabels([])
        axes[0, 0].set_ylabel("best value above the minimum")
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5
        )
    budget, runs = int(found[0].evaluations[-1]), len(found[0].traces[names[0]])
    return {
        "figure": figure,
        "name": "contests",
        "alt": "Best value against gradients, and median best value in the end, for "
        f"{', '.join(names)} on {', '.join(one.landscape for one in found)}",
        "caption": f"Above: median and interquartile range of {runs} runs. Below: "
        f"median after {budget} gradients with its 95 % interval. Values below "
        f"{FLOOR:g} count as equal and are drawn there. The runs are of "
        f"{found[0].replicates} replicates, with instances and tuning of their own.",
    }


def ablation(found):
    """Median best value of every variant, a panel a landscape.

    Parameters
    ----------
    found : dict
        Landscape to what `trials.swarms.ablation` returns.
    """
    variants = list(next(iter(found.values())))
    labels = [_label(variant) for variant in variants]
    with plotting.style():
        figure, axes = plt.subplots(
            1, len(found), figsize=(4.6 * len(found) + 1.4, 4.4), squeeze=False
        )
        for ax, (landscape, traces) in zip(axes[0], found.items(), strict=True):
            rows = []
            for place, variant in enumerate(variants):
                values = np.clip(traces[variant][:, -1], FLOOR, None)
                rows.append(intervals.median(values))
                _interval(ax, place, rows[-1], variant)
            _scale(ax.xaxis, [end for row in rows for end in (row.low, row.high)])
            ax.set_xlabel("median best value above the minimum")
            ax.set_yticks(range(len(labels)), labels if ax is axes[0, 0] else [])
            ax.set_ylim(len(labels) - 0.5, -0.5)
            ax.set_title(f"{landscape}: {lead(labels, rows)}", fontsize=9.5)
    runs = len(next(iter(traces.values())))
    return {
        "figure": figure,
        "name": "ablation",
        "alt": "Median best value of twelve variants of the swarm on "
        f"{' and '.join(found)}",
        "caption": f"Medians of {runs} runs with 95 % intervals, each run with a "
        "landscape and random settings of its own, the same for all variants. Filled: "
        "agents start apart; squares: with tunnelling. Agents that neither start apart "
        "nor tunnel are one agent several times, whatever they exchange.",
    }


def networks(found):
    """Test loss and error of every method, a row of panels a task.

    Parameters
    ----------
    found : dict
        Source of the images to what `trials.networks.compare` returns.
    """
    with plotting.style():
        figure, axes = plt.subplots(
            len(found), 2, figsize=(9.6, 0.6 + 2.9 * len(found)), squeeze=False
        )
        for (left, right), (source, outcomes) in zip(axes, found.items(), strict=True):
            names = list(outcomes)
            losses = [intervals.student_mean(one.loss) for one in outcomes.values()]
            errors = [
                intervals.student_mean(100 * one.error) for one in outcomes.values()
            ]
            for ax, rows in ((left, losses), (right, errors)):
                ends = [(row.low, row.high) for row in rows]
                plotting.interval_points(ax, names, [row.value for row in rows], ends)
            left.set_xlabel("test loss, nats")
            right.set(xlabel="test error, %", yticklabels=[])
            left.set_title(f"{source}: {lead(names, losses)}", fontsize=9.5)
            right.set_title(f"in error {lead(names, errors)}", fontsize=9.5)
    seeds = len(next(iter(outcomes.values())).loss)
    apart = max(
        np.abs(one["QIMAD ensemble"].loss - one["QIMAD mean"].loss).max()
        for one in found.values()
    )
    return {
        "figure": figure,
        "name": "networks",
        "alt": f"Test loss and test error of {', '.join(names)} on {', '.join(found)}",
        "caption": f"Means over {seeds} seeds with 95 % intervals, all methods after "
        "equally many gradients, each at the settings of least validation loss met. "
        "Ensemble and mean network of the agents, each as tuned, differ by at most "
        f"{apart:.2g} nats.",
    }


def forms(found, name, caption):
    """Test loss of several forms of a training, a panel a task.

    Parameters
    ----------
    found : dict
        Source of the images to a dict of label to (method, `Outcomes`).
    name, caption : str
        Of the figure.
    """
    labels = list(next(iter(found.values())))
    with plotting.style():
        size = (max(8.0, 5.2 * len(found)), 1.2 + 0.4 * len(labels))
        figure, axes = plt.subplots(1, len(found), figsize=size, squeeze=False)
        for ax, (source, rows) in zip(axes[0], found.items(), strict=True):
            means = []
            for place, (method, one) in enumerate(rows.values()):
                means.append(intervals.student_mean(one.loss))
                marks = plotting.method_style(method) | {"label": None, "ms": 7}
                ends = [means[-1].low, means[-1].high]
                ax.plot(ends, [place] * 2, color=marks["color"])
                ax.plot(means[-1].value, place, **marks)
            ax.set_yticks(range(len(rows)), labels if ax is axes[0, 0] else [])
            ax.set_ylim(len(rows) - 0.5, -0.5)
            ax.set_xlabel("test loss, nats")
            ax.set_title(f"{source}: {lead(rows, means)}", fontsize=9.5)
    return {
        "figure": figure,
        "name": name,
        "alt": f"Test loss of {', '.join(labels)} on {' and '.join(found)}",
        "caption": f"{caption} Means over seeds with 95 % intervals.",
    }


def inside(history, steps):
    """Diversity, temperature, losses and angles of a swarm over time.

    Parameters
    ----------
    history : list of dict
        Of the optimiser.
    steps : int
        Planned.
    """
    time = [one["step"] for one in history]
    with plotting.style():
        figure, axes = plt.subplots(2, 2, figsize=(9.2, 5.2), sharex=True)
        (spread, loss), (polar, phase) = axes
        diversity = np.maximum([one["diversity"] for one in history], 1e-12)
        spread.plot(time, diversity, label="diversity")
        heat = [one["temperature"] for one in history]
        spread.plot(time, heat, ls="--", label="temperature")
        spread.set(yscale="log", ylabel="weights' units; 1")
        spread.legend()
        jumps = [one["step"] for one in history for _ in one["jumps"]]
        for agent in range(len(history[0]["alpha"])):
            losses = [one["losses"][agent] for one in history]
            seen = [value if value is not None else np.nan for value in losses]
            loss.plot(time, seen, lw=0.7)
            polar.plot(time, [one["alpha"][agent] for one in history], lw=1)
            phase.plot(time, [one["beta"][agent] for one in history], ".", ms=1.5)
        loss.set(yscale="log", ylabel="loss of each agent, nats")
        polar.set(ylabel="polar angle α, radians", ylim=(0, np.pi))
        phase.set(ylabel="phase β, radians", ylim=(0, 2 * np.pi))
        for ax in (polar, phase):
            ax.set(xlabel="steps", xlim=(0, steps))
        kept = diversity[-1] / diversity.max()
        spread.set_title(f"{kept:.1%} of the largest diversity is left")
        loss.set_title(f"{len(jumps)} jumps of {len(history[0]['alpha'])} agents")
    return {
        "figure": figure,
        "name": "inside",
        "alt": "Four panels against steps: diversity and temperature, losses of the "
        "agents, their polar angles, their phases",
        "caption": "One training of the network on digits. Diversity: root mean "
        "square distance of the agents' weights from their mean. Lines on the right "
        "and below: one an agent.",
    }


def play(path):
    """One swarm on Rastrigin's function, to play with."""
    return paths([path])["figure"]


def lead(names, means):
    """Who is lowest, if its interval lies below all others; else that nobody is."""
    first, *others = sorted(zip(means, names, strict=True))
    apart = all(first[0].high < mean.low for mean, _ in others)
    return f"{first[1]} leads" if apart else "no clear leader"


def _split(path):
    """Each agent's places, and them parted into usual steps and steps with a jump."""
    jumped = np.zeros(path.places.shape[:2], dtype=bool)
    for step, one in enumerate(path.history, start=1):
        jumped[step, list(one["jumps"])] = True
    for places, ends in zip(path.places.transpose(1, 0, 2), jumped.T, strict=True):
        legs = np.full((3 * (len(places) - 1), 2), np.nan)
        legs[::3], legs[1::3] = places[:-1], places[1:]
        rows = np.repeat(ends[1:], 3)[:, None]
        yield places, np.where(rows, np.nan, legs), np.where(rows, legs, np.nan)


def _contour(ax, name):
    shape = SHAPES[name]
    side = np.linspace(shape.low, shape.high, 201)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    values, _ = shape.function(grid)
    low = max(values.min(), np.quantile(values, 0.001), 1e-2)
    levels = np.geomspace(low, values.max(), 24)
    ax.contourf(
        side,
        side,
        np.maximum(values, low),
        levels=levels,
        norm=LogNorm(low, values.max()),
        cmap="cividis",
    )
    ax.set_xlim(shape.low, shape.high)
    ax.set_ylim(shape.low, shape.high)
    ax.grid(visible=False)


def _scale(axis, values):
    """A logarithmic axis where the values span more than a factor of ten."""
    if np.max(values) > 10 * np.min(values):
        getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
        axis.set_minor_formatter(NullFormatter())


def _quartiles(contest, name):
    trace = np.clip(contest.traces[name], FLOOR, 1e12)
    return np.percentile(trace, (25, 75), axis=0).ravel()


def _interval(ax, place, estimate, variant):
    color = plotting.method_style("QIMAD")["color"]
    marks = {"marker": "s" if variant.tunnelling else "o", "ms": 6, "color": color}
    marks["mfc"] = color if variant.spread else "white"
    ax.plot([estimate.low, estimate.high], [place] * 2, color=color)
    ax.plot(estimate.value, place, **marks)


def _label(variant):
    parts = ["no exchange" if variant.weights == "none" else variant.weights]
    parts += ["tunnelling"] if variant.tunnelling else []
    parts += ["apart"] if variant.spread else []
    return ", ".join(parts)
