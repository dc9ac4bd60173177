"""Simulated annealing and replica exchange over the grid codes of a softmax head."""

import numpy as np

from qlib.arguments import positive_integer
from qlib.weights.quantize.code_moves import (
    Walkers,
    metropolis_sweep,
    temperatures_between,
)


def simulated_annealing_codes(
    features,
    labels,
    start,
    *,
    sweeps=200,
    temperature_range=None,
    replicas=1,
    l2=0.0,
    callback=None,
    rng=None,
):
    """Codes of low cross-entropy by simulated annealing from given codes.

    A proposal moves one weight to another level of its grid: the other one at 1 bit,
    else a neighbouring level or any other, half each. It is accepted by Metropolis'
    rule on the exact change of the calibration loss, O(n) a proposal. Scales and bias
    stay those of the start; `refit` adapts them afterwards.

    Parameters
    ----------
    features : (n, d) array
        Calibration features, finite.
    labels : (n,) integer array
        In 0..C-1.
    start : QuantizedHead
        Codes, scales and bias to start from.
    sweeps : int
        Each proposes a move of all d C weights once, in random order.
    temperature_range : (hot, cold) or None
        In nats a sample; the temperature falls geometrically from hot to cold, a step a
        sweep. None is 0.5 nats of acceptable excess loss over d C, and 1/100 of that.
    replicas : int
        Independent annealings R, all from `start`; the best is returned. Memory is
        16 n C bytes a replica.
    l2 : float
        Strength of l2/2 ||W||^2 in the loss.
    callback : callable or None
        ``callback(step, state)`` after each sweep with a `WalkState`; raising
        `StopIteration` ends the search.
    rng : None, int or numpy.random.Generator
        Seed. Each replica has a stream of its own, spawned from it.

    Returns
    -------
    AnnealedCodes

    Raises
    ------
    TypeError, ValueError
        By name: data that do not fit the start or are not finite, counts < 1, a
        temperature range that is reversed or not positive.

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, Science 220, 671 (1983).
    """
    sweeps = positive_integer("sweeps", sweeps)
    replicas = positive_integer("replicas", replicas)
    walkers = Walkers(
        features,
        labels,
        start,
        replicas,
        l2=l2,
        callback=callback,
        rng=np.random.default_rng(rng),
    )
    size = start.codes.size
    ladder = np.geomspace(*temperatures_between(temperature_range, size), sweeps)
    for temperature in ladder:
        temperatures = np.full(replicas, temperature)
        counts = _sweep(walkers, temperatures)
        if not walkers.record(*counts, size, temperatures):
            break
    return walkers.result()


def replica_exchange_codes(
    features,
    labels,
    start,
    *,
    sweeps=200,
    temperature_range=None,
    replicas=8,
    l2=0.0,
    callback=None,
    rng=None,
):
    """Codes of low cross-entropy by replica exchange (parallel tempering).

    R replicas walk at fixed temperatures, a geometric ladder from hot to cold. After
    each sweep neighbours in temperature (even and odd pairs in turn) exchange theirs
    with probability ``min(1, exp((1/T_a - 1/T_b)(L_a - L_b)))``.

    Parameters
    ----------
    replicas : int
        Temperatures R >= 2. The default of 8 steps over a factor of 100 leaves a
        factor of 1.9 between neighbours.
    features, labels, start, sweeps, temperature_range, l2, callback, rng
        As `simulated_annealing_codes`; a sweep moves all R replicas.

    Returns
    -------
    AnnealedCodes
        Its rows are temperatures, hottest first.

    Raises
    ------
    TypeError, ValueError
        As `simulated_annealing_codes`, and for fewer than two replicas.

    References
    ----------
    K. Hukushima, K. Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).
    """
    sweeps = positive_integer("sweeps", sweeps)
    if positive_integer("replicas", replicas) < 2:
        raise ValueError(f"replicas: got {replicas}; allowed: an integer >= 2")
    rng = np.random.default_rng(rng)
    walkers = Walkers(
        features, labels, start, replicas, l2=l2, callback=callback, rng=rng
    )
    size = start.codes.size
    ladder = np.geomspace(*temperatures_between(temperature_range, size), replicas)
    order = np.arange(replicas)  # replica at each temperature
    temperatures = ladder.copy()  # of each replica
    for sweep in range(sweeps):
        counts = _sweep(walkers, temperatures)
        _exchange(order, walkers.arrays.loss, ladder, sweep % 2, rng)
        temperatures[order] = ladder
        if not walkers.record(*counts, size, ladder, order):
            break
    return walkers.result(order)


def _sweep(walkers, temperatures):
    """One Metropolis sweep of all walkers: evaluations and accepted moves (R,)."""
    return metropolis_sweep(
        walkers.arrays,
        walkers.places,
        walkers.best_places,
        walkers.best_losses,
        walkers.grid,
        walkers.start.scale,
        temperatures,
        *walkers.draws(),
    )


def _exchange(order, losses, ladder, parity, rng):
    """Exchange replicas of neighbouring temperatures in place."""
    for a in range(parity, ladder.size - 1, 2):
        gain = losses[order[a]] - losses[order[a + 1]]
        exponent = (1 / ladder[a] - 1 / ladder[a + 1]) * gain
        if rng.random() < np.exp(min(exponent, 0.0)):
            order[a], order[a + 1] = order[a + 1], order[a]
