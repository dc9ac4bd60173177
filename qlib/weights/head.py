"""Softmax head whose loss follows single weights at O(n) a move instead of O(n d C)."""

import numpy as np

from qlib.arguments import number_between
from qlib.weights import head_kernels
from qlib.weights.arguments import check_samples, finite_array
from qlib.weights.head_kernels import HeadArrays

REFRESH_EVERY = 4096
"""Moves after which the state is recomputed from the weights.

The drift by then is rounding, about 1e-13, and the refresh costs a few per cent of the
moves.
"""


class SoftmaxHead:
    """Mean cross-entropy of a linear softmax head, exact after every single move.

    ``loss = mean_i (log sum_c exp z_ic - z_i,y_i) + l2/2 ||W||^2`` in nats a sample,
    with logits ``z = X W + b``. A proposal, `change`, costs O(n); accepting it,
    `apply`, costs O(n) too. The formulas are in `qlib.weights.head_kernels`.

    Parameters
    ----------
    features : (n, d) array
        X, finite. Copied as (d + 1, n) float64: 8 n (d + 1) bytes.
    labels : (n,) integer array
        In 0..C-1.
    weights : (d, C) array
        W, finite, C >= 2. Copied.
    bias : (C,) array
        b, finite.
    l2 : float
        Strength >= 0 of the penalty on W (not on b). 0 by default: codes on a grid are
        bounded already, and `qlib.weights.convex` names its own.

    Attributes
    ----------
    arrays : HeadArrays
        What the kernels work on, with R = 1 replica, for loops of one's own in numba:
        ``head_kernels.change(head.arrays, 0, j, c, delta)``.

    Raises
    ------
    ValueError
        By name: features not finite or not (n, d), labels out of range or not
        integers, weights or bias of another shape or not finite, l2 < 0.
    """

    def __init__(self, features, labels, weights, bias, *, l2=0.0):
        weights = finite_array("weights", weights, ("d", "C"))
        bias = finite_array("bias", bias, weights.shape[1:])
        self.arrays = head_arrays(features, labels, [weights], [bias], l2=l2)
        self._moves = 0

    @property
    def loss(self):
        """Mean cross-entropy in nats, plus the l2 term."""
        return float(self.arrays.loss[0])

    @property
    def weights(self):
        """(d, C) array, a copy."""
        return self.arrays.weights[0, :-1].copy()

    @property
    def bias(self):
        """(C,) array, a copy."""
        return self.arrays.weights[0, -1].copy()

    @property
    def logits(self):
        """(n, C) array, a copy."""
        return self.arrays.logits[0].T.copy()

    def change(self, j, c, delta):
        """Change of the loss if W[j, c] moved by delta; j = d moves b[c]. O(n)."""
        check_move(self.arrays.weights.shape[1:], j, c, delta)
        return head_kernels.change(self.arrays, 0, j, c, float(delta))

    def apply(self, j, c, delta):
        """Move W[j, c] by delta (j = d: b[c]) and return the change of loss. O(n)."""
        change = self.change(j, c, delta)
        head_kernels.apply(self.arrays, 0, j, c, float(delta), change)
        self._moves += 1
        if self._moves == REFRESH_EVERY:
            self.refresh()
        return change

    def refresh(self):
        """Recompute all that is kept from the weights. O(n d C)."""
        head_kernels.refresh(self.arrays, 0)
        self._moves = 0


def head_arrays(features, labels, weights, bias, *, l2=0.0):
    """Kernel state of R heads over the same samples.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) integer array
    weights : (R, d, C) array
    bias : (R, C) array
    l2 : float

    Returns
    -------
    HeadArrays
        8 n (d + 1) bytes shared, and 16 n C bytes a replica.

    Raises
    ------
    ValueError
        As `SoftmaxHead`.
    """
    weights = finite_array("weights", weights, ("R", "d", "C"))
    replicas, d, classes = weights.shape
    if classes < 2:
        raise ValueError(f"weights: got {classes} classes; allowed: at least 2")
    bias = finite_array("bias", bias, (replicas, classes))
    features, labels = check_samples(features, labels, classes)
    if features.shape[1] != d:
        raise ValueError(
            f"weights: got {d} rows for features of shape {features.shape}; allowed: "
            f"{features.shape[1]} rows"
        )
    l2 = number_between("l2", l2, 0.0, np.inf)
    n = labels.size
    rows = np.ones((d + 1, n))
    rows[:d] = features.T
    label_sums = np.zeros((classes, d + 1))
    np.add.at(label_sums, labels, rows.T)
    arrays = HeadArrays(
        features=rows,
        largest=np.abs(rows).max(axis=1),
        label_sums=np.ascontiguousarray(label_sums.T),
        labels=labels,
        l2=np.append(np.full(d, l2), 0.0),
        weights=np.concatenate([weights, bias[:, None, :]], axis=1),
        logits=np.empty((replicas, classes, n)),
        exps=np.empty((replicas, classes, n)),
        shift=np.empty((replicas, n)),
        sums=np.empty((replicas, n)),
        inverse=np.empty((replicas, n)),
        loss=np.empty(replicas),
    )
    for replica in range(replicas):
        head_kernels.refresh(arrays, replica)
    return arrays


def check_move(shape, j, c, delta):
    """Refuse a move of an entry (j, c) outside `shape`, or by no finite number."""
    for name, index, size in (("j", j, shape[0]), ("c", c, shape[1])):
        if not 0 <= index < size:
            raise ValueError(f"{name}: got {index}; allowed: 0..{size - 1}")
    if not np.isfinite(delta):
        raise ValueError(f"delta: got {delta}; allowed: a finite number")
