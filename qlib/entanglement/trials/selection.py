"""Errors by which a user may choose between predictors: of sizes diagonalised alone."""

import numpy as np

from qlib.entanglement.predictor.calibration import folds


def last_doubling(make, points, *, parts=6, seed=0):
    """Absolute errors of the largest size known, by predictors never shown it there.

    Points fall into `parts`. Predictors from a point's own sizes are trained on all
    sizes of the other parts, and asked about whole families left out. Those from
    parameters, which know nothing of a family left out, are trained on all sizes but
    the last of the other points, and asked about points of the same families. Both are
    asked for a size larger than any that they take as input.

    Parameters
    ----------
    make : callable
        ``make()``, a predictor of `qlib.entanglement.predictor`.
    points : Doublings
        Of three sizes or more.
    parts : int
    seed : int
        Of the parts and of training.

    Returns
    -------
    (P,) array
        Nats.
    """
    errors = np.empty(len(points))
    grouped = make().needs_diagonalisation
    groups = points.family if grouped else np.arange(len(points))
    fold = folds(groups, parts, seed)
    shorter = points.with_sizes(3).up_to(len(points.sizes) - 1)
    for part in np.unique(fold):
        learnt = (points if grouped else shorter).take(fold != part)
        asked = fold == part
        (said,) = make().fit(learnt, seed=seed).predict(shorter.take(asked), 1)
        errors[asked] = np.abs(said.value - points.entropy[asked, -1])
    return errors
