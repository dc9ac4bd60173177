"""Loss against seconds: gradients on real weights, annealing on codes of four bits.

The clock is the caller's, so that only a notebook's timed cells read one.
"""

import numpy as np

from qlib.weights.convex import fit_softmax
from qlib.weights.quantize.annealing import simulated_annealing_codes
from qlib.weights.quantize.codes import levels
from qlib.weights.training import train_last_layer
from qlib.weights.trials.heads import random_codes

BITS = 4


class Stopwatch:
    """Notes (seconds, loss) pairs; the time spent on a loss asked for is taken off."""

    def __init__(self, clock):
        self._clock = clock
        self._began = clock()
        self.seconds, self.losses = [], []

    def note(self, loss):
        """Note a loss, a number or a function that computes it off the clock."""
        now = self._clock()
        self.seconds.append(now - self._began)
        self.losses.append(loss() if callable(loss) else loss)
        self._began += self._clock() - now

    def above(self, lowest):
        """Seconds, and the best loss so far minus `lowest`."""
        best = np.minimum.accumulate(self.losses)
        return np.array(self.seconds), best - lowest


def race(study, *, lr, epochs, iterations, sweeps, proposals, temperatures, clock, rng):
    """Seconds and loss above the optimum for every method.

    Parameters
    ----------
    study : Study
    lr, epochs
        Of SGD on the last layer, batches of 64.
    iterations : sequence of int
        Numbers of iterations for which L-BFGS is timed, each from zero.
    sweeps : int
        Of annealing by exact changes of the loss.
    proposals : int
        Of annealing with a forward pass each.
    temperatures : (float, float)
        Hot and cold, of both annealers.
    clock : callable
        Seconds, monotonic.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to (seconds, excess) arrays.
    """
    data = study.features, study.labels
    start = random_codes(study, BITS, rng)
    walk = dict(l2=study.l2, temperature_range=temperatures, rng=rng)
    simulated_annealing_codes(*data, start, sweeps=1, **walk)  # compiled off the clock
    watches = {"SGD": Stopwatch(clock)}
    train_last_layer(
        *data,
        lr=lr,
        epochs=epochs,
        cosine=True,
        l2=study.l2,
        rng=rng,
        callback=lambda epoch, *head: watches["SGD"].note(lambda: study.loss(*head)),
    )
    watches["L-BFGS"] = Stopwatch(clock)
    for count in iterations:
        timed = Stopwatch(clock)
        timed.note(fit_softmax(*data, l2=study.l2, maxiter=count, tolerance=1e-9).loss)
        watches["L-BFGS"].seconds += timed.seconds
        watches["L-BFGS"].losses += timed.losses
    watches["SA"] = Stopwatch(clock)
    simulated_annealing_codes(
        *data,
        start,
        sweeps=sweeps,
        callback=lambda step, state: watches["SA"].note(state.best_loss),
        **walk,
    )
    watches["naive SA"] = Stopwatch(clock)
    _naive(study, start, proposals, temperatures, watches["naive SA"], rng)
    return {name: watch.above(study.optimum.loss) for name, watch in watches.items()}


def tuned_rate(study, rates, *, epochs, rng):
    """The learning rate with which SGD on the last layer ends at the lowest loss."""
    ways = dict(epochs=epochs, cosine=True, l2=study.l2, rng=rng)
    fits = [
        train_last_layer(study.features, study.labels, lr=rate, **ways)
        for rate in rates
    ]
    losses = [study.loss(fit.weights, fit.bias) for fit in fits]
    return rates[int(np.nanargmin(losses))]


def proposal_costs(study, *, proposals, repeats, temperatures, clock, rng):
    """Seconds a proposal of annealing by exact changes and by forward passes.

    Parameters
    ----------
    study : Study
    proposals : int
        Of a forward pass each, in every repeat; by exact changes it is twenty sweeps.
    repeats : int
    temperatures, clock, rng
        As for `race`.

    Returns
    -------
    exact, naive : (repeats,) arrays
    """
    start = random_codes(study, BITS, rng)
    exact, naive = [], []
    for _ in range(repeats):
        timed = Stopwatch(clock)
        found = simulated_annealing_codes(
            study.features,
            study.labels,
            start,
            sweeps=20,
            temperature_range=temperatures,
            l2=study.l2,
            rng=rng,
            callback=lambda step, state, timed=timed: timed.note(state.best_loss),
        )
        exact.append(timed.seconds[-1] / found.proposals)
        timed = Stopwatch(clock)
        _naive(study, start, proposals, temperatures, timed, rng)
        naive.append(timed.seconds[-1] / proposals)
    return np.array(exact), np.array(naive)


def _naive(study, start, proposals, temperatures, watch, rng):
    """Annealing whose every proposal is judged by a forward pass over all weights."""
    codes, grid = start.codes.astype(float), levels(start.bits)
    loss = study.loss(codes * start.scale, start.bias)
    for temperature in np.geomspace(*temperatures, proposals):
        place = rng.integers(codes.shape[0]), rng.integers(codes.shape[1])
        moved = codes.copy()
        moved[place] = rng.choice(grid)
        new = study.loss(moved * start.scale, start.bias)
        if new <= loss + temperature * rng.standard_exponential():
            codes, loss = moved, new
        watch.note(loss)
