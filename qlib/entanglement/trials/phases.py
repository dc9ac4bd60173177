"""Whether half-chain spectra name the phase of a chain."""

from typing import NamedTuple

import numpy as np

from qlib.entanglement.trials.chains import energies
from qlib.intervals import Estimate, proportion, student_mean

LEVELS = 8
HIGHEST = 30.0  # nats: a level above it has p < 1e-13 and is drawn down to it
TREES = 50
ALIKE = 0.01  # nats between the first two levels, below which they are a doublet


class Spectra(NamedTuple):
    """Half-chain spectra of the ground states of one size.

    Attributes
    ----------
    levels : (rows, LEVELS) array
        Lowest entanglement energies, nats, at most `HIGHEST`.
    phase, family : (rows,) arrays of str
    """

    levels: np.ndarray
    phase: np.ndarray
    family: np.ndarray


def spectra(dataset, size):
    """Half-chain spectra of all ground states of one size that are not degenerate.

    Parameters
    ----------
    dataset : qlib.entanglement.dataset.Dataset
    size : int

    Returns
    -------
    Spectra
    """
    table = dataset.table
    kept = table[(table["size"] == size) & ~table["degenerate"]]
    levels = [
        energies(dataset.probabilities(row, size // 2), LEVELS) for row in kept.index
    ]
    return Spectra(
        np.minimum(levels, HIGHEST),
        kept["phase"].to_numpy(str),
        kept["family"].to_numpy(str),
    )


class Named(NamedTuple):
    """Phases named by a forest that had not seen the rows.

    Attributes
    ----------
    named : (rows,) array of str
    right : (rows,) bool array
    accuracy : qlib.intervals.Estimate
        Share named rightly.
    """

    named: np.ndarray
    right: np.ndarray
    accuracy: Estimate


def points_held_out(found, *, folds=5, rng=0):
    """Phases named by forests that knew other points of the same families.

    Parameters
    ----------
    found : Spectra
    folds : int
    rng : int
        Of the folds and the forests.

    Returns
    -------
    Named
        The interval is Wilson's, over ground states.
    """
    from sklearn.model_selection import KFold

    parts = KFold(folds, shuffle=True, random_state=rng).split(found.levels)
    named = _named(found, parts, rng)
    right = named == found.phase
    return Named(named, right, proportion(right))


def families_held_out(found, *, rng=0):
    """Phases named by forests that knew other families alone.

    A family in more than one phase is held out whole.

    Parameters
    ----------
    found : Spectra
    rng : int

    Returns
    -------
    Named
        The accuracy is the mean over families, with Student's interval over them.
    """
    from sklearn.model_selection import LeaveOneGroupOut

    parts = LeaveOneGroupOut().split(found.levels, groups=found.family)
    named = _named(found, parts, rng)
    right = named == found.phase
    shares = [
        right[found.family == family].mean() for family in np.unique(found.family)
    ]
    return Named(named, right, student_mean(shares))


def doublets(found):
    """Share of topological states among those with a twofold degenerate lowest level.

    Returns
    -------
    qlib.intervals.Estimate or None
        None where no state has such a level.
    """
    alike = np.diff(found.levels[:, :2], axis=1)[:, 0] < ALIKE
    if not alike.any():
        return None
    return proportion(found.phase[alike] == "topological")


def _named(found, parts, rng):
    from sklearn.ensemble import RandomForestClassifier

    named = np.empty(len(found.phase), dtype=object)
    inputs = np.column_stack([found.levels, np.diff(found.levels, axis=1)])
    for known, unknown in parts:
        forest = RandomForestClassifier(TREES, random_state=rng)
        forest.fit(inputs[known], found.phase[known])
        named[unknown] = forest.predict(inputs[unknown])
    return named.astype(str)
