"""Elimination by the error after refitting: no QUBO, and the one to beat after it."""

import numpy as np

from qlib.arguments import number_between
from qlib.weights.arguments import finite_array, kept_count
from qlib.weights.pruning.refit import RIDGE, ridged


def refitted_elimination(moments, weights, keep, *, ridge=RIDGE):
    """Remove the channel whose loss costs least after a refit, one after another.

    A QUBO counts the error with the kept weights as they are; the error after the best
    refit of them is not quadratic in the mask. With P the inverse covariance of the
    remaining inputs and W their refitted weights, removing the inputs B costs
    tr W_Bᵀ (P_BB)⁻¹ W_B, and both P and W follow by a downdate: the optimal brain
    surgeon for a squared output error, a channel at a time.

    Parameters
    ----------
    moments : InputMoments
        c channels of b inputs.
    weights : (c·b, outputs) array
    keep : int
        Channels kept, 0 to c.
    ridge : float
        As in `least_squares_refit`, whose error is the one that is minimised.

    Returns
    -------
    (c,) bool array
        Kept channels.

    Notes
    -----
    O((c b)³ + (c − keep) c b (c b + outputs) b).

    References
    ----------
    B. Hassibi, D. G. Stork, G. J. Wolff, Optimal brain surgeon, ICNN 1993.
    """
    number_between("ridge", ridge, 0.0, np.inf, open_low=True)
    keep = kept_count(keep, moments.channels)
    weights = finite_array("weights", weights, (moments.mean.size, "outputs")).copy()
    inverse = np.linalg.inv(ridged(moments.covariance, ridge))
    channels, block = moments.channels, moments.block
    inputs = np.arange(channels * block).reshape(channels, block)
    kept = np.ones(channels, dtype=np.bool_)
    for _ in range(channels - keep):
        alive = np.flatnonzero(kept)
        rows = inputs[alive]  # (alive, b)
        own = inverse[rows[:, :, None], rows[:, None, :]]  # (alive, b, b)
        solved = np.linalg.solve(own, weights[rows])  # (alive, b, outputs)
        costs = np.einsum("abo,abo->a", weights[rows], solved)
        best = np.argmin(costs)
        gone = rows[best]
        column = inverse[:, gone].copy()  # (c·b, b)
        weights -= column @ solved[best]
        inverse -= column @ np.linalg.solve(own[best], column.T)
        kept[alive[best]] = False
    return kept
