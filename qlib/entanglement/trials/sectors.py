"""How far ground states stand from the next state, with and without a sector."""

import json
from typing import NamedTuple

import numpy as np

from qlib.entanglement import exact
from qlib.entanglement.dataset import FAMILIES


class Gaps(NamedTuple):
    """Gaps above the ground states of one size.

    Attributes
    ----------
    sites : int
    phase : (points,) array of str
    every, named : (points,) arrays
        Gap among all states, and among those of the family's sector.
    degenerate, still : (points,) bool arrays
        Whether the solver flags the ground state, among all states and in its sector.
    """

    sites: int
    phase: np.ndarray
    every: np.ndarray
    named: np.ndarray
    degenerate: np.ndarray
    still: np.ndarray


def gaps(dataset, size):
    """Gaps of all points at one size: those of the dataset, and without sectors.

    Parameters
    ----------
    dataset : qlib.entanglement.dataset.Dataset
    size : int

    Returns
    -------
    Gaps
    """
    table = dataset.table[dataset.table["size"] == size]
    pairs = zip(table["family"], table["parameters"], strict=True)
    operators = [FAMILIES[name].build(size, **json.loads(said)) for name, said in pairs]
    states = [exact.ground_state(operator, k=2, rng=0) for operator in operators]
    return Gaps(
        size,
        table["phase"].to_numpy(str),
        np.array([state.gap for state in states]),
        table["gap"].to_numpy(),
        np.array([state.degenerate for state in states]),
        table["degenerate"].to_numpy(),
    )
