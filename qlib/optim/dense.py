"""Dense layers with many weight copies: plain networks without vmap, or under it."""

import torch
from torch import nn
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

ELEMENTWISE = (
    nn.CELU,
    nn.Dropout,
    nn.ELU,
    nn.GELU,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Identity,
    nn.LeakyReLU,
    nn.Mish,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Tanh,
)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
HOOKS += ("_backward_pre_hooks",)


def dense_layers(model, inputs):
    """The layers of a `Sequential` of dense and elementwise ones, else None.

    Exactly these classes, without hooks, as their arithmetic is known; `Flatten` may be
    first. Anything else, a subclass too, is None, as are inputs that are no matrix
    (after `Flatten`).
    """
    layers = _unrolled(model)
    if any(_is_altered(layer) for layer in (model, *layers)):
        return None
    flat = bool(layers) and _flattens(layers[0])
    known = (type(layer) in (nn.Linear, *ELEMENTWISE) for layer in layers[flat:])
    if not (torch.is_tensor(inputs) and all(known)):
        return None
    return layers if inputs.dim() == 2 or (flat and inputs.dim() > 2) else None


def dense_outputs(layers, copies, number, inputs):
    """(K, batch, out) outputs of K weight copies.

    Parameters
    ----------
    layers : list of torch.nn.Module
        From `dense_layers`.
    copies : dict
        By the `id` of a layer's own parameter its (K, *shape) copies. Parameters that
        are not there are shared.
    number : int
        K.
    inputs : (batch, ...) tensor
        What all copies see.

    Notes
    -----
    Activations are kept as (K, out, batch): W (K, out, in) then meets the shared input
    in one product, and its gradient is not transposed in memory.
    """
    values, turned = inputs, False
    for layer in layers:
        if type(layer) is nn.Dropout and values.dim() == 2:
            values = values.expand(number, *values.shape)
        if type(layer) is not nn.Linear:
            values = layer(values)
            continue
        if not turned:
            values, turned = values.mT, True  # (in, batch)
        weight = copies.get(id(layer.weight), layer.weight)
        bias = copies.get(id(layer.bias), layer.bias)
        if bias is None:
            values = weight @ values
        elif weight.dim() == values.dim() == 3:
            values = torch.baddbmm(bias[..., None], weight, values)  # (K, out, batch)
        else:
            values = weight @ values + bias[..., None]
    values = values.mT if turned else values
    return values if values.dim() == 3 else values.expand(number, *values.shape)


class FeaturesFirst(TorchFunctionMode):
    """Dense layers as W xᵀ + b: under vmap one product for all agents.

    With stacked W and shared x, `linear` would be one product an agent, its gradient
    transposed in memory. Here W (N, out, in) is read as (N · out, in).
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is linear and len(args) >= 2 and args[0].dim() == 2 and not kwargs:
            x, weight, *bias = args
            if bias and bias[0] is not None:
                return torch.addmm(bias[0][:, None], weight, x.mT).mT  # (batch, out)
            return (weight @ x.mT).mT
        return func(*args, **(kwargs or {}))


def _unrolled(model):
    if type(model) is not nn.Sequential:
        return [model]
    return [layer for part in model for layer in _unrolled(part)]


def _flattens(layer):
    return type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)


def _is_altered(layer):
    hooked = any(getattr(layer, name) for name in HOOKS)
    return hooked or "forward" in vars(layer)
