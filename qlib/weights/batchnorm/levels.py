"""Grids for the scales and shifts of a BatchNorm, and the nearest point of a grid."""

from dataclasses import dataclass

import numpy as np

from qlib.arguments import number_between
from qlib.weights.arguments import finite_array


@dataclass(frozen=True, eq=False)
class BatchNormCodes:
    """Scales and shifts as indices into two grids shared by all channels.

    Parameters
    ----------
    codes : (2, c) integer array
        Row 0 indexes the grid of the scales, row 1 that of the shifts. Copied as int64.
    gamma_levels, beta_levels : (L,) array
        Grids. Copied.

    Raises
    ------
    ValueError
        If a code is outside its grid.
    """

    codes: np.ndarray
    gamma_levels: np.ndarray
    beta_levels: np.ndarray

    def __post_init__(self):
        for name in ("gamma_levels", "beta_levels"):
            levels = finite_array(name, getattr(self, name), ("L",)).copy()
            object.__setattr__(self, name, levels)
        codes = np.array(self.codes)
        if codes.ndim != 2 or codes.shape[0] != 2 or codes.dtype.kind not in "iu":
            raise ValueError(
                f"codes: got shape {codes.shape} of {codes.dtype}; allowed: integers "
                "of shape (2, c)"
            )
        sizes = np.array([[self.gamma_levels.size], [self.beta_levels.size]])
        outside = (codes < 0) | (codes >= sizes)
        if outside.any():
            raise ValueError(
                f"codes: got {codes[outside][0]}, codes outside the grid; allowed: "
                f"0..{sizes[0, 0] - 1} for scales, 0..{sizes[1, 0] - 1} for shifts"
            )
        object.__setattr__(self, "codes", codes.astype(np.int64))

    @property
    def gamma(self):
        """Scales (c,)."""
        return self.gamma_levels[self.codes[0]]

    @property
    def beta(self):
        """Shifts (c,)."""
        return self.beta_levels[self.codes[1]]


def uniform_levels(values, bits):
    """Equally spaced levels from the smallest to the largest value.

    Parameters
    ----------
    values : (c,) array
    bits : float
        1 to 8; round(2^bits) levels, so that 1.58 gives three.

    Returns
    -------
    (L,) array
        Rising; all equal if the values are. The ends are values that occur, for
        trained scales are positive and a grid symmetric about zero would leave half of
        its levels unused.
    """
    values = finite_array("values", values, ("c",))
    bits = number_between("bits", bits, 1.0, 8.0)
    return np.linspace(values.min(), values.max(), round(2**bits))


def nearest(gamma, beta, bits):
    """Round scales and shifts to the nearest of their uniform levels.

    Parameters
    ----------
    gamma, beta : (c,) array
    bits : float
        As for `uniform_levels`, for each of both.

    Returns
    -------
    BatchNormCodes
        The lower level between two equally near.
    """
    gamma = finite_array("gamma", gamma, ("c",))
    beta = finite_array("beta", beta, (gamma.size,))
    return on_levels(
        gamma, beta, uniform_levels(gamma, bits), uniform_levels(beta, bits)
    )


def on_levels(gamma, beta, gamma_levels, beta_levels):
    """Round scales and shifts (c,) to the nearest of given levels."""
    codes = [
        np.abs(values[:, None] - levels).argmin(axis=1)
        for values, levels in ((gamma, gamma_levels), (beta, beta_levels))
    ]
    return BatchNormCodes(np.stack(codes), gamma_levels, beta_levels)
