"""Design rules: from a target's entanglement to a block, and what such rules are worth.

`profile` is what a rule may read of a target; `RULES` were declared before anything was
measured; `measure` trains every block on every `draw` of the families of targets;
`families_held_out` and `sizes_held_out` score rules, declared and fitted, by regret.
"""

from qlib.nas.rules.families import FAMILIES, target
from qlib.nas.rules.profile import FEATURES, Profile, profile
from qlib.nas.rules.rules import RULES
from qlib.nas.rules.scoring import families_held_out, sizes_held_out
from qlib.nas.rules.table import Draw, Table, draw, measure

__all__ = [
    "FAMILIES",
    "FEATURES",
    "RULES",
    "Draw",
    "Profile",
    "Table",
    "draw",
    "families_held_out",
    "measure",
    "profile",
    "sizes_held_out",
    "target",
]
