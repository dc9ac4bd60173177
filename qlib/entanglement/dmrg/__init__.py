"""Ground states of long chains: two-site DMRG on matrix product states.

In the order of reading: `mpo`, the Hamiltonian as a matrix product operator; `block`,
one end of the chain; `effective`, the Hamiltonian of two sites between two blocks;
`mps`, the state and its moments; `symmetries`; `ground_state`, the sweeps.
"""

from qlib.entanglement.dmrg.ground_state import DMRGResult, dmrg
from qlib.entanglement.dmrg.mps import MPS

__all__ = ["MPS", "DMRGResult", "dmrg"]
