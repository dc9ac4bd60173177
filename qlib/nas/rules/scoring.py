"""What rules pay, in decades of infidelity, on families or sizes that they never saw.

Regret: mean log10 infidelity over seeds of the block picked, minus that of the best
block of the target. Rows of a family are of one kind, so that intervals are Student's
over families: resamples of so few cover too little. Gains are over the one block that
is best on the very rows scored: fitted to the other families, the best block on average
is the wrong one whenever two are close and a family decides between them, and a rule
would gain from that alone.
"""

from dataclasses import dataclass

import numpy as np

from qlib import intervals
from qlib.arguments import one_of
from qlib.nas.rules.fitted import FITTED, best_on_average
from qlib.nas.rules.rules import RULES

BASELINE = "one block, in hindsight"
CHANCE = "random"
TIED = 1e-9  # decades: two blocks at the floor
NAMES = (*RULES, *FITTED, BASELINE, CHANCE)


@dataclass(frozen=True, eq=False)
class Paid:
    """What one rule picked and paid on the rows that it was scored on.

    Attributes
    ----------
    choice : (T, B) array
        Probability that each block is picked; one-hot but for the random choice.
    regret : (T,) array
        Decades.
    right : (T,) array
        Probability that the best block is picked, or one as good.
    families : (T,) array of str
    """

    choice: np.ndarray
    regret: np.ndarray
    right: np.ndarray
    families: np.ndarray

    @property
    def mean(self):
        """Mean over families of the regret, with its interval."""
        return over_families(self.regret, self.families)

    def gain(self, other):
        """Mean regret that this rule spares against another, with its interval."""
        return over_families(other.regret - self.regret, self.families)


def over_families(values, families):
    """Mean of the families' means, with Student's 95 % interval over families.

    Parameters
    ----------
    values : (T,) array
    families : (T,) array of str
        Two different ones at least.

    Returns
    -------
    `qlib.intervals.Estimate`
    """
    by_family = means(values, families)
    if len(by_family) < 2:
        raise ValueError(f"families: got {len(by_family)}; allowed: two or more")
    return intervals.student_mean(by_family)


def means(values, families):
    """(families,) means of the values, families in alphabetical order."""
    return np.array([values[families == one].mean() for one in np.unique(families)])


def families_held_out(table, names=NAMES):
    """Each rule on each family, fitted to all other families.

    Parameters
    ----------
    table : `table.Table`
    names : sequence of str
        Of `NAMES`.

    Returns
    -------
    dict
        Name to Paid, over all rows of the table.
    """
    names = [one_of("names", name, NAMES) for name in names]
    choices = {name: choose(name, table, table) for name in names}
    for family in np.unique(table.families):
        here = table.families == family
        known, asked = table.rows(~here), table.rows(here)
        for name in set(names) & set(FITTED):
            choices[name][here] = choose(name, known, asked)
    return {name: paid(table, choice) for name, choice in choices.items()}


def sizes_held_out(table, names=NAMES):
    """Each rule at the largest size, fitted to the smaller ones of all families.

    Returns
    -------
    dict
        Name to Paid, over the rows of the largest size.
    """
    names = [one_of("names", name, NAMES) for name in names]
    largest = table.sizes == table.sizes.max()
    if largest.all():
        got = f"one size, {table.sizes.max()}"
        raise ValueError(f"table: got {got}; allowed: two sizes or more")
    known, asked = table.rows(~largest), table.rows(largest)
    return {name: paid(asked, choose(name, known, asked)) for name in names}


def choose(name, known, asked):
    """Choices (T, B) of a rule for the rows of `asked`, fitted to those of `known`."""
    blocks = len(asked.blocks)
    if name == CHANCE:
        return np.full((len(asked.profiles), blocks), 1 / blocks)
    if name == BASELINE:
        picked = best_on_average(asked.features, asked.regret)(asked.features)
    elif name in RULES:
        picked = [asked.blocks.index(RULES[name](p)) for p in asked.profiles]
    else:
        picked = FITTED[name](known.features, known.regret)(asked.features)
    return np.eye(blocks)[picked]


def paid(table, choice):
    """What the choices (T, B) cost on the rows of a table."""
    right = (choice * (table.regret <= TIED)).sum(1)
    return Paid(choice, (choice * table.regret).sum(1), right, table.families)


def noise(table):
    """Decades lost by naming the best block from all seeds but one, over families.

    Paid on the seed left out, against the block that is best over all seeds: what even
    a table of the target itself leaves to chance.

    Parameters
    ----------
    table : `table.Table`
        Of two seeds or more.

    Returns
    -------
    `qlib.intervals.Estimate`
    """
    decades = table.decades  # (T, B, S)
    rows, seeds = np.arange(len(decades)), decades.shape[2]
    if seeds < 2:
        raise ValueError(f"table: got {seeds} seed; allowed: two seeds or more")
    best = table.score.argmin(1)
    lost = []
    for seed in range(seeds):
        others = np.delete(decades, seed, axis=2).mean(2).argmin(1)
        lost.append(decades[rows, others, seed] - decades[rows, best, seed])
    return over_families(np.mean(lost, 0), table.families)


def confusion(table, one):
    """How often each block is picked where each is best: (best, picked) counts.

    Parameters
    ----------
    table : `table.Table`
    one : Paid
        On all rows of the table.

    Returns
    -------
    (B, B) array
    """
    best = np.eye(len(table.blocks))[table.score.argmin(1)]  # (T, B)
    return best.T @ one.choice
