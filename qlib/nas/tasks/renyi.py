"""Rényi-2 entropies of log psi at all cuts, for losses."""

import torch

from qlib.arguments import integer_between
from qlib.nas.tasks.batch import amplitudes


def renyi2(log_psi):
    """Rényi-2 entropies −ln Tr ρ² in nats at the cuts 1 … N−1.

    Tr ρ² is the squared norm of the reduced density matrix of the smaller side: no
    singular values, whose gradient fails where two are equal.

    Parameters
    ----------
    log_psi : (..., 2^N) complex128 tensor
        Over `spins.all_configurations`, not normalised, −inf where psi vanishes.

    Returns
    -------
    (..., N − 1) float64 tensor
        Differentiable; O(2^(3N/2)) a state.

    Raises
    ------
    ValueError
        If the length is no power of two, at least 4.
    """
    dim = log_psi.shape[-1]
    num_sites = dim.bit_length() - 1
    if dim != 2**num_sites or num_sites < 2:
        raise ValueError(f"log_psi: got {dim} entries; allowed: 2^N with N >= 2")
    psi = amplitudes(log_psi)
    norm = psi.abs().square().sum(-1)
    purities = []
    for cut in range(1, num_sites):
        matrix = psi.unflatten(-1, (2**cut, -1))  # (..., left, right)
        if 2 * cut > num_sites:
            matrix = matrix.mT
        reduced = matrix @ matrix.mH  # of the smaller side
        purities.append(reduced.abs().square().sum((-2, -1)))
    return 2 * torch.log(norm)[..., None] - torch.log(torch.stack(purities, -1))


def entanglement_penalty(log_psi, target):
    """Σ over cuts of (R₂ − R₂*)² in nats², to be added to a loss with a weight λ.

    Parameters
    ----------
    log_psi : (..., 2^N) complex128 tensor
        As in `renyi2`.
    target : (..., N − 1) float64 tensor
        R₂*, as `Target.renyi2`, of a shape that broadcasts.

    Returns
    -------
    (...) float64 tensor
    """
    num_sites = log_psi.shape[-1].bit_length() - 1
    integer_between("cuts of target", target.shape[-1], num_sites - 1, num_sites - 1)
    return (renyi2(log_psi) - target).square().sum(-1)
