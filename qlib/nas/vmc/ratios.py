"""psi(s') / psi(s) where s' is s with some sites flipped."""

from functools import singledispatch

import torch

from qlib.nas.blocks import MPS, RBM
from qlib.nas.vmc import mps
from qlib.nas.vmc import rbm as rbms

CHUNK = 2**15  # configurations evaluated at once


@singledispatch
def ratios(log_psi, spins, flips, wanted=None):
    """Ratios psi(s') / psi(s) for every configuration s and every set of flips.

    Parameters
    ----------
    log_psi : Block, or a function (configs, N) -> (configs)
    spins : (configs, N) float64 tensor of ±1
        Where psi is not zero.
    flips : (flips, N) float64 tensor
        −1 on the sites that flip, 1 elsewhere: s' = s · flip.
    wanted : (configs, flips) bool tensor, optional
        Which are asked for; others come out 0.

    Returns
    -------
    (configs, flips) complex128 tensor
        float64 for an RBM of real weights.

    Notes
    -----
    One evaluation of psi a ratio, except for an RBM or an MPS, see `qlib.nas.vmc.rbm`
    and `qlib.nas.vmc.mps`.
    """
    shape = (len(spins), len(flips))
    if wanted is None:
        wanted = torch.ones(shape, dtype=torch.bool, device=spins.device)
    found = spins.new_zeros(shape, dtype=torch.complex128)
    with torch.no_grad():
        before = log_psi(spins)
        for rows, columns in zip(
            *(part.split(CHUNK) for part in wanted.nonzero(as_tuple=True)), strict=True
        ):
            after = log_psi(spins[rows] * flips[columns])
            found[rows, columns] = torch.exp(after - before[rows])
    return found


@ratios.register
def _(log_psi: RBM, spins, flips, wanted=None):
    if rbms.tame(log_psi, spins):
        return rbms.ratios(log_psi, spins, flips)
    return ratios.dispatch(object)(log_psi, spins, flips, wanted)


@ratios.register
def _(log_psi: MPS, spins, flips, wanted=None):
    if ((flips < 0).sum(1) == 1).all():
        return mps.ratios(log_psi, spins, flips)
    return ratios.dispatch(object)(log_psi, spins, flips, wanted)
