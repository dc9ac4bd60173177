"""Products of blocks: what an architecture of several slots is."""

from collections.abc import Iterable

from torch import nn

from qlib.nas.blocks.block import Block


class Product(Block):
    """log psi(s) = Σ_b log psi_b(s): the blocks' wave functions multiplied.

    Parameters
    ----------
    blocks : sequence of Block
        One or more, of equal N. Their order does not matter.
    marshall : bool, optional
        See `Block`; on top of what the blocks themselves have.

    Notes
    -----
    The Schmidt rank of an entrywise product is at most the product of the ranks, so
    that capacities multiply (Horn and Johnson, Topics in Matrix Analysis, 5.1).
    """

    def __init__(self, blocks, *, marshall=False):
        given, blocks = blocks, list(blocks) if isinstance(blocks, Iterable) else []
        if not blocks or not all(isinstance(block, Block) for block in blocks):
            raise ValueError(f"blocks: got {given!r}; allowed: a sequence of Blocks")
        sizes = [block.num_sites for block in blocks]
        if len(set(sizes)) > 1:
            raise ValueError(f"blocks: got {sizes} sites; allowed: one number of sites")
        super().__init__(sizes[0], marshall=marshall)
        self.blocks = nn.ModuleList(blocks)

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        return sum(block(spins) for block in self.blocks)

    def capacity(self, cut):
        """The product of the blocks' capacities, at most 2^min(cut, N − cut)."""
        full, rank = super().capacity(cut), 1
        for block in self.blocks:
            rank *= block.capacity(cut)
        return min(full, rank)

    @property
    def num_parameters(self):
        """Sum over the blocks of the real numbers that can be trained."""
        return sum(block.num_parameters for block in self.blocks)
