"""Targets: the states that an architecture is to hold, and what is known of them."""

from qlib.nas.targets.chain import ChainTarget
from qlib.nas.targets.states import seven
from qlib.nas.targets.target import Target

__all__ = ["ChainTarget", "Target", "seven"]
