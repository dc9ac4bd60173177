"""Every call of an attention inside a model, recorded while the model runs."""

import inspect
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from qlib.attention.module.nested import pad_nested, past_end

SIGNATURE = inspect.signature(nn.MultiheadAttention.forward)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an attention.

    Attributes
    ----------
    name : str
        Of the module in the model, as in `named_modules`.
    attention : torch.nn.MultiheadAttention
    arguments : dict
        Of its forward, by name; `query`, `key`, `value` and the masks among them.
        Nested inputs, which `nn.TransformerEncoder` makes of padding, are padded
        again, with their `key_padding_mask`.
    output : tensor
        After the output projection, in the layout of `query`.
    """

    name: str
    attention: nn.MultiheadAttention
    arguments: dict
    output: torch.Tensor


@contextmanager
def recorded(model):
    """Record the calls of every `nn.MultiheadAttention` of a model within a block.

    Parameters
    ----------
    model : torch.nn.Module

    Yields
    ------
    list of Call
        Grows as the model runs, in the order of the calls.

    Raises
    ------
    ValueError
        If the model has no attention.

    Notes
    -----
    A layer whose attention has a hook calls it even where PyTorch would run a fused
    kernel over the layer instead, so outputs may differ by rounding.
    """
    named = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.MultiheadAttention)
    ]
    if not named:
        raise ValueError(
            f"model: got {type(model).__name__} without attention; allowed: a module "
            "with at least one nn.MultiheadAttention"
        )
    calls = []
    hooks = [
        module.register_forward_hook(recorder(name, calls), with_kwargs=True)
        for name, module in named
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def recorder(name, calls):
    """A forward hook that appends the calls of the module of that name."""

    def record(module, positional, keywords, output):
        bound = SIGNATURE.bind(module, *positional, **keywords)
        arguments = {key: bound.arguments[key] for key in list(bound.arguments)[1:]}
        output = output[0]
        if output.is_nested:
            arguments = dense(arguments)
            output = torch.nested.to_padded_tensor(output, 0.0)
        calls.append(Call(name, module, arguments, output))

    return record


def dense(arguments):
    """Arguments with nested inputs as padded tensors and their mask."""
    nested = (arguments[name] for name in ("query", "key", "value"))
    (query, _), (key, lengths), (value, _) = pad_nested(*nested)
    padded = {"query": query, "key": key, "value": value}
    return {**arguments, **padded, "key_padding_mask": past_end(key, lengths)}


def attention_calls(model, *inputs, **keywords):
    """The calls of every attention while ``model(*inputs, **keywords)`` runs.

    Parameters
    ----------
    model : torch.nn.Module
        Run as it is, in its own mode (call `eval` first to leave out dropout) and
        without gradients.
    *inputs, **keywords
        Of its forward.

    Returns
    -------
    list of Call
        In the order of the calls.
    """
    with recorded(model) as calls, torch.no_grad():
        model(*inputs, **keywords)
    return calls
