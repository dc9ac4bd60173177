"""The figures of notebook 02, each drawn from what `qlib.weights.trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

import numpy as np
from matplotlib import pyplot as plt

from qlib import intervals
from qlib.workbook import plotting

CHANCE = "random search"


def toy(temperatures, exact, walks):
    """Mean loss at each temperature: of all codes listed, and of walks over them.

    Parameters
    ----------
    temperatures : (T,) array
    exact : (T,) array
        Of the Boltzmann weights of all codes.
    walks : (T, W) array
        Of walks.
    """
    means = [intervals.mean(losses) for losses in walks]
    apart = max(abs(one.value - true) for one, true in zip(means, exact, strict=True))
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 3.4))
        ax.plot(temperatures, exact, color=plotting.INK, lw=1, label="all codes listed")
        marks = {**plotting.method_style("SA"), "linestyle": "", "capsize": 3}
        _points(ax, temperatures, means, **marks)
        ax.set(xscale="log", xlabel="temperature, nats", ylabel="mean loss, nats")
        ax.set_title(f"Walks and the list differ by at most {apart:.4f} nats")
        ax.legend()
    return {
        "figure": figure,
        "name": "toy",
        "alt": "Mean loss against temperature: a line for the exact value, points for "
        "the walks",
        "caption": f"Bars are 95 % intervals over {len(walks[0])} walks.",
    }


def descents(iterations, losses, apart):
    """Loss above the lowest along L-BFGS from several random heads.

    Parameters
    ----------
    iterations : (K,) array
    losses : (starts, K) array
    apart : float
        Largest distance between two ends over the optimum's norm.
    """
    excess = np.maximum(losses - losses.min(), 1e-12)
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 3.4))
        marks = plotting.method_style("L-BFGS")
        for start in excess:
            ax.plot(iterations, start, **{**marks, "label": None}, ms=3)
        ax.set(xscale="log", yscale="log", xlabel="iterations of L-BFGS")
        ax.set_ylabel("loss above the lowest, nats")
        ax.set_title(f"{len(losses)} starts end within {excess[:, -1].max():.1g} nats")
    return {
        "figure": figure,
        "name": "descents",
        "alt": f"Loss above the lowest against iterations, for {len(losses)} starts",
        "caption": "One line a random start; drawn not below 10⁻¹² nats. The weights "
        f"end within {apart:.1g} of the optimum's norm from each other.",
    }


def race(curves, floor=1e-7):
    """Loss above the convex optimum against seconds.

    Parameters
    ----------
    curves : dict
        Method name to (seconds, excess) arrays.
    """
    with plotting.style():
        figure, ax = plt.subplots()
        for name, (seconds, excess) in curves.items():
            marks = plotting.method_style(name)
            every = max(1, len(seconds) // 8)
            ax.plot(seconds, np.maximum(excess, floor), markevery=every, **marks)
        common = min(seconds[-1] for seconds, _ in curves.values())
        ends = {
            name: excess[seconds <= common].min(initial=np.inf)
            for name, (seconds, excess) in curves.items()
        }
        ax.set(xscale="log", yscale="log", xlabel="seconds")
        ax.set_ylabel("loss above the optimum, nats")
        ax.set_title(f"After {common:.2g} s {min(ends, key=ends.get)} is lowest")
        ax.legend()
    return {
        "figure": figure,
        "name": "race",
        "alt": f"Loss above the optimum against seconds, for {', '.join(curves)}",
        "caption": f"One thread; the best loss so far, drawn not below {floor:g}. SGD "
        "and L-BFGS move real weights from zero, the annealers codes of 4 bits from "
        "random ones, whose own best loss is not zero.",
    }


def bits(found, widths, real):
    """Loss and test accuracy against bits a weight, by method.

    Parameters
    ----------
    found : dict
        Method name to a `trials.bits.Outcome` of (bits, studies) arrays.
    widths : sequence of float
        Bits.
    real : `trials.bits.Outcome` of (studies,) arrays
        Of the real-valued optimum.
    """
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.6))
        for place, (name, outcome) in enumerate(found.items()):
            shift = 0.05 * (place - (len(found) - 1) / 2)
            marks = {**plotting.method_style(name), "capsize": 2, "lw": 1}
            excess = outcome.loss - real.loss
            _points(axes[0], np.array(widths) + shift, _means(excess), **marks)
            accuracy = _means(100 * outcome.accuracy)
            _points(axes[1], np.array(widths) + shift, accuracy, **marks)
        axes[0].set(yscale="log", ylabel="loss above the real optimum, nats")
        level = 100 * np.mean(real.accuracy)
        others = [one.accuracy for name, one in found.items() if name != CHANCE]
        axes[1].set_ylim(100 * np.min(others) - 2, None)
        axes[1].axhline(level, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        axes[1].set_ylabel("test accuracy, %")
        for ax in axes:
            ax.set_xlabel("bits a weight")
            ax.set_xticks(widths, [f"{width:g}" for width in widths])
        first = _means(outcome.loss[0] for outcome in found.values())
        axes[0].set_title(_lead(found, first, "at one bit"))
        axes[1].set_title(f"The real head reaches {level:.1f} %")
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4
        )
    return {
        "figure": figure,
        "name": "bits",
        "alt": "Loss above the optimum, and test accuracy, against bits a weight, for "
        f"{', '.join(found)}",
        "caption": "Means over draws of the training samples with 95 % intervals; "
        f"dashed: the real-valued optimum. {CHANCE.capitalize()} is right on "
        f"{np.mean(found[CHANCE].accuracy[0]):.0%} at one bit, below the right panel.",
    }


def budgets(found, evaluations):
    """Loss against evaluations, one band a method.

    Parameters
    ----------
    found : dict
        Method name to a (studies, budgets) array of losses.
    evaluations : (budgets,) array
        Changes of the loss evaluated.
    """
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 3.6))
        for name, losses in found.items():
            plotting.band(ax, evaluations, losses, method=name)
        ax.set(xscale="log", xlabel="changes of the loss evaluated")
        ax.set_ylabel("loss at one bit, nats")
        last = _means(losses[:, -1] for losses in found.values())
        ax.set_title(_lead(found, last, "in the end"))
        ax.legend()
    return {
        "figure": figure,
        "name": "budgets",
        "alt": f"Loss at one bit against evaluations, for {' and '.join(found)}",
        "caption": "Median and interquartile range over draws of the training samples; "
        "each method at the settings tuned for it at the middle budget.",
    }


def pruning(found, shares, real):
    """Error before and after refitting, and accuracy after, against features kept.

    Parameters
    ----------
    found : dict
        Method name to a `trials.pruning.Pruned` of (shares, studies) arrays.
    shares : sequence of float
    real : float
        Test accuracy of the unpruned head.
    """
    panels = {
        "error": "error of the logits, share of variance",
        "refitted_error": "error after least squares",
        "refitted_accuracy": "test accuracy after refit, %",
    }
    with plotting.style():
        figure, axes = plt.subplots(1, 3, figsize=(10.4, 4.2))
        for ax, (part, label) in zip(axes, panels.items(), strict=True):
            percent = part == "refitted_accuracy"
            first = []
            for name, pruned in found.items():
                marks = {**plotting.method_style(name), "lw": 1.2, "capsize": 2}
                values = (100 if percent else 1) * getattr(pruned, part)
                _points(ax, 100 * np.array(shares), _means(values), **marks)
                first += _means([values[0] * (-1 if percent else 1)])
            ax.set(xlabel="features kept, %", ylabel=label)
            ax.set_title(_lead(found, first))
            if not percent:
                ax.set_yscale("log")
        axes[2].axhline(100 * real, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6
        )
    return {
        "figure": figure,
        "name": "pruning",
        "alt": "Error and accuracy against the share of features kept, for "
        f"{', '.join(found)}",
        "caption": "Titles go by the smallest share kept. Means over draws of the "
        "training samples with 95 % intervals; dashed: the unpruned head.",
    }


def stage(found, share):
    """Error and accuracy of a network whose block lost channels, one row a method.

    Parameters
    ----------
    found : dict
        Method name to a `trials.pruning.Pruned` of (draws,) arrays.
    share : float
        Of the channels kept.
    """
    panels = {
        "error": "output error, share of variance",
        "refitted_error": "after least squares",
        "refitted_accuracy": "test accuracy after, %",
    }
    names = list(found)
    with plotting.style():
        figure, axes = plt.subplots(1, 3, figsize=(10.4, 3.0), sharey=True)
        for ax, (part, label) in zip(axes, panels.items(), strict=True):
            unit = 100 if "accuracy" in part else 1
            means = _means(unit * getattr(found[name], part) for name in names)
            ends = [(mean.low, mean.high) for mean in means]
            plotting.interval_points(ax, names, [mean.value for mean in means], ends)
            ax.set_xlabel(label)
            signed = _means(
                getattr(found[name], part) * (-1 if unit > 1 else 1) for name in names
            )
            ax.set_title(_lead(names, signed))
    return {
        "figure": figure,
        "name": "stage",
        "alt": f"Error and accuracy with {share:.0%} of the channels, for "
        f"{', '.join(names)}",
        "caption": f"{share:.0%} of the channels inside one block are kept. Means over "
        "draws of the images with 95 % intervals.",
    }


def batchnorm(found, bits):
    """Loss and test accuracy of the BatchNorm codes, one row a method.

    Parameters
    ----------
    found : dict
        Method name to a (draws, 2) array of loss and test accuracy; "unchanged" among
        them is the trained network.
    bits : float
        Of each code.
    """
    names = [name for name in found if name != "unchanged"]
    labels = ("loss, nats", "test accuracy, %")
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.2, 2.9), sharey=True)
        for part, ax in enumerate(axes):
            unit = 100 if part else 1
            means = _means(unit * found[name][:, part] for name in names)
            ends = [(mean.low, mean.high) for mean in means]
            plotting.interval_points(ax, names, [mean.value for mean in means], ends)
            before = unit * found["unchanged"][:, part].mean()
            ax.axvline(before, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
            ax.set_xlabel(labels[part])
        losses = _means(found[name][:, 0] for name in names)
        axes[0].set_title(_lead(names, losses, "in loss"))
    return {
        "figure": figure,
        "name": "batchnorm",
        "alt": f"Loss and test accuracy of BatchNorm codes, for {', '.join(names)}",
        "caption": f"Codes of {bits:g} bits, but real numbers for L-BFGS. Means over "
        "draws with 95 % intervals; dashed: the network as trained.",
    }


def overfitting(found):
    """Training against test accuracy of one-bit heads, one point a study.

    Parameters
    ----------
    found : dict
        Method name to (training accuracy, test accuracy) arrays.
    """
    gaps = {name: 100 * np.mean(one - two) for name, (one, two) in found.items()}
    with plotting.style():
        figure, ax = plt.subplots(figsize=(5.6, 4.0))
        for name, (training, test) in found.items():
            marks = {**plotting.method_style(name), "linestyle": ""}
            ax.plot(100 * training, 100 * test, **marks)
        low = min(min(ax.get_xlim()), min(ax.get_ylim()))
        ax.axline((low, low), slope=1, color=plotting.INK, lw=0.8, ls=(0, (6, 4)))
        ax.set(xlabel="training accuracy, %", ylabel="test accuracy, %")
        most = max(gaps, key=gaps.get)
        ax.set_title(f"{most} loses {gaps[most]:.1f} points from training to test")
        ax.legend()
    return {
        "figure": figure,
        "name": "overfitting",
        "alt": f"Test against training accuracy, for {', '.join(found)}",
        "caption": "One point a draw of the training samples; on the dashed line both "
        "accuracies are equal.",
    }


def fine_tuning(found):
    """Training loss and test accuracy along fine-tuning, from each start.

    Parameters
    ----------
    found : dict
        Method name to the `trials.network.Curves` of all draws.
    """
    ends = {name: curves.accuracy[:, -1].mean() for name, curves in found.items()}
    with plotting.style():
        figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.8))
        for name, curves in found.items():
            epochs = np.arange(curves.loss.shape[1])
            both = curves.loss, 100 * curves.accuracy
            for ax, values in zip(axes, both, strict=True):
                plotting.band(ax, epochs, values, method=name, percentiles=(0, 100))
        axes[0].set(yscale="log", ylabel="training loss, nats")
        axes[1].set_ylabel("test accuracy, %")
        for ax in axes:
            ax.set_xlabel("epochs of fine-tuning")
            ax.set_xticks(epochs)
        spread = 100 * np.ptp([end for name, end in ends.items() if name != CHANCE])
        axes[1].set_title(f"All but chance end within {spread:.1f} points")
        losses = _means(curves.loss[:, -1] for curves in found.values())
        axes[0].set_title(_lead(found, losses, "in the end"))
        axes[0].legend()
    return {
        "figure": figure,
        "name": "fine-tuning",
        "alt": "Training loss and test accuracy against epochs, from "
        f"{', '.join(found)}",
        "caption": "Last stage and head are trained together from each head. Median "
        "and full range over draws of the training images; all starts see the same "
        "batches.",
    }


def walk(found, optimum):
    """Loss above the real optimum after each sweep of an annealing, to play with.

    Parameters
    ----------
    found : `qlib.weights.quantize.code_moves.AnnealedCodes`
    optimum : float
        Loss of real weights.
    """
    with plotting.style():
        figure, ax = plt.subplots(figsize=(6.8, 3.2))
        for losses in found.losses:
            marks = {**plotting.method_style("SA"), "label": None}
            ax.plot(losses - optimum, **marks, markevery=0.1)
        ax.set(yscale="log", xlabel="sweeps", ylabel="loss above the real optimum")
        ax.set_title(f"The best head stands {found.loss - optimum:.3g} nats above")
    return figure


def _lead(names, means, where=""):
    """Who is lowest, if its interval lies below all others; else that nobody is."""
    first, *others = sorted(zip(means, names, strict=True))
    apart = all(first[0].high < mean.low for mean, _ in others)
    return f"{first[1] + ' leads' if apart else 'No clear leader'} {where}".strip()


def _means(rows):
    return [intervals.student_mean(row) for row in rows]


def _points(ax, x, estimates, **marks):
    values = np.array(estimates).T  # value, low, high
    errors = np.abs(values[1:] - values[0])
    ax.errorbar(x, values[0], yerr=errors, **marks)
