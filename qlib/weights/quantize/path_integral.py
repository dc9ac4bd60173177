"""Path-integral (simulated quantum) annealing over the grid codes of a softmax head."""

import math

import numpy as np
from numba import njit

from qlib.arguments import number_between, positive_integer
from qlib.weights import head_kernels
from qlib.weights.arguments import falling_range
from qlib.weights.quantize.code_moves import EXCESS_LOSS, Walkers, keep_best, propose

HOPPING_RANGE = (1.0, 1e-3)
"""Field over P T at the start and the end: slices nearly free, then locked.

At 1 bit the coupling -1/2 ln tanh of these is 0.14 and 3.5: a lone slice out of line
pays a factor exp(-4 * 3.5) = 1e-6 in the end.
"""


def path_integral_codes(
    features,
    labels,
    start,
    *,
    slices=8,
    sweeps=100,
    temperature=None,
    field_range=None,
    l2=0.0,
    callback=None,
    rng=None,
):
    """Codes of low cross-entropy by path-integral Monte Carlo of quantum annealing.

    Each weight's level is the place of a particle on its grid that hops to neighbouring
    levels with amplitude Gamma, the transverse field; the loss is its potential. By the
    Trotter formula the thermal state at temperature T is that of P classical copies
    (slices) of the head in a ring, with weight ::

        exp(-sum_k L(w_k) / (P T)) * prod_k prod_jc <a_k| exp(Gamma A / (P T)) |a_k+1>

    where a_k is the level of weight (j, c) in slice k and A the adjacency matrix of the
    grid's levels. At 1 bit the second factor is the Ising coupling
    J = -1/2 ln tanh(Gamma / (P T)) of neighbouring slices. A sweep proposes one move
    of every weight in every slice, then one of every weight's whole worldline: all
    slices a level up, or down (1 bit: all flip). Gamma falls geometrically at fixed T.
    Nothing here needs or simulates a quantum state: it is a classical Markov chain.

    Parameters
    ----------
    slices : int
        P >= 1. One slice at 1 bit is simulated annealing at fixed temperature.
    sweeps : int
        Each costs up to 2 P d C evaluations of a change of loss.
    temperature : float or None
        T in nats a sample; a slice without coupling sees P T. None is
        0.5 / (P d C): free slices then see the hot end of `simulated_annealing_codes`.
    field_range : (first, last) or None
        Gamma in nats a sample. None is P T times (1, 1e-3).
    features, labels, start, l2, callback, rng
        As `simulated_annealing_codes`; the callback sees slices instead of replicas.

    Returns
    -------
    AnnealedCodes
        Its rows are slices; the best codes are the best of any slice at any time.

    Raises
    ------
    TypeError, ValueError
        As `simulated_annealing_codes`; a field range not finite with first >= last > 0.

    References
    ----------
    R. Martonak, G. E. Santoro, E. Tosatti, Phys. Rev. B 66, 094203 (2002).
    """
    slices = positive_integer("slices", slices)
    sweeps = positive_integer("sweeps", sweeps)
    walkers = Walkers(
        features,
        labels,
        start,
        slices,
        l2=l2,
        callback=callback,
        rng=np.random.default_rng(rng),
    )
    size = start.codes.size
    if temperature is None:
        temperature = EXCESS_LOSS / (slices * size)
    temperature = number_between("temperature", temperature, 0, np.inf, open_low=True)
    fields = np.geomspace(*_fields(field_range, slices * temperature), sweeps)
    for logs in hopping_logarithms(walkers.grid.size, fields / (slices * temperature)):
        counts = [0, np.zeros(slices, dtype=np.int64)]
        moves = [worldline_sweep] if slices == 1 else [slice_sweep, worldline_sweep]
        for move in moves:
            evaluations, accepted = move(
                walkers.arrays,
                walkers.places,
                walkers.best_places,
                walkers.best_losses,
                walkers.grid,
                start.scale,
                1 / (slices * temperature),
                logs,
                *walkers.draws(),
            )
            counts[0] += evaluations
            counts[1] += accepted
        temperatures = np.full(slices, temperature)
        if not walkers.record(*counts, len(moves) * size, temperatures):
            break
    return walkers.result()


def _fields(field_range, unit):
    """First and last field, checked; None is the default for P T = `unit`."""
    if field_range is None:
        return HOPPING_RANGE[0] * unit, HOPPING_RANGE[1] * unit
    return falling_range("field_range", field_range)


def hopping_logarithms(size, hopping):
    """Logarithms (..., size, size) of exp(hopping A), A the adjacency of the levels.

    From the series of positive terms, so that small entries keep their digits: entry
    (a, b) begins at ``hopping^|a-b| / |a-b|!``. Arguments above 1 are halved first, and
    the result squared as often.
    """
    adjacency = np.eye(size, k=1) + np.eye(size, k=-1)
    halvings = max(0, math.ceil(math.log2(np.max(hopping))))
    step = np.asarray(hopping)[..., None, None] / 2**halvings  # <= 1
    total = term = np.broadcast_to(np.eye(size), (*np.shape(hopping), size, size))
    for order in range(1, size + 30):  # 2^30/30! < 1e-23, and |a - b| < size
        term = term @ adjacency * (step / order)
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return np.log(np.maximum(total, np.finfo(np.float64).tiny))


@njit(cache=True, nogil=True)
def slice_sweep(
    arrays, places, best_places, best_losses, grid, scale, beta, logs, orders, draws
):
    """Propose each weight of each slice once, P >= 2. Returns as `metropolis_sweep`."""
    slices, _, classes = places.shape
    evaluations, accepted = 0, np.zeros(slices, dtype=np.int64)
    for k in range(slices):
        left, right = (k - 1) % slices, (k + 1) % slices
        for index in range(orders.shape[1]):
            j, c = orders[k, index] // classes, orders[k, index] % classes
            place = places[k, j, c]
            target = propose(place, grid.size, draws[k, 0, index])
            if target == place:
                continue
            near, far = places[left, j, c], places[right, j, c]
            coupling = logs[target, near] + logs[target, far]
            coupling -= logs[place, near] + logs[place, far]
            delta = (grid[target] - grid[place]) * scale[c]
            change = head_kernels.change(arrays, k, j, c, delta)
            evaluations += 1
            if draws[k, 1, index] < math.exp(min(coupling - beta * change, 0.0)):
                head_kernels.apply(arrays, k, j, c, delta, change)
                places[k, j, c] = target
                accepted[k] += 1
                keep_best(arrays, places, best_places, best_losses, k)
    return evaluations, accepted


@njit(cache=True, nogil=True)
def worldline_sweep(
    arrays, places, best_places, best_losses, grid, scale, beta, logs, orders, draws
):
    """Propose each weight's worldline once, all slices together.

    The random numbers are those of slice 0. Returns as `metropolis_sweep`.
    """
    slices, _, classes = places.shape
    evaluations, accepted = 0, np.zeros(slices, dtype=np.int64)
    changes, deltas = np.empty(slices), np.empty(slices)
    targets = np.empty(slices, dtype=np.int64)
    for index in range(orders.shape[1]):
        j, c = orders[0, index] // classes, orders[0, index] % classes
        line = places[:, j, c]
        step = 1 if draws[0, 0, index] < 0.5 else -1
        for k in range(slices):
            targets[k] = 1 - line[k] if grid.size == 2 else line[k] + step
        if targets.min() < 0 or targets.max() >= grid.size:
            continue
        exponent = 0.0
        for k in range(slices):
            right = (k + 1) % slices
            exponent += logs[targets[k], targets[right]] - logs[line[k], line[right]]
            deltas[k] = (grid[targets[k]] - grid[line[k]]) * scale[c]
            changes[k] = head_kernels.change(arrays, k, j, c, deltas[k])
            exponent -= beta * changes[k]
        evaluations += slices
        if draws[0, 1, index] >= math.exp(min(exponent, 0.0)):
            continue
        for k in range(slices):
            head_kernels.apply(arrays, k, j, c, deltas[k], changes[k])
            places[k, j, c] = targets[k]
            accepted[k] += 1
            keep_best(arrays, places, best_places, best_losses, k)
    return evaluations, accepted
