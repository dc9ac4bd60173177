"""Matrix product states in Monte Carlo: all flips for the price of two amplitudes.

The row vector l_k of the matrices left of site k and the column vector r_k of those
right of it give psi with either spin at k, l_k A_k(i) r_k, and the derivative of psi by
A_k, l_k ⊗ r_k where the spin is. All are divided by their size as they grow, which
ratios do not see.
"""

import torch

SMALLEST = 1e-300


def ratios(block, spins, flips):
    """As `qlib.nas.vmc.ratios.ratios`, flips of one site: O(N χ²) a configuration."""
    with torch.no_grad():
        tensors, chosen = block.tensors, (spins < 0).long()
        right = _rights(tensors, chosen)
        left = torch.ones_like(right[-1])
        found = []
        for site, tensor in enumerate(tensors):
            here = chosen[:, site, None]  # (configs, 1)
            both = _both(left, tensor)  # (configs, 2, vR)
            psi = (both * right[site][:, None]).sum(-1)
            ratio = psi.gather(1, 1 - here) / psi.gather(1, here)
            found.append(-ratio if block.marshall and site % 2 else ratio)
            left = _scaled(_taken(both, here))
        sites = (flips < 0).double().argmax(1)
        return torch.cat(found, 1)[:, sites].to(torch.complex128)


def log_derivatives(block, spins):
    """∂ log psi / ∂ of all entries of the tensors, (configs, parameters)."""
    with torch.no_grad():
        tensors, chosen = block.tensors, (spins < 0).long()
        right = _rights(tensors, chosen)
        left = torch.ones_like(right[-1])
        found = []
        for site, tensor in enumerate(tensors):
            here = chosen[:, site, None]
            after = _taken(_both(left, tensor), here)
            psi = (after * right[site]).sum(-1, keepdim=True)
            side = torch.cat([1 - here, here], 1)  # (configs, 2)
            ends = side[:, :, None] * (right[site] / psi)[:, None]
            rows = left[:, :, None, None] * ends[:, None]  # (configs, vL, 2, vR)
            found.append(rows.flatten(1))
            left = _scaled(after)
        return torch.cat(found, 1)


def sweep(block, spins, uniforms):
    """One heat-bath sweep from the first site to the last, in place.

    Parameters
    ----------
    block : MPS
    spins : (chains, N) float64 tensor
    uniforms : (chains, N) float64 tensor
        In [0, 1): the spin is up where |psi|² with it up is more than this part of the
        sum of both.

    Returns
    -------
    int
        The number of spins that changed.
    """
    with torch.no_grad():
        tensors = block.tensors
        right = _rights(tensors, (spins < 0).long())
        left, before = torch.ones_like(right[-1]), spins.clone()
        for site, tensor in enumerate(tensors):
            both = _both(left, tensor)
            weight = (both * right[site][:, None]).sum(-1).abs() ** 2
            weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, 1.0)
            down = uniforms[:, site] * weight.sum(1) >= weight[:, 0]
            spins[:, site] = 1 - 2 * down.double()
            left = _scaled(_taken(both, down.long()[:, None]))
        return int((spins != before).sum())


def _rights(tensors, chosen):
    """Column vectors right of every site, (configs, vR) each."""
    one = torch.ones(len(chosen), 1, dtype=tensors[0].dtype, device=chosen.device)
    found = [one]
    for site in range(len(tensors) - 1, 0, -1):
        tensor = tensors[site]  # (vL, 2, vR)
        both = (found[-1] @ tensor.flatten(0, 1).T).unflatten(1, tensor.shape[:2])
        found.append(_scaled(_taken(both.mT, chosen[:, site, None])))
    return found[::-1]


def _both(left, tensor):
    """l A(i) for both spins i, (configs, 2, vR)."""
    return (left @ tensor.flatten(1)).unflatten(1, tensor.shape[1:])


def _taken(both, chosen):
    """Of (configs, 2, v) what stands at the spin, (configs, v)."""
    return torch.where(chosen == 0, both[:, 0], both[:, 1])


def _scaled(vectors):
    """Each row over the size of its largest entry."""
    return vectors / vectors.abs().amax(1, keepdim=True).clamp_min(SMALLEST)
