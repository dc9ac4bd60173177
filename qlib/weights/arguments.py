"""Checks of arrays, labels, masks and ranges, shared by all of `qlib.weights`."""

import operator

import numpy as np

from qlib.arguments import number_between, positive_integer


def finite_array(name, value, shape, *, dtype=np.float64):
    """`value` as a C-contiguous array of finite numbers of a given shape.

    Parameters
    ----------
    name : str
        How an error calls it.
    value : array
        NumPy array or whatever `numpy.asarray` takes; not copied where it fits as it
        is.
    shape : tuple
        An int is that size; a str names a free axis of at least one element.
    dtype : numpy dtype

    Raises
    ------
    ValueError
        If the shape does not fit, or an element is NaN or infinite.
    """
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(
        size >= 1 if isinstance(want, str) else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "biuf":
        allowed = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
        raise ValueError(
            f"{name}: got shape {array.shape} of {array.dtype}; allowed: real numbers "
            f"of shape ({allowed}), no axis empty"
        )
    array = np.asarray(array, dtype=dtype, order="C")
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{name}: got {array[where]} at {where}; allowed: finite")
    return array


def class_labels(labels, samples, classes):
    """`labels` as (n,) int64 class indices in 0..classes-1."""
    labels = np.asarray(labels)
    if labels.shape != (samples,) or samples == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels: got shape {labels.shape} of {labels.dtype}; allowed: integers of "
            f"shape ({samples or 'n'},), at least one"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"labels: got {wrong[0]}; allowed: 0..{classes - 1}")
    return labels.astype(np.int64)


def check_samples(features, labels, classes):
    """Features as (n, d) float64 and labels as (n,) int64, refused by name if unfit.

    Raises
    ------
    ValueError
        If features are empty, not two-dimensional or not finite; if labels are not n
        integers in 0..classes-1.
    """
    features = finite_array("features", features, ("n", "d"))
    classes = positive_integer("classes", classes)
    return features, class_labels(labels, len(features), classes)


def classes_of(labels):
    """One more than the largest label; 1 for what is no label, refused later."""
    labels = np.asarray(labels)
    return int(labels.max(initial=0)) + 1 if labels.dtype.kind in "iu" else 1


def head_start(start, d, classes):
    """Copies of the weights (d, C) and the bias (C,) of a pair to start from."""
    try:
        weights, bias = start
    except (TypeError, ValueError):
        raise ValueError(
            f"start: got {type(start).__name__}; allowed: a pair (weights, bias)"
        ) from None
    return (
        finite_array("start[0]", weights, (d, classes)).copy(),
        finite_array("start[1]", bias, (classes,)).copy(),
    )


def falling_range(name, value):
    """A pair (first, last) of floats, refused by `name` unless first >= last > 0."""
    try:
        first, last = map(float, value)
    except (TypeError, ValueError):
        first = last = np.nan
    if not np.inf > first >= last > 0:
        raise ValueError(
            f"{name}: got {value!r}; allowed: two finite numbers, first >= last > 0"
        )
    return first, last


def below_one(name, value):
    """`value` as a float, refused by `name` unless in [0, 1)."""
    if number_between(name, value, 0.0, 1.0) == 1.0:
        raise ValueError(f"{name}: got {value!r}; allowed: [0, 1)")
    return float(value)


def kept_count(keep, channels):
    """`keep` as an int in 0 to `channels`."""
    try:
        number = operator.index(keep)
    except TypeError:
        number = -1
    if not 0 <= number <= channels or isinstance(keep, bool):
        raise ValueError(f"keep: got {keep!r}; allowed: an integer, 0 to {channels}")
    return number


def kept_mask(kept, channels):
    """`kept` as a (channels,) bool array."""
    mask = np.asarray(kept)
    if mask.shape != (channels,) or mask.dtype != np.bool_:
        raise ValueError(
            f"kept: got shape {mask.shape} of {mask.dtype}; allowed: bool of shape "
            f"({channels},)"
        )
    return mask
