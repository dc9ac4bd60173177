"""Checks of named choices, shared by all of `qlib.optim`."""


def one_of(name, value, allowed):
    """`value`, refused by `name` unless it is one of the strings (or None) allowed."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        choices = ", ".join(str(choice) for choice in allowed)
        raise ValueError(f"{name}: got {value!r}; allowed: {choices}")
    return value
