"""The ZZ feature map: states of instantaneous quantum polynomial-time circuits."""

import math

import torch
from torch import nn

from qlib.arguments import integer_between, number_between

MOST_QUBITS = 12  # 4096 complex amplitudes a token


class IQP(nn.Module):
    """x -> U(x) H U(x) H |0...0> on one qubit a number, computed exactly.

    H is a Hadamard gate on every qubit and U(x) = exp(i sum_j f_j Z_j + i sum_{j<l}
    f_jl Z_j Z_l) with f_j = t_j and f_jl = (pi - t_j)(pi - t_l), as in Havlicek et al.,
    arXiv 1804.11326, whose angles t lie in (0, 2 pi]. The kernel is the fidelity
    |<x|y>|^2, in [0, 1].

    Parameters
    ----------
    qubits : int
        1 to `MOST_QUBITS`.
    bandwidth : float, optional
        The angles are t = pi (1 + tanh(bandwidth x)), in (0, 2 pi) for every x; t = pi
        at x = 0, where the state is |0...0>. With wide angles all fidelities come near
        2^-qubits and tell nothing (arXiv 2208.11060), with narrow ones all are near 1
        (arXiv 2111.05477). The default 0.6 / qubits is where the fidelities of Gaussian
        vectors of unit variance spread most, to 5 % for 2 to 10 qubits.

    Attributes
    ----------
    size : int
        Real numbers in a state, 2^(qubits + 1).

    Notes
    -----
    O(2^qubits qubits^2) a vector: one product of phases with signs and `qubits` sweeps
    of a Walsh-Hadamard transform.
    """

    def __init__(self, qubits, *, bandwidth=None):
        super().__init__()
        self.qubits = integer_between("qubits", qubits, 1, MOST_QUBITS)
        bandwidth = 0.6 / self.qubits if bandwidth is None else bandwidth
        self.bandwidth = number_between(
            "bandwidth", bandwidth, 0, math.inf, open_low=True
        )
        self.width = self.qubits
        self.size = 2 ** (self.qubits + 1)
        spins = eigenvalues_of_z(self.qubits)
        pairs = torch.triu_indices(self.qubits, self.qubits, 1)
        bonds = spins[pairs[0]] * spins[pairs[1]]
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("signs", torch.cat((spins, bonds)), persistent=False)

    def forward(self, x):
        """State vectors, (..., qubits) real -> (..., 2^qubits) complex, of norm 1."""
        gates = self.diagonal(x)  # (..., 2^qubits)
        return gates * walsh_hadamard(gates) * 2.0 ** (-self.qubits)

    def diagonal(self, x):
        """The diagonal of U(x), (..., qubits) -> (..., 2^qubits) phases.

        Without the pi in f_j, a factor (-1)^qubits of U, which the state has twice.
        """
        offset = math.pi * torch.tanh(self.bandwidth * x)  # t - pi
        left, right = self.pairs
        angles = torch.cat((offset, offset[..., left] * offset[..., right]), -1)
        angles = angles @ self.signs.to(x.dtype)  # (..., 2^qubits)
        return torch.polar(torch.ones_like(angles), angles)

    def kernel(self, bra, ket):
        """|<bra|ket>|^2, (..., query, 2^qubits) and (..., key, 2^qubits) complex."""
        overlap = bra.conj() @ ket.mT  # (..., query, key)
        return overlap.real.square() + overlap.imag.square()


def eigenvalues_of_z(qubits):
    """+-1 of each qubit in each basis state, qubit 0 the leftmost bit.

    Returns
    -------
    (qubits, 2^qubits) tensor
    """
    places = torch.arange(qubits - 1, -1, -1)[:, None]
    bits = torch.arange(2**qubits) >> places & 1
    return 1.0 - 2.0 * bits


def walsh_hadamard(x):
    """Sums over the last axis with the signs of every Hadamard gate, not normalised.

    Parameters
    ----------
    x : (..., 2^m) tensor

    Returns
    -------
    (..., 2^m) tensor
        2^(m/2) times the state after a Hadamard gate on each of the m qubits.
    """
    shape = x.shape
    for qubit in range(shape[-1].bit_length() - 1):
        zero, one = x.reshape(*shape[:-1], 2**qubit, 2, -1).unbind(-2)
        x = torch.stack((zero + one, zero - one), -2)
    return x.reshape(shape)
