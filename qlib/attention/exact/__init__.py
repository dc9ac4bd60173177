"""Softmax attention to rounding: materialised, fused, and in half precision."""

from qlib.attention.exact.math import MATH
from qlib.attention.exact.mixed import MIXED
from qlib.attention.exact.sdpa import SDPA

BACKENDS = (MATH, SDPA, MIXED)
