"""Transformers as wave functions."""

import torch

from qlib.nas.blocks.block import Block, normal
from qlib.nas.blocks.transformer import layers, normalised, through


class Attention(Block):
    """log psi(s) = Σ_i (u + i v) · y_i(s), y the tokens after layers of attention.

    Token i starts as a vector for its site plus s_i times one for the spin.

    Parameters
    ----------
    num_sites : int
        N.
    dim : int, optional
        Length of a token, at least 2; 8 unless given.
    heads : int, optional
        Of attention, a divisor of `dim`; 2 unless given.
    depth : int, optional
        Layers; 1 unless given.
    width : int, optional
        Hidden units of each layer's perceptron; 2 dim unless given.
    positions : bool, optional
        Whether sites differ. If not, all sites start with one vector, and log psi is
        the same for all permutations of the spins. True unless given.
    marshall : bool, optional
        See `Block`.
    scale : float, optional
        The standard deviation of a weight at the start is this over the root of its
        inputs' number; 1 unless given. The last vectors u, v have a tenth of it.
    generator : torch.Generator, optional
        Source of the weights; seed 0 unless given.

    Notes
    -----
    Real weights; amplitude and phase are two readings of the sum of all tokens
    (Viteritti, Rende and Becca, Phys. Rev. Lett. 130, 236401, 2023, sum likewise).
    Every token sees every other, so that no cut bounds the Schmidt rank. Cost
    O(depth N dim (N + dim + width)) a configuration.
    """

    def __init__(
        self,
        num_sites,
        dim=8,
        heads=2,
        depth=1,
        *,
        width=None,
        positions=True,
        marshall=False,
        scale=1.0,
        generator=None,
    ):
        super().__init__(num_sites, marshall=marshall)
        if not isinstance(positions, bool):
            raise ValueError(f"positions: got {positions!r}; allowed: True, False")
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        self.layers = layers(dim, heads, depth, width, scale=scale, generator=generator)
        kinds = self.num_sites if positions else 1
        drawn = {"real": True, "generator": generator}
        self.sites = normal(dim, kinds, scale=scale, **drawn)
        self.spin = normal(dim, 1, scale=scale, **drawn)
        self.readings = normal(2, dim, scale=0.1 * scale / dim**0.5, **drawn)

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        sites = self.sites.expand(-1, self.num_sites)
        pairs = torch.stack([sites + self.spin, sites - self.spin], dim=1)
        tokens = through(self.layers, pairs, spins.reshape(-1, self.num_sites).T)
        size, phase = self.readings @ normalised(tokens).sum(1)  # (configs) each
        return torch.complex(size, phase).view(spins.shape[:-1])
