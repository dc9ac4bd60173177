"""Data of the experiments: read from where it lies, checked, and named in full."""

from qlib.data.images import (
    MEAN,
    STD,
    Images,
    load_images,
    resize_and_normalise,
    split_classes,
    stratified_subset,
)

__all__ = [
    "MEAN",
    "STD",
    "Images",
    "load_images",
    "resize_and_normalise",
    "split_classes",
    "stratified_subset",
]
