"""One row: a point of a family solved at one size."""

import json

import numpy as np
import pandas as pd

from qlib.entanglement import exact, spectrum
from qlib.entanglement.dataset.families import FAMILIES
from qlib.entanglement.dataset.family import sector_json
from qlib.entanglement.dataset.storage import CUTS, TABLE, Dataset

VERSION = 1  # of what is solved and measured; families carry a version of their own
DROPPED = 1e-16  # a Schmidt probability up to this is rounding


def version(name):
    """What a row of a family is marked with; changes when its definition does."""
    return f"{VERSION}-{FAMILIES[name].definition}"


def solve(seed, points, names, sizes):
    """The rows of some points, each at every size.

    Point k belongs to family k modulo their number, and its parameters come from
    SeedSequence([seed, k]): a row is the same in whatever company it is solved.

    Parameters
    ----------
    seed : int
    points : sequence of int
    names : sequence of str
    sizes : sequence of int

    Returns
    -------
    Dataset
    """
    rows, cuts, spectra = [], [], []
    for point in points:
        family = FAMILIES[names[point % len(names)]]
        parameters = family.draw(_rng(seed, point))
        for size in sizes:
            row, probabilities = _row(family, parameters, size, _rng(seed, point, size))
            features = _features(probabilities)
            cuts += [(len(rows), cut + 1, *f) for cut, f in enumerate(features)]
            spectra += [p[p > DROPPED] for p in probabilities]
            rows.append((point, *row, seed, version(family.name)))
    ends = np.cumsum([0] + [len(p) for p in spectra])
    return Dataset(
        _frame(rows, TABLE), _frame(cuts, CUTS), np.concatenate(spectra), ends
    )


def _rng(*entropy):
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _row(family, parameters, size, rng):
    """What the table says of a chain, and its Schmidt probabilities at every cut."""
    sector = family.sector(size, parameters)
    H = family.build(size, **parameters)
    state = exact.ground_state(H, k=2, sector=sector, rng=rng)
    if state.degenerate:
        probabilities = [np.empty(0)] * (size - 1)
    else:
        probabilities = spectrum.schmidt_probabilities_at_all_cuts(state.vector)
    row = (
        family.name,
        family.phase,
        size,
        parameters["boundary"],
        json.dumps(parameters),
        state.energies[0],
        state.gap,
        sector_json(sector),
        state.degenerate,
    )
    return row, probabilities


def _features(probabilities):
    """The features at every cut; NaN where there are no probabilities."""
    return [
        tuple(vars(spectrum.features(p)).values()) if len(p) else (np.nan,) * 7
        for p in probabilities
    ]


def _frame(rows, types):
    columns = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            name: np.array(values, dtype=object if kind is str else kind)
            for (name, kind), values in zip(types.items(), columns, strict=True)
        }
    )
