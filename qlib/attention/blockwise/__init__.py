"""Attention to tight clusters of keys, with a query's own surroundings exact."""

from qlib.attention.blockwise.attend import BLOCKWISE

BACKENDS = (BLOCKWISE,)
