"""What each attention of a model gets, and the weights that a backend makes of it."""

import copy

import torch

from qlib.attention.analysis.capture import attention_calls
from qlib.attention.module import replace_attention
from qlib.attention.module.heads import project


def projections(model, *inputs, **keywords):
    """Queries, keys and values of every attention while a model runs.

    Parameters
    ----------
    model : torch.nn.Module
        Run in its own mode, without gradients.
    *inputs, **keywords
        Of its forward.

    Returns
    -------
    list of (q, k, v)
        (batch, head, length, head dim) tensors in the order of the calls.
    """
    calls = attention_calls(model, *inputs, **keywords)
    with torch.no_grad():
        return [
            project(
                call.attention,
                *(call.arguments[name] for name in ("query", "key", "value")),
            )
            for call in calls
        ]


def attention_maps(calls, backend=None, *, generator=None, **options):
    """Weights of every recorded call, had a backend computed it.

    Each call gets the inputs that were recorded, so that nothing an earlier layer
    does differently is passed on; see `error_propagation` for that.

    Parameters
    ----------
    calls : list of Call
        From `attention_calls`.
    backend : str or sequence of str, optional
        By default the attention is left as it is.
    generator : torch.Generator, optional
        Of stochastic backends; by default torch's own.
    **options
        Of the backend.

    Returns
    -------
    list of (batch, head, query, key) tensors
        Unbatched inputs give a batch of one.
    """
    maps = []
    for call in calls:
        attention = call.attention
        if backend is not None:
            attention = swapped(attention, backend, generator, options)
        arguments = {**call.arguments, "need_weights": True}
        with torch.no_grad():
            _, weights = attention(**arguments | {"average_attn_weights": False})
        maps.append(weights if weights.dim() == 4 else weights[None])
    return maps


def swapped(module, backend, generator, options):
    """A copy of a model, or of an attention, that attends by another backend."""
    return replace_attention(
        copy.deepcopy(module), backend, generator=generator, **options
    )
