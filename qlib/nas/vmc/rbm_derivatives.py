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
        left, right = _pairs(self.left), _pairs(self.right)  # (pairs, M)
        sums = torch.stack([left.real, left.imag]) if left.is_complex() else left[None]
        sums = sums @ right.mT / self.configs  # (1 or 2, pairs, pairs)
        index, below = self._positions()
        found = sums[0].take(index)
        if left.is_complex():
            found = torch.complex(found, sums[1].take(index) * (1 - 2 * below.double()))
        means = found[-1, :-1]
        return found[:-1, :-1] - means.conj()[:, None] * means

    def _positions(self):
        """Where each entry of the metric stands among the sums of pairs.

        And whether it is of h > h', the conjugate of the sum; (parameters + 1) squared.
        """
        first = self._places // self.right.shape[1]  # h of each parameter
        second = self._places % self.right.shape[1]  # j of each parameter
        above, beside = (
            _symmetric(one.shape[1], one.device) for one in (self.left, self.right)
        )
        rows = above.index_select(0, first).index_select(1, first)
        columns = beside.index_select(0, second).index_select(1, second)
        pairs = self.right.shape[1] * (self.right.shape[1] + 1) // 2
        return rows * pairs + columns, first[:, None] > first

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
    """Products conj(c_i) c_j of the columns, i ≤ j, as rows: (pairs, M)."""
    rows = columns.mT.contiguous()
    first, second = torch.triu_indices(len(rows), len(rows), device=rows.device)
    return rows[first].conj() * rows[second]


def _symmetric(count, device):
    """Numbers of the pairs (i, j), i ≤ j, and the same for (j, i): (count, count)."""
    first, second = torch.triu_indices(count, count, device=device)
    places = torch.empty(count, count, dtype=torch.long, device=device)
    numbers = torch.arange(len(first), device=device)
    places[first, second] = places[second, first] = numbers
    return places
