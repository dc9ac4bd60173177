"""What a numerical cut-off does to moments of the entanglement spectrum."""

from typing import NamedTuple

import numpy as np

from qlib import intervals
from qlib.entanglement import spectrum


class Moments(NamedTuple):
    """Variances of the half-chain spectrum xi = -ln p > above cut-offs.

    Attributes
    ----------
    cutoffs : (k,) array
        Only p above them count.
    unweighted, weighted : (rows, k) arrays
        Variance of xi with every level counted alike, and weighted by p, nats squared.
    """

    cutoffs: np.ndarray
    unweighted: np.ndarray
    weighted: np.ndarray


def moments(spectra, cutoffs):
    """Variances of spectra, unweighted and weighted, against the cut-off.

    Parameters
    ----------
    spectra : sequence of arrays
        Schmidt probabilities, each sum 1.
    cutoffs : sequence of float

    Returns
    -------
    Moments
    """
    alike = [[spectrum.legacy_moments(p, e).variance for e in cutoffs] for p in spectra]
    weighed = [[_capacity(p, e) for e in cutoffs] for p in spectra]
    return Moments(np.asarray(cutoffs), np.array(alike), np.array(weighed))


def change(variances):
    """How far the last cut-off moves the variance, over its spread among the rows.

    Parameters
    ----------
    variances : (rows, k) array

    Returns
    -------
    qlib.intervals.Estimate
        Mean over rows of the distance between first and last cut-off, in standard
        deviations of the last, with its bootstrap interval.
    """
    moved = np.abs(variances[:, -1] - variances[:, 0])
    return intervals.mean(moved / variances[:, -1].std())


def _capacity(p, cutoff):
    kept = p[p > cutoff]
    return spectrum.features(kept / kept.sum()).capacity
