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
from qlib.data.text import Text, characters, load_text

__all__ = [
    "MEAN",
    "STD",
    "Images",
    "Text",
    "characters",
    "load_images",
    "load_text",
    "resize_and_normalise",
    "split_classes",
    "stratified_subset",
]
