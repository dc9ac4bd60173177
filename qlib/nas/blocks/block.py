"""What every block is: a complex log psi(s) of stated entanglement capacity."""

from itertools import chain

import torch
from torch import nn

from qlib.arguments import integer_between, number_between
from qlib.nas.spins import all_configurations, checked_generator


class Block(nn.Module):
    """A wave function of N spins, log psi(s) for batches of configurations.

    A subclass gives `log_amplitude`, and `capacity` where it bounds the Schmidt rank.
    Parameters are drawn from `generator` alone.

    Parameters
    ----------
    num_sites : int
        N, in [2, 1024].
    marshall : bool, optional
        Multiply psi by (−1)^(number of down spins on odd sites), the sign rule of
        bipartite antiferromagnets (Marshall, Proc. R. Soc. A 232, 48, 1955). A product
        of one-site signs: the entanglement stays what it is.

    Attributes
    ----------
    rate : float
        Of a class: the learning rate of its weights over that of a network's; measured
        as `qlib.nas.training.train` says.
    """

    rate = 1.0

    def __init__(self, num_sites, *, marshall=False):
        super().__init__()
        self.num_sites = integer_between("num_sites", num_sites, 2, 1024)
        if not isinstance(marshall, bool):
            raise ValueError(f"marshall: got {marshall!r}; allowed: True, False")
        self.marshall = marshall

    def log_amplitude(self, spins):
        """log psi without the sign rule, (..., N) -> (...) complex128."""
        raise TypeError(f"{type(self).__name__} gives no log_amplitude")

    def forward(self, spins):
        """log psi(s), complex, not normalised; −inf where psi(s) = 0.

        Parameters
        ----------
        spins : (..., N) float64 tensor of ±1
            Number and type are checked, that they are ±1 is not.

        Returns
        -------
        (...) complex128 tensor
        """
        if spins.shape[-1:] != (self.num_sites,):
            got = spins.shape[-1] if spins.ndim else "no"
            raise ValueError(f"spins: got {got} sites; allowed: {self.num_sites}")
        if spins.dtype != torch.float64:
            raise ValueError(f"spins: got {spins.dtype}; allowed: torch.float64")
        log_psi = self.log_amplitude(spins)
        if self.marshall:
            down = (1 - spins[..., 1::2]).sum(-1) / 2
            log_psi = log_psi + 1j * torch.pi * torch.remainder(down, 2)
        return log_psi

    def capacity(self, cut):
        """Largest Schmidt rank that any weights reach between sites < cut and ≥ cut.

        Unless a subclass says less, what the dimensions allow: 2^min(cut, N − cut).
        """
        cut = integer_between("cut", cut, 1, self.num_sites - 1)
        return 2 ** min(cut, self.num_sites - cut)

    @property
    def device(self):
        """Where the block's tensors are; the CPU if it has none."""
        for tensor in chain(self.parameters(), self.buffers()):
            return tensor.device
        return torch.device("cpu")

    @property
    def num_parameters(self):
        """Real numbers that can be trained; a complex parameter is two."""
        return sum(p.numel() * (1 + p.is_complex()) for p in self.parameters())

    def vector(self):
        """The normalised state vector, (2^N,) complex128, for at most 20 sites."""
        log_psi = self(all_configurations(self.num_sites, device=self.device))
        largest = log_psi.real.max()
        if largest == -torch.inf:
            raise ValueError("psi: got zero everywhere; allowed: a state")
        psi = torch.exp(log_psi - largest)
        return psi / torch.linalg.vector_norm(psi)


def seeded(generator):
    """The generator that is given, or one of seed 0 for None."""
    if generator is None:
        return torch.Generator().manual_seed(0)
    return checked_generator(generator)


def normal(*shape, scale, real, generator):
    """A parameter of independent normal numbers.

    Parameters
    ----------
    *shape : int
    scale : float
        Standard deviation, in [0, 1e6]; of a complex number that of its modulus.
    real : bool
        float64; else complex128.
    generator : torch.Generator

    Returns
    -------
    torch.nn.Parameter
        On the generator's device.
    """
    scale = number_between("scale", scale, 0, 1e6)
    if not isinstance(real, bool):
        raise ValueError(f"real: got {real!r}; allowed: True, False")
    dtype = torch.float64 if real else torch.complex128
    options = {"dtype": dtype, "generator": generator, "device": generator.device}
    return nn.Parameter(scale * torch.randn(shape, **options))
