"""What predictors learn from: half chains of the same points at doubled sizes."""

import json
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from qlib.arguments import positive_integer

MEASURED = ("entropy", "capacity", "quarter")


@dataclass(frozen=True, eq=False)
class Doublings:
    """Half-chain features of P points at K sizes, each twice the one before.

    A cut at N/2 and one at N/4 have an even number of sites to their left from N = 8
    on, so that along sizes 4, 8, 16, … no alternation with the cut's parity enters.

    Attributes
    ----------
    sizes : tuple of int
        At least two, the first >= 4.
    family, phase : (P,) str arrays
    parameters : tuple of P dicts
        What names the Hamiltonian within its family: numbers, and ``boundary``.
    entropy, capacity : (P, K) arrays
        Across the cut N/2, in nats and nats squared.
    quarter : (P, K) array
        Entropy across the cut N/4 of the same states, nats.

    Raises
    ------
    ValueError
        If a size is not twice the one before, there is no point, or an array has
        another shape, a NaN, or a negative element.
    """

    sizes: tuple
    family: np.ndarray
    phase: np.ndarray
    parameters: tuple
    entropy: np.ndarray
    capacity: np.ndarray
    quarter: np.ndarray

    def __post_init__(self):
        sizes = _doubled(self.sizes)
        points = len(self.family)
        if not points or not len(self.phase) == len(self.parameters) == points:
            counts = f"{points}, {len(self.phase)} and {len(self.parameters)}"
            raise ValueError(
                f"family, phase, parameters: got {counts} points; allowed: as many of "
                "each, at least one"
            )
        object.__setattr__(self, "sizes", sizes)
        for name in MEASURED:
            array = np.asarray(getattr(self, name), dtype=float)
            if array.shape != (points, len(sizes)) or not (array >= 0).all():
                raise ValueError(
                    f"{name}: got an array of shape {array.shape} with the least value "
                    f"{array.min(initial=np.inf)}; allowed: shape "
                    f"{(points, len(sizes))}, numbers >= 0"
                )
            object.__setattr__(self, name, array)

    @classmethod
    def from_dataset(cls, dataset, sizes=(4, 8, 16)):
        """The points of a `Dataset` that have a known ground state at all the sizes.

        Parameters
        ----------
        dataset : qlib.entanglement.dataset.Dataset
        sizes : sequence of int
            Each twice the one before; all in the dataset.

        Returns
        -------
        Doublings
            In the order of the points. Points with a degenerate row are left out.
        """
        sizes, held = _doubled(sizes), sorted(set(dataset.table["size"]))
        if not set(sizes) <= set(held):
            raise ValueError(f"sizes: got {sizes!r}; allowed: of those held, {held}")
        table = dataset.table.rename_axis("row").reset_index()
        cuts = dataset.cuts.merge(table[table["size"].isin(sizes)], on="row")

        def at(part, *columns):
            """Columns at the cut N/part, a block of all sizes for each column."""
            rows = cuts[cuts["cut"] * part == cuts["size"]]
            return rows.pivot(index="point", columns="size", values=list(columns))

        half, quarter = at(2, "entropy", "capacity").dropna(), at(4, "entropy")
        points = table.drop_duplicates("point").set_index("point").loc[half.index]
        return cls(
            sizes,
            points["family"].to_numpy(str),
            points["phase"].to_numpy(str),
            tuple(json.loads(text) for text in points["parameters"]),
            half["entropy"].to_numpy(),
            half["capacity"].to_numpy(),
            quarter.loc[half.index, "entropy"].to_numpy(),
        )

    def __len__(self):
        return len(self.family)

    def take(self, chosen):
        """The points at some places, (n,) ints or (P,) bools, in that order."""
        places = np.arange(len(self))[chosen]
        parts = {
            field.name: getattr(self, field.name)[places]
            for field in fields(self)
            if field.name not in ("sizes", "parameters")
        }
        parameters = tuple(self.parameters[place] for place in places)
        return replace(self, parameters=parameters, **parts)

    def joined(self, other):
        """Its points, then those of another of the same sizes."""
        if self.sizes != other.sizes:
            raise ValueError(f"other: got sizes {other.sizes}; allowed: {self.sizes}")
        names = ("family", "phase", *MEASURED)
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        parts = {name: np.concatenate(pair) for name, pair in pairs.items()}
        return replace(self, parameters=self.parameters + other.parameters, **parts)

    def with_sizes(self, count):
        """Itself, refused if it has fewer than `count` sizes."""
        if len(self.sizes) < count:
            raise ValueError(
                f"sizes: got {self.sizes}; allowed: at least {count} sizes"
            )
        return self

    def up_to(self, count):
        """The same points at the first `count` sizes alone."""
        parts = {name: getattr(self, name)[:, :count] for name in MEASURED}
        return replace(self, sizes=self.sizes[:count], **parts)


def _doubled(sizes):
    sizes = tuple(positive_integer("sizes", size) for size in sizes)
    twice = all(b == 2 * a for a, b in pairwise(sizes))
    if len(sizes) < 2 or not twice or sizes[0] < 4:
        raise ValueError(
            f"sizes: got {sizes!r}; allowed: two or more, the first >= 4, each twice "
            "the one before"
        )
    return sizes
