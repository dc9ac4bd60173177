"""Figures of the rules: the table, what rules pay, their controls, and the physics."""

import numpy as np
from matplotlib import pyplot as plt

from qlib.nas.rules.families import GROUND_STATES
from qlib.nas.rules.rules import ALL, RULES, SHORTEST
from qlib.nas.rules.scoring import BASELINE, CHANCE, confusion
from qlib.nas.trials.table import LAW
from qlib.workbook import plotting

KINDS = {
    # who made the rule: (colour, marker)
    "declared": ("#0072B2", "o"),
    "fitted": ("#D55E00", "s"),
    "no rule": ("#777777", "D"),
}
TARGETS = {
    # kind of target: (colour, marker)
    "ground states": ("#0072B2", "o"),
    "states by formula": ("#D55E00", "^"),
}
NO_RULE = ("best on average", BASELINE, CHANCE)
DIMMED = "#8a9099"


def table(found):
    """Mean infidelity of every block on every family, and where each is best.

    Parameters
    ----------
    found : `qlib.nas.rules.table.Table`
    """
    names = [name for name in dict.fromkeys(found.families)]
    score = _of_families(found.score, found.families, names)
    bounds = np.array([list(one.bounds.values()) for one in found.profiles])
    least = _of_families(bounds, found.families, names)
    best = found.regret <= 0
    shares = _of_families(best / best.sum(1, keepdims=True), found.families, names)
    with plotting.style():
        figure, axes = plt.subplots(
            1, 2, figsize=(9.6, 1.6 + 0.27 * len(names)), sharey=True
        )
        image = axes[0].imshow(score, aspect="auto", cmap="cividis_r")
        figure.colorbar(image, ax=axes[0], label="log10 infidelity, mean", pad=0.02)
        axes[1].imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1)
        middle = (score.min() + score.max()) / 2
        for row, column in np.ndindex(score.shape):
            barred = "*" if least[row, column] > 1e-3 else ""
            ink = "white" if score[row, column] > middle else plotting.INK
            _write(axes[0], row, column, f"{score[row, column]:.1f}{barred}", ink)
            share = shares[row, column]
            ink = "white" if share > 0.6 else plotting.INK
            _write(axes[1], row, column, f"{share:.0%}" if share else "", ink)
        for ax in axes:
            ax.set_xticks(range(len(found.blocks)), found.blocks, rotation=35)
            plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
            ax.grid(visible=False)
        axes[0].set_yticks(
            range(len(names)), [name.replace("_", " ") for name in names]
        )
        places = found.score.mean(0)
        first = found.blocks[int(places.argmin())]
        axes[0].set_title(f"Best on average: {first}")
        often = shares.mean(0)
        axes[1].set_title(
            f"Best most often: {found.blocks[int(often.argmax())]}, {often.max():.0%}"
        )
    return {
        "figure": figure,
        "name": "rules-table",
        "alt": "Families of targets against blocks: mean log10 infidelity, and the "
        "share of targets on which each block is best",
        "caption": f"Left: mean over {_sizes(found)}, points and seeds; infidelities "
        "below 1e-6 count as 1e-6. A star: capacity alone keeps the block above "
        "1e-3 on average. Right: the share of the family's targets on which the block "
        "is the best.",
    }


def regrets(families, sizes, noise, null=None):
    """What each rule pays on families and on sizes that it has not seen.

    Parameters
    ----------
    families, sizes : dict
        Of `scoring.families_held_out` and `scoring.sizes_held_out`.
    noise : `qlib.intervals.Estimate`
        Of `scoring.noise`.
    null : `trials.controls.Null`, optional
        Adds the panel of gains beside those of shuffled targets.
    """
    names = sorted(families, key=lambda name: families[name].mean.value)
    place = np.arange(len(names))
    with plotting.style():
        figure, axes = plt.subplots(
            1,
            1 if null is None else 2,
            figsize=(9.6, 1.5 + 0.3 * len(names)),
            sharey=True,
            squeeze=False,
        )
        left = axes[0, 0]
        for shift, one, filled, label in (
            (-0.14, families, True, "family held out"),
            (0.14, sizes, False, "largest size held out"),
        ):
            for row, name in enumerate(names):
                _point(left, one[name].mean, row + shift, name, filled=filled)
            marks = {"color": DIMMED, "marker": "o", "ls": ""}
            marks |= {} if filled else {"mfc": "white"}
            left.plot([], [], **marks, label=label)
        left.axvline(
            families[BASELINE].mean.value, color=DIMMED, lw=1, ls=(0, (6, 4)), zorder=0
        )
        left.axvspan(max(noise.low, 0), noise.high, color=DIMMED, alpha=0.2, lw=0)
        left.plot([], [], color=DIMMED, alpha=0.3, lw=7, label="seeds alone")
        left.set_yticks(place, names)
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set(xlabel="regret, decades of infidelity", xlim=(0, None))
        left.set_title(_who_wins(families), fontsize=9.5)
        if null is not None:
            _shuffles(axes[0, 1], names, families, null)
        figure.legend(loc="outside lower center", ncols=3 + 2 * (null is not None))
    return {
        "figure": figure,
        "name": "rules-regrets",
        "alt": "Regret of each rule with its interval, and its gain over the best "
        "block on average beside gains with shuffled targets",
        "caption": "Left: decades of infidelity above the best block of the target, "
        "mean and 95 % interval over families. Circles: declared before any "
        "training; squares: fitted to the table; diamonds: no rule at all. Dashed: "
        "always the same block. Right: decades spared against that, and what 95 % of "
        "permutations of entanglement among families spare; p: share of these in which "
        "any rule spares as much, in deviations.",
    }


def _shuffles(ax, names, families, null):
    for row, name in enumerate(names):
        if name not in null.names:
            continue
        _point(ax, families[name].gain(families[BASELINE]), row - 0.14, name)
        left = null.left(name)
        ax.plot([left.low, left.high], [row + 0.14] * 2, color=DIMMED, lw=4, alpha=0.45)
        ax.plot(left.value, row + 0.14, color=DIMMED, marker="x", ms=5)
    ax.plot([], [], color=DIMMED, marker="x", lw=4, alpha=0.45, label="shuffled")
    ax.axvline(0, color=DIMMED, lw=1, ls=(0, (6, 4)), zorder=0)
    ax.set_xlabel("gain over one block, decades")
    declared = [name for name in null.names if name in RULES]
    most = max(declared, key=lambda name: null.gain[null.names.index(name)])
    gain, chance = null.gain[null.names.index(most)], null.chance_of_any(most)
    ax.set_title(f"“{most}” gains {gain:.2f}, p = {chance:.2g}", fontsize=9.5)


def picks(found, one, name):
    """Which block a rule picks where which is best.

    Parameters
    ----------
    found : `qlib.nas.rules.table.Table`
    one : `scoring.Paid`
        Of all rows of the table.
    name : str
        Of the rule.
    """
    counts = confusion(found, one)
    with plotting.style():
        figure, ax = plt.subplots(figsize=(5.6, 4.6))
        ax.imshow(counts, cmap="Blues", vmin=0)
        for row, column in np.ndindex(counts.shape):
            ink = "white" if counts[row, column] > 0.6 * counts.max() else plotting.INK
            _write(ax, row, column, f"{counts[row, column]:g}", ink)
        ax.set_xticks(range(len(found.blocks)), found.blocks, rotation=35)
        plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
        ax.set_yticks(range(len(found.blocks)), found.blocks)
        ax.set(xlabel="block picked", ylabel="best block")
        ax.grid(visible=False)
        cost = one.mean.value
        ax.set_title(f"“{name}”: {one.right.mean():.0%} right, {cost:.2f} decades lost")
    return {
        "figure": figure,
        "name": "rules-picks",
        "alt": f"Counts of targets by best block and by the block that the rule {name} "
        "picks",
        "caption": f"{len(found.families)} targets; a family's picks were made without "
        "that family. Off the diagonal the pick is not the best, but may be close.",
    }


def rotated(found):
    """How much single-qubit rotations change the best block, and what rules then pay.

    Parameters
    ----------
    found : `trials.controls.Rotation`
    """
    names = sorted(found.paid, key=lambda name: found.paid[name][0].value)
    with plotting.style():
        figure, (left, middle, right) = plt.subplots(
            1,
            3,
            figsize=(10.4, 1.4 + 0.3 * len(names)),
            gridspec_kw={"width_ratios": [1, 1, 2.2]},
        )
        _pair(left, found.chance, found.changed)
        left.set(ylim=(0, 1), ylabel="share of targets with another best block")
        first, second = found.chance.value, found.changed.value
        left.set_title(f"{first:.0%} by seeds, {second:.0%} rotated", fontsize=9.5)
        _pair(middle, found.moved_by_chance, found.moved)
        middle.set(ylim=(0, None), ylabel="mean change of a block, decades")
        first, second = found.moved_by_chance.value, found.moved.value
        middle.set_title(f"{first:.2f} by seeds, {second:.2f} rotated", fontsize=9.5)
        for row, name in enumerate(names):
            before, after = found.paid[name]
            _point(right, before, row - 0.14, name)
            _point(right, after, row + 0.14, name, filled=False)
        floor = found.floor
        right.axvspan(floor.low, floor.high, color=DIMMED, alpha=0.2, lw=0)
        for label, fill in (("as they are", DIMMED), ("rotated", "white")):
            right.plot([], [], color=DIMMED, marker="o", ls="", mfc=fill, label=label)
        right.plot(
            [],
            [],
            color=DIMMED,
            lw=7,
            alpha=0.3,
            label="least of rules on entanglement",
        )
        right.set_yticks(range(len(names)), names)
        right.set_ylim(len(names) - 0.5, -0.5)
        right.set(xlabel="regret, decades of infidelity", xlim=(0, None))
        least = f"{floor.value:.2f}, by seeds alone {found.floor_by_chance.value:.2f}"
        right.set_title(f"Least possible loss: {least}", fontsize=9.5)
        figure.legend(loc="outside lower center", ncols=3)
    return {
        "figure": figure,
        "name": "rules-rotated",
        "alt": "Share of targets whose best block changes with other seeds and with "
        "rotated qubits; regret of rules before and after the rotation",
        "caption": "One random rotation of all qubits of each target leaves all its "
        f"entanglement as it is (here to {found.drift:.0e}). Left: the best block by "
        "one half of the seeds against the other half; middle: how far infidelities "
        "differ. Right: a rule's picks stay as they were, what they cost does not. "
        "Band: the least that any rule pays that reads entanglement alone and so picks "
        "one block for a target and its rotated form.",
    }


def _pair(ax, by_seeds, rotated):
    for column, one, kind in ((0, by_seeds, "no rule"), (1, rotated, "fitted")):
        color, marker = KINDS[kind]
        ax.plot([column] * 2, [one.low, one.high], color=color)
        ax.plot(column, one.value, color=color, marker=marker, ms=8)
    ax.set_xticks([0, 1], ["seeds", "seeds,\nrotated"])
    ax.set_xlim(-0.6, 1.6)


def reading(found):
    """Area law and range, and how much entanglement explains.

    Parameters
    ----------
    found : `trials.table.Reading`
    """
    with plotting.style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 4.1), gridspec_kw={"width_ratios": [1.5, 1]}
        )
        of_chains = np.isin(found.families, GROUND_STATES)
        for here, (name, (color, marker)) in zip(
            (of_chains, ~of_chains), TARGETS.items(), strict=True
        ):
            style = {"color": color, "marker": marker, "ls": "", "alpha": 0.75}
            left.plot(found.growth[here], found.worth[here], **style, label=name)
        left.axhline(0, color=DIMMED, lw=1, ls=(0, (6, 4)), zorder=0)
        left.axvline(LAW, color=DIMMED, lw=1, ls=(0, (1, 3)), zorder=0)
        left.set_xlabel("growth of entropy into the bulk, bits a site")
        left.set_ylabel(f"decades gained, {ALL} over {SHORTEST[5:]}")
        one = found.correlation
        left.set_title(
            f"Growth and range: ρ = {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]",
            fontsize=9.5,
        )
        left.legend()
        for row, one in enumerate(found.explained.values()):
            right.plot([one.low, one.high], [row] * 2, color=DIMMED, lw=2)
            right.plot(one.value, row, color="#0072B2", marker="o", ms=8)
        right.axvline(0, color=DIMMED, lw=1, ls=(0, (6, 4)), zorder=0)
        labels = [name.replace("basis", "signs, basis") for name in found.explained]
        right.set_yticks(range(len(labels)), labels)
        right.set_ylim(len(labels) - 0.5, -0.5)
        right.set_xlabel("variance of log infidelity explained")
        share = found.explained["entanglement"].value
        right.set_title(f"Entanglement explains {share:.0%}", fontsize=9.5)
    return {
        "figure": figure,
        "name": "rules-reading",
        "alt": "What all sites gain over a short range against the growth of entropy; "
        "variance of log infidelity explained by entanglement, by the basis, by both",
        "caption": "Left: a point a target; dotted: where the declared rule parts area "
        "from volume law. ρ: rank correlation, 95 % of resampled families. Right: "
        "forests on the numbers of a profile, on signs and participation in the basis, "
        "or both, asked about families held out; below 0 worse than one mean for all.",
    }


def _of_families(values, families, names):
    return np.array([values[families == name].mean(0) for name in names])


def _sizes(found):
    sizes = ", ".join(str(size) for size in np.unique(found.sizes))
    return f"N = {sizes}"


def _write(ax, row, column, text, ink):
    ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)


def _kind(name):
    if name in RULES:
        return "declared"
    return "no rule" if name in NO_RULE else "fitted"


def _point(ax, one, height, name, *, filled=True):
    color, marker = KINDS[_kind(name)]
    ax.plot([one.low, one.high], [height] * 2, color=color, lw=1.2)
    ax.plot(
        one.value,
        height,
        color=color,
        marker=marker,
        ms=5.5,
        mfc=color if filled else "white",
    )


def _who_wins(scored):
    """The least regret of any rule beside that of the best block on average."""
    rules = [name for name in scored if name not in NO_RULE]
    best = min(rules, key=lambda name: scored[name].mean.value)
    paid, base = scored[best].mean.value, scored[BASELINE].mean.value
    return f"“{best}” pays {paid:.2f}, one block {base:.2f}"
