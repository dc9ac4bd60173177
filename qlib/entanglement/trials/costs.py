"""What a prediction for a new chain takes, beside DMRG for the same chain."""

from qlib.entanglement.trials.reach import METHODS
from qlib.intervals import geometric_mean


def spent(cost, method, comparison):
    """Seconds of a prediction for a new chain, its diagonalisations included.

    Parameters
    ----------
    cost : `trials.reach.Cost`
    method : str
        Of `trials.reach.METHODS`.
    comparison : `trials.reach.Comparison`
        Where the prediction itself was timed.

    Returns
    -------
    (n,) array
        Of the chains in `cost`.
    """
    asked = cost.exact_seconds * METHODS[method].needs_diagonalisation
    return asked + comparison.seconds[method][1]


def ratio(cost, method, comparison):
    """Seconds of DMRG over those of a prediction, geometric mean over sound chains.

    Parameters
    ----------
    cost, method, comparison
        As for `spent`.

    Returns
    -------
    qlib.intervals.Estimate
    """
    ratios = cost.dmrg_seconds / spent(cost, method, comparison)
    return geometric_mean(ratios[~cost.broken])
