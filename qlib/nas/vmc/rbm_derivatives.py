"""Logarithmic derivatives of RBMs, kept as the product that they are.

∂ log psi / ∂(W_hj, b_h, a_j) = (t_h s_j, t_h, s_j) with t_h = tanh θ_h: the entries of
(t, 1) ⊗ (s, 1), but for the last one, 1 ⊗ 1, a parameter that would scale psi. Inner
products of such rows, and of such columns, are products of small ones.
"""

import torch


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
        hidden, sites = tangents.shape[1], spins.shape[1]
        grid = torch.arange((hidden + 1) * (sites + 1), device=spins.device)
        grid = grid.reshape(hidden + 1, sites + 1)
        parts = grid[:-1, :-1].flatten(), grid[:-1, -1], grid[-1, :-1], grid[-1, -1:]
        self._places = torch.cat(parts)  # of the parameters in order, 1 ⊗ 1 last

    @property
    def shape(self):
        """Rows and columns of X."""
        return self.configs, len(self._places) - 1

    def dense(self):
        """X, (M, parameters)."""
        rows = (self.left[:, :, None] * self.right[:, None, :]).flatten(1)
        rows = rows[:, self._places[:-1]]
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
        left, above = _pairs(self.left)  # (M, pairs), (a, a)
        right, beside = _pairs(self.right)  # (M, pairs), (b, b)
        sums = torch.view_as_real(left) if left.is_complex() else left[..., None]
        sums = torch.tensordot(sums, right / self.configs, ([0], [0]))
        first, second = (
            (self._places // self.right.shape[1]),
            (self._places % self.right.shape[1]),
        )
        rows = above[first[:, None], first]
        columns = beside[second[:, None], second]
        found = sums[rows, 0, columns]
        if left.is_complex():
            sign = torch.where(first[:, None] > first, -1.0, 1.0)
            found = torch.complex(found, sign * sums[rows, 1, columns])
        means = found[-1, :-1]
        return found[:-1, :-1] - means.conj()[:, None] * means

    def adjoint(self, vector):
        """X† v, (parameters)."""
        vector = (vector - vector.mean()) / self.configs**0.5
        found = (self.left.conj() * vector[:, None]).mT @ self.right.to(vector.dtype)
        return found.flatten()[self._places[:-1]]

    def rows(self, energies):
        """Local energies less their mean, over √M, in the rows of X."""
        energies = energies if self.left.is_complex() else energies.real
        return (energies - energies.mean()).to(self.left.dtype) / self.configs**0.5


def _pairs(columns):
    """Products conj(c_i) c_j for i ≤ j, and where each (i, j) or (j, i) stands."""
    count = columns.shape[1]
    first, second = torch.triu_indices(count, count, device=columns.device)
    place = torch.empty(count, count, dtype=torch.long, device=columns.device)
    numbers = torch.arange(len(first), device=columns.device)
    place[first, second] = place[second, first] = numbers
    return columns[:, first].conj() * columns[:, second], place
