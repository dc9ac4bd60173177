"""Restricted Boltzmann machines, of short range or connected to all sites."""

import torch

from qlib.arguments import integer_between, number_between
from qlib.nas.blocks.block import Block, normal, seeded
from qlib.nas.blocks.windows import WIDEST, Windows

CANCELLED = 1e-14  # as in qlib.entanglement.rbm


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
        Standard deviation of the weights at the start times √N, so that fields are of
        one size whatever N; 0.3 unless given.
    generator : torch.Generator, optional
        Source of the weights; seed 0 unless given.

    Notes
    -----
    Carleo and Troyer, Science 355, 602 (2017). A hidden unit whose field crosses a cut
    is a sum of two products, so that the Schmidt rank is at most 2^q, q the fewest of
    crossing units and of the sites that these see on either side (Deng, Li and Das
    Sarma, Phys. Rev. X 7, 021021, 2017). Cost O(hidden N) a configuration;
    where units see at most 5 sites O(N), and O(hidden) a call.
    """

    rate = 0.25

    def __init__(
        self,
        num_sites,
        *,
        range=None,
        alpha=1.0,
        real=False,
        marshall=False,
        scale=0.3,
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
        short = 2 * reach + 1 <= min(WIDEST, num_sites)
        self.windows = Windows(num_sites, centers, reach) if short else None
        generator = seeded(generator)
        scale = number_between("scale", scale, 0, 1e6) / num_sites**0.5
        drawn = {"scale": scale, "real": real, "generator": generator}
        self.weight = normal(hidden, num_sites, **drawn)
        self.hidden_bias = normal(hidden, **drawn)
        self.visible_bias = normal(num_sites, **drawn)

    def fields(self, spins):
        """b_h + Σ_i W_hi s_i, (..., N) -> (..., hidden)."""
        weight = self.weight * self.seen
        if not weight.is_complex():
            return spins @ weight.T + self.hidden_bias
        fields = torch.complex(spins @ weight.real.T, spins @ weight.imag.T)
        return fields + self.hidden_bias

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        if self.windows is None:
            log_psi = log_2cosh(self.fields(spins)).sum(-1)
        else:
            units = self.weight, self.hidden_bias
            log_psi = self.windows(log_2cosh, *units, spins)
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

    @property
    def num_parameters(self):
        """Real numbers that can be trained: what is out of range does not count."""
        numbers = self.seen.sum() + self.hidden_bias.numel() + self.num_sites
        return int(numbers) * (1 + self.weight.is_complex())


def log_2cosh(x):
    """log(2 cosh x) of real or complex x, without overflow.

    −inf, with gradient 0, where the two exponentials of 2 cosh x cancel to
    `CANCELLED` of one of them: there stands a zero of psi that has been rounded.

    Notes
    -----
    With x = ±(a + ib), a ≥ 0: 2 cosh x = e^a (cos b (1 + d) + i sin b (1 − d)),
    d = e^(−2a). Functions of real numbers are 15 times as fast as of complex ones.
    """
    if not x.is_complex():
        return x.abs() + torch.log1p(torch.exp(-2 * x.abs()))
    sign = torch.where(x.real < 0, -1.0, 1.0)
    a, b = sign * x.real, sign * x.imag
    decayed = torch.exp(-2 * a)
    real, imag = torch.cos(b) * (1 + decayed), torch.sin(b) * (1 - decayed)
    square = real**2 + imag**2
    zero = square < CANCELLED**2
    modulus = a + torch.log(torch.where(zero, 1.0, square)) / 2
    phase = torch.atan2(torch.where(zero, 0.0, imag), torch.where(zero, 1.0, real))
    return torch.complex(torch.where(zero, -torch.inf, modulus), phase)
