"""How half-chain entropies grow with the size: area, logarithmic and volume law."""

from functools import partial
from typing import NamedTuple

import numpy as np

from qlib.entanglement import freefermions, hamiltonians, scaling
from qlib.intervals import Estimate

RAINBOW = 0.3  # decay of the couplings from the centre
LAWS = {
    # chain: its Hamiltonian at a size, the law it obeys
    "Ising, h = 2": (partial(hamiltonians.tfim, field=2.0), "area"),
    "Ising, h = 1": (hamiltonians.tfim, "logarithmic"),
    "XX": (partial(hamiltonians.xxz, delta=0.0), "logarithmic"),
    "rainbow": (partial(hamiltonians.rainbow_xx, alpha=RAINBOW), "volume"),
}


class Growth(NamedTuple):
    """Half-chain entropies of one chain.

    Attributes
    ----------
    law : {"area", "logarithmic", "volume"}
    sizes : (n,) int array
    entropies : (n,) array
        Nats.
    """

    law: str
    sizes: np.ndarray
    entropies: np.ndarray


def growth(name, sizes):
    """Half-chain entropies of a free chain against its size.

    Parameters
    ----------
    name : str
        Of `LAWS`.
    sizes : sequence of int
        Multiples of four, so that the parity of all ground states is even.

    Returns
    -------
    Growth
    """
    build, law = LAWS[name]
    found = [_ground(build, size).features(size // 2).entropy for size in sizes]
    return Growth(law, np.asarray(sizes), np.array(found))


class Charge(NamedTuple):
    """A central charge fitted to entropies at all cuts of one chain.

    Attributes
    ----------
    estimate : qlib.intervals.Estimate
    entropies : (N - 1,) array
        At cuts 1..N-1, nats.
    """

    estimate: Estimate
    entropies: np.ndarray


def charge(name, num_sites):
    """Central charge of an open critical chain by the fit of Calabrese and Cardy.

    Parameters
    ----------
    name : str
        Of `LAWS`.
    num_sites : int

    Returns
    -------
    Charge
    """
    build, _ = LAWS[name]
    entropies = _ground(build, num_sites).entropies()
    return Charge(scaling.central_charge(entropies, "open"), entropies)


def _ground(build, num_sites):
    return freefermions.ground_state(build(num_sites), parity=1)
