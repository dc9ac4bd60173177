"""Ground states of drawn chains across four phases, their spectra and features.

`make_dataset` solves every drawn point at every size; `Dataset` holds, saves and loads
the rows; `FAMILIES` are the regions of parameters drawn from, by name.
"""

from qlib.entanglement.dataset.families import FAMILIES
from qlib.entanglement.dataset.family import PHASES, Family
from qlib.entanglement.dataset.make import make_dataset
from qlib.entanglement.dataset.storage import Dataset

__all__ = ["FAMILIES", "PHASES", "Dataset", "Family", "make_dataset"]
