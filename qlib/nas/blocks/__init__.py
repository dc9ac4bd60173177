"""Blocks of neural quantum states, each with a stated entanglement capacity."""

from qlib.nas.blocks.attention import Attention
from qlib.nas.blocks.autoregressive import Autoregressive
from qlib.nas.blocks.block import Block
from qlib.nas.blocks.feedforward import FeedForward
from qlib.nas.blocks.jastrow import Jastrow
from qlib.nas.blocks.mps import MPS
from qlib.nas.blocks.product import Product
from qlib.nas.blocks.rbm import RBM

__all__ = [
    "MPS",
    "RBM",
    "Attention",
    "Autoregressive",
    "Block",
    "FeedForward",
    "Jastrow",
    "Product",
]
