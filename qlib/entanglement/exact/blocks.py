"""A Hamiltonian on the states of one symmetry sector, as an operator of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from qlib.entanglement.exact.sectors import Sector, conserves_parity
from qlib.entanglement.exact.subspace import SubspaceMatrix
from qlib.entanglement.exact.windows import StringSum, hadamard


@dataclass(frozen=True)
class Block:
    """H restricted to a sector.

    Attributes
    ----------
    operator : StringSum or SubspaceMatrix
        With `dimension`, `space`, `apply(psi, out)` and `dense()`.
    embed : callable
        A state of the block, (dimension,), as one of all spins, (2^N,).
    """

    operator: StringSum | SubspaceMatrix
    embed: Callable


def blocks(H, sector, space):
    """The blocks that make up a sector.

    Without a sector, a Hamiltonian that conserves Π X or Π Z falls into two blocks of
    half the size, in which levels of different parity, near-degenerate in an ordered
    phase, cannot mix; so does the sector sz = 0 of one that conserves Π X.
    """
    strings = H.masks()
    sector, halving = Sector() if sector is None else sector, None
    if sector in (Sector(), Sector(sz=0)) and conserves_parity(strings[1]):
        halving = "x_parity"
    elif sector == Sector() and conserves_parity(strings[0]):
        halving = "z_parity"
    if halving:
        parts = [replace(sector, **{halving: sign}) for sign in (1, -1)]
        return [_block(H.num_sites, strings, part, space) for part in parts]
    if sector != Sector():
        return [_block(H.num_sites, strings, sector, space)]
    return [Block(StringSum(H.num_sites, *strings, space), lambda psi: psi)]


def _block(N, strings, sector, space):
    if sector.sz is None and None in (sector.x_parity, sector.z_parity):
        if sector.x_parity is not None:
            return _flip_block(N, strings, sector.x_parity, space)
        x, z, amplitude = strings
        exchanged = z, x, amplitude * (1.0 - 2.0 * (np.bitwise_count(x & z) & 1))
        block = _flip_block(N, exchanged, sector.z_parity, space)
        norm = 2.0 ** (-N / 2)
        return Block(
            block.operator, lambda psi: hadamard(block.embed(psi), space) * norm
        )
    operator = SubspaceMatrix(N, *strings, sector, space)
    return Block(operator, operator.embed)


def _flip_block(N, strings, parity, space):
    """The sector of Π X = parity, on N − 1 sites.

    Its states (|0 s> + parity |1 not s>)/√2 are named by s. A string that flips site 0
    flips the other sites' complement instead, times the parity: the block is again a
    sum of Pauli strings (qubit tapering: S. Bravyi, J. M. Gambetta, A. Mezzacapo,
    K. Temme, arXiv:1701.08213, 2017).
    """
    x, z, amplitude = strings
    others = (1 << (N - 1)) - 1
    first = x > others  # whether site 0 is flipped
    operator = StringSum(
        N - 1,
        np.where(first, ~x, x) & others,
        z & others,
        np.where(first, parity * amplitude, amplitude),
        space,
    )

    def embed(psi):
        full = space.empty(2 * operator.dimension)
        up, down = full[: operator.dimension], full[operator.dimension :]
        space.xp.multiply(psi, 0.5**0.5, out=up)
        space.xp.multiply(space.flip(up, (0,)), parity, out=down)
        return full

    return Block(operator, embed)
