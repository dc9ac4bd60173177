"""Transformers that give a wave function site by site and are sampled exactly."""

import torch
from torch.nn import functional

from qlib.arguments import positive_integer
from qlib.nas.blocks.block import Block, normal, seeded
from qlib.nas.blocks.transformer import layers, normalised, through
from qlib.nas.spins import checked_generator


class Autoregressive(Block):
    """psi(s) = Π_i sqrt(p(s_i | s_0 … s_(i−1))) exp(i phi_i(s_0 … s_i)), of norm 1.

    Token i sees the spins before site i alone and gives the odds of s_i and two phases,
    one of either spin.

    Parameters
    ----------
    num_sites, dim, heads, depth, width, marshall, scale, generator
        See `Attention`.

    Notes
    -----
    Sharir et al., Phys. Rev. Lett. 124, 020503 (2020); as a transformer, Sprague and
    Czischek, Commun. Phys. 7, 90 (2024). Σ_s |psi(s)|^2 = 1 for any weights, and
    samples of it are independent. No cut bounds the Schmidt rank. Cost as `Attention`.
    """

    def __init__(
        self,
        num_sites,
        dim=8,
        heads=2,
        depth=1,
        *,
        width=None,
        marshall=False,
        scale=1.0,
        generator=None,
    ):
        super().__init__(num_sites, marshall=marshall)
        generator = seeded(generator)
        self.layers = layers(dim, heads, depth, width, scale=scale, generator=generator)
        drawn = {"real": True, "generator": generator}
        self.sites = normal(dim, self.num_sites, scale=scale, **drawn)
        self.spin = normal(dim, 1, scale=scale, **drawn)
        self.readings = normal(3, dim, scale=0.1 * scale / dim**0.5, **drawn)
        self.biases = normal(3, scale=0.0, **drawn)

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        rows = spins.reshape(-1, self.num_sites).T  # (N, configs)
        before = torch.cat([torch.ones_like(rows[:1]), rows[:-1]])
        later = self.spin.expand(-1, self.num_sites - 1)
        later = functional.pad(later, (1, 0))  # no spin before the first site
        pairs = torch.stack([self.sites + later, self.sites - later], dim=1)
        earlier = torch.ones(len(rows), len(rows), device=rows.device).tril() > 0
        odds, even, odd = self.read(through(self.layers, pairs, before, earlier))
        log_p = functional.logsigmoid(rows * odds).sum(0)
        phase = (even + rows * odd).sum(0)
        return torch.complex(log_p / 2, phase).view(spins.shape[:-1])

    def read(self, tokens):
        """log(p(+1) / p(−1)); the two spins' mean phase and half its difference."""
        rows = self.readings @ normalised(tokens).flatten(1) + self.biases[:, None]
        return rows.view(3, *tokens.shape[1:]).unbind(0)

    @torch.no_grad()
    def sample(self, count, generator):
        """Independent configurations distributed as |psi|^2.

        Parameters
        ----------
        count : int
        generator : torch.Generator
            On the device of the weights.

        Returns
        -------
        (count, N) float64 tensor of ±1

        Notes
        -----
        Keys and values of earlier sites are kept: the cost of `count` amplitudes, N
        steps after one another.
        """
        count = positive_integer("count", count)
        generator = checked_generator(generator)
        uniform = torch.rand(
            self.num_sites,
            count,
            dtype=torch.float64,
            generator=generator,
            device=self.device,
        )
        before, spins = torch.zeros_like(uniform[0]), []  # no spin yet
        past = [None] * len(self.layers)
        for site in range(self.num_sites):
            token = self.sites[:, site, None, None] + self.spin[..., None] * before
            for k, layer in enumerate(self.layers):
                token, past[k] = layer.step(token, past[k])
            odds, _, _ = self.read(token)
            before = 2 * (uniform[site] < torch.sigmoid(odds[0])).double() - 1
            spins.append(before)
        return torch.stack(spins, dim=-1)
