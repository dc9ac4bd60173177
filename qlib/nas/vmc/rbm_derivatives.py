"""Logarithmic derivatives of RBMs, kept as the product that they are.

∂ log psi / ∂(W_hj, b_h, a_j) = (t_h s_j, t_h, s_j) with t_h = tanh θ_h: the entries of
(t, 1) ⊗ (s, 1), but for the last one, 1 ⊗ 1, a parameter that would scale psi. Inner
products of such rows, and of such columns, are products of small ones.
"""

from functools import lru_cache

import torch

CHUNK = 256  # configurations whose pairs fit a fast cache


class RBMDerivatives:
    """The centred matrix X of an RBM that sees all sites, as a linear map.

    The same as `qlib.nas.vmc.derivatives.DenseDerivatives`, at less cost: `gram` takes
    O(M² N) where that takes O(M² N²), `metric` a quarter of what it takes there.

    Parameters
    ----------
    block : RBM
        Of unlimited range.
    spins : (M, N) float64 tensor of ±1
    """

    def __init__(self, block, spins):
        with torch.no_grad():
            tangents = torch.tanh(block.fields(spins))
        ones = torch.ones_like(spins[:, :1])
        self.left = torch.cat([tangents, ones.to(tangents.dtype)], 1)  # (M, a)
        self.right = torch.cat([spins, ones], 1)  # (M, b), real
        self.configs = len(spins)
        sizes = self.left.shape[1], self.right.shape[1]
        self._order = _order(*sizes, spins.device)

    @property
    def shape(self):
        """Rows and columns of X."""
        return self.configs, len(self._order)

    def entries(self, kept):
        """O of the parameters that are kept, not centred, (M, kept)."""
        places = self._order[kept]
        sites = self.right.shape[1]
        return self.left[:, places // sites] * self.right[:, places % sites]

    def dense(self):
        """X, (M, parameters)."""
        rows = self.entries(slice(None))
        return (rows - rows.mean(0)) / self.configs**0.5

    def gram(self):
        """X X†, (M, M)."""
        gram = self.left @ self.left.mH
        gram.mul_(self.right @ self.right.mT)
        gram.sub_(gram.mean(1, keepdim=True))
        return gram.sub_(gram.mean(0)).div_(self.configs)

    def metric(self):
        """X† X, (parameters, parameters).

        Of Σ conj(t_h) t_h' · s_j s_j', the pairs h ≤ h' and j ≤ j' are summed; the
        column of 1 ⊗ 1 has the means that centring takes off.
        """
        sums = 0
        for start in range(0, self.configs, CHUNK):
            left = _pairs(self.left[start : start + CHUNK])  # (pairs, configs)
            right = _pairs(self.right[start : start + CHUNK])
            if left.is_complex():
                left = torch.stack([left.real, left.imag])
            sums = sums + left @ right.mT
        index, sign = _positions(self.left.shape[1], self.right.shape[1], left.device)
        if self.left.is_complex():
            found = torch.complex(sums[0].take(index), sign * sums[1].take(index))
        else:
            found = sums.take(index)
        found /= self.configs
        means = found[-1, :-1]
        return found[:-1, :-1] - means.conj()[:, None] * means

    def adjoint(self, vector):
        """X† v, (parameters)."""
        vector = (vector - vector.mean()) / self.configs**0.5
        found = (self.left.conj() * vector[:, None]).mT @ self.right.to(vector.dtype)
        return found.flatten()[self._order]

    def spread(self, direction):
        """A direction in the columns of X as one of all parameters: these."""
        return direction

    def rows(self, energies):
        """Local energies less their mean, over √M, in the rows of X."""
        energies = energies if self.left.is_complex() else energies.real
        return (energies - energies.mean()).to(self.left.dtype) / self.configs**0.5


def _pairs(columns):
    """Products conj(c_i) c_j of the columns, i ≤ j, as rows: (pairs, configs)."""
    rows = columns.mT.contiguous()
    first, second = torch.triu_indices(len(rows), len(rows), device=rows.device)
    return rows[first].conj() * rows[second]


def _order(a, b, device):
    """Places of W, b and a among the entries of (t, 1) ⊗ (s, 1)."""
    grid = torch.arange(a * b, device=device).reshape(a, b)
    return torch.cat([grid[:-1, :-1].flatten(), grid[:-1, -1], grid[-1, :-1]])


@lru_cache(maxsize=2)
def _positions(a, b, device):
    """Where each entry of the metric stands among the sums of pairs, 1 ⊗ 1 last.

    And −1 where h > h', which has the conjugate of the sum, else 1.
    """
    order = torch.cat([_order(a, b, device), torch.tensor([a * b - 1], device=device)])
    h, j = order // b, order % b
    rows, columns = _symmetric(a, device), _symmetric(b, device)
    index = rows[h[:, None], h] * (b * (b + 1) // 2) + columns[j[:, None], j]
    return index, 1 - 2 * (h[:, None] > h).double()


def _symmetric(count, device):
    """Numbers of the pairs (i, j), i ≤ j, and the same for (j, i): (count, count)."""
    first, second = torch.triu_indices(count, count, device=device)
    places = torch.empty(count, count, dtype=torch.long, device=device)
    numbers = torch.arange(len(first), device=device)
    places[first, second] = places[second, first] = numbers
    return places
