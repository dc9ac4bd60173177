"""The figures of notebook 04, each drawn from what `trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

from qlib.entanglement.figures.learning import cutoffs, phases, rows
from qlib.entanglement.figures.play import cut, cuts
from qlib.entanglement.figures.reaching import costs, errors, predicted
from qlib.entanglement.figures.states import known, laws, rbms, spectra

__all__ = [
    "costs",
    "cut",
    "cutoffs",
    "cuts",
    "errors",
    "known",
    "laws",
    "phases",
    "predicted",
    "rbms",
    "rows",
    "spectra",
]
