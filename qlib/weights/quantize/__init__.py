"""Heads of few-bit weights: codes, and methods that choose them."""

from qlib.weights.quantize.codes import QuantizedHead, fit_scale, levels, nearest

__all__ = ["QuantizedHead", "fit_scale", "levels", "nearest"]
