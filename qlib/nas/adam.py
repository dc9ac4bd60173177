"""Adam for named tensors, real or complex, whose replicas may leave or be stored."""

import torch

RATE_OF_COMPLEX = 0.25  # of that of real parameters
DECAY = (0.9, 0.999)  # of the two moments, Kingma and Ba's
EPSILON = 1e-8  # added to the root of the second, theirs too


class Adam:
    """The moments of some weights; real and imaginary parts have their own.

    Parameters
    ----------
    weights : dict of str to tensor

    Notes
    -----
    Kingma and Ba, arXiv:1412.6980, as in `torch.optim.Adam`, whose import alone takes
    over a second. Complex parameters, which are exponents or factors of psi as they
    stand, take steps of a quarter; see `qlib.nas.training` for what was measured.
    """

    def __init__(self, weights):
        self.count = 0
        self.moments = {
            name: [torch.zeros_like(_real(weight)) for _ in DECAY]
            for name, weight in weights.items()
        }

    @torch.no_grad()
    def step(self, weights, gradients, rate):
        """Move `weights` in place; None stands for a gradient of zero.

        Parameters
        ----------
        weights : dict of str to tensor
        gradients : sequence of tensor or None
            In the order of `weights`.
        rate : float
            The learning rate.
        """
        self.count += 1
        unbiased = [1 - decay**self.count for decay in DECAY]
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            if gradient is None:
                continue
            own = rate * RATE_OF_COMPLEX if weight.is_complex() else rate
            gradient = _real(gradient)
            first, second = self.moments[name]
            first.lerp_(gradient, 1 - DECAY[0])
            second.mul_(DECAY[1]).addcmul_(gradient, gradient, value=1 - DECAY[1])
            spread = (second / unbiased[1]).sqrt_().add_(EPSILON)
            _real(weight).addcdiv_(first, spread, value=-own / unbiased[0])

    def keep(self, indices):
        """Drop the moments of all replicas but these, on the first axis."""
        self.moments = {
            name: [moment[indices] for moment in pair]
            for name, pair in self.moments.items()
        }

    def state_dict(self):
        """Numbers and tensors alone."""
        pairs = self.moments.items()
        moments = {name: [moment.clone() for moment in pair] for name, pair in pairs}
        return {"count": self.count, "moments": moments}

    def load_state_dict(self, state):
        """Stand where `state_dict` was taken."""
        self.count = state["count"]
        pairs = state["moments"].items()
        self.moments = {
            name: [moment.clone() for moment in pair] for name, pair in pairs
        }


def _real(tensor):
    """A view with real and imaginary parts on a last axis of their own."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
