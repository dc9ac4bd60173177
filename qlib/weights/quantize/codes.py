"""Integer codes of a classification head: their grids, their scales, the nearest."""

from dataclasses import dataclass
from math import log2

import numpy as np

from qlib.weights.arguments import finite_array

BITS = (1, 1.58, 2, 3, 4)
SMALLEST_SCALE = 1e-12  # of a class whose weights are all zero


@dataclass(frozen=True, eq=False)
class QuantizedHead:
    """Weights ``codes * scale`` of a softmax head, one scale a class.

    Logits are ``features @ (codes * scale) + bias``. The arrays are copied; the bias
    stays a real number.

    Parameters
    ----------
    codes : (d, C) integer array
        Each on the grid of `levels(bits)`; stored as int8.
    scale : (C,) array
        Finite and > 0.
    bias : (C,) array
        Finite.
    bits : {1, 1.58, 2, 3, 4}

    Raises
    ------
    ValueError
        If a code is off the grid, a scale is not positive, or shapes do not fit.
    """

    codes: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    bits: float

    def __post_init__(self):
        grid = levels(self.bits)
        codes = np.asarray(self.codes)
        if codes.ndim != 2 or codes.size == 0 or codes.dtype.kind not in "iu":
            raise ValueError(
                f"codes: got shape {codes.shape} of {codes.dtype}; allowed: (d, C) "
                "integers, d and C >= 1"
            )
        outside = ~np.isin(codes, grid)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise ValueError(
                f"codes: got {codes[row, column]} at ({row}, {column}), codes outside "
                f"the grid; allowed at {self.bits} bits: {grid.tolist()}"
            )
        scale = checked_scale(self.scale, codes.shape[1])
        bias = finite_array("bias", self.bias, (codes.shape[1],)).copy()
        object.__setattr__(self, "codes", codes.astype(np.int8))
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "bias", bias)

    @property
    def weights(self):
        """The real weights (d, C), float64."""
        return self.codes * self.scale

    @property
    def bits_per_weight(self):
        """Bits stored for one weight: log2 of the levels and the scale's share.

        A scale is counted as a 32-bit number shared by its class's d weights; the bias
        is not counted, for the real head has it too.
        """
        return log2(levels(self.bits).size) + 32 / self.codes.shape[0]

    def logits(self, features):
        """Logits (n, C) of features (n, d)."""
        return features @ self.weights + self.bias


def levels(bits):
    """The integers that a code of `bits` bits may take, rising, int8.

    1 bit: −1, 1. 1.58 bits (log2 3): −1, 0, 1. b >= 2 bits: the 2^b odd integers from
    −(2^b − 1) to 2^b − 1: symmetric, equally spaced, without a zero, so that no code of
    the 2^b is lost to symmetry.

    Raises
    ------
    ValueError
        If `bits` is not one of 1, 1.58, 2, 3, 4.
    """
    if isinstance(bits, bool) or bits not in BITS:
        raise ValueError(f"bits: got {bits!r}; allowed: {BITS}")
    if bits == 1.58:
        return np.array([-1, 0, 1], dtype=np.int8)
    top = 2 ** int(bits) - 1
    return np.arange(-top, top + 1, 2, dtype=np.int8)


def nearest(weights, bits, scale):
    """Codes (d, C) int8 whose ``codes * scale`` is nearest to each weight.

    A weight halfway between two levels takes the upper one. O(d C).

    Parameters
    ----------
    weights : (d, C) array
        Finite.
    bits : {1, 1.58, 2, 3, 4}
    scale : (C,) array
        Finite and > 0.
    """
    grid = levels(bits)
    weights = finite_array("weights", weights, ("d", "C"))
    scale = checked_scale(scale, weights.shape[1])
    ratio = weights / scale
    codes = np.floor(ratio + 0.5) if bits == 1.58 else 2 * np.floor(ratio / 2) + 1
    return np.clip(codes, grid[0], grid[-1]).astype(np.int8)


def fit_scale(weights, bits, importance=None):
    """Scales (C,) of least squared error between weights and their nearest codes.

    Minimises ∑_j m_j (w_j − s q_j)² over s > 0 and codes q_j, for each class by itself,
    exactly. As s falls from infinity every |w_j|/s climbs through the midpoints between
    levels, which gives at most d (K − 1) + 1 different code vectors for K levels >= 0.
    For a fixed q the best scale is A/B with A = ∑ m |w| |q| and B = ∑ m q², and it
    leaves ∑ m w² − A²/B; so the sorted midpoints and two running sums give the largest
    A²/B of all, and with it the optimum. At 1 bit that is the mean of |w|.

    Parameters
    ----------
    weights : (d, C) array
        Finite.
    bits : {1, 1.58, 2, 3, 4}
    importance : (d,) or (d, C) array or None
        Weights m >= 0 of the squared errors; None is 1 for all.

    Returns
    -------
    (C,) float64 array
        A class without any weight apart from zero takes 1e-12.

    Notes
    -----
    O(d C K log(d K)). The 1-bit case is that of M. Rastegari et al., XNOR-Net (2016),
    the ternary one that of F. Li, B. Zhang, B. Liu, Ternary Weight Networks (2016),
    where the threshold is approximate.
    """
    grid = levels(bits).astype(np.float64)
    weights = finite_array("weights", weights, ("d", "C"))
    mass = np.ones_like(weights)
    if importance is not None:
        mass = checked_importance(importance, weights.shape)
    size = np.abs(weights)
    climb = grid[grid >= 0]
    lower, upper = climb[:-1], climb[1:]
    midpoints = (lower + upper) / 2
    at = (size / midpoints[:, None, None]).reshape(-1, size.shape[1])  # (K-1)*d, C
    order = np.argsort(-at, axis=0, kind="stable")
    gain = (upper - lower)[:, None, None] * (mass * size)
    cost = (upper**2 - lower**2)[:, None, None] * mass
    start = climb[0] * np.sum(mass * size, axis=0), climb[0] ** 2 * np.sum(mass, axis=0)
    overlap = _running_sum(start[0], gain.reshape(at.shape), order)
    square = _running_sum(start[1], cost.reshape(at.shape), order)
    scale = np.divide(
        overlap, square, out=np.zeros_like(square), where=square > 0
    )  # best scale of each code vector
    best = np.argmax(scale * overlap, axis=0)
    scale = np.take_along_axis(scale, best[None], axis=0)[0]
    return np.maximum(scale, SMALLEST_SCALE)


def _running_sum(start, steps, order):
    steps = np.take_along_axis(steps, order, axis=0)
    return np.cumsum(np.concatenate([start[None], steps]), axis=0)


def checked_scale(scale, classes):
    """`scale` as a float64 copy (C,), refused unless finite and > 0."""
    scale = finite_array("scale", scale, (classes,)).copy()
    if not (scale > 0).all():
        index = int(np.argmin(scale))
        raise ValueError(f"scale: got {scale[index]} for class {index}; allowed: > 0")
    return scale


def checked_importance(importance, shape):
    """`importance` as float64 (d, C), refused unless finite and >= 0."""
    importance = np.asarray(importance, dtype=np.float64)
    if importance.shape == shape[:1]:
        importance = importance[:, None]
    elif importance.shape != shape:
        raise ValueError(
            f"importance: got shape {importance.shape}; allowed: {shape[:1]} or {shape}"
        )
    importance = np.broadcast_to(importance, shape)
    importance = finite_array("importance", importance, shape)
    if (importance < 0).any():
        raise ValueError(f"importance: got {importance.min()}; allowed: >= 0")
    return importance
