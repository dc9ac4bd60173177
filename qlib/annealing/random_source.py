"""Random arrays in float64 where the computation lives: NumPy, or a torch device."""

import numpy as np


class RandomSource:
    """Uniform, normal and exponential draws from one stream.

    Parameters
    ----------
    rng : int, `numpy.random.Generator` or None
        As `numpy.random.default_rng` takes it. A generator given is advanced.
    device : str or None
        None draws from the NumPy generator itself; else a `torch.Generator` on that
        device, seeded from it, draws there.
    """

    def __init__(self, rng, device):
        generator = np.random.default_rng(rng)
        if device is None:
            self.uniform = generator.random
            self.normal = generator.standard_normal
            self.exponential = generator.standard_exponential
            return
        import torch

        self._place = {"dtype": torch.float64, "device": torch.device(device)}
        seed = int(generator.integers(2**63))
        self._generator = torch.Generator(self._place["device"]).manual_seed(seed)
        self.uniform = self._fill("uniform_")
        self.normal = self._fill("normal_")
        self.exponential = self._fill("exponential_")

    def _fill(self, method):
        import torch

        def draw(shape):
            empty = torch.empty(shape, **self._place)
            return getattr(empty, method)(generator=self._generator)

        return draw
