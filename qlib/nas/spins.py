"""Spin configurations as tensors: the order of the basis and of the sites."""

import torch

from qlib.arguments import integer_between

MOST_SITES = 20  # whose 2^N configurations are listed: 160 MiB


def all_configurations(num_sites, *, device=None):
    """All spin configurations in the order of the basis.

    Parameters
    ----------
    num_sites : int
        N, at most 20.
    device : torch.device, optional

    Returns
    -------
    (2^N, N) float64 tensor
        s_i = Z_i = ±1; site 0 is the most significant bit, and bit 0 is spin up, +1.
    """
    num_sites = integer_between("num_sites", num_sites, 1, MOST_SITES)
    index = torch.arange(2**num_sites, device=device)
    bits = torch.arange(num_sites - 1, -1, -1, device=device)
    return 1.0 - 2.0 * ((index[:, None] >> bits) & 1).double()


def checked_spins(name, spins):
    """`spins`, refused by `name` unless they are a tensor of ±1."""
    if not isinstance(spins, torch.Tensor):
        raise ValueError(f"{name}: got {type(spins)}; allowed: a torch.Tensor")
    if spins.dtype == torch.bool or spins.is_complex():
        raise ValueError(f"{name}: got {spins.dtype}; allowed: real numbers")
    if not (spins.abs() == 1).all():
        other = spins[spins.abs() != 1][0].item()
        raise ValueError(f"{name}: got a spin {other}; allowed: 1, -1")
    return spins


def checked_generator(generator):
    """`generator`, refused by name unless it is a torch.Generator."""
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator: got {generator!r}; allowed: a torch.Generator")
    return generator


def basis_index(spins):
    """Indices (...) of configurations (..., N) in the order of `all_configurations`."""
    num_sites = spins.shape[-1]
    integer_between("num_sites", num_sites, 1, 62)
    bits = torch.arange(num_sites - 1, -1, -1, device=spins.device)
    return ((spins < 0).long() << bits).sum(-1)
