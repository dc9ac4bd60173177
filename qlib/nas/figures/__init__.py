"""The figures of notebook 05, each drawn from what `trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

from qlib.nas.figures.energies import energies
from qlib.nas.figures.long_chain import long_chain
from qlib.nas.figures.play import pick, picks
from qlib.nas.figures.schemes import schemes
from qlib.nas.figures.solo import solo
from qlib.nas.figures.supernets import gaps, supernets

__all__ = [
    "energies",
    "gaps",
    "long_chain",
    "pick",
    "picks",
    "schemes",
    "solo",
    "supernets",
]
