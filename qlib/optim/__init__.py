"""Optimisers of PyTorch that keep a swarm of weight copies."""

from qlib.optim.qimad import QIMAD
from qlib.optim.vectorized import VectorizedClosure

__all__ = ["QIMAD", "VectorizedClosure"]
