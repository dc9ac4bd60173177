"""RMSProp, AdamW and SGD on blocks of agents, in the exact arithmetic of torch.

Every rule does, operation by operation, what the single-tensor implementation of
`torch.optim` does, so that one agent reproduces torch bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Inner:
    """An inner optimiser: its rule, its hyperparameters and what it keeps.

    Attributes
    ----------
    rule : callable
        ``rule(weights, gradient, buffers, scratch, group, count)`` moves a block of
        rows in place; `gradient` and `scratch` are overwritten.
    defaults : dict
        Hyperparameters beside `lr` and `maximize`, with the defaults of torch.
    buffers : callable
        ``buffers(group)`` names the tensors kept per agent and weight.
    """

    rule: Callable
    defaults: dict
    buffers: Callable


def rmsprop(weights, gradient, buffers, scratch, group, count):
    """RMSProp (Tieleman & Hinton, lecture 6.5 of Coursera, 2012) as in torch.

    Parameters
    ----------
    weights, gradient : (rows, columns) tensors
        Moved in place; the gradient is overwritten.
    buffers : dict of (rows, columns) tensors
        ``square_avg``, and ``momentum_buffer`` where the momentum is positive.
    scratch : (rows, columns) tensor
    group : dict
        ``lr``, ``alpha``, ``eps``, ``momentum``, ``weight_decay``. With lr = 0 the
        buffers advance and the weights keep their bits.
    count : int
        Steps the rows have done before this one.
    """
    if group["weight_decay"] != 0:
        gradient.add_(weights, alpha=group["weight_decay"])
    square = buffers["square_avg"]
    square.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
    torch.sqrt(square, out=scratch)
    scratch.add_(group["eps"])
    if group["momentum"] > 0:
        velocity = buffers["momentum_buffer"]
        velocity.mul_(group["momentum"]).addcdiv_(gradient, scratch)
        if group["lr"] != 0:
            weights.add_(velocity, alpha=-group["lr"])
    elif group["lr"] != 0:
        weights.addcdiv_(gradient, scratch, value=-group["lr"])


def adamw(weights, gradient, buffers, scratch, group, count):
    """AdamW (Loshchilov & Hutter, ICLR 2019) as in torch; parameters as `rmsprop`."""
    lr, (beta1, beta2) = group["lr"], group["betas"]
    mean, square = buffers["exp_avg"], buffers["exp_avg_sq"]
    if group["weight_decay"] != 0 and lr != 0:
        weights.mul_(1 - lr * group["weight_decay"])
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    if lr == 0:
        return
    step = float(count + 1)
    step_size = lr / (1 - beta1**step)
    torch.sqrt(square, out=scratch)
    scratch.div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    weights.addcdiv_(mean, scratch, value=-step_size)


def sgd(weights, gradient, buffers, scratch, group, count):
    """SGD, with momentum where it is not 0, as in torch; parameters as `rmsprop`.

    `count` is the number of steps done with momentum: the first fills the buffer.
    """
    if group["weight_decay"] != 0:
        gradient.add_(weights, alpha=group["weight_decay"])
    if group["momentum"] != 0:
        velocity = buffers["momentum_buffer"]
        if count == 0:
            velocity.copy_(gradient)
        else:
            velocity.mul_(group["momentum"]).add_(gradient)
        gradient = velocity
    if group["lr"] != 0:
        weights.add_(gradient, alpha=-group["lr"])


def _rmsprop_buffers(group):
    return ("square_avg", "momentum_buffer")[: 1 + (group["momentum"] > 0)]


INNERS = {
    "rmsprop": Inner(
        rmsprop,
        {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
        _rmsprop_buffers,
    ),
    "adamw": Inner(
        adamw,
        {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2},
        lambda group: ("exp_avg", "exp_avg_sq"),
    ),
    "sgd": Inner(
        sgd,
        {"momentum": 0.0, "weight_decay": 0.0},
        lambda group: ("momentum_buffer",) * (group["momentum"] != 0),
    ),
}
"""The inner optimisers of `qlib.optim.QIMAD` by name."""
