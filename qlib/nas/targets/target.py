"""A target given as a state vector, with its entanglement at all cuts."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from qlib.entanglement.pauli import PauliSum
from qlib.entanglement.spectrum import (
    features,
    renyi,
    schmidt_probabilities_at_all_cuts,
)

MOST_SITES = 20  # as many as `spins.all_configurations` lists
NORM_TOLERANCE = 1e-8  # of | |psi| - 1 |


@dataclass(frozen=True, eq=False)
class Target:
    """A state of N ≤ 20 qubits to be represented.

    Parameters
    ----------
    name : str
    vector : (2^N,) array
        The state in the order of `spins.all_configurations`, of norm one to 1e-8; kept
        as complex128.
    hamiltonian : PauliSum, optional
        One of which it is the ground state.
    energy : float, optional
        Its energy there, in the units of the couplings.

    Raises
    ------
    ValueError
        If the vector is of another length, not finite or not normalised, or if the
        Hamiltonian acts on another number of sites.
    """

    name: str
    vector: np.ndarray = field(repr=False)
    hamiltonian: PauliSum | None = field(default=None, repr=False)
    energy: float | None = None

    def __post_init__(self):
        if not isinstance(self.name, str):
            got = type(self.name).__name__
            raise ValueError(f"name: got {got}; allowed: a string")
        try:
            vector = np.asarray(self.vector).astype(np.complex128)
        except (TypeError, ValueError, RuntimeError) as error:
            got = f"{type(self.vector).__name__} that is no array ({error})"
            allowed = "an array of numbers, without gradient"
            raise ValueError(f"vector: got {got}; allowed: {allowed}") from None
        num_sites = vector.size.bit_length() - 1
        if vector.shape != (2**num_sites,) or not 2 <= num_sites <= MOST_SITES:
            allowed = f"(2^N,) with N in [2, {MOST_SITES}]"
            raise ValueError(f"vector: got shape {vector.shape}; allowed: {allowed}")
        norm = np.linalg.norm(vector)
        if not abs(norm - 1) <= NORM_TOLERANCE:
            allowed = f"1 within {NORM_TOLERANCE:g}, all entries finite"
            raise ValueError(f"vector: got norm {norm:.12g}; allowed: {allowed}")
        check_hamiltonian(self.hamiltonian, self.energy, num_sites)
        vector /= norm
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)

    @property
    def num_sites(self):
        """N."""
        return self.vector.size.bit_length() - 1

    @cached_property
    def _spectra(self):
        return schmidt_probabilities_at_all_cuts(self.vector)

    def spectra(self):
        """Schmidt probabilities at the cuts 1 … N−1, descending; O(2^(3N/2)) once.

        Returns
        -------
        list of N − 1 arrays
        """
        return list(self._spectra)

    def renyi2(self):
        """Rényi-2 entropies −ln Σ p² in nats at the cuts 1 … N−1: (N − 1,)."""
        return np.array([renyi(p, 2) for p in self._spectra])

    def features(self):
        """`qlib.entanglement.spectrum.Features` of the cut N // 2, in nats."""
        return features(self._spectra[self.num_sites // 2 - 1])

    def rotated(self, rng=None, *, angles=None):
        """The target with one and the same rotation on every qubit.

        Entanglement between any sites is what it was, exactly; what a block has to
        represent in the basis of Z is not.

        Parameters
        ----------
        rng : int or numpy.random.Generator, optional
            Draws the rotation from SU(2), evenly (Haar).
        angles : (3,) sequence of float, optional
            Euler angles (a, b, c) in radians of R_z(a) R_y(b) R_z(c), instead.

        Returns
        -------
        Target
            Without a Hamiltonian.
        """
        if (rng is None) == (angles is None):
            got = f"rng={rng!r}, angles={angles!r}"
            raise ValueError(f"rng: got {got}; allowed: one of the two")
        if angles is None:
            rng = generator_of(rng)
            a, c = rng.uniform(0, 2 * np.pi, 2)
            angles = a, np.arccos(rng.uniform(-1, 1)), c
        elif np.shape(angles) != (3,) or not np.isfinite(angles).all():
            raise ValueError(f"angles: got {angles!r}; allowed: three finite numbers")
        matrix = _rotation(*angles)
        state = self.vector
        for _ in range(self.num_sites):  # each in turn is the first leg, then the last
            state = (matrix @ state.reshape(2, -1)).T.ravel()
        return Target(f"{self.name}, rotated", state / np.linalg.norm(state))


def check_hamiltonian(hamiltonian, energy, num_sites):
    """Refuse a Hamiltonian of another number of sites, and an energy of none."""
    if not (hamiltonian is None or isinstance(hamiltonian, PauliSum)):
        got = type(hamiltonian).__name__
        raise ValueError(f"hamiltonian: got {got}; allowed: a PauliSum or None")
    if hamiltonian is not None and hamiltonian.num_sites != num_sites:
        got = f"{hamiltonian.num_sites} sites"
        raise ValueError(f"hamiltonian: got {got}; allowed: {num_sites}, as the state")
    if energy is not None:
        finite("energy", energy)
        if hamiltonian is None:
            raise ValueError(f"energy: got {energy}; allowed: with a hamiltonian only")


def finite(name, value):
    """`value` as a float, refused by `name` unless it is a finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"{name}: got {value!r}; allowed: a finite number")
    return number


def generator_of(rng):
    """`np.random.default_rng(rng)`, refused by name where there is none."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        allowed = "an integer >= 0 or a numpy.random.Generator"
        raise ValueError(f"rng: got {rng!r}; allowed: {allowed}") from None


def _rotation(a, b, c):
    """R_z(a) R_y(b) R_z(c), (2, 2)."""
    cosine, sine = np.cos(b / 2), np.sin(b / 2)
    tilt = np.array([[cosine, -sine], [sine, cosine]])
    phases = [np.exp([-0.5j * angle, 0.5j * angle]) for angle in (a, c)]
    return phases[0][:, None] * tilt * phases[1]
