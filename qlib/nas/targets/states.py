"""Seven targets from no entanglement law to the volume law."""

import numpy as np

from qlib.arguments import integer_between
from qlib.entanglement import hamiltonians
from qlib.entanglement.closed_forms import haar_vector
from qlib.entanglement.exact import Sector, ground_state
from qlib.entanglement.pauli import PauliSum
from qlib.nas.targets.target import Target, generator_of


def seven(num_sites, rng):
    """The seven states on which blocks are compared.

    ================  ==========================================================
    critical Ising    open chain, J = h = 1: S grows as (c/6) ln N, c = 1/2
    gapped Ising      open chain, J = 1, h = 2: area law
    Heisenberg        open antiferromagnet, singlet: c = 1, Marshall's signs
    cluster           ring, no field: four equal p at a half cut, S = 2 ln 2
    rainbow           singlets of sites (i, N−1−i): S = (N/2) ln 2, flat
    GHZ               all up plus all down: S = ln 2 at every cut
    random            Haar: Page's entropy
    ================  ==========================================================

    All but the random one come with a Hamiltonian whose only ground state they are
    (Ising's and Heisenberg's by exact diagonalisation): for the rainbow Heisenberg
    exchange within each pair, for GHZ −Σ Z_i Z_{i+1} − Π X_i.

    Parameters
    ----------
    num_sites : int
        N, even, in [4, 20].
    rng : int or numpy.random.Generator
        Draws the random state.

    Returns
    -------
    dict of str to Target
    """
    N = integer_between("num_sites", num_sites, 4, 20)
    if N % 2:
        raise ValueError(f"num_sites: got {N}; allowed: even numbers")
    rng = generator_of(rng)
    models = {
        "critical Ising": (hamiltonians.tfim(N), Sector(x_parity=1)),
        "gapped Ising": (hamiltonians.tfim(N, field=2.0), Sector(x_parity=1)),
        "Heisenberg": (hamiltonians.heisenberg(N), Sector(sz=0)),
    }
    targets = [_lowest(name, *model) for name, model in models.items()]
    targets += [_cluster(N), _rainbow(N), _ghz(N)]
    targets += [Target("random", haar_vector(N, rng))]
    return {target.name: target for target in targets}


def _lowest(name, H, sector):
    found = ground_state(H, sector=sector)
    return Target(name, found.vector, H, float(found.energies[0]))


def _cluster(N):
    """Controlled Z on every bond of the ring, on all sites in X = +1."""
    down = np.moveaxis(np.indices((2,) * N), 0, -1).reshape(-1, N)  # (2^N, N)
    signs = (-1.0) ** (down * np.roll(down, -1, axis=1)).sum(axis=1)
    H = hamiltonians.cluster(N, boundary="periodic")
    return Target("cluster", signs / 2 ** (N / 2), H, -float(N))


def _rainbow(N):
    """Singlets one inside the other, from the innermost outward."""
    singlet = np.array([[0.0, 1.0], [-1.0, 0.0]]) / np.sqrt(2)
    state = np.ones(1)
    for _ in range(N // 2):
        state = np.einsum("ij,m->imj", singlet, state).ravel()
    pairs = [(i, N - 1 - i) for i in range(N // 2)]
    H = PauliSum(N, [(s + s, pair, 0.25) for pair in pairs for s in "XYZ"])
    return Target("rainbow", state, H, -0.75 * len(pairs))


def _ghz(N):
    state = np.zeros(2**N)
    state[[0, -1]] = np.sqrt(0.5)
    bonds = [("ZZ", (i, i + 1), -1.0) for i in range(N - 1)]
    H = PauliSum(N, [*bonds, ("X" * N, tuple(range(N)), -1.0)])
    return Target("GHZ", state, H, -float(N))
