"""What a family of Hamiltonians is: a region of one model that lies in one phase."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

PHASES = ("gapped", "gapless", "critical", "topological")


@dataclass(frozen=True)
class Family:
    """A model over ranges of its parameters throughout which its phase is known.

    Attributes
    ----------
    name : str
    phase : {"gapped", "gapless", "critical", "topological"}
        Gapped: one ground state or a broken symmetry, and a gap. Gapless: a whole
        region without a gap. Critical: a transition between gapped phases.
        Topological: gapped, with degenerate entanglement spectra that a symmetry
        protects.
    build : callable
        ``build(N, **parameters) -> PauliSum`` for even N >= 4.
    ranges : dict
        Low and high end of every parameter that is a number.
    boundaries : tuple of str
        From which the parameter ``boundary`` is drawn.
    sector : callable
        ``sector(N, parameters) -> Sector``, in which the ground state is alone.
    free : bool
        Whether `qlib.entanglement.freefermions` follows it to hundreds of sites.
    """

    name: str
    phase: str
    build: Callable
    ranges: dict
    boundaries: tuple
    sector: Callable
    free: bool

    def draw(self, rng):
        """Parameters of one point, uniform over the ranges, the same for every size.

        Parameters
        ----------
        rng : numpy Generator

        Returns
        -------
        dict
            Floats, and ``boundary``.
        """
        parameters = {
            name: float(rng.uniform(low, high))
            for name, (low, high) in self.ranges.items()
        }
        boundary = self.boundaries[int(rng.integers(len(self.boundaries)))]
        return parameters | {"boundary": boundary}

    def parity(self, N, parameters):
        """The sector as `freefermions.ground_state` takes it, for a `free` family.

        Parameters
        ----------
        N : int
        parameters : dict

        Returns
        -------
        {1, -1}
            Of Π X or Π Z, whichever the fermions' strings are made of.
        """
        sector = self.sector(N, parameters)
        if sector.sz is not None:
            return (-1) ** int(N / 2 - sector.sz)
        return sector.x_parity or sector.z_parity

    @cached_property
    def definition(self):
        """Eight hexadecimal digits that change with what `draw` and `build` give."""
        content = [self.phase, self.ranges, self.boundaries]
        for seed in range(4):
            parameters = self.draw(np.random.default_rng(seed))
            terms = self.build(8, **parameters).terms
            content.append([(what, where, f"{c:.9e}") for what, where, c in terms])
            content.append(sector_json(self.sector(8, parameters)))
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def sector_json(sector):
    """The quantum numbers that a sector fixes, such as ``{"sz": 0.0}``."""
    fixed = {name: value for name, value in asdict(sector).items() if value is not None}
    return json.dumps(fixed)
