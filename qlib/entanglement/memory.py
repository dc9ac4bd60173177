"""Refusal of work that would not fit in memory, before it is begun."""

from decimal import Decimal


def refuse_beyond_memory(name, value, needed):
    """Raise ValueError where `needed` bytes are more than are available.

    Parameters
    ----------
    name, value
        The argument that decides about the size, and what was given.
    needed : int
        Bytes that the work would take.
    """
    import psutil

    available = psutil.virtual_memory().available
    if needed > available:
        raise ValueError(
            f"{name}: got {value!r}, which needs {digits(needed)} bytes; allowed: what "
            f"fits in the {available:.3g} bytes available"
        )


def digits(number):
    """Three digits of a size in bytes, beyond the largest float too."""
    return f"{Decimal(int(number)):.3g}"
