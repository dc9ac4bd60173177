"""The figures of notebook 06, each drawn from what `trials` returns.

A function returns what `Run.figure` takes: the figure, its name, alternative text and
caption. Titles state what the drawn data say.
"""

from qlib.attention.figures.errors import sampling_errors
from qlib.attention.figures.limits import limits
from qlib.attention.figures.losses import losses
from qlib.attention.figures.maps import maps
from qlib.attention.figures.measured import measured
from qlib.attention.figures.pareto import pareto
from qlib.attention.figures.play import play
from qlib.attention.figures.small import small

__all__ = [
    "limits",
    "losses",
    "maps",
    "measured",
    "pareto",
    "play",
    "sampling_errors",
    "small",
]
