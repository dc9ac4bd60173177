"""The figures of notebook 05, each drawn from what `trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

from qlib.nas.figures.energies import energies

__all__ = ["energies"]
