"""All backends by name."""

import inspect
from difflib import get_close_matches

from qlib.attention import baselines, blockwise, encoding, exact, sampling

FAMILIES = (exact, sampling, blockwise, baselines, encoding)
BACKENDS = {each.name: each for family in FAMILIES for each in family.BACKENDS}
COMMON = ("scale", "dropout_p", "generator", "need_weights")  # of every `attend`


def backend_named(name):
    """The `Backend` of that name.

    Raises
    ------
    ValueError
        If there is none; the message suggests the nearest and lists all.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        allowed = ", ".join(("auto", *BACKENDS))
        hint = suggestion(name, BACKENDS)
        raise ValueError(f"backend: got {name!r}{hint}; allowed: {allowed}")
    return BACKENDS[name]


def options_of(backend):
    """Names and defaults of the options that a `Backend` takes, as a dict."""
    parameters = inspect.signature(backend.attend).parameters.values()
    return {
        each.name: each.default
        for each in parameters
        if each.kind is each.KEYWORD_ONLY and each.name not in COMMON
    }


def suggestion(name, names):
    """``" (did you mean 'x'?)"`` with the nearest of `names`, or nothing."""
    near = get_close_matches(str(name), names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
