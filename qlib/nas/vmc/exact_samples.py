"""Independent samples of |psi|²: autoregressive blocks, and short chains."""

import torch

from qlib.arguments import positive_integer
from qlib.nas.spins import MOST_SITES, all_configurations, checked_generator


class Exact:
    """Independent samples at every call, in the shape of `Metropolis`.

    Parameters
    ----------
    chains : int
        Samples a call.
    generator : torch.Generator

    Attributes
    ----------
    acceptance : float
        1.
    evaluations : int
        Evaluations of psi in all calls: one a sample of an autoregressive block, else
        one a configuration of the space.
    """

    acceptance = 1.0

    def __init__(self, chains, *, generator):
        self.chains = positive_integer("chains", chains)
        self.generator, self.evaluations = checked_generator(generator), 0

    def __len__(self):
        """Samples a call."""
        return self.chains

    def sweep(self, block, sweeps=1):
        """(chains, N) new samples of |psi|², see `draw_exactly`."""
        autoregressive = hasattr(block, "sample")
        self.evaluations += self.chains if autoregressive else 2**block.num_sites
        return draw_exactly(block, self.chains, generator=self.generator)


def draw_exactly(block, count, *, generator):
    """Independent samples of |psi|².

    Parameters
    ----------
    block : Block
        One that has a `sample(count, generator)` of its own (autoregressive), or of at
        most 20 sites, whose configurations are then all weighed.
    count : int
    generator : torch.Generator

    Returns
    -------
    (count, N) float64 tensor
    """
    count = positive_integer("count", count)
    generator = checked_generator(generator)
    if hasattr(block, "sample"):
        with torch.no_grad():
            return block.sample(count, generator)
    if block.num_sites > MOST_SITES:
        allowed = f"at most {MOST_SITES} sites, or an autoregressive block"
        raise ValueError(f"block: got {block.num_sites} sites; allowed: {allowed}")
    with torch.no_grad():
        weights = block.vector().abs() ** 2
    ends = weights.cumsum(0)
    drawn = torch.rand(count, dtype=torch.float64, generator=generator)
    index = torch.searchsorted(ends, drawn.to(ends.device) * ends[-1], right=True)
    return all_configurations(block.num_sites, device=ends.device)[index]
