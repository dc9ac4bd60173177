"""Greedy elimination and selection, then swaps: what an expert would do first."""

import numpy as np
from numba import njit

from qlib.arguments import positive_integer
from qlib.weights.arguments import kept_count, kept_mask
from qlib.weights.pruning.select import dense_couplings, selection

IMPROVEMENT = 1e-12  # of the largest single cost: below, a gain is rounding


def backward_elimination(model, keep):
    """From all channels, remove the cheapest one at a time until `keep` are left.

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.
    keep : int
        Channels kept, 0 to c.

    Returns
    -------
    Selection

    Notes
    -----
    O(c) a step with maintained local fields, O(c (c − keep)) in all.
    """
    return _greedy(model, keep, 1)


def forward_selection(model, keep):
    """From no channel, add the most useful one at a time until `keep` are in.

    Parameters, returns and cost as for `backward_elimination`.
    """
    return _greedy(model, keep, -1)


def swap_descent(model, kept):
    """Swap a kept with a removed channel as long as some swap lowers the energy.

    For every channel in turn the best partner is taken. The end is a local minimum
    under all swaps (gains below 1e-12 of the largest single cost count as rounding).

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.
    kept : (c,) bool array
        Start; its count is held.

    Returns
    -------
    Selection

    Notes
    -----
    O(c) a channel visited, O(c²) a pass; the passes are few.
    """
    kept = kept_mask(kept, model.num_spins)
    couplings, fields, spins = _state(model, kept)
    _descend(couplings, fields, spins, _threshold(model))
    return selection(model, spins > 0)


def greedy_swap(model, keep, *, kicks=0, kick=3, rng=None):
    """Greedy from both ends, swap descent from each, then iterated local search.

    A kick exchanges `kick` random kept channels for as many random removed ones and
    descends again; a result that is not worse is the next start (iterated local
    search). With `kicks` = 0 the answer is deterministic.

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.
    keep : int
        Channels kept, 0 to c.
    kicks : int
        Number of kicks, >= 0.
    kick : int
        Channels exchanged by a kick, >= 1, at most the smaller side of the mask.
    rng : int, `numpy.random.Generator` or None
        Source of randomness of the kicks.

    Returns
    -------
    Selection

    References
    ----------
    H. R. Lourenço, O. C. Martin, T. Stützle, Iterated local search, in Handbook of
    Metaheuristics (2003).
    """
    keep = kept_count(keep, model.num_spins)
    size = positive_integer("kick", kick)
    kicks = positive_integer("kicks", kicks) if kicks != 0 else 0
    starts = [backward_elimination(model, keep), forward_selection(model, keep)]
    ends = [swap_descent(model, start.kept) for start in starts]
    best = min(ends, key=lambda end: end.energy)
    size = min(size, keep, model.num_spins - keep)
    if kicks == 0 or size == 0:
        return best
    couplings, fields, spins = _state(model, best.kept)
    generator = np.random.default_rng(rng)
    _kick(couplings, fields, spins, _threshold(model), kicks, size, generator)
    return selection(model, spins > 0)


def _greedy(model, keep, start):
    keep = kept_count(keep, model.num_spins)
    full = np.full(model.num_spins, start > 0)
    couplings, fields, spins = _state(model, full)
    steps = model.num_spins - keep if start > 0 else keep
    _flip_cheapest(couplings, fields, spins, steps, float(start))
    return selection(model, spins > 0)


def _state(model, kept):
    spins = np.where(kept, 1.0, -1.0)
    return dense_couplings(model), model.local_fields(spins), spins


def _threshold(model):
    fields = model.local_fields(np.ones(model.num_spins, dtype=np.int8))
    return IMPROVEMENT * 2 * np.abs(fields).max()


@njit(cache=True, nogil=True)
def _flip_cheapest(couplings, fields, spins, steps, side):
    """Flip the spin of `side` that costs least, `steps` times."""
    for _ in range(steps):
        best, cost = -1, np.inf
        for i in range(spins.size):
            change = -2.0 * side * fields[i]
            if spins[i] == side and change < cost:
                best, cost = i, change
        spins[best] = -side
        for j in range(spins.size):
            fields[j] -= 2.0 * side * couplings[best, j]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nnan", "nsz"})
def _cheapest_swap(fields, row, spins, side, changes):
    """Least of 2 side f_j − 4 J_ij over spins j of the other sign; all in `changes`."""
    lowest = np.inf
    for j in range(spins.size):  # no branch, so that it becomes SIMD
        value = 2.0 * side * fields[j] - 4.0 * row[j]
        changes[j] = value if spins[j] != side else np.inf
    for j in range(spins.size):
        lowest = changes[j] if changes[j] < lowest else lowest
    return lowest


@njit(cache=True, nogil=True)
def _descend(couplings, fields, spins, threshold):
    """Best swap of each spin in turn until a whole round finds none; total gain."""
    total = 0.0
    n = spins.size
    changes = np.empty(n)
    idle, i = 0, 0
    while idle < n:
        side = spins[i]
        own = -2.0 * side * fields[i]
        lowest = _cheapest_swap(fields, couplings[i], spins, side, changes)
        idle += 1
        if own + lowest < -threshold:
            partner = 0
            while changes[partner] != lowest:
                partner += 1
            _swap(couplings, fields, spins, i, partner)
            total += own + lowest
            idle = 0
        i = (i + 1) % n
    return total


@njit(cache=True, nogil=True)
def _swap(couplings, fields, spins, i, j):
    """Flip two spins of opposite sign and renew the local fields."""
    side = spins[i]
    spins[i], spins[j] = -side, side
    away, near = couplings[i], couplings[j]
    for other in range(spins.size):
        fields[other] += 2.0 * side * (near[other] - away[other])


@njit(cache=True, nogil=True)
def _kick(couplings, fields, spins, threshold, kicks, size, generator):
    """Iterated local search; `spins` ends as the best state."""
    n = spins.size
    saved_spins, saved_fields = spins.copy(), fields.copy()
    for _ in range(kicks):
        total = 0.0
        for _ in range(size):
            i = int(generator.random() * n)
            j = int(generator.random() * n)
            while spins[i] == spins[j]:
                j = int(generator.random() * n)
            side = spins[i]
            total += 2.0 * side * (fields[j] - fields[i]) - 4.0 * couplings[i, j]
            _swap(couplings, fields, spins, i, j)
        total += _descend(couplings, fields, spins, threshold)
        if total <= 0.0:
            saved_spins[:] = spins
            saved_fields[:] = fields
        else:
            spins[:] = saved_spins
            fields[:] = saved_fields
    spins[:] = saved_spins
