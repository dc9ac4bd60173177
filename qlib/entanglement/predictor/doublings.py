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

    Sizes are multiples of 4: a cut at N/4 exists, and one at N/2 has an even number of
    sites to its left, so that no alternation with the cut's parity enters.

    Attributes
    ----------
    sizes : tuple of int
        At least two, the first a multiple of 4.
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
        If a size is not twice the one before or no multiple of 4, there is no point, a
        name is no str or a point's parameters no dict, or an array has another shape, a
        NaN, or a negative element.
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
        for name in ("family", "phase"):
            given = getattr(self, name)
            names = np.asarray(given)
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError(f"{name}: got {given!r}; allowed: a (P,) array of str")
            object.__setattr__(self, name, names)
        if not _are_dicts(self.parameters):
            raise ValueError(
                f"parameters: got {self.parameters!r}; allowed: a tuple of P dicts"
            )
        points = len(self.family)
        if not points or not len(self.phase) == len(self.parameters) == points:
            counts = f"{points}, {len(self.phase)} and {len(self.parameters)}"
            raise ValueError(
                f"family, phase, parameters: got {counts} points; allowed: as many of "
                "each, at least one"
            )
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "parameters", tuple(self.parameters))
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

    @classmethod
    def from_states(cls, states):
        """The one point of a chain whose states at doubled sizes are given.

        Parameters
        ----------
        states : dict
            Size N to the state of the chain of N sites: what
            `freefermions.ground_state`, `exact.ground_state` and `dmrg.dmrg` return, or
            anything else whose ``features(cut)`` has an entropy (nats) and a capacity
            (nats squared) at the cuts N/2 and N/4.

        Returns
        -------
        Doublings
            In ascending order of size. Family and phase are empty strings, parameters
            an empty dict, which `PlainNetwork` and `BoostedTrees` refuse: they see
            nothing else. Points of several chains: `joined`.

        Raises
        ------
        ValueError
            For sizes that are none of `Doublings`, a state of another number of sites,
            and as the states' ``features``, of degenerate ones for instance.

        Notes
        -----
        The cost is that of two cuts of each state, and of one at its last bond.
        """
        if not isinstance(states, dict):
            got = type(states).__name__
            raise ValueError(f"states: got {got}; allowed: a dict, size to state")
        sizes = _doubled(sorted(positive_integer("sizes", size) for size in states))
        for size in sizes:
            _refuse_unless_of(states[size], size)
        half = [states[size].features(size // 2) for size in sizes]
        quarter = [states[size].features(size // 4) for size in sizes]
        return cls(
            sizes,
            np.array([""]),
            np.array([""]),
            ({},),
            np.array([[one.entropy for one in half]]),
            np.array([[one.capacity for one in half]]),
            np.array([[one.entropy for one in quarter]]),
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

    def with_families(self, count):
        """Itself, refused if it has fewer than `count` families."""
        names = np.unique(self.family).tolist()
        if len(names) < count:
            raise ValueError(f"family: got {names}; allowed: at least {count} families")
        return self

    def up_to(self, count):
        """The same points at the first `count` sizes alone."""
        parts = {name: getattr(self, name)[:, :count] for name in MEASURED}
        return replace(self, sizes=self.sizes[:count], **parts)


def _doubled(sizes):
    sizes = tuple(positive_integer("sizes", size) for size in sizes)
    twice = all(b == 2 * a for a, b in pairwise(sizes))
    if len(sizes) < 2 or not twice or sizes[0] % 4:
        raise ValueError(
            f"sizes: got {sizes!r}; allowed: two or more, the first a multiple of 4, "
            "each twice the one before"
        )
    return sizes


def _are_dicts(parameters):
    listed = isinstance(parameters, tuple | list)
    return listed and all(isinstance(one, dict) for one in parameters)


def _refuse_unless_of(state, size):
    """Refuse what has no features, and states of more or fewer than `size` sites."""
    if not hasattr(state, "features"):
        got = type(state).__name__
        raise ValueError(f"states: got {got} at {size}; allowed: with features(cut)")
    state.features(size - 1)  # no such cut in a shorter chain
    try:
        state.features(size)
    except ValueError:
        return
    raise ValueError(
        f"states: got one of more than {size} sites at {size}; allowed: of {size} sites"
    )


def only_doublings(name, points):
    """`points`, refused by `name` unless they are `Doublings`."""
    if not isinstance(points, Doublings):
        raise ValueError(
            f"{name}: got {type(points).__name__}; allowed: Doublings, as by "
            "Doublings.from_dataset and Doublings.from_states"
        )
    return points
