"""Kernels of quantum feature maps, each beside its classical twin."""

from qlib.attention.encoding.amplitude import Amplitude
from qlib.attention.encoding.attend import ENCODED
from qlib.attention.encoding.encoding import (
    ENCODINGS,
    TWINS,
    Encoding,
    make_encoding,
)
from qlib.attention.encoding.fourier import Fourier
from qlib.attention.encoding.iqp import IQP
from qlib.attention.encoding.linear import Linear
from qlib.attention.encoding.multiscale import MultiScale
from qlib.attention.encoding.projection import Projection

BACKENDS = (ENCODED,)

__all__ = [
    "BACKENDS",
    "ENCODINGS",
    "IQP",
    "TWINS",
    "Amplitude",
    "Encoding",
    "Fourier",
    "Linear",
    "MultiScale",
    "Projection",
    "make_encoding",
]
