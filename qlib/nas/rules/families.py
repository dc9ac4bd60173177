"""The families of targets that rules are scored on, chosen before any was trained on.

Twelve families of ground states, three of each phase of `qlib.entanglement.dataset`,
and eight of states given by a formula. A point of a family is a draw of its parameters,
the same at every size where the parameters do not grow with it.
"""

import numpy as np

from qlib.arguments import integer_between
from qlib.entanglement import closed_forms, exact
from qlib.entanglement.dataset import FAMILIES as CHAINS
from qlib.nas.targets import Target

GROUND_STATES = (
    "tfim_paramagnet",
    "tfim_ferromagnet",
    "j1j2_dimer",
    "xxz_luttinger",
    "xx_in_field",
    "random_xx",
    "tfim_critical",
    "xy_critical",
    "self_dual_ising",
    "cluster_phase",
    "ssh_edge_modes",
    "heisenberg_edge_spins",
)


def _ground_state(family, num_sites, rng):
    """A point of the family on an open or periodic chain, in the family's sector."""
    parameters = family.draw(rng)
    H = family.build(num_sites, **parameters)
    sector = family.sector(num_sites, parameters)
    found = exact.ground_state(H, k=2, sector=sector, rng=rng)
    return found.vector, H, float(found.energies[0])


def product(num_sites, rng):
    """Every site in a state of its own, Haar random."""
    vector = np.ones(1)
    for _ in range(num_sites):
        vector = np.kron(vector, closed_forms.haar_vector(1, rng))
    return vector


def ghz(num_sites, rng):
    """cos θ |0…0⟩ + e^{iφ} sin θ |1…1⟩, θ in [π/8, π/4]."""
    theta, phase = rng.uniform(np.pi / 8, np.pi / 4), rng.uniform(0, 2 * np.pi)
    vector = np.zeros(2**num_sites, dtype=complex)
    vector[0], vector[-1] = np.cos(theta), np.exp(1j * phase) * np.sin(theta)
    return vector


def w_state(num_sites, rng):
    """One spin down, with amplitudes from a normal distribution."""
    vector = np.zeros(2**num_sites, dtype=complex)
    places = 2 ** np.arange(num_sites - 1, -1, -1)
    vector[places] = _normal(num_sites, rng)
    return vector / np.linalg.norm(vector)


def rainbow(num_sites, rng):
    """Nested pairs cos θ |01⟩ − sin θ |10⟩ of i and N − 1 − i, θ in [π/8, π/4]."""
    theta = rng.uniform(np.pi / 8, np.pi / 4)
    pair = np.array([[0, np.cos(theta)], [-np.sin(theta), 0]])  # left, right
    matrix = np.ones((1, 1))  # left half, right half from the end inwards
    for _ in range(num_sites // 2):
        matrix = np.kron(matrix, pair)
    half = num_sites // 2
    mirrored = matrix.reshape((2,) * num_sites)
    order = (*range(half), *range(num_sites - 1, half - 1, -1))
    return mirrored.transpose(order).reshape(-1)


def graph(num_sites, rng):
    """A graph state whose edges are there with probability one half."""
    signs = np.triu(rng.random((num_sites, num_sites)) < 0.5, 1).astype(int)
    bits = (np.arange(2**num_sites)[:, None] >> np.arange(num_sites)[::-1]) & 1
    parity = np.einsum("si,ij,sj->s", bits, signs, bits) % 2
    return (1 - 2.0 * parity) / 2 ** (num_sites / 2)


def matrix_product(num_sites, rng):
    """A matrix product state of bond dimension 2 with normal complex entries."""
    bond = 2
    state = _normal((1, bond), rng)  # configurations so far, bond
    for _ in range(num_sites):
        tensor = _normal((bond, 2, bond), rng)
        state = np.einsum("ca,aib->cib", state, tensor).reshape(-1, bond)
        state /= np.linalg.norm(state)
    vector = state @ _normal(bond, rng)
    return vector / np.linalg.norm(vector)


def positive(num_sites, rng):
    """exp of normal numbers of deviation one: random, of one sign."""
    vector = np.exp(rng.standard_normal(2**num_sites))
    return vector / np.linalg.norm(vector)


def haar(num_sites, rng):
    """A random vector."""
    return closed_forms.haar_vector(num_sites, rng)


STATES = {
    "product": product,
    "GHZ": ghz,
    "W": w_state,
    "rainbow": rainbow,
    "graph": graph,
    "random MPS": matrix_product,
    "random positive": positive,
    "Haar": haar,
}
FAMILIES = (*GROUND_STATES, *STATES)
EVERY = (*FAMILIES, *(name for name in CHAINS if name not in GROUND_STATES))


def target(family, num_sites, point):
    """A target: the point of a family at one size.

    Parameters
    ----------
    family : str
        One of `FAMILIES`, or any other of `qlib.entanglement.dataset.FAMILIES`.
    num_sites : int
        Even, in [4, 14].
    point : int
        Seed of the draw; a ground state has the same parameters at every size.

    Returns
    -------
    `qlib.nas.targets.Target`
    """
    num_sites = integer_between("num_sites", num_sites, 4, 14)
    if num_sites % 2:
        raise ValueError(f"num_sites: got {num_sites}; allowed: even, in [4, 14]")
    if family not in EVERY:
        allowed = ", ".join(EVERY)
        raise ValueError(f"families: got {family!r}; allowed: {allowed}")
    point = integer_between("point", point, 0, 2**31)
    rng = np.random.default_rng([EVERY.index(family), point])
    name = f"{family} {point}, N = {num_sites}"
    if family in STATES:
        vector = STATES[family](num_sites, rng).astype(complex)
        return Target(name, vector, hamiltonian=None, energy=None)
    vector, H, energy = _ground_state(CHAINS[family], num_sites, rng)
    return Target(name, vector.astype(complex), hamiltonian=H, energy=energy)


def _normal(shape, rng):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
