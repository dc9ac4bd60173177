"""Ensembles of small networks, trained as one batch in double precision."""

from contextlib import contextmanager
from itertools import pairwise

import torch


def draw_weights(members, widths, generator):
    """Weights of `members` networks with tanh between layers of the given widths.

    Returns
    -------
    list of tensors
        (members, in, out) normal of variance 1 / in and (members, 1, out) zero for
        every layer; the last layer's a tenth of that, so that outputs begin near 0.
    """
    weights = []
    for fan_in, fan_out in pairwise(widths):
        shape = (members, fan_in, fan_out)
        matrix = torch.randn(shape, generator=generator, dtype=torch.float64)
        weights.append(matrix / fan_in**0.5)
        weights.append(torch.zeros((members, 1, fan_out), dtype=torch.float64))
    weights[-2] /= 10
    return [weight.requires_grad_() for weight in weights]


def apply(weights, inputs):
    """Outputs (members, n, out) of inputs (n, in) or (members, n, in)."""
    x = inputs.expand(len(weights[0]), -1, -1)  # (members, n, in)
    for layer in range(0, len(weights) - 2, 2):
        x = torch.baddbmm(weights[layer + 1], x, weights[layer]).tanh()
    return torch.baddbmm(weights[-1], x, weights[-2])


def minimise(weights, losses, *, steps, lr, weight_decay, validation=None, every=10):
    """Full-batch AdamW (I. Loshchilov, F. Hutter, ICLR 2019) on a half cosine.

    Members share no weight and AdamW is elementwise, so each trains as if alone.

    Parameters
    ----------
    weights : list of tensors
        Changed in place.
    losses : callable
        ``losses()``, (members,) from the present weights.
    steps : int
    lr, weight_decay : float
    validation : callable, optional
        As `losses`. Every member ends with the weights of its least value, looked at
        every `every` steps: early stopping.
    """
    with _one_thread():
        _descend(weights, losses, steps, lr, weight_decay, validation, every)


@contextmanager
def _one_thread():
    """Matrices this small only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _descend(weights, losses, steps, lr, weight_decay, validation, every):
    optimiser = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, lowest = [weight.detach().clone() for weight in weights], None
    for step in range(steps):
        optimiser.zero_grad()
        losses().sum().backward()
        optimiser.step()
        schedule.step()
        if validation is not None and (step + 1) % every == 0:
            with torch.no_grad():
                now = validation()
                better = torch.ones_like(now) if lowest is None else now < lowest
                lowest = now if lowest is None else torch.minimum(now, lowest)
                for kept, weight in zip(best, weights, strict=True):
                    kept.copy_(torch.where(better.bool()[:, None, None], weight, kept))
    if lowest is not None:
        with torch.no_grad():
            for kept, weight in zip(best, weights, strict=True):
                weight.copy_(kept)
