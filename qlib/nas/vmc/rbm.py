"""RBMs in Monte Carlo: ratios and sweeps without a transcendental function a flip.

A hidden unit is up with probability u_h = 1 / (1 + exp −2θ_h) and down with d_h = 1 −
u_h, θ_h its field (for complex weights these are complex). Flipping site j of spin s
takes θ_h to θ_h − 2 s W_hj, so that with q_h = exp(−4 s W_hj)

    psi(s') / psi(s) = exp(2 s (Σ_h W_hj − a_j)) Π_h (u_h q_h + d_h):

with tables of q for both signs of the spin, multiplications and additions alone. A move
that is made takes u_h to u_h q_h / (u_h q_h + d_h). For several sites the tables are
multiplied. All terms are positive for real weights: no digits are lost.
"""

import numpy as np
import torch
from numba import njit

LARGEST_EXPONENT = 600.0
FAST = {"reassoc", "contract", "nsz"}  # products may be reordered


def tame(block, spins):
    """Whether no table overflows, and the arrays are where kernels run."""
    if spins.device.type != "cpu":
        return False
    with torch.no_grad():
        size = 4 * (block.weight * block.seen).abs().sum(0)
        return (size + 2 * block.visible_bias.abs()).max().item() < LARGEST_EXPONENT


def ratios(block, spins, flips):
    """As `qlib.nas.vmc.ratios.ratios`, O(hidden) a ratio."""
    with torch.no_grad():
        up, down = _hidden(block, spins)
        found = up.new_empty(len(spins), len(flips))
        rows, sites = (flips < 0).nonzero(as_tuple=True)
        ends = torch.bincount(rows, minlength=len(flips)).cumsum(0)
        kernel = _ratios_of_one if len(sites) == len(flips) else _ratios
        kernel(*_arrays(spins, up, down, *_tables(block), ends, sites, found))
    return found


def sweep(block, spins, picks, partners, uniforms):
    """Metropolis steps on every chain, in place; the number of moves made.

    Parameters
    ----------
    block : RBM
    spins : (chains, N) float64 tensor, contiguous
    picks : (chains, steps) int64 tensor
        The site of each proposal.
    partners : (chains, steps) float64 tensor or None
        In [0, 1): which of the sites of opposite spin it is exchanged with; None:
        single flips.
    uniforms : (chains, steps) float64 tensor
        In [0, 1): a move is made where |psi(s') / psi(s)|² is more.
    """
    with torch.no_grad():
        numbers = (spins, *_hidden(block, spins), *_tables(block), picks, uniforms)
        if partners is None:
            return _flips(*_arrays(*numbers))
        return _exchanges(*_arrays(*numbers, partners))


def _hidden(block, spins):
    """u and d, each (configs, hidden)."""
    fields = 2 * block.fields(spins)
    if not fields.is_complex():
        return torch.sigmoid(fields), torch.sigmoid(-fields)
    less = torch.exp(torch.where(fields.real < 0, fields, -fields))  # of modulus ≤ 1
    more, less = 1 / (1 + less), less / (1 + less)
    turned = fields.real < 0
    return torch.where(turned, less, more), torch.where(turned, more, less)


def _tables(block):
    """(2, N) factors of psi and (2, N, hidden) q for the flip of a spin 1, −1."""
    weight = (block.weight * block.seen).T  # (N, hidden)
    outer = torch.exp(2 * weight.sum(1) - 2 * block.visible_bias)
    inner = torch.exp(-4 * weight)
    outer, inner = (torch.stack([one, 1 / one]) for one in (outer, inner))
    if block.marshall:
        outer[:, 1::2] *= -1
    return outer, inner


def _arrays(*tensors):
    return [one.contiguous().numpy() for one in tensors]


@njit(cache=True, nogil=True, fastmath=FAST)
def _ratios_of_one(spins, up, down, outer, inner, ends, sites, found):
    """Ratios (configs, flips) where every flip is of one site."""
    for s in range(spins.shape[0]):
        for f in range(sites.size):
            side = 0 if spins[s, sites[f]] > 0 else 1
            found[s, f] = outer[side, sites[f]] * _mean(
                inner[side, sites[f]], up[s], down[s]
            )


@njit(cache=True, nogil=True, fastmath=FAST)
def _ratios(spins, up, down, outer, inner, ends, sites, found):
    """Ratios (configs, flips); flip f has the `sites` from ends[f − 1] to ends[f]."""
    q = np.empty(up.shape[1], up.dtype)
    for s in range(spins.shape[0]):
        first = 0
        for f in range(ends.size):
            ratio = outer[0, 0] / outer[0, 0]
            q[:] = 1
            for site in sites[first : ends[f]]:
                side = 0 if spins[s, site] > 0 else 1
                ratio *= outer[side, site]
                q *= inner[side, site]
            first = ends[f]
            found[s, f] = ratio * _mean(q, up[s], down[s])


@njit(cache=True, nogil=True, fastmath=FAST)
def _flips(spins, up, down, outer, inner, picks, uniforms):
    """Metropolis steps of single flips, in place; see `sweep`."""
    made = 0
    for c in range(spins.shape[0]):
        chain, u, d = spins[c], up[c], down[c]
        for step in range(picks.shape[1]):
            site = picks[c, step]
            side = 0 if chain[site] > 0 else 1
            q = inner[side, site]
            ratio = outer[side, site] * _mean(q, u, d)
            if _square(ratio) > uniforms[c, step]:
                made += 1
                chain[site] *= -1
                _move(q, u, d)
    return made


@njit(cache=True, nogil=True, fastmath=FAST)
def _exchanges(spins, up, down, outer, inner, picks, uniforms, partners):
    """Metropolis steps of exchanges, in place; see `sweep`."""
    made = 0
    for c in range(spins.shape[0]):
        chain, u, d = spins[c], up[c], down[c]
        for step in range(picks.shape[1]):
            site = picks[c, step]
            other = _opposite(chain, site, partners[c, step])
            if other < 0:
                continue
            side = 0 if chain[site] > 0 else 1
            q = inner[side, site] * inner[1 - side, other]
            ratio = outer[side, site] * outer[1 - side, other] * _mean(q, u, d)
            if _square(ratio) > uniforms[c, step]:
                made += 1
                chain[site] *= -1
                chain[other] *= -1
                _move(q, u, d)
    return made


@njit(cache=True, nogil=True, fastmath=FAST)
def _mean(q, up, down):
    """Π_h (u_h q_h + d_h)."""
    product = q[0] * up[0] + down[0]
    for h in range(1, q.size):
        product *= q[h] * up[h] + down[h]
    return product


@njit(cache=True, nogil=True, fastmath=FAST)
def _move(q, up, down):
    """u and d after a flip, in place."""
    for h in range(q.size):
        raised = q[h] * up[h]
        norm = 1 / (raised + down[h])
        up[h] = raised * norm
        down[h] *= norm


@njit(cache=True, nogil=True)
def _square(ratio):
    """|ratio|²"""
    return ratio.real**2 + ratio.imag**2


@njit(cache=True, nogil=True)
def _opposite(spins, site, uniform):
    """One of the sites whose spin is opposite to that of `site`; −1 if none is."""
    count = 0
    for spin in spins:
        count += spin != spins[site]
    left = int(uniform * count)
    for other in range(spins.size):
        if spins[other] != spins[site]:
            if left == 0:
                return other
            left -= 1
    return -1
