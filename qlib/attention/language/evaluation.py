"""Bits per character of a language model on windows of text."""

import math

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.attention.language.arguments import check_text, check_windows
from qlib.attention.language.model import nats
from qlib.data.text import characters


def windows_of(text, length, count):
    """Windows that do not overlap, spread evenly over a text.

    Parameters
    ----------
    text : (bytes,) uint8 array
    length : int
        Bytes to predict in each; one more, the first, is only read.
    count : int

    Returns
    -------
    (count, length + 1) uint8 tensor

    Raises
    ------
    TypeError, ValueError
        If the text is no such array, or too short for so many.
    """
    check_text(text)
    length, count = positive_integer("length", length), positive_integer("count", count)
    if count * (length + 1) > len(text):
        raise ValueError(
            f"count: got {count} windows of {length} bytes; allowed: at most "
            f"{len(text) // (length + 1)}, of {len(text)} bytes of text"
        )
    starts = np.linspace(0, len(text) - length - 1, count).astype(int)
    return torch.from_numpy(np.stack([text[s : s + length + 1] for s in starts]))


@torch.no_grad()
def bits_per_character(model, windows):
    """Bits that the model needs for a character of each window.

    Parameters
    ----------
    model : LanguageModel
        Used as it is; `qlib.attention.module.set_backend` changes its attention.
    windows : (count, length + 1) uint8 tensor
        Of `windows_of`. They are read one by one.

    Returns
    -------
    (count,) float64 array
        Sum of the negative log2 probabilities of bytes 1 to length of a window, at
        positions from 0, over the characters that begin among them.

    Raises
    ------
    TypeError, ValueError
        For windows that are no such tensor.
    """
    check_windows(windows)
    nats_of = [float(nats(model, window[None]).double().sum()) for window in windows]
    return np.array(nats_of) / math.log(2) / characters(windows[:, 1:].numpy())
