"""Backends of single heads: heads that share one are attended together."""

from collections.abc import Mapping, Sequence

import torch

from qlib.attention.arguments import check_options
from qlib.attention.attention import backend_for, quantum_attention
from qlib.attention.backends import backend_named, options_of, suggestion


def head_groups(backend, options, heads):
    """Heads that share a backend and its options, so that one call serves them.

    Parameters
    ----------
    backend : str or sequence of str
        For all heads, or one for each.
    options : mapping or sequence of mapping
        One for each head, or one for all: then each option goes to those heads whose
        backend takes it.
    heads : int

    Returns
    -------
    list of (list of int, str, dict)
        Heads, backend and options of each group, by first head.

    Raises
    ------
    TypeError, ValueError
        For an unknown backend or option, and where the numbers do not fit.
    """
    several = isinstance(backend, list | tuple)
    names = list(backend) if several else [backend] * heads
    check_number("backend", names, heads)
    known = {name: known_backend(name) for name in names}
    shared = isinstance(options, Mapping)
    check_options_type(options, shared)
    settings = shared_options(options, names, known) if shared else list(options)
    check_number("backend_options", settings, heads)
    groups = []
    for head, (name, setting) in enumerate(zip(names, settings, strict=True)):
        same = (group for group in groups if group[1:] == (name, setting))
        found = next(same, None)
        if found is None:
            check_options(setting, known[name])
            groups.append(([head], name, dict(setting)))
        else:
            found[0].append(head)
    return groups


def known_backend(name):
    """The `Backend` of that name, what computes the output for ``"auto"``."""
    return backend_named(backend_for(name, need_weights=False))


def check_number(argument, given, heads):
    """Refuse a list that has not one entry for each head."""
    if len(given) != heads:
        raise ValueError(
            f"{argument}: got {len(given)} entries; allowed: one for all heads, or one "
            f"for each of {heads}"
        )


def check_options_type(options, shared):
    """Refuse options that are neither a dict nor one for each head."""
    each = isinstance(options, Sequence) and all(
        isinstance(setting, Mapping) for setting in options
    )
    if not (shared or each):
        raise TypeError(
            f"backend_options: got {options!r}; allowed: a dict, or one for each head"
        )


def shared_options(options, names, known):
    """Of one dict, for each head those options that its backend takes."""
    if not options:
        return [{}] * len(names)
    taken = {name: options_of(each) for name, each in known.items()}
    every = [option for each in taken.values() for option in each]
    for option, value in options.items():
        if option not in every:
            raise TypeError(
                f"{option}: got {value!r}{suggestion(option, every)}; allowed with "
                f"backends {', '.join(taken)}: {', '.join(every) or 'none'}"
            )
    return [
        {option: value for option, value in options.items() if option in taken[name]}
        for name in names
    ]


def attend(q, k, v, groups, *, attn_mask, **settings):
    """Attention of all heads, one call for each group.

    Parameters
    ----------
    q, k, v : (batch, head, length, head dim) tensor
    groups : list of (list of int, str, dict)
        From `head_groups`.
    attn_mask : tensor or None
        (query, key), or four axes, of which the second may be the heads.
    **settings
        Of `quantum_attention`.

    Returns
    -------
    output : (batch, head, query, head dim) tensor
    weights : (batch, head, query, key) tensor or None
    """
    if len(groups) == 1:
        ((_, name, options),) = groups
        result = quantum_attention(
            q, k, v, backend=name, attn_mask=attn_mask, **settings, **options
        )
        return result.output, result.weights
    results = []
    for heads, name, options in groups:
        part = attn_mask
        if part is not None and part.dim() == 4 and part.shape[1] > 1:
            part = part[:, heads]
        mine = (each[:, heads] for each in (q, k, v))
        results.append(
            quantum_attention(
                *mine, backend=name, attn_mask=part, **settings, **options
            )
        )
    places = [head for heads, _, _ in groups for head in heads]
    order = sorted(range(len(places)), key=places.__getitem__)
    output = torch.cat([each.output for each in results], dim=1)[:, order]
    if results[0].weights is None:
        return output, None
    return output, torch.cat([each.weights for each in results], dim=1)[:, order]
