"""What the table of targets and blocks says: rules, and the physics behind them."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from qlib.intervals import Estimate
from qlib.nas.rules.profile import FEATURES
from qlib.nas.rules.rules import ALL, SHORTEST

RESAMPLES = 1000
TREES = 20
LAW = 0.25  # bits a site: growth above it is called a volume law, as in rules.growth


class Reading(NamedTuple):
    """What entanglement has to do with range, and what it leaves open.

    Attributes
    ----------
    growth : (T,) array
        Bits of entropy a site, of each target.
    worth : (T,) array
        Decades that all sites gain over a range of one in the RBM, of each target.
    families : (T,) array of str
    correlation : Estimate
        Spearman's, of growth and worth; families resampled.
    difference : Estimate
        Mean worth of targets with growth above 0.25 bits a site less that of the rest.
    explained : dict
        "entanglement", "basis", "both": share of the variance of log infidelity that
        a forest explains on families held out, variances summed over blocks; below 0
        it does worse than the mean of each block.
    """

    growth: np.ndarray
    worth: np.ndarray
    families: np.ndarray
    correlation: Estimate
    difference: Estimate
    explained: dict


def reading(table, *, rng=0):
    """Area law against short range, and how much entanglement explains at all.

    Parameters
    ----------
    table : `qlib.nas.rules.table.Table`
    rng : int or numpy Generator
        Of the resamples.

    Returns
    -------
    Reading
    """
    rng = np.random.default_rng(rng)
    growth = table.features[:, FEATURES.index("growth")]
    if not {SHORTEST, ALL} <= set(table.blocks):
        allowed = f"{SHORTEST} and {ALL} among its blocks"
        raise ValueError(f"table: got {table.blocks}; allowed: {allowed}")
    short, everywhere = (table.blocks.index(name) for name in (SHORTEST, ALL))
    worth = table.score[:, short] - table.score[:, everywhere]
    families = table.families
    seen = {
        "entanglement": table.features,
        "basis": table.basis,
        "both": np.hstack([table.features, table.basis]),
    }
    return Reading(
        growth,
        worth,
        families,
        _resampled(lambda rows: _spearman(growth[rows], worth[rows]), families, rng),
        _resampled(lambda rows: _difference(growth[rows], worth[rows]), families, rng),
        {name: _explained(inputs, table, rng) for name, inputs in seen.items()},
    )


def _explained(inputs, table, rng):
    """R² of log infidelity on families held out, with its interval."""
    from sklearn.ensemble import RandomForestRegressor

    predicted = np.empty(table.score.shape)
    for family in np.unique(table.families):
        here = table.families == family
        model = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
        model.fit(inputs[~here], table.score[~here])
        predicted[here] = model.predict(inputs[here])
    wrong = (table.score - predicted) ** 2

    def share(rows):
        spread = (table.score[rows] - table.score[rows].mean(0)) ** 2
        return float(1 - wrong[rows].sum() / spread.sum())

    return _resampled(share, table.families, rng)


def _resampled(statistic, families, rng):
    """A statistic of rows, with a 95 % interval from families drawn with repeats."""
    groups = [np.flatnonzero(families == one) for one in np.unique(families)]
    draws = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    found = [statistic(np.concatenate([groups[k] for k in draw])) for draw in draws]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(float(statistic(np.arange(len(families)))), float(low), float(high))


def _spearman(x, y):
    """Correlation of the ranks; 0 where one of them does not vary."""
    x, y = rankdata(x), rankdata(y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _difference(growth, worth):
    """Mean worth above the law less that below; NaN where one side is empty."""
    above = growth > LAW
    if above.all() or not above.any():
        return np.nan
    return float(worth[above].mean() - worth[~above].mean())


def rows(table, families, sizes):
    """What is recorded of the table and the rules: (metric, value, labels).

    Parameters
    ----------
    table : `qlib.nas.rules.table.Table`
    families, sizes : dict
        Of `scoring.families_held_out` and `scoring.sizes_held_out`.
    """
    for row, scores in enumerate(table.score):
        labels = {
            "family": str(table.families[row]),
            "sites": int(table.sizes[row]),
            "point": int(table.points[row]),
        }
        for block, value in zip(table.blocks, scores, strict=True):
            bound = table.profiles[row].bounds[block]
            yield "log10 infidelity", value, labels | {"block": block}
            yield "bound on the infidelity", bound, labels | {"block": block}
    for held_out, scored in (("families", families), ("largest size", sizes)):
        for rule, one in scored.items():
            labels = {"rule": rule, "held out": held_out}
            yield "regret, decades", one.mean.value, labels
            yield "share of best blocks picked", one.right.mean(), labels
