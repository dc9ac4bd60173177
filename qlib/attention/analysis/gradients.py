"""How well the gradients through a backend agree with the exact ones."""

from dataclasses import dataclass

import torch

from qlib.attention.analysis.maps import swapped
from qlib.attention.attention import quantum_attention


@dataclass(frozen=True)
class Agreement:
    """A gradient beside the exact one.

    Attributes
    ----------
    cosine : float
        Of the angle between them, 1 where they agree in direction.
    norm_ratio : float
        Norm over that of the exact one; both are NaN where the exact one is 0.
    """

    cosine: float
    norm_ratio: float


def agreement(found, exact):
    """`Agreement` of two tensors, or two lists of tensors taken as one vector each."""
    found, exact = (
        torch.cat([part.detach().double().flatten() for part in parts])
        for parts in (aslist(found), aslist(exact))
    )
    norm, exact_norm = float(found.norm()), float(exact.norm())
    if not exact_norm:
        return Agreement(float("nan"), float("nan"))
    cosine = float(found @ exact) / (norm * exact_norm) if norm else float("nan")
    return Agreement(cosine, norm / exact_norm)


def aslist(tensors):
    """A tensor as a list of one."""
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def input_gradients(
    q,
    k,
    v,
    backend,
    *,
    cotangent,
    attn_mask=None,
    key_padding_mask=None,
    is_causal=False,
    scale=None,
    generator=None,
    **options,
):
    """Agreement of the gradients to queries, keys and values.

    Parameters
    ----------
    q, k, v : (batch, head, length, dim) tensors
    backend : str
    cotangent : (batch, head, query, value dim) tensor
        Gradient of a loss to the output, which is sent back.
    attn_mask, key_padding_mask, is_causal, scale, generator
        See `quantum_attention`.
    **options
        Of the backend.

    Returns
    -------
    dict
        "q", "k", "v" -> Agreement with the exact attention.

    Raises
    ------
    ValueError
        If the cotangent has not the shape of the output.
    """
    shape = (*q.shape[:-1], v.shape[-1])
    if cotangent.shape != shape:
        raise ValueError(
            f"cotangent: got shape {tuple(cotangent.shape)}; allowed: that of the "
            f"output, {shape}"
        )
    settings = {
        "attn_mask": attn_mask,
        "key_padding_mask": key_padding_mask,
        "is_causal": is_causal,
        "scale": scale,
        "generator": generator,
    }
    exact, found = (
        sent_back((q, k, v), cotangent, {**settings, **chosen})
        for chosen in ({"backend": "auto"}, {"backend": backend, **options})
    )
    return dict(zip("qkv", map(agreement, found, exact), strict=True))


def sent_back(inputs, cotangent, settings):
    """The gradients of <cotangent, attention> to queries, keys and values."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = quantum_attention(*leaves, **settings).output
    return torch.autograd.grad(output, leaves, cotangent)


def parameter_gradients(model, loss, backend, *, generator=None, **options):
    """Agreement of the gradients to every parameter of a model.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is; call `eval` first, so that both losses are without dropout.
    loss : callable
        ``loss(model)`` returns a scalar tensor.
    backend : str or sequence of str
        Of every attention of the copy; the exact gradients are those of a copy with
        ``"auto"``.
    generator : torch.Generator, optional
    **options
        Of the backend.

    Returns
    -------
    dict
        Name of the parameter -> Agreement; under "" that of all of them as one vector.
        Parameters that the loss does not reach are left out.
    """
    exact = named_gradients(swapped(model, "auto", None, {}), loss)
    found = named_gradients(swapped(model, backend, generator, options), loss)
    both = [name for name in exact if name in found]
    result = {name: agreement(found[name], exact[name]) for name in both}
    everything = ([each[name] for name in both] for each in (found, exact))
    return {"": agreement(*everything), **result}


def named_gradients(model, loss):
    """Gradients of a loss by the name of the parameter, where there is one."""
    named = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    gradients = torch.autograd.grad(
        loss(model), list(named.values()), allow_unused=True
    )
    pairs = zip(named, gradients, strict=True)
    return {name: gradient for name, gradient in pairs if gradient is not None}
