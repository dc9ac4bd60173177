"""Cooling schedules: temperature as a function of progress from 0 to 1."""

import numpy as np


def linear(progress, ratio):
    """Temperature relative to the first one, falling in equal steps.

    Parameters
    ----------
    progress : float or array
        0 at the first iteration, 1 at the last.
    ratio : float
        Last over first temperature, >= 0.
    """
    return 1.0 - (1.0 - ratio) * progress


def geometric(progress, ratio):
    """Temperature relative to the first one, falling by equal factors.

    Parameters
    ----------
    progress : float or array
        0 at the first iteration, 1 at the last.
    ratio : float
        Last over first temperature, > 0.

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by simulated annealing",
    Science 220, 671 (1983).
    """
    return ratio**progress


COOLING = {"linear": linear, "geometric": geometric}


def schedule(name, cooling, iterations, ratio):
    """The whole schedule, checked.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    cooling : {"linear", "geometric"} or callable
        A callable maps progress in [0, 1] to the absolute value, finite and >= 0.
    iterations : int
        Number of values, >= 0; progress runs evenly from 0 to 1.
    ratio : float
        Last over first value, for the named schedules.

    Returns
    -------
    (iterations,) array
        Absolute values of a callable; else values relative to the first.

    Raises
    ------
    ValueError
        If a value is negative, infinite or NaN.
    """
    progress = np.linspace(0.0, 1.0, iterations)
    if callable(cooling):
        values = np.array([float(cooling(s)) for s in progress])
    elif isinstance(cooling, str) and cooling in COOLING:
        values = COOLING[cooling](progress, ratio)
    else:
        raise ValueError(
            f"{name}: got {cooling!r}; allowed: {', '.join(COOLING)} or a callable"
        )
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name}: got {values[first]} at progress {progress[first]:.3g}; allowed: "
            "finite and >= 0"
        )
    return values
