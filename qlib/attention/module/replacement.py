"""Attention of whole models: replaced in place, or given another backend."""

from torch import nn

from qlib.attention.arguments import check_generator_type
from qlib.attention.module.groups import head_groups
from qlib.attention.module.multihead import QuantumMultiheadAttention, keep_forward


def set_backend(model, backend, *, generator=None, **options):
    """Give every `QuantumMultiheadAttention` of a model another backend.

    Parameters
    ----------
    model : torch.nn.Module
    backend : str or sequence of str
    generator : torch.Generator, optional
        One for all; by default torch's own.
    **options
        Of the backend; of several, each option goes to the heads that take it.

    Returns
    -------
    torch.nn.Module
        `model`.

    Raises
    ------
    TypeError, ValueError
        Before anything is changed: for an unknown backend or option, for what is no
        generator, and for a model with no such module.

    Notes
    -----
    Backends differ in what they take, as `Backend.dropout` and `Backend.masks` say.
    What a backend cannot take is refused at the call, by name.

    An option that is an `nn.Module`, as an encoding is, is shared by all attentions of
    the model and joins its `parameters` and `state_dict`: make the optimiser after.
    For one in each layer call the method `set_backend` of each attention.
    """
    change(model, QuantumMultiheadAttention, backend, generator, options)
    return model


def replace_attention(model, backend="auto", *, generator=None, **options):
    """Make every `nn.MultiheadAttention` of a model a `QuantumMultiheadAttention`.

    It happens in place, by class: the modules, their parameters, hooks and names stay
    the very same objects, so that optimisers and shared modules keep working.

    Parameters
    ----------
    model : torch.nn.Module
        Itself an attention, or any module that has some.
    backend, generator, **options
        As in `set_backend`.

    Returns
    -------
    torch.nn.Module
        `model`.

    Raises
    ------
    TypeError, ValueError
        As `set_backend`; also for another subclass of `nn.MultiheadAttention`, whose
        own forward would be lost.

    Notes
    -----
    Backends differ in what they take, as `Backend.dropout` and `Backend.masks` say.
    What a backend cannot take is refused at the call, by name.

    An option that is an `nn.Module` is shared by all attentions, as in `set_backend`:
    make the optimiser after.
    """
    change(model, nn.MultiheadAttention, backend, generator, options)
    return model


def change(model, kind, backend, generator, options):
    """Set the backend of all attentions of a kind, once all are known to allow it."""
    named = [each for each in model.named_modules() if isinstance(each[1], kind)]
    if not named:
        plain = any(isinstance(each, nn.MultiheadAttention) for each in model.modules())
        raise ValueError(
            f"model: got {type(model).__name__} without {kind.__name__}; allowed: a "
            f"module with at least one"
            + ("; call replace_attention(model) first" if plain else "")
        )
    check_generator_type(generator)
    for name, attention in named:
        ours = isinstance(attention, QuantumMultiheadAttention)
        if not (ours or type(attention) is nn.MultiheadAttention):
            raise TypeError(
                f"model: got {type(attention).__name__} at {name!r}; allowed: "
                "nn.MultiheadAttention itself, for a subclass has its own forward"
            )
        head_groups(backend, options, attention.num_heads)
    for _, attention in named:
        if not isinstance(attention, QuantumMultiheadAttention):
            attention.__class__ = QuantumMultiheadAttention
            attention.register_forward_pre_hook(keep_forward)
        attention.set_backend(backend, options, generator=generator)
