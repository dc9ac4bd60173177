"""RBMs in Monte Carlo: ratios and sweeps without a transcendental function a flip.

With x_h = exp 2θ_h of the field θ_h, flipping site j of spin s multiplies x_h by
q_h = exp(−4 s W_hj), and

    psi(s') / psi(s) = exp(2 s (Σ_h W_hj − a_j)) Π_h (1 + q_h x_h) / (1 + x_h),

so that tables of q for both signs of the spin leave multiplications and additions
alone. For flips of several sites the tables are multiplied. Real positive terms: no
digits are lost, whatever the weights.
"""

import numpy as np
import torch
from numba import njit

LARGEST_FIELD = 300.0  # exp of twice this is a number
FAST = {"reassoc", "contract", "nsz"}  # products may be reordered


def tame(block, spins):
    """Whether no exponential can overflow, and the arrays are where kernels run."""
    if spins.device.type != "cpu":
        return False
    with torch.no_grad():
        size = (block.weight * block.seen).abs()
        fields = block.hidden_bias.abs() + size.sum(1)
        flips = 2 * size.sum(0) + block.visible_bias.abs()
        return max(fields.max(), flips.max()).item() < LARGEST_FIELD


def ratios(block, spins, flips):
    """As `qlib.nas.vmc.ratios.ratios`, O(hidden) a ratio."""
    with torch.no_grad():
        x = torch.exp(2 * block.fields(spins))
        found = x.new_empty(len(spins), len(flips))
        rows, sites = (flips < 0).nonzero(as_tuple=True)
        ends = torch.bincount(rows, minlength=len(flips)).cumsum(0)
        numbers = (spins, x, 1 / (1 + x), *_tables(block), ends, sites, found)
        _ratios(*(one.contiguous().numpy() for one in numbers))
    return found


def sweep(block, spins, picks, partners, uniforms):
    """Metropolis steps on every chain, in place; the number of moves accepted.

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
        x = torch.exp(2 * block.fields(spins))
        exchange = partners is not None
        partners = uniforms if partners is None else partners
        numbers = (x, *_tables(block), picks, partners, uniforms)
        arrays = [one.contiguous().numpy() for one in numbers]
        return _sweep(spins.numpy(), exchange, *arrays)


def derivative_factors(block, spins):
    """Factors (A, B), each (configs, ·): O = [A_k ⊗ B_l], parameter after parameter.

    ∂ log psi / ∂(W_hj, b_h, a_j) = (tanh θ_h s_j, tanh θ_h, s_j), for RBMs that see all
    sites.
    """
    with torch.no_grad():
        tangents = torch.tanh(block.fields(spins))  # (configs, hidden)
        spins = spins.to(tangents.dtype)
        ones = torch.ones_like(tangents[:, :1])
        return [(tangents, spins), (tangents, ones), (spins, ones)]


def _tables(block):
    """(2, N) factors of psi and (2, N, hidden) of x for the flip of a spin 1, −1."""
    weight = (block.weight * block.seen).T  # (N, hidden)
    outer = torch.exp(2 * weight.sum(1) - 2 * block.visible_bias)
    inner = torch.exp(-4 * weight)
    outer, inner = (torch.stack([one, 1 / one]) for one in (outer, inner))
    if block.marshall:
        outer[:, 1::2] *= -1
    return outer, inner


@njit(cache=True, nogil=True, fastmath=FAST)
def _ratios(spins, x, y, outer, inner, ends, sites, found):
    """Ratios (configs, flips); flip f has the `sites` from ends[f − 1] to ends[f]."""
    configs, hidden = x.shape
    product = np.empty(hidden, x.dtype)
    for s in range(configs):
        for f in range(ends.size):
            first = ends[f - 1] if f else 0
            site = sites[first]
            up = 0 if spins[s, site] > 0 else 1
            ratio, q = outer[up, site], inner[up, site]
            if ends[f] > first + 1:
                product[:] = q
                for site in sites[first + 1 : ends[f]]:
                    up = 0 if spins[s, site] > 0 else 1
                    ratio *= outer[up, site]
                    product *= inner[up, site]
                q = product
            for h in range(hidden):
                ratio *= (1 + q[h] * x[s, h]) * y[s, h]
            found[s, f] = ratio


@njit(cache=True, nogil=True, fastmath=FAST)
def _sweep(spins, exchange, x, outer, inner, picks, partners, uniforms):
    """Metropolis steps in place; see `sweep`."""
    chains, hidden = x.shape
    product, y = np.empty(hidden, x.dtype), np.empty(hidden, x.dtype)
    accepted = 0
    for c in range(chains):
        y[:] = 1 / (1 + x[c])
        for step in range(picks.shape[1]):
            site, other = picks[c, step], -1
            up = 0 if spins[c, site] > 0 else 1
            ratio, q = outer[up, site], inner[up, site]
            if exchange:
                other = _opposite(spins[c], site, partners[c, step])
                if other < 0:
                    continue
                ratio *= outer[1 - up, other]
                product[:] = q * inner[1 - up, other]
                q = product
            for h in range(hidden):
                ratio *= (1 + q[h] * x[c, h]) * y[h]
            if abs(ratio) ** 2 > uniforms[c, step]:
                accepted += 1
                spins[c, site] *= -1
                if exchange:
                    spins[c, other] *= -1
                for h in range(hidden):
                    x[c, h] *= q[h]
                    y[h] = 1 / (1 + x[c, h])
    return accepted


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
