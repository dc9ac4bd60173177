"""Controls of the rules: targets shuffled against rows, and single qubits rotated."""

from typing import NamedTuple

import numpy as np

from qlib.arguments import positive_integer
from qlib.intervals import Estimate
from qlib.nas.rules.rules import RULES
from qlib.nas.rules.scoring import (
    BASELINE,
    NAMES,
    families_held_out,
    means,
    over_families,
    paid,
)
from qlib.nas.rules.table import Draw, Table, measure
from qlib.nas.training import seed_list


class Null(NamedTuple):
    """Gains over the best single block, with the targets' own entanglement or not.

    Attributes
    ----------
    names : tuple of str
        Rules.
    gain : (names,) array
        Decades spared, mean over families, each held out.
    shuffled : (draws, names) array
        The same where each family wears the entanglement of another.
    """

    names: tuple
    gain: np.ndarray
    shuffled: np.ndarray

    def chance(self, name):
        """Share of shuffles with a gain as large, the table itself counted: a p-value.

        At least 1 / (draws + 1). Of one rule, as if it were the only one.
        """
        column = self.names.index(name)
        as_large = np.count_nonzero(self.shuffled[:, column] >= self.gain[column])
        return (as_large + 1) / (len(self.shuffled) + 1)

    def chance_of_any(self, name):
        """Share of shuffles in which any rule gains as much: a corrected p-value.

        Gains in deviations of each rule's shuffles from their mean (P. H. Westfall and
        S. S. Young, Resampling-Based Multiple Testing, Wiley 1993).
        """
        every = np.vstack([self.gain, self.shuffled])  # (1 + draws, names)
        spread = np.maximum(every.std(0), 1e-12)  # a rule that reads nothing: 0
        largest = ((every - every.mean(0)) / spread).max(1)
        own = (every - every.mean(0))[0] / spread
        return float(np.mean(largest >= own[self.names.index(name)]))

    def left(self, name):
        """Mean gain over shuffles, and the interval that holds 95 % of them."""
        found = self.shuffled[:, self.names.index(name)]
        low, high = np.percentile(found, [2.5, 97.5])
        return Estimate(float(found.mean()), float(low), float(high))


def null(table, *, draws, rng, names=(*RULES, "one threshold", "tree")):
    """Rules scored with the entanglement of families permuted among families.

    A rule that lives on the tie between entanglement and blocks gains nothing then.

    Parameters
    ----------
    table : `qlib.nas.rules.table.Table`
        With the same points and sizes of every family.
    draws : int
        Permutations.
    rng : numpy Generator
    names : sequence of str
        Of `scoring.NAMES`. Declared and readable ones unless given: a forest takes a
        hundred times as long.

    Returns
    -------
    Null
    """
    names, draws = tuple(names), positive_integer("draws", draws)
    gain = _gains(table, names)
    shuffled = [_gains(permuted(table, rng), names) for _ in range(draws)]
    return Null(names, gain, np.array(shuffled))


def permuted(table, rng):
    """The table with each family's profiles those of another, point by point."""
    names, counts = np.unique(table.families, return_counts=True)
    if np.ptp(counts):
        raise ValueError(
            f"table: got {counts} rows of families; allowed: equal numbers"
        )
    order = np.lexsort((table.sizes, table.points, table.families))
    rows = order.reshape(len(names), -1)  # (families, rows of each)
    given = np.empty(len(order), dtype=int)
    given[rows] = rows[rng.permutation(len(names))]
    return Table(
        **vars(table) | {"profiles": [table.profiles[row] for row in given]},
    )


def _gains(table, names):
    scored = families_held_out(table, (BASELINE, *names))
    base = means(scored[BASELINE].regret, table.families).mean()
    return np.array(
        [base - means(scored[name].regret, table.families).mean() for name in names]
    )


class Rotation(NamedTuple):
    """Targets before and after the same rotation of every qubit.

    Attributes
    ----------
    before, after : `qlib.nas.rules.table.Table`
        Row by row the same entanglement.
    drift : float
        Largest change of a number of any profile: rounding.
    changed : Estimate
        Share of targets whose best block is another after the rotation, by halves of
        the seeds: the first before, the second after.
    chance : Estimate
        The same without a rotation: what the seeds alone change.
    moved, moved_by_chance : Estimate
        Mean change, up or down, of a block's log10 infidelity; halves likewise.
    paid : dict
        Rule to (before, after) Estimates of its regret, each family held out and the
        rule fitted on targets as they were.
    floor : Estimate
        Least regret of any rule that reads entanglement alone, which has to name one
        block for a target and its rotated form: mean of the two, by halves as above.
    floor_by_chance : Estimate
        The same without a rotation.
    excess : Estimate
        The first beyond the second, family by family: what the rotation itself costs
        such a rule.
    """

    before: Table
    after: Table
    drift: float
    changed: Estimate
    chance: Estimate
    moved: Estimate
    moved_by_chance: Estimate
    paid: dict
    floor: Estimate
    floor_by_chance: Estimate
    excess: Estimate


def rotation(draws, table, *, seeds, steps, rng, names=NAMES, callback=None):
    """Train all blocks on rotated targets, and score the rules there.

    Parameters
    ----------
    draws : sequence of Draw
    table : `qlib.nas.rules.table.Table`
        Of these draws as they are, from the same seeds, two or more, and steps.
    seeds : sequence of int
    steps : int
    rng : numpy Generator
        Of the rotations, one a target.
    names : sequence of str
        Rules, of `scoring.NAMES`.
    callback : callable, optional
        As in `qlib.nas.rules.table.measure`.

    Returns
    -------
    Rotation
    """
    if len(seed_list(seeds)) < 2:
        raise ValueError(f"seeds: got {seeds}; allowed: two or more")
    if [d.family for d in draws] != list(table.families):
        got = f"{len(table.families)} rows"
        raise ValueError(f"table: got {got}; allowed: those of the {len(draws)} draws")
    turned = [Draw(d.family, d.point, d.target.rotated(rng)) for d in draws]
    after = measure(
        turned, seeds=seeds, steps=steps, blocks=table.blocks, callback=callback
    )
    scored = families_held_out(table, names)
    halves = [table.decades[..., part::2].mean(-1) for part in (0, 1)]
    other = after.decades[..., 1::2].mean(-1)
    rotated, by_chance = (_floor(halves[0], second) for second in (other, halves[1]))
    return Rotation(
        table,
        after,
        float(np.abs(table.features - after.features).max()),
        _changed(halves[0], other, table.families),
        _changed(halves[0], halves[1], table.families),
        over_families(np.abs(halves[0] - other).mean(1), table.families),
        over_families(np.abs(halves[0] - halves[1]).mean(1), table.families),
        {n: (one.mean, paid(after, one.choice).mean) for n, one in scored.items()},
        over_families(rotated, table.families),
        over_families(by_chance, table.families),
        over_families(rotated - by_chance, table.families),
    )


def _changed(first, second, families):
    """Share of rows (T, B) with different best blocks."""
    return over_families(first.argmin(1) != second.argmin(1), families)


def _floor(first, second):
    """Least mean regret of one block for both of a pair of rows (T, B): (T,)."""
    both = [one - one.min(1, keepdims=True) for one in (first, second)]
    return np.mean(both, 0).min(1)


def rows(shuffled, turned):
    """What is recorded of the controls: (metric, value, labels).

    Parameters
    ----------
    shuffled : Null
    turned : Rotation
    """
    for name, gain in zip(shuffled.names, shuffled.gain, strict=True):
        yield "gain over one block, decades", gain, {"rule": name}
        yield "gain of shuffled, decades", shuffled.left(name).value, {"rule": name}
        yield "share of shuffles as good", shuffled.chance(name), {"rule": name}
        any_rule = shuffled.chance_of_any(name)
        yield "share of shuffles with any rule as good", any_rule, {"rule": name}
    yield "share of best blocks that change", turned.chance.value, {"qubits": "as is"}
    yield (
        "share of best blocks that change",
        turned.changed.value,
        {"qubits": "rotated"},
    )
    yield (
        "change of log10 infidelity",
        turned.moved_by_chance.value,
        {"qubits": "as is"},
    )
    yield "change of log10 infidelity", turned.moved.value, {"qubits": "rotated"}
    for name, both in turned.paid.items():
        for qubits, one in zip(("as is", "rotated"), both, strict=True):
            yield "regret, decades", one.value, {"rule": name, "qubits": qubits}
    yield "least regret on entanglement, decades", turned.floor.value, {}
    yield "the same by seeds alone, decades", turned.floor_by_chance.value, {}
