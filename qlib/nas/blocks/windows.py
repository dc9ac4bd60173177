"""Hidden units of short range, by tables of all that they can see."""

import torch
from torch import nn

from qlib.nas.spins import all_configurations

WIDEST = 5  # sites of a window, whose table has 32 rows


class Windows(nn.Module):
    """Sums of functions of short-range fields, each evaluated once for all spins.

    A unit that sees w spins has 2^w fields in all, few beside the configurations.

    Parameters
    ----------
    num_sites : int
        N.
    centers : (hidden,) int tensor
        Each unit's own site.
    reach : int
        How far a unit sees to either side; w = 2 reach + 1.
    """

    def __init__(self, num_sites, centers, reach):
        super().__init__()
        offsets = torch.arange(-reach, reach + 1)
        sites = centers[:, None] + offsets  # (hidden, w)
        inside = (sites >= 0) & (sites < num_sites)
        ahead = torch.arange(num_sites)[:, None] - torch.arange(num_sites)
        near = ahead.abs() <= reach
        power = torch.where(near, 2.0 ** (reach - ahead).clamp(0, 2 * reach), 0.0)
        self.register_buffer("centers", centers)
        self.register_buffer("sites", sites.clamp(0, num_sites - 1))
        self.register_buffer("inside", inside.double())
        self.register_buffer("patterns", all_configurations(len(offsets)))
        self.register_buffer("power", power.double())  # (site, center)
        starts = torch.arange(num_sites) * len(self.patterns)
        self.register_buffer("starts", starts.double())

    def forward(self, function, weight, bias, spins):
        """Σ_h function(b_h + Σ_i W_hi s_i), (..., N) -> (...).

        Parameters
        ----------
        function : callable
            Of tensors, entry by entry.
        weight : (hidden, N) tensor
            Only what lies within reach is used.
        bias : (hidden,) tensor
        spins : (..., N) tensor of ±1
        """
        weight = weight.gather(1, self.sites) * self.inside  # (hidden, w)
        fields = weight @ self.patterns.T.to(weight.dtype) + bias[:, None]
        values = function(fields)  # (hidden, 2^w)
        zeros = torch.zeros_like(values[:1]).expand(len(self.starts), -1)
        table = zeros.index_add(0, self.centers, values)  # (N, 2^w)
        seen = ((spins < 0).double() @ self.power + self.starts).long()  # (..., N)
        chosen = table.flatten().index_select(0, seen.flatten())
        return chosen.view(seen.shape).sum(-1)
