"""The differentiable supernet: candidate blocks mixed in every slot of a product."""

from qlib.nas.supernet.mixture import Supernet
from qlib.nas.supernet.settings import SCHEMES, SETTINGS, Settings
from qlib.nas.supernet.training import (
    Trace,
    TrainedSupernet,
    steps_within,
    supernet_evaluations,
    train_supernet,
)

__all__ = [
    "SCHEMES",
    "SETTINGS",
    "Settings",
    "Supernet",
    "Trace",
    "TrainedSupernet",
    "steps_within",
    "supernet_evaluations",
    "train_supernet",
]
