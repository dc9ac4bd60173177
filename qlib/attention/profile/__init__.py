"""What attention costs on this machine: seconds, peak memory, operations, floors.

With the timed trials, the only code of this topic that reads a clock.
"""

from qlib.attention.profile.cost import Cost, cost_of, exact_cost, floor_seconds
from qlib.attention.profile.machine import Machine, measure_machine
from qlib.attention.profile.measured import Profile, profile, profiles
from qlib.attention.profile.memory import peak_bytes
from qlib.attention.profile.seconds import in_turns

__all__ = [
    "Cost",
    "Machine",
    "Profile",
    "cost_of",
    "exact_cost",
    "floor_seconds",
    "in_turns",
    "measure_machine",
    "peak_bytes",
    "profile",
    "profiles",
]
