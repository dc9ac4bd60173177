"""What the language model refuses, argument by argument, before any work."""

import numpy as np
import torch

from qlib.arguments import positive_integer


def check_text(text):
    """Refuse what is no uint8 array of one axis."""
    allowed = "allowed: a uint8 array, as load_text(...).train"
    if not isinstance(text, np.ndarray):
        raise TypeError(f"text: got {type(text).__name__}; {allowed}")
    if text.dtype != np.uint8 or text.ndim != 1:
        got = f"an array of {text.dtype} and shape {text.shape}"
        raise ValueError(f"text: got {got}; {allowed} and shape (bytes,)")


def check_windows(windows):
    """Refuse what is no uint8 tensor (count, length + 1)."""
    if not isinstance(windows, torch.Tensor) or windows.dtype != torch.uint8:
        got = getattr(windows, "dtype", type(windows).__name__)
        raise TypeError(f"windows: got {got}; allowed: a uint8 tensor, from windows_of")
    if windows.dim() != 2 or windows.shape[0] < 1 or windows.shape[1] < 2:
        raise ValueError(
            f"windows: got shape {tuple(windows.shape)}; allowed: (count, length + 1), "
            "from windows_of"
        )


def check_sizes(width, heads, **sizes):
    """Refuse sizes of a model that are not positive or do not fit together."""
    for name, size in {"width": width, "heads": heads, **sizes}.items():
        positive_integer(name, size)
    if width % 2 or width % heads:
        raise ValueError(
            f"width: got {width}; allowed: even, and a multiple of heads, {heads}"
        )
