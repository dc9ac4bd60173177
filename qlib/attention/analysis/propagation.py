"""How the error of an attention grows from layer to layer."""

import math
from dataclasses import dataclass

import torch

from qlib.attention.analysis.capture import recorded
from qlib.attention.analysis.maps import swapped


@dataclass(frozen=True)
class Propagation:
    """Relative Frobenius errors of a model with every attention swapped.

    Attributes
    ----------
    names : tuple of str
        The attentions in the order in which they are called.
    isolated : tuple of float
        Error of each output when the attention alone is swapped: its inputs are those
        of the model as it was.
    inputs, outputs : tuple of float
        Error of each attention's queries before projection, and of its output, when
        all are swapped.
    final : float
        Error of what the model returns when all are swapped.
    """

    names: tuple
    isolated: tuple
    inputs: tuple
    outputs: tuple
    final: float


def error_propagation(model, run, backend, *, generator=None, **options):
    """Compare a model with a copy that attends by another backend, layer by layer.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is; call `eval` first, so that both runs are without dropout.
    run : callable
        ``run(model)`` returns a tensor, as ``lambda model: model(tokens)``.
    backend : str or sequence of str
    generator : torch.Generator, optional
        Of stochastic backends; by default torch's own. `isolated` is of other draws
        than the rest.
    **options
        Of the backend.

    Returns
    -------
    Propagation
    """
    other = swapped(model, backend, generator, options)
    with torch.no_grad():
        with recorded(model) as calls:
            final = run(model)
        with recorded(other) as changed:
            changed_final = run(other)
        alone = [
            after.attention(**before.arguments)[0]
            for before, after in zip(calls, list(changed), strict=True)
        ]
    queries = [call.arguments["query"] for call in calls]
    outputs = [call.output for call in calls]
    return Propagation(
        tuple(call.name for call in calls),
        relative_errors(alone, outputs),
        relative_errors([call.arguments["query"] for call in changed], queries),
        relative_errors([call.output for call in changed], outputs),
        relative_error(changed_final, final),
    )


def relative_errors(found, exact):
    """`relative_error` of each pair, as a tuple."""
    return tuple(map(relative_error, found, exact))


def relative_error(found, exact):
    """|found - exact| / |exact| in the Frobenius norm, as a float.

    0 where both are 0, infinite where only `exact` is.
    """
    found, exact = found.detach().double(), exact.detach().double()
    error, norm = float((found - exact).norm()), float(exact.norm())
    if norm:
        return error / norm
    return math.inf if error else 0.0
