"""Optimisers of PyTorch that keep a swarm of weight copies."""

from qlib.optim.qimad import QIMAD

__all__ = ["QIMAD"]
