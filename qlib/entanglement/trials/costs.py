"""What a prediction for a new chain takes, beside DMRG for the same chain."""

from dataclasses import dataclass

import numpy as np

from qlib.arguments import positive_integer
from qlib.entanglement import exact
from qlib.entanglement.dataset import FAMILIES
from qlib.entanglement.trials.reach import (
    METHODS,
    SIZES,
    TARGETS,
    TRUNCATIONS,
    by_dmrg,
    half_chain_entropy,
)
from qlib.intervals import geometric_mean


@dataclass(frozen=True, eq=False)
class Cost:
    """What DMRG and exact diagonalisation cost on some test points, one after another.

    Attributes
    ----------
    place : (n,) int array
        Which test points: open chains of free families, so that an exact answer exists.
    dmrg_error : (n,) array
        Half-chain entropy at 64 sites by DMRG minus the exact one, nats.
    broken : (n,) bool array
        DMRG found one of several states of lowest energy and says so; its entropy is
        then not that of the sector asked for.
    dmrg_seconds, exact_seconds : (n,) arrays
        By the caller's clock: of the one run at 64 sites, and of what a prediction asks
        for, ground states, known to be alone, and half-chain spectra at 8 and 16.
    """

    place: np.ndarray
    dmrg_error: np.ndarray
    broken: np.ndarray
    dmrg_seconds: np.ndarray
    exact_seconds: np.ndarray


def measure(stage, count, *, clock, truncation=TRUNCATIONS[1]):
    """DMRG's error and seconds at 64 sites, and those of diagonalising 8 and 16.

    Parameters
    ----------
    stage : Stage
    count : int
        Test points at most, spread evenly over those there are.
    clock : callable
    truncation : float
        Of DMRG.

    Returns
    -------
    Cost
    """
    count = positive_integer("count", count)
    test, size, rows = stage.test, TARGETS[-1], []
    points = zip(test.family, test.parameters, strict=True)
    free = [FAMILIES[name].free and p["boundary"] == "open" for name, p in points]
    exactly = np.flatnonzero(free)
    spread = np.linspace(0, len(exactly) - 1, min(count, len(exactly)))
    chosen = exactly[spread.astype(int)]
    # the first also once off the clock, to compile
    for place in (*chosen[:1], *chosen):
        family, given = FAMILIES[test.family[place]], test.parameters[place]
        began = clock()
        found = by_dmrg(family.build(size, **given), truncation)
        between = clock()
        for length in SIZES[-2:]:
            _diagonalised(family, given, length)
        error = half_chain_entropy(found) - stage.truth[place, -1]
        broken = bool(found.broken_symmetries)
        rows.append((place, error, broken, between - began, clock() - between))
    return Cost(*(np.array(column) for column in zip(*rows[1:], strict=True)))


def _diagonalised(family, parameters, size):
    """The features of a half chain, as the dataset has them."""
    sector = family.sector(size, parameters)
    H = family.build(size, **parameters)
    state = exact.ground_state(H, k=2, sector=sector)
    return state.features(size // 2)


def spent(cost, method, comparison):
    """Seconds of a prediction for a new chain, its diagonalisations included.

    Parameters
    ----------
    cost : Cost
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
