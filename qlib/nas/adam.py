"""Adam for named tensors, real or complex, each with a rate of its own."""

import torch
from torch.optim.adam import adam

DECAY = (0.9, 0.999)  # of the two moments, Kingma and Ba's
EPSILON = 1e-8  # added to the root of the second, theirs too


class Adam:
    """The moments of some weights; real and imaginary parts have their own.

    Parameters
    ----------
    weights : dict of str to tensor
    rates : dict of str to float, optional
        Of each weight, over the learning rate; 1 unless given.
    decay : (float, float), optional
        Of the two moments; (0.9, 0.999) unless given.

    Notes
    -----
    Kingma and Ba, arXiv:1412.6980, by torch's functional form, which imports no
    compiler as the first `torch.optim.Adam` does (1.3 s).
    """

    def __init__(self, weights, *, rates=None, decay=DECAY):
        self.count, self.decay = 0, decay
        self.rates = dict.fromkeys(weights, 1.0) if rates is None else rates
        self.moments = {
            name: [torch.zeros_like(weight, requires_grad=False) for _ in decay]
            for name, weight in weights.items()
        }

    @torch.no_grad()
    def step(self, weights, gradients, rate):
        """Move `weights` in place.

        Parameters
        ----------
        weights : dict of str to tensor
        gradients : sequence of tensor
            In the order of `weights`.
        rate : float
            The learning rate.
        """
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            first, second = self.moments[name]
            adam(
                [weight],
                [gradient],
                [first],
                [second],
                [],
                [torch.tensor(float(self.count))],
                foreach=False,
                has_complex=weight.is_complex(),
                amsgrad=False,
                beta1=self.decay[0],
                beta2=self.decay[1],
                lr=rate * self.rates[name],
                weight_decay=0.0,
                eps=EPSILON,
                maximize=False,
            )
        self.count += 1
