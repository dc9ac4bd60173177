"""Configurations of a part, and amplitudes from their logarithms."""

from dataclasses import dataclass

import torch

from qlib.arguments import one_of

PARTS = ("weights", "architecture", "all")


@dataclass(frozen=True, eq=False)
class Batch:
    """Configurations at which a task needs log psi.

    Attributes
    ----------
    part : {"weights", "architecture", "all"}
    spins : (configs, N) or (replicas, configs, N) float64 tensor of ±1
    """

    part: str
    spins: torch.Tensor


def checked_part(part):
    """`part`, refused unless it is one of the three."""
    return one_of("part", part, PARTS)


def half(pairs, part, generator):
    """One of each pair: which one goes to "weights" is a toss, the other goes on.

    Generators in one state give complementary halves.

    Parameters
    ----------
    pairs : (..., P, 2) int64 tensor
    part : {"weights", "architecture"}
    generator : torch.Generator

    Returns
    -------
    (..., P) int64 tensor
    """
    toss = torch.randint(
        2, pairs.shape[-2:-1], generator=generator, device=generator.device
    )
    toss = (toss + PARTS.index(part)) % 2
    index = toss.to(pairs.device).expand(pairs.shape[:-1])[..., None]
    return torch.gather(pairs, -1, index)[..., 0]


def amplitudes(log_psi):
    """psi (..., configs), the largest modulus one; 0 where log psi is −inf.

    The scale is a constant to the gradient: what follows must not depend on it.
    """
    largest = log_psi.real.detach().amax(-1, keepdim=True)
    return torch.exp(log_psi - torch.where(torch.isfinite(largest), largest, 0.0))


def infidelity(phi, psi):
    """1 − |<phi|psi>|² / <psi|psi> over the last axis, phi normalised there.

    Small ones keep their digits, see `_parts`. One where psi vanishes.
    """
    rest, along = _parts(phi, psi)
    some = rest + along > 0
    return torch.where(some, rest / torch.where(some, rest + along, 1.0), 1.0)


def minus_log_fidelity(phi, psi):
    """−ln F of the same states, with digits where F is near one and near zero.

    At most about 708, where the overlap underflows; there without a gradient.
    """
    rest, along = _parts(phi, psi)
    tiny = torch.finfo(along.dtype).tiny
    return torch.log1p(rest / along.clamp_min(tiny))


def _parts(phi, psi):
    """Squared norms of what of psi is orthogonal to phi, and of what is along it.

    <phi|psi> phi is taken from psi before the square, not |<phi|psi>|² after.
    """
    overlap = (phi.conj() * psi).sum(-1, keepdim=True)
    rest = (psi - overlap * phi).abs().square().sum(-1)
    return rest, overlap.abs().square()[..., 0].expand_as(rest)
