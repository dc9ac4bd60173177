"""The schemes of a supernet and the rates and temperatures that they train with."""

from dataclasses import dataclass

from qlib.arguments import number_between

SCHEMES = ("darts", "gumbel", "expected", "perturbation")


@dataclass(frozen=True)
class Settings:
    """Rates, temperatures and stages of a supernet's training.

    Attributes
    ----------
    learning_rate : float
        Of the weights; its course and each block's share are those of training alone.
    architecture_rate : float
        Of the architecture parameters, Adam's with β = (0.5, 0.999) as in DARTS.
    hot, cold : float
        Temperature of the Gumbel-softmax at the first and at the last step, geometric
        between them. The other schemes keep 1.
    warm_up : float
        Share of the steps in which the weights alone are trained.
    """

    learning_rate: float = 0.02
    architecture_rate: float = 0.1
    hot: float = 2.0
    cold: float = 0.3
    warm_up: float = 0.2
    logarithmic: tuple = ("weights", "architecture")

    def __post_init__(self):
        for name in ("learning_rate", "architecture_rate", "hot", "cold"):
            number_between(name, getattr(self, name), 0, 1e3, open_low=True)
        number_between("warm_up", self.warm_up, 0, 0.9)

    def temperature(self, progress):
        """Temperature of the Gumbel-softmax, `progress` in [0, 1] of the steps."""
        return self.hot * (self.cold / self.hot) ** progress
