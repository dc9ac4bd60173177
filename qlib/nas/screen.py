"""From entanglement to architecture, the rigorous part: a lower bound on infidelity.

A block whose Schmidt rank at a cut is at most R has a fidelity with a state of Schmidt
probabilities p of at most the sum of its R largest (Eckart and Young, Psychometrika 1,
211, 1936). That holds at every cut and for all weights, whatever the training.
"""

import numpy as np
import torch

from qlib.arguments import number_between
from qlib.nas.blocks.block import Block
from qlib.nas.blocks.rbm import RBM

SUM_TOLERANCE = 1e-8  # of |sum p - 1|


def screen(spectra, block):
    """Infidelity 1 − F that no weights of a block fall below.

    Parameters
    ----------
    spectra : sequence of N − 1 arrays
        The target's Schmidt probabilities at the cuts 1 … N−1, in any order, summing
        to one within 1e-8; as `Target.spectra`.
    block : Block
        Of N sites: its `capacity` alone is used.

    Returns
    -------
    float
        max over cuts of 1 − Σ of the capacity(cut) largest p. Met by an MPS where one
        cut decides; an RBM or a network of the same capacity may stay above it.

    Raises
    ------
    ValueError
        For spectra that are none, and another number of cuts than the block's.
    """
    if not isinstance(block, Block):
        allowed = "a Block, as its constructor gives it"
        raise ValueError(f"block: got {block!r}; allowed: {allowed}")
    tails = _tails(spectra)
    if len(tails) != block.num_sites - 1:
        allowed = f"{block.num_sites - 1}, one a cut of the block"
        raise ValueError(f"spectra: got {len(tails)}; allowed: {allowed}")
    return max(
        float(tail[min(block.capacity(cut), len(tail) - 1)])
        for cut, tail in enumerate(tails, start=1)
    )


def smallest_bond_dim(spectra, infidelity):
    """Least bond dimension of an MPS whose bound is at most `infidelity`.

    Parameters
    ----------
    spectra : sequence of N − 1 arrays
        As in `screen`.
    infidelity : float
        In (0, 1).

    Returns
    -------
    int

    Notes
    -----
    Cutting the state down to it costs |psi − psi_chi|² ≤ 2 Σ over cuts of the discarded
    weights (Verstraete and Cirac, Phys. Rev. B 73, 094423, 2006): the bound is out of
    reach by no more than about twice the number of cuts.
    """
    return max(_ranks(spectra, infidelity))


def smallest_range(spectra, infidelity, *, alpha=1.0):
    """Least range of an RBM whose bound is at most `infidelity`, or None.

    Parameters
    ----------
    spectra, infidelity
        As in `smallest_bond_dim`.
    alpha : float, optional
        Hidden units over sites, as in `blocks.RBM`.
    """
    ranks = _ranks(spectra, infidelity)
    num_sites = len(ranks) + 1
    for reach in range(num_sites):
        block = RBM(num_sites, range=reach, alpha=alpha, generator=torch.Generator())
        if all(block.capacity(cut) >= rank for cut, rank in enumerate(ranks, start=1)):
            return reach
    return None


def smallest_hidden(spectra, infidelity):
    """Fewest hidden units of an RBM on all sites whose bound is at most `infidelity`.

    Each unit crosses every cut and doubles the rank at most: ⌈log2 of the rank⌉, the
    width of a layer that the entanglement asks for. Arguments as `smallest_bond_dim`.
    """
    return max(int(np.ceil(np.log2(rank))) for rank in _ranks(spectra, infidelity))


def _ranks(spectra, infidelity):
    """Fewest Schmidt states that leave at most `infidelity` behind, at each cut."""
    below_one = np.nextafter(1.0, 0.0)
    infidelity = number_between("infidelity", infidelity, 0, below_one, open_low=True)
    return [1 + int(np.argmax(tail[1:] <= infidelity)) for tail in _tails(spectra)]


def _tails(spectra):
    """At each cut the weight beyond the R largest p, R = 0 … D; the last is 0."""
    if isinstance(spectra, str) or not np.iterable(spectra):
        got, allowed = type(spectra).__name__, "N - 1 arrays, as Target.spectra() gives"
        raise ValueError(f"spectra: got {got}; allowed: {allowed}")
    tails = [_tail(cut, p) for cut, p in enumerate(spectra, start=1)]
    if not tails:
        raise ValueError("spectra: got none; allowed: one at each of N - 1 cuts")
    return tails


def _tail(cut, p):
    p = np.asarray(p)
    if p.dtype.kind not in "fiu":
        got = f"{p.dtype} at cut {cut}"
        raise ValueError(f"spectra: got {got}; allowed: real probabilities")
    p = p.astype(float)
    if p.ndim != 1 or p.size == 0 or not (np.isfinite(p).all() and (p >= 0).all()):
        got = f"{p!r} at cut {cut}"
        raise ValueError(f"spectra: got {got}; allowed: (D,) arrays, finite and >= 0")
    if abs(p.sum() - 1) > SUM_TOLERANCE:
        allowed = f"1 within {SUM_TOLERANCE:g}"
        raise ValueError(
            f"spectra: got a sum of {p.sum():.12g} at cut {cut}; allowed: {allowed}"
        )
    return np.append(np.cumsum(np.sort(p))[::-1], 0.0)
