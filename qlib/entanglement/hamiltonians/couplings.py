"""Checks of sizes, couplings and boundaries that all Hamiltonians share."""

import numpy as np

from qlib.arguments import one_of, positive_integer

BOUNDARIES = ("open", "periodic")


def chain(N, boundary, fewest=2):
    """N as an int, and whether the chain is closed to a ring of at least 3 sites."""
    periodic = one_of("boundary", boundary, BOUNDARIES) == "periodic"
    fewest = max(3, fewest) if periodic else fewest
    number = positive_integer("N", N)
    if number < fewest:
        raise ValueError(
            f"N: got {N!r}; allowed: an integer >= {fewest} for this model with "
            f"{boundary} boundary"
        )
    return number, periodic


def per(what, name, value, count):
    """`value` as `count` finite floats, one per bond, site, ... (`what`).

    Raises
    ------
    ValueError
        For another length, and for values that are not finite real numbers.
    """
    given = np.asarray(value)
    if given.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: got {value!r}; allowed: a real number, or {count} of them, one "
            f"per {what}"
        )
    if given.shape not in ((), (count,)):
        raise ValueError(
            f"{name}: got shape {given.shape}; allowed: a number or shape ({count},), "
            f"one per {what}"
        )
    if not np.isfinite(given).all():
        raise ValueError(f"{name}: got {value!r}; allowed: finite numbers")
    return np.broadcast_to(given.astype(np.float64), count)


def bonds(N, periodic, distance=1):
    """Pairs (i, i + distance), i rising; around the ring if it is periodic."""
    count = N if periodic else N - distance
    return [(i, (i + distance) % N) for i in range(count)]


def strings(letters, places, coefficients):
    """Terms of one kind of string at many places."""
    return [
        (letters, sites, float(c))
        for sites, c in zip(places, coefficients, strict=True)
    ]


def fields(letter, coefficients):
    """Terms of one letter on every site."""
    return strings(letter, [(i,) for i in range(len(coefficients))], coefficients)
