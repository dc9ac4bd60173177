"""The table that rules are scored on: every block trained on every target."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.nas.candidates import candidates
from qlib.nas.rules.families import FAMILIES, target
from qlib.nas.rules.profile import FEATURES, basis_features, profile
from qlib.nas.rules.rules import BLOCKS, FLOOR
from qlib.nas.targets import Target
from qlib.nas.tasks import FullSum
from qlib.nas.training import seed_list, train

AT_ONCE = 2**13  # configurations times replicas trained together: what caches hold


class Draw(NamedTuple):
    """One target, with the family and the point that it is of."""

    family: str
    point: int
    target: Target


def draw(families=FAMILIES, *, sizes=(6, 8, 10), points=2):
    """Targets of every family, at every size.

    Parameters
    ----------
    families : sequence of str
        Of `families.FAMILIES`.
    sizes : sequence of int
        Even, in [4, 14]. Half chains of N = 6 and 10 have an odd number of sites, and
        where all spins may be flipped their spectra come in pairs; N = 8 does not.
    points : int
        Draws of the parameters of each family.

    Returns
    -------
    list of Draw
        By family, then point, then size.
    """
    points = positive_integer("points", points)
    return [
        Draw(family, point, target(family, size, point))
        for family in families
        for point in range(points)
        for size in sizes
    ]


@dataclass(frozen=True, eq=False)
class Table:
    """T targets against B blocks, trained from S seeds.

    Attributes
    ----------
    families : (T,) array of str
    points, sizes : (T,) int arrays
    blocks : tuple of B str
    profiles : list of T `profile.Profile`
        The entanglement of each target.
    basis : (T, 3) array
        `profile.basis_features` of each target.
    infidelity : (T, B, S) array
        Least on the way of each training.
    """

    families: np.ndarray
    points: np.ndarray
    sizes: np.ndarray
    blocks: tuple
    profiles: list
    basis: np.ndarray
    infidelity: np.ndarray

    @property
    def features(self):
        """(T, F) array of the numbers of each profile, in the order of `FEATURES`."""
        return np.array(
            [[getattr(p, name) for name in FEATURES] for p in self.profiles]
        )

    @property
    def decades(self):
        """(T, B, S): log10 of the infidelity, of 1e-6 where that is larger."""
        return np.log10(np.maximum(self.infidelity, FLOOR))

    @property
    def score(self):
        """(T, B): mean of `decades` over seeds."""
        return self.decades.mean(-1)

    @property
    def regret(self):
        """(T, B): decades above the best block of the target."""
        return self.score - self.score.min(1, keepdims=True)

    def rows(self, chosen):
        """The table of some targets: indices, in any order, or a (T,) bool array."""
        chosen = np.arange(len(self.profiles))[chosen]
        return Table(
            self.families[chosen],
            self.points[chosen],
            self.sizes[chosen],
            self.blocks,
            [self.profiles[row] for row in chosen],
            self.basis[chosen],
            self.infidelity[chosen],
        )


def measure(draws, *, seeds, steps=400, blocks=BLOCKS, callback=None):
    """Train every block alone on every target.

    Parameters
    ----------
    draws : sequence of Draw
    seeds : sequence of S int
        First weights of a block, the same for all targets of a size.
    steps : int
        Of `qlib.nas.training.train`, at its learning rate.
    blocks : sequence of str
        Names of `qlib.nas.candidates`, at its number of parameters for the size.
    callback : callable, optional
        ``callback(done, trainings)`` after each group of trainings.

    Returns
    -------
    Table
        Rows in the order of `draws`.

    Notes
    -----
    O(T B S steps 2^N) evaluations; targets of a size are trained together.
    """
    if not len(draws):
        raise ValueError("draws: got none; allowed: one or more")
    seeds = seed_list(seeds)
    sizes = np.array([one.target.num_sites for one in draws])
    infidelity = np.empty((len(draws), len(blocks), len(seeds)))
    profiles, done = [None] * len(draws), 0
    for size in np.unique(sizes):
        built = candidates(int(size), names=blocks)
        made = {name: build(generator=_generator()) for name, build in built.items()}
        of_size = np.flatnonzero(sizes == size)
        for row in of_size:
            profiles[row] = profile(draws[row].target.spectra(), made)
        many = max(1, AT_ONCE // (2**size * len(seeds)))
        for start in range(0, len(of_size), many):
            rows = of_size[start : start + many]
            task = FullSum([draws[row].target for row in rows])
            for column, build in enumerate(built.values()):
                trained = train(build, task, seeds=seeds, steps=steps)
                infidelity[rows, column] = trained.score.T  # (targets, seeds)
            done += len(rows) * len(blocks) * len(seeds)
            if callback is not None:
                callback(done, infidelity.size)
    basis = [list(basis_features(one.target.vector).values()) for one in draws]
    return Table(
        np.array([one.family for one in draws]),
        np.array([one.point for one in draws]),
        sizes,
        tuple(blocks),
        profiles,
        np.array(basis),
        infidelity,
    )


def _generator():
    return torch.Generator().manual_seed(0)
