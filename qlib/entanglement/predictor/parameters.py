"""Hamiltonians as rows of numbers: family, parameters and size."""

import numpy as np

UNUSED = ("boundary", "sample")  # a word, entered below; the name of a random draw


class ParameterEncoding:
    """Standardised inputs of what a Hamiltonian is given by.

    Columns: one for every family (0 or 1), 1 for a ring, the value of every parameter
    (the training mean where a family has none of that name), and ln N. All but the
    families' are shifted and scaled to mean 0 and variance 1 over the training rows.

    Parameters
    ----------
    train : Doublings
    """

    def __init__(self, train):
        self.families = tuple(np.unique(train.family).tolist())
        names = {name for parameters in train.parameters for name in parameters}
        self.names = tuple(sorted(names.difference(UNUSED)))
        raw = self._raw(train)
        self._mean = np.nanmean(raw, axis=0)
        self._spread = np.maximum(np.nanstd(raw, axis=0), 1e-6)
        self._size = np.log(train.sizes)
        self._ranges = {
            family: (raw[chosen].min(axis=0), raw[chosen].max(axis=0), chosen.sum())
            for family in self.families
            for chosen in (train.family == family,)
        }
        self.sizes = train.sizes

    def __call__(self, points, size):
        """Inputs of P points at one size, (P, columns)."""
        numbers = (self._raw(points) - self._mean) / self._spread
        known = points.family[:, None] == np.array(self.families)
        log_size = (np.log(size) - self._size.mean()) / self._size.std()
        return np.column_stack(
            [known, np.nan_to_num(numbers), np.full(len(points), log_size)]
        )

    def holds(self, points, size):
        """Whether family, parameters and size were among those trained on, (P,)."""
        if not self.sizes[0] <= size <= self.sizes[-1]:
            return np.zeros(len(points), bool)
        return np.array(
            [
                family in self._ranges and self._in_range(row, *self._ranges[family])
                for family, row in zip(points.family, self._raw(points), strict=True)
            ]
        )

    def _in_range(self, row, low, high, count):
        """Within the box of a family's points, wider by the gap expected between."""
        margin = (high - low) / count
        inside = (row >= low - margin) & (row <= high + margin)
        return bool((inside | np.isnan(low)).all())

    def _raw(self, points):
        """(P, 1 + names): ring or not, and parameters, NaN where there is none."""
        for parameters in points.parameters:
            if "boundary" not in parameters:
                raise ValueError(
                    f"parameters: got {parameters!r}; allowed: what names the "
                    "Hamiltonian, with 'boundary'"
                )
        return np.array(
            [
                [float(parameters["boundary"] == "periodic")]
                + [parameters.get(name, np.nan) for name in self.names]
                for parameters in points.parameters
            ]
        )
