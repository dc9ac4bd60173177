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
    free = available()
    if needed > free:
        raise ValueError(
            f"{name}: got {value!r}, which needs {amount(needed)}; allowed: what fits "
            f"in the {amount(free)} available"
        )


def available():
    """Bytes of memory that are free for the taking."""
    import psutil

    return psutil.virtual_memory().available


def amount(number):
    """A number of bytes to three digits, in GiB too; beyond the largest float also."""
    number = Decimal(int(number))
    return f"{number:.3g} bytes ({number / 2**30:.3g} GiB)"
