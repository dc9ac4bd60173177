"""Metropolis moves of grid codes under the exact loss of the head; their walkers."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from qlib.weights import head_kernels
from qlib.weights.arguments import falling_range
from qlib.weights.head import REFRESH_EVERY, head_arrays
from qlib.weights.quantize.codes import QuantizedHead, levels

EXCESS_LOSS = 0.5
"""Nats a sample; over the number N of weights it is the hottest temperature.

A weight in equilibrium at temperature T lifts the loss by about T/2 (equipartition), N
weights by N T/2: what is acceptable over a good start, divided by N, is the scale of T.
For a head of 512 x 10 weights T is 1e-4. On the digits (64 x 10, 1 to 3 bits, 50 to 800
sweeps) 0.2 to 1 gave the lowest losses. The textbook rule, a T at which a median move
is accepted every other time, is hotter the fewer levels there are and melts a good
start, where this T does not (`tests/weights/test_quantize_annealing.py`).
"""

COOLING = 100.0
"""Hottest over coldest temperature: of 30, 100 and 300, 100 was never far off."""


@dataclass(frozen=True, eq=False)
class WalkState:
    """What a callback sees after a sweep; R replicas or slices.

    Attributes
    ----------
    losses : (R,) array
        Nats a sample, l2 term included.
    best_loss : float
        Lowest loss met so far.
    temperatures : (R,) array
        Nats a sample.
    codes : (R, d, C) int8 array
        A copy.
    """

    losses: np.ndarray
    best_loss: float
    temperatures: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True, eq=False)
class AnnealedCodes:
    """Outcome of a search over codes; R replicas (or slices), `sweeps` sweeps.

    Attributes
    ----------
    head : QuantizedHead
        The best codes met, with scale and bias of the start.
    loss : float
        Their loss in nats a sample, l2 term included, recomputed from the weights.
    losses : (R, sweeps) array
        Loss of each replica after each sweep; for replica exchange row r is the r-th
        temperature, hottest first.
    codes : (R, d, C) int8 array
        Codes after the last sweep, in the order of `losses`.
    proposals : int
        Evaluations of a change of loss, O(n) each, over all replicas: the unit in
        which the methods are compared. The start's own loss is not counted.
    acceptance : (R, sweeps) array
        Fraction of a sweep's proposed moves that were accepted.
    """

    head: QuantizedHead
    loss: float
    losses: np.ndarray
    codes: np.ndarray
    proposals: int
    acceptance: np.ndarray


class Walkers:
    """R walkers over the codes of one head, each with random numbers of its own.

    Parameters
    ----------
    features, labels, start, l2
        As `simulated_annealing_codes`.
    replicas : int
        All start from `start`.
    callback : callable or None
    rng : numpy.random.Generator

    Raises
    ------
    TypeError, ValueError
        If the start is no `QuantizedHead`, or the data do not fit it.
    """

    def __init__(self, features, labels, start, replicas, *, l2, callback, rng):
        if not isinstance(start, QuantizedHead):
            raise TypeError(f"start: got {type(start)}; allowed: a QuantizedHead")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback: got {callback!r}; allowed: None or a callable")
        weights, bias = [start.weights] * replicas, [start.bias] * replicas
        self.arrays = head_arrays(features, labels, weights, bias, l2=l2)
        self.start, self.grid = start, levels(start.bits).astype(np.float64)
        places = np.searchsorted(self.grid, start.codes).astype(np.int8)
        self.places = np.repeat(
            places[None], replicas, axis=0
        )  # (R, d, C), of the grid
        self.best_places = self.places.copy()
        self.best_losses = self.arrays.loss.copy()
        self.evaluations, self.losses, self.acceptance = 0, [], []
        self._moves = np.zeros(replicas, dtype=np.int64)
        self._callback, self._generators = callback, rng.spawn(replicas)

    def draws(self):
        """A random order of the weights (R, d C), and two uniforms each (R, 2, d C)."""
        size = self.start.codes.size
        orders = np.stack([g.permutation(size) for g in self._generators])
        return orders, np.stack([g.random((2, size)) for g in self._generators])

    def record(self, evaluations, accepted, proposed, temperatures, order=None):
        """End a sweep; `order` lists the replicas by temperature. True means go on."""
        order = np.arange(accepted.size) if order is None else order
        self.evaluations += int(evaluations)
        self._moves += accepted
        for r in np.flatnonzero(self._moves >= REFRESH_EVERY):
            self.arrays.weights[r, :-1] = self.grid[self.places[r]] * self.start.scale
            head_kernels.refresh(self.arrays, r)
            self._moves[r] = 0
        self.losses.append(self.arrays.loss[order])
        self.acceptance.append(accepted[order] / proposed)
        if self._callback is None:
            return True
        state = WalkState(
            losses=self.losses[-1].copy(),
            best_loss=float(self.best_losses.min()),
            temperatures=temperatures.copy(),
            codes=self.codes(order),
        )
        try:
            self._callback(len(self.losses), state)
        except StopIteration:
            return False
        return True

    def codes(self, order):
        """Codes (R, d, C) of the replicas in this order."""
        return self.grid[self.places[order]].astype(np.int8)

    def result(self, order=None):
        """The outcome of all sweeps recorded."""
        best = int(np.argmin(self.best_losses))
        codes = self.grid[self.best_places[best]].astype(np.int8)
        head = QuantizedHead(codes, self.start.scale, self.start.bias, self.start.bits)
        self.arrays.weights[best, :-1] = head.weights
        head_kernels.refresh(self.arrays, best)
        return AnnealedCodes(
            head=head,
            loss=float(self.arrays.loss[best]),
            losses=np.stack(self.losses, axis=1),
            codes=self.codes(np.arange(len(self.places)) if order is None else order),
            proposals=self.evaluations,
            acceptance=np.stack(self.acceptance, axis=1),
        )


def temperatures_between(temperature_range, weights):
    """Hottest and coldest temperature, checked; None is the default for N weights.

    Raises
    ------
    ValueError
        If the pair is not finite with hot >= cold > 0.
    """
    if temperature_range is None:
        hot = EXCESS_LOSS / weights
        return hot, hot / COOLING
    return falling_range("temperature_range", temperature_range)


@njit(cache=True, nogil=True)
def propose(place, size, draw):
    """Another place on a grid of `size` levels, or `place` for a move off the grid.

    Two levels: the other one. Else a neighbour with probability 1/2, any other level
    with probability 1/2: a rule as likely forwards as backwards.
    """
    if size == 2:
        return 1 - place
    if draw < 0.25:
        return max(place - 1, 0)
    if draw < 0.5:
        return min(place + 1, size - 1)
    other = min(int((draw - 0.5) * 2 * (size - 1)), size - 2)
    return other + 1 if other >= place else other


@njit(cache=True, nogil=True)
def keep_best(arrays, places, best_places, best_losses, r):
    """Copy the codes of walker r if its loss is its lowest so far."""
    if arrays.loss[r] < best_losses[r]:
        best_losses[r] = arrays.loss[r]
        best_places[r] = places[r]


@njit(cache=True, nogil=True)
def metropolis_sweep(
    arrays, places, best_places, best_losses, grid, scale, temperatures, orders, draws
):
    """One Metropolis sweep of every replica; each weight is proposed once. O(R d C n).

    Each replica keeps its best codes, copied at every new lowest loss.

    Returns
    -------
    int, (R,) int64 array
        Changes of loss evaluated, moves accepted.
    """
    replicas, _, classes = places.shape
    evaluations, accepted = 0, np.zeros(replicas, dtype=np.int64)
    for r in range(replicas):
        for k in range(orders.shape[1]):
            j, c = orders[r, k] // classes, orders[r, k] % classes
            place = places[r, j, c]
            target = propose(place, grid.size, draws[r, 0, k])
            if target == place:
                continue
            delta = (grid[target] - grid[place]) * scale[c]
            change = head_kernels.change(arrays, r, j, c, delta)
            evaluations += 1
            if change <= 0.0 or draws[r, 1, k] < math.exp(-change / temperatures[r]):
                head_kernels.apply(arrays, r, j, c, delta, change)
                places[r, j, c] = target
                accepted[r] += 1
                keep_best(arrays, places, best_places, best_losses, r)
    return evaluations, accepted
