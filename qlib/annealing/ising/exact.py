"""Exact ground states and thermal averages of few spins, to test samplers against.

State number k of n spins has s_i = 1 where bit i of k is set, else −1.
"""

import operator
from math import inf
from typing import NamedTuple

import numpy as np

from qlib.arguments import number_between, positive_integer

ENUMERATED = 24  # spins: 2^24 float64 energies are 128 MiB
DIAGONALISED = 12  # spins: a 4096 x 4096 matrix is 128 MiB and takes about a minute
TIE = 1e-9  # of the energies' spread: closer energies differ by rounding only


class ThermalAverages(NamedTuple):
    """Averages in the thermal state of H = H_z − Γ Σ_i σx_i.

    Attributes
    ----------
    energy : float
        ⟨H⟩ = ⟨H_z⟩ − Γ Σ_i ⟨σx_i⟩.
    classical_energy : float
        ⟨H_z⟩, the average of the Ising model's energy.
    sigma_x : (n,) array
        ⟨σx_i⟩ of every spin.
    """

    energy: float
    classical_energy: float
    sigma_x: np.ndarray


def all_states(n):
    """All states of n <= 24 spins in their order: (2^n, n) int8."""
    n = _few("n", n, ENUMERATED)
    numbers = np.arange(1 << n, dtype=np.int32)
    states = np.empty((1 << n, n), dtype=np.int8)
    for i in range(n):
        states[:, i] = 2 * (numbers >> i & 1) - 1
    return states


def all_energies(model):
    """Energies of all 2^n states, (2^n,) float64, n <= 24.

    The spins are cut in two halves, whose states are enumerated apart: one matrix
    product of inner dimension n/2 joins them, O(n 2^n) in all.

    Parameters
    ----------
    model : IsingModel
    """
    n = _few("model", model.num_spins, ENUMERATED)
    couplings = model.J.toarray() if model.is_sparse else model.J
    cut = n // 2
    low = all_states(cut).astype(np.float64)  # (2^cut, cut)
    high = all_states(n - cut).astype(np.float64)  # (2^(n - cut), n - cut)
    within = [
        states @ model.h[part]
        + 0.5 * np.sum(states * (states @ couplings[part, part]), 1)
        for states, part in ((low, slice(0, cut)), (high, slice(cut, n)))
    ]
    energies = (high @ couplings[cut:, :cut]) @ low.T  # (high, low)
    energies += within[0]
    energies += within[1][:, None] + model.offset
    return energies.ravel()


def ground_states(model):
    """The lowest energy and all states that have it, by enumeration of n <= 24 spins.

    Parameters
    ----------
    model : IsingModel

    Returns
    -------
    float
        Ground state energy.
    (states, n) int8 array
        States within 1e-9 of the spread of all energies.
    """
    energies = all_energies(model)
    lowest = energies.min()
    tie = TIE * (energies.max() - lowest)
    numbers = np.flatnonzero(energies <= lowest + tie)
    bits = numbers[:, None] >> np.arange(model.num_spins) & 1  # (states, n)
    return float(lowest), (2 * bits - 1).astype(np.int8)


def boltzmann_weights(model, beta):
    """Probabilities exp(−βE)/Z of all 2^n states, (2^n,), n <= 24.

    Parameters
    ----------
    model : IsingModel
    beta : float
        Inverse temperature, >= 0.
    """
    beta = number_between("beta", beta, 0.0, inf)
    energies = all_energies(model)
    weights = np.exp(-beta * (energies - energies.min()))
    return weights / weights.sum()


def transverse_field_averages(model, beta, transverse_field):
    """Averages of exp(−βH)/Z, H = H_z − Γ Σ σx_i, by exact diagonalisation.

    O(8^n), n <= 12.

    Parameters
    ----------
    model : IsingModel
        H_z: its energies on the diagonal.
    beta : float
        Inverse temperature, >= 0.
    transverse_field : float
        Γ >= 0, in units of energy.

    Returns
    -------
    ThermalAverages
    """
    beta = number_between("beta", beta, 0.0, inf)
    field = number_between("transverse_field", transverse_field, 0.0, inf)
    n = _few("model", model.num_spins, DIAGONALISED)
    classical = all_energies(model)
    numbers = np.arange(1 << n)
    hamiltonian = np.diag(classical)
    for i in range(n):
        hamiltonian[numbers, numbers ^ (1 << i)] -= field
    levels, vectors = np.linalg.eigh(hamiltonian)  # vectors: (state, level)
    weights = np.exp(-beta * (levels - levels[0]))
    weights /= weights.sum()
    occupation = vectors**2 @ weights  # (state,)
    sigma_x = np.array(
        [
            np.sum(vectors * vectors[numbers ^ (1 << i)], axis=0) @ weights
            for i in range(n)
        ]
    )
    return ThermalAverages(
        float(levels @ weights), float(classical @ occupation), sigma_x
    )


def trotter_averages(model, beta, transverse_field, slices):
    """The same averages with Trotter's splitting into P slices, without sampling error.

    What a path integral of P slices samples: Z_P = Tr (A B)^P with A = exp(−βH_z/P)
    and B = exp(βΓ Σσx_i/P); the averages are −∂ ln Z_P/∂β and its parts. They differ
    from the exact ones by O(P⁻²). By powers of the symmetric transfer matrix
    A^½ B A^½, O(8^n), n <= 12.

    Parameters
    ----------
    model, beta, transverse_field
        As for `transverse_field_averages`.
    slices : int
        Trotter slices P >= 1.

    Returns
    -------
    ThermalAverages

    References
    ----------
    M. Suzuki, Prog. Theor. Phys. 56, 1454 (1976).
    """
    beta = number_between("beta", beta, 0.0, inf)
    field = number_between("transverse_field", transverse_field, 0.0, inf)
    slices = positive_integer("slices", slices)
    n = _few("model", model.num_spins, DIAGONALISED)
    classical = all_energies(model)
    root = np.exp(-0.5 * beta / slices * (classical - classical.min()))
    angle = beta * field / slices
    one = np.array([[1.0, np.tanh(angle)], [np.tanh(angle), 1.0]])  # B / cosh, a spin
    flips = np.ones((1, 1))
    for _ in range(n):
        flips = np.kron(one, flips)
    levels, vectors = np.linalg.eigh(root[:, None] * flips * root)
    levels = np.maximum(levels / levels[-1], 0.0)  # B and A are positive definite
    weights = levels**slices
    occupation = vectors**2 @ weights / weights.sum()
    # σx_i stands beside one B, between the A^½ of that slice; P − 1 slices are left.
    others = (vectors * levels ** (slices - 1)) @ vectors.T
    joined = root[:, None] * others * root  # (state, state), symmetric
    norm = np.sum(flips * joined)  # Tr B A^½ T^(P−1) A^½
    numbers = np.arange(1 << n)
    sigma_x = np.array(
        [np.sum(flips[numbers ^ (1 << i)] * joined) / norm for i in range(n)]
    )
    classical_energy = float(classical @ occupation)
    energy = classical_energy - field * sigma_x.sum()
    return ThermalAverages(float(energy), classical_energy, sigma_x)


def _few(name, n, most):
    """`n` as an int, refused by name above `most` spins."""
    n = operator.index(n)
    if not 0 <= n <= most:
        raise ValueError(f"{name}: got {n} spins; allowed: 0 to {most}")
    return n
