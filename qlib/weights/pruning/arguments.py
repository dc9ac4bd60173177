"""Checks of arrays, masks and counts, each refused by its name."""

import operator

import numpy as np


def finite_array(name, value, shape, *, dtype=np.float64):
    """`value` as a C-contiguous array of finite numbers of a given shape.

    Parameters
    ----------
    name : str
        How an error calls it.
    value : array
        NumPy array or whatever `numpy.asarray` takes.
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
        allowed = ", ".join(str(size) for size in shape)
        raise ValueError(
            f"{name}: got shape {array.shape} of {array.dtype}; allowed: real numbers "
            f"of shape ({allowed}), no axis empty"
        )
    array = np.ascontiguousarray(array, dtype=dtype)
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        where = tuple(bad[0].tolist())
        raise ValueError(f"{name}: got {array[where]} at {where}; allowed: finite")
    return array


def class_labels(name, value, samples, classes):
    """`value` as (n,) int64 class indices in [0, classes)."""
    labels = np.asarray(value)
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: got shape {labels.shape} of {labels.dtype}; allowed: integers of "
            f"shape ({samples},)"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        raise ValueError(
            f"{name}: got {labels[np.argmax(outside)]}; allowed: 0 to {classes - 1}"
        )
    return labels.astype(np.int64)


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
