"""How a claim is written down wherever it is shown: page, index, README."""

import math

SYMBOLS = {
    "does not hold": "✕",
    "not testable here": "○",
    "holds": "✓",
}  # failures first
PLURALS = {
    "does not hold": "do not hold",
    "not testable here": "not testable here",
    "holds": "hold",
}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def failures_first(claims):
    """Sort claims by verdict: does not hold, not testable here, holds.

    Those that derive from seconds stand last, in their given order, so that the order
    is the same in every run.
    """
    order = list(SYMBOLS)
    return sorted(
        claims,
        key=lambda claim: (
            len(order) if claim["kind"] == "time" else order.index(claim["verdict"])
        ),
    )


def count_verdicts(claims):
    """Count the claims of each verdict, failures first, verdicts without one left out.

    Returns
    -------
    list of dict
        ``verdict``, ``symbol``, ``count``, ``text`` such as ``"2 do not hold"``.
    """
    counts = []
    for verdict, symbol in SYMBOLS.items():
        count = sum(claim["verdict"] == verdict for claim in claims)
        text = f"{count} {verdict if count == 1 else PLURALS[verdict]}"
        if count:
            counts.append(
                {"verdict": verdict, "symbol": symbol, "count": count, "text": text}
            )
    return counts


def as_stated(claims):
    """The claims before anything is measured, as a Markdown table to display.

    Parameters
    ----------
    claims : iterable of dict
        With ``text``, ``source`` and ``stated``.
    """
    from IPython.display import Markdown

    rows = [(claim["text"], claim["source"], claim["stated"]) for claim in claims]
    lines = [("Claim", "Source", "Stated"), ("---",) * 3, *rows]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def measured(claim):
    """Write a claim's measured value with its interval.

    Two significant digits of the interval's width are kept, since further ones mean
    nothing; without an interval, six significant digits of the value.

    Returns
    -------
    str
        Such as ``"−17.99998 [−18.00000, −17.99990]"``; ``"∞"`` for a value that was
        never reached, ``"not measured"`` where there is none.
    """
    value, interval = claim["measured"], claim["interval"]
    if interval is None and value is None:
        return "∞" if claim["verdict"] == "does not hold" else "not measured"
    if interval is None:
        return _number(value, 6 - _exponent(value) - 1, _exponent(value), strip=True)
    known = [part for part in (value, *interval) if part is not None]
    if not known:
        return "∞"
    exponent = max(map(_exponent, known))
    width = max(known) - min(known)
    decimals = 1 - _exponent(width) if width else 6 - exponent - 1
    low, middle, high = (
        "∞" if part is None else _number(part, decimals, exponent, strip=not width)
        for part in (interval[0], value, interval[1])
    )
    if interval[0] is None and value is not None:
        low = "−∞"
    return f"{middle} [{low},\N{NO-BREAK SPACE}{high}]"


def summary(found, says):
    """What was found, in one line.

    Parameters
    ----------
    found : dict
        Key of a claim to verdict and measured value, in words.
    says : dict
        Key to what is said if the claim holds, if not, and of what the value is, with
        ``{}`` in the value's place.

    Returns
    -------
    str
    """
    parts = []
    for key, (if_so, if_not, measure) in says.items():
        verdict, value = found[key]
        told = {"holds": if_so, "does not hold": if_not}
        said = told.get(verdict, f"undecided whether {if_so}")
        parts.append(f"{said} ({measure.format(value)})")
    return f"Found: {'; '.join(parts)}."


def _exponent(value):
    return math.floor(math.log10(abs(value))) if value else 0


def _number(value, decimals, exponent, *, strip):
    """Fixed point, or scientific where the value is very large or small."""
    power = ""
    if not -4 <= exponent < 6:
        value, decimals = value / 10.0**exponent, decimals + exponent
        power = "×10" + str(exponent).translate(_SUPERSCRIPTS)
    text = f"{value:.{max(decimals, 0)}f}"
    if strip and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−") + power
