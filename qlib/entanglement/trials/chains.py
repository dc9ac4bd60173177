"""Chains with one parameter to turn, and their ground states cut in two."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from qlib.entanglement import exact, freefermions, hamiltonians, spectrum


class Chain(NamedTuple):
    """A family of Hamiltonians with one parameter.

    Attributes
    ----------
    label : str
        What is turned, with its symbol.
    argument : str
        Its name in the model.
    low, transition, high : float
        Its range, and where the phase changes.
    phases : (str, str)
        Below and above the transition.
    model : callable
        ``model(N, **{argument: x})``, a `PauliSum`.
    boundary : {"open", "periodic"}
    parity : int or None
        Sector of the free fermions, where the chain is free.
    sector : qlib.entanglement.exact.Sector or None
        Where the ground state of a chain that is not free lies, at sizes that are
        multiples of four.
    """

    label: str
    argument: str
    low: float
    transition: float
    high: float
    phases: tuple[str, str]
    model: Callable
    boundary: str
    parity: int | None = None
    sector: exact.Sector | None = None

    @property
    def num_sites(self):
        """Sites that are solved while a slider moves."""
        return 64 if self.sector is None else 16

    def build(self, num_sites, x):
        """The Hamiltonian at one value of the parameter."""
        return self.model(num_sites, **{self.argument: x})


CHAINS = {
    "Ising": Chain(
        *("field h/J", "field", 0.5, 1.0, 1.5, ("ferromagnet", "paramagnet")),
        hamiltonians.tfim,
        "open",
        parity=1,
    ),
    "XXZ": Chain(
        *("anisotropy Δ", "delta", -0.9, 1.0, 3.0, ("gapless", "antiferromagnet")),
        hamiltonians.xxz,
        "open",
        sector=exact.Sector(sz=0.0, x_parity=1),
    ),
    "SSH ring": Chain(
        *("dimerisation δ", "delta", -0.8, 0.0, 0.8, ("topological", "dimers")),
        partial(hamiltonians.ssh, boundary="periodic"),
        "periodic",
        parity=1,
    ),
    "cluster ring": Chain(
        *("field h/J", "field", 0.0, 1.0, 2.0, ("topological", "paramagnet")),
        partial(hamiltonians.cluster, boundary="periodic"),
        "periodic",
        parity=1,
    ),
}


class Cut(NamedTuple):
    """A ground state seen at its cuts.

    Attributes
    ----------
    spectrum : (levels,) array
        Entanglement energies at one cut, ascending, nats.
    entropies : (N - 1,) array
        At all cuts, nats.
    """

    spectrum: np.ndarray
    entropies: np.ndarray


def solve(name, x, num_sites, cut, *, levels=16):
    """Ground state of a chain: spectrum at one cut, entropies at all.

    Free chains by free fermions, O(N^4) for all cuts; others by exact diagonalisation.

    Parameters
    ----------
    name : str
        Of `CHAINS`.
    x : float
        The chain's parameter.
    num_sites, cut, levels : int

    Returns
    -------
    Cut
    """
    chain = CHAINS[name]
    operator = chain.build(num_sites, x)
    if chain.sector is None:
        state = freefermions.ground_state(operator, parity=chain.parity)
        p = state.schmidt_probabilities(cut, count=levels)
        return Cut(energies(p, levels), state.entropies())
    vector = exact.ground_state(operator, sector=chain.sector).vector
    at_all = spectrum.schmidt_probabilities_at_all_cuts(vector)
    entropies = np.array([spectrum.renyi(p, 1) for p in at_all])
    return Cut(energies(at_all[cut - 1], levels), entropies)


class Sweep(NamedTuple):
    """Half-chain spectra of one chain over a range of its parameter.

    Attributes
    ----------
    name : str
    num_sites : int
    x : (points,) array
    levels : (points, levels) array
        Entanglement energies, nats; inf where a level is not there.
    """

    name: str
    num_sites: int
    x: np.ndarray
    levels: np.ndarray


def sweep(name, *, points, num_sites, levels=16):
    """Half-chain spectra of one chain, its parameter turned from end to end.

    Parameters
    ----------
    name : str
        Of `CHAINS`.
    points, num_sites, levels : int

    Returns
    -------
    Sweep
    """
    chain = CHAINS[name]
    x = np.linspace(chain.low, chain.high, points)
    found = [half(name, value, num_sites, levels=levels) for value in x]
    return Sweep(name, num_sites, x, np.array(found))


def half(name, x, num_sites, *, levels=16):
    """Half-chain spectrum alone: `solve` without the other cuts."""
    chain = CHAINS[name]
    operator, cut = chain.build(num_sites, x), num_sites // 2
    if chain.sector is None:
        state = freefermions.ground_state(operator, parity=chain.parity)
        return energies(state.schmidt_probabilities(cut, count=levels), levels)
    vector = exact.ground_state(operator, sector=chain.sector).vector
    return energies(spectrum.schmidt_values(vector, cut) ** 2, levels)


def energies(p, levels):
    """The lowest entanglement energies -ln p, filled up with inf.

    Parameters
    ----------
    p : (D,) array
        Descending.
    levels : int

    Returns
    -------
    (levels,) array
        Above 69 nats, p is rounding, and the level counts as absent.
    """
    found = np.full(levels, np.inf)
    kept = p[:levels][p[:levels] > spectrum.ROUNDING]
    found[: len(kept)] = -np.log(kept)
    return found


def multiplicities(levels, tolerance=0.01):
    """How many neighbours each level is degenerate with, itself counted.

    Parameters
    ----------
    levels : (levels,) array
        Ascending; those at inf get 0.
    tolerance : float
        Levels that follow one another by less, in nats, are of one multiplet.

    Returns
    -------
    (levels,) int array
    """
    finite = levels[np.isfinite(levels)]
    starts = np.flatnonzero(np.diff(finite, prepend=-np.inf) >= tolerance)
    sizes = np.diff([*starts, len(finite)])
    counts = np.zeros(len(levels), dtype=int)
    counts[: len(finite)] = np.repeat(sizes, sizes)
    return counts
