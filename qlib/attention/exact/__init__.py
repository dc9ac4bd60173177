"""Softmax attention to rounding: materialised, fused, and in half precision."""

BACKENDS = ()
