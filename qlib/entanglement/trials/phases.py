"""Whether half-chain spectra name the phase of a chain."""

from typing import NamedTuple

import numpy as np

from qlib.entanglement.trials.chains import energies
from qlib.intervals import Estimate, student_mean

LEVELS = 8
HIGHEST = 30.0  # nats: a level above it has p < 1e-13 and is drawn down to it
TREES = 20
ALIKE = 0.01  # nats between the first two levels, below which they are a doublet


class Spectra(NamedTuple):
    """Half-chain spectra of the ground states of one size.

    Attributes
    ----------
    levels : (rows, LEVELS) array
        Lowest entanglement energies, nats, at most `HIGHEST`; or other numbers that a
        forest is to go by.
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


def two_numbers(dataset, size):
    """Entropy and capacity in place of the levels, of the same ground states.

    Returns
    -------
    Spectra
    """
    halves = dataset.half_chain()
    kept = halves[(halves["size"] == size) & ~halves["degenerate"]]
    return spectra(dataset, size)._replace(
        levels=kept[["entropy", "capacity"]].to_numpy()
    )


class Named(NamedTuple):
    """Phases named by a forest that had not seen the rows.

    Attributes
    ----------
    named : (rows,) array of str
    right : (rows,) bool array
    accuracy : qlib.intervals.Estimate
        Share named rightly, mean over families, with Student's interval over them.
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
    """
    from sklearn.model_selection import KFold

    parts = KFold(folds, shuffle=True, random_state=rng).split(found.levels)
    return _judged(found, _named(found, parts, rng))


def families_held_out(found, *, rng=0):
    """Phases named by forests that knew other families alone.

    Parameters
    ----------
    found : Spectra
    rng : int

    Returns
    -------
    Named
    """
    from sklearn.model_selection import LeaveOneGroupOut

    parts = LeaveOneGroupOut().split(found.levels, groups=found.family)
    return _judged(found, _named(found, parts, rng))


def majority(found):
    """Share of ground states in the phase that most are in, mean over families."""
    phases, counts = np.unique(found.phase, return_counts=True)
    most = np.full(len(found.phase), phases[np.argmax(counts)])
    return _judged(found, most).accuracy


def massless(phase):
    """Phases with gapless and critical ones taken together."""
    return np.where(np.isin(phase, ["gapless", "critical"]), "massless", phase)


def doublets(found):
    """States whose two lowest levels coincide, by family.

    Returns
    -------
    dict
        Family to (phase, number of such states), where there are any.
    """
    alike = np.diff(found.levels[:, :2], axis=1)[:, 0] < ALIKE
    return {
        family: (found.phase[at][0], int(alike[at].sum()))
        for family in np.unique(found.family).tolist()
        for at in (found.family == family,)
        if alike[at].any()
    }


def _judged(found, named):
    right = named == found.phase
    families = np.unique(found.family)
    shares = [right[found.family == family].mean() for family in families]
    mean = student_mean(shares)
    return Named(named, right, Estimate(*(float(np.clip(end, 0, 1)) for end in mean)))


def _named(found, parts, rng):
    from sklearn.ensemble import RandomForestClassifier

    named = np.empty(len(found.phase), dtype=object)
    inputs = np.hstack([found.levels, np.diff(found.levels, axis=1)])
    for known, unknown in parts:
        forest = RandomForestClassifier(TREES, random_state=rng)
        forest.fit(inputs[known], found.phase[known])
        named[unknown] = forest.predict(inputs[unknown])
    return named.astype(str)
