"""Rules that are fitted to a table: a threshold, a tree, a forest, and no rule at all.

Each is ``fit(features, regret) -> pick``, where ``pick(features)`` gives a block's
number for each row. Features are (T, F), regrets (T, B) in decades. What is minimised
is the mean regret itself, not the share of best blocks named.
"""

import numpy as np

DEPTH = 3  # of the tree: eight leaves, few enough to read
LEAF = 3  # rows in a leaf at least
TREES = 50


def best_on_average(features, regret):
    """The block of the least mean regret, whatever the target."""
    best = int(regret.mean(0).argmin())
    return lambda features: np.full(len(features), best)


def stump(features, regret):
    """One threshold on one feature, a block on either side: the best such rule.

    Ties go to the first feature. O(F T (ln T + B)).
    """
    found = [one_threshold(column, regret) for column in features.T]
    feature = int(np.argmin([one[0] for one in found]))
    _, threshold, low, high = found[feature]
    return lambda features: np.where(features[:, feature] < threshold, low, high)


def one_threshold(values, regret):
    """The best threshold on one feature.

    Parameters
    ----------
    values : (T,) array
    regret : (T, B) array

    Returns
    -------
    tuple
        Mean regret, threshold (infinite where no split helps), block below, block
        above.
    """
    order = np.argsort(values, kind="stable")
    values, regret = values[order], regret[order]
    below = np.cumsum(regret, axis=0)  # (T, B): of the rows up to each
    total = below[-1]
    best = (total.min() / len(values), np.inf, int(total.argmin()), int(total.argmin()))
    splits = np.flatnonzero(np.diff(values) > 0)
    if not len(splits):
        return best
    sums = below[splits].min(1) + (total - below[splits]).min(1)
    at = splits[sums.argmin()]
    if sums.min() >= total.min():
        return best
    return (
        float(sums.min() / len(values)),
        float((values[at] + values[at + 1]) / 2),
        int(below[at].argmin()),
        int((total - below[at]).argmin()),
    )


def tree(features, regret):
    """The least of all blocks' regrets as a tree of depth 3 predicts them."""
    from sklearn.tree import DecisionTreeRegressor

    model = DecisionTreeRegressor(
        max_depth=DEPTH, min_samples_leaf=LEAF, random_state=0
    ).fit(features, regret)
    return lambda features: model.predict(features).argmin(1)


def forest(features, regret):
    """As `tree`, of 50 deep trees: a black box, to see what readable rules give up."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
    model.fit(features, regret)
    return lambda features: model.predict(features).argmin(1)


FITTED = {
    "best on average": best_on_average,
    "one threshold": stump,
    "tree": tree,
    "forest": forest,
}
