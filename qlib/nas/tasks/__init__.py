"""What a wave function is trained for: losses of log psi on parts of the basis.

A task holds `replicas` targets on `device` (one serves any number of replicas) and is
asked five things:

- ``batch(part, generator, log_psi)``: configurations of the part "weights",
  "architecture" or "all". Those of the first two are disjoint (for generators in one
  state, where they are drawn). ``batch.spins`` is
  (configs, N), or (replicas, configs, N) where replicas have configurations of
  their own; `log_psi` maps such spins to (replicas, configs) and is called where
  configurations are drawn from psi itself.
- ``loss(batch, log_psi_values)``: (…, replicas, configs) -> (…, replicas), real, to
  be differentiated; not negative, an infidelity or −ln F, if `logarithmic`.
- ``score(batch, log_psi_values)``: the same shapes on "all", without gradient; what
  is reported.
- ``select(indices)``: the task with the targets of these replicas.
- ``cost(part)``: configurations of a batch.
"""

from qlib.nas.tasks.energy import Energy
from qlib.nas.tasks.fidelity import FullSum
from qlib.nas.tasks.sampled import Sampled

__all__ = ["Energy", "FullSum", "Sampled"]
