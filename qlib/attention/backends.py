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
    TypeError
        If it is no str.
    ValueError
        If there is none; the message suggests the nearest and lists all.
    """
    allowed = ", ".join(("auto", *BACKENDS))
    if not isinstance(name, str):
        raise TypeError(f"backend: got {type(name).__name__}; allowed: {allowed}")
    if name not in BACKENDS:
        hint = suggestion(name, BACKENDS)
        raise ValueError(f"backend: got {name!r}{hint}; allowed: {allowed}")
    return BACKENDS[name]


def options_of(backend):
    """Names and defaults of the options of a `Backend` or its name, as a dict."""
    backend = backend_named(backend) if isinstance(backend, str) else backend
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
