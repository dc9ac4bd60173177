"""Checks of single arguments, shared by all topics."""

import math
import operator


def positive_integer(name, value):
    """`value` as an int, refused by `name` unless it is an integer >= 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name}: got {value!r}; allowed: an integer >= 1")
    return number


def integer_between(name, value, low, high):
    """`value` as an int, refused by `name` unless it is an integer in [low, high]."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high or isinstance(value, bool):
        raise ValueError(
            f"{name}: got {value!r}; allowed: an integer in [{low}, {high}]"
        )
    return number


def number_between(name, value, low, high, *, open_low=False):
    """`value` as a float, refused by `name` unless finite and in [low, high]."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    above = number > low if open_low else number >= low
    if not (math.isfinite(number) and above and number <= high):
        left = "(" if open_low else "["
        right = ")" if high == math.inf else "]"
        raise ValueError(f"{name}: got {value!r}; allowed: {left}{low}, {high}{right}")
    return number


def one_of(name, value, allowed):
    """`value`, refused by `name` unless it is one of the strings (or None) allowed."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        choices = ", ".join(str(choice) for choice in allowed)
        raise ValueError(f"{name}: got {value!r}; allowed: {choices}")
    return value
