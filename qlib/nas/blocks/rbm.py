"""Restricted Boltzmann machines, of short range or connected to all sites."""

import torch
from torch import nn

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import Block


class RBM(Block):
    """log psi(s) = Σ_i a_i s_i + Σ_h log 2cosh(b_h + Σ_i W_hi s_i).

    Parameters
    ----------
    num_sites : int
        N.
    range : int or None, optional
        A hidden unit sees the sites at most this far from its own; None: all sites.
    alpha : float, optional
        Hidden units over sites; 1, as Carleo and Troyer have it, unless given.
    real : bool, optional
        Real weights: psi > 0. Complex unless set.
    marshall : bool, optional
        See `Block`.
    scale : float, optional
        Standard deviation of the weights at the start; 0.1 unless given.
    generator : torch.Generator
        Source of the weights.

    Notes
    -----
    Carleo and Troyer, Science 355, 602 (2017). A hidden unit whose field crosses a cut
    is a sum of two products, so that the Schmidt rank is at most 2^q, q the fewest of
    crossing units and of the sites that these see on either side (Deng, Li and Das
    Sarma, Phys. Rev. X 7, 021021, 2017). Cost O(hidden N) a configuration.
    """

    def __init__(
        self,
        num_sites,
        *,
        range=None,
        alpha=1.0,
        real=False,
        marshall=False,
        scale=0.1,
        generator=None,
    ):
        super().__init__(num_sites, marshall=marshall)
        alpha = number_between("alpha", alpha, 0, 1024, open_low=True)
        hidden = max(1, round(alpha * num_sites))
        sites = torch.arange(num_sites)
        reach = num_sites if range is None else integer_between("range", range, 0, 1024)
        centers = torch.arange(hidden) * num_sites // hidden
        seen = (sites - centers[:, None]).abs() <= reach  # (hidden, sites)
        self.register_buffer("seen", seen.double())
        dtype = torch.float64 if real else torch.complex128

        def drawn(*shape):
            return nn.Parameter(
                scale * torch.randn(*shape, dtype=dtype, generator=generator)
            )

        self.weight = drawn(hidden, num_sites)
        self.hidden_bias = drawn(hidden)
        self.visible_bias = drawn(num_sites)

    def fields(self, spins):
        """b_h + Σ_i W_hi s_i, (..., N) -> (..., hidden)."""
        weight = self.weight * self.seen
        return spins.to(weight.dtype) @ weight.T + self.hidden_bias

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        log_psi = log_2cosh(self.fields(spins)).sum(-1)
        log_psi = log_psi + spins.to(log_psi.dtype) @ self.visible_bias
        return log_psi.to(torch.complex128)

    def capacity(self, cut):
        """min(2^q, 2^cut, 2^(N − cut)); see the class."""
        full = super().capacity(cut)
        seen = self.seen > 0
        crossing = seen[:, :cut].any(1) & seen[:, cut:].any(1)
        left, right = (
            int(side[crossing].any(0).sum()) for side in (seen[:, :cut], seen[:, cut:])
        )
        return min(full, 2 ** min(int(crossing.sum()), left, right))


def log_2cosh(x):
    """log(2 cosh x) without overflow, for real and complex x."""
    x = torch.where(x.real < 0, -x, x)
    return x + torch.log1p(torch.exp(-2 * x))
