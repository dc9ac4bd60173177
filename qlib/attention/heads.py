"""Heads of an nn.MultiheadAttention: projected, attended in groups, joined."""

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import linear, pad

from qlib.attention.arguments import check_options
from qlib.attention.attention import backend_for, quantum_attention
from qlib.attention.backends import backend_named, options_of, suggestion


def project(attention, query, key, value):
    """Queries, keys and values of every head, as the attention sees them.

    Parameters
    ----------
    attention : torch.nn.MultiheadAttention
        Of any configuration; `add_bias_kv` and `add_zero_attn` append their keys.
    query, key, value : tensor
        (length, batch, dim), (batch, length, dim) under `batch_first`, or unbatched
        (length, dim).

    Returns
    -------
    tuple of three (batch, head, length, head dim) tensors
        Views of one product for self-attention; unbatched input is a batch of one.
    """
    shape = (attention.num_heads, attention.head_dim)
    q, k, v = (
        heads_second(each.unflatten(-1, shape), attention.batch_first)
        for each in projected(attention, query, key, value)
    )  # (batch, head, length, head dim)
    if attention.bias_k is not None:
        k = with_last_key(k, attention.bias_k)
        v = with_last_key(v, attention.bias_v)
    if attention.add_zero_attn:
        k, v = pad(k, (0, 0, 0, 1)), pad(v, (0, 0, 0, 1))
    return q, k, v


def projected(attention, query, key, value):
    """The three linear maps, one product where the three inputs are one tensor."""
    packed, bias = attention.in_proj_weight, attention.in_proj_bias
    if packed is not None and query is key and key is value:
        return linear(query, packed, bias).chunk(3, dim=-1)  # (..., length, dim)
    if packed is not None:
        maps = packed.chunk(3)
    else:
        maps = (attention.q_proj_weight, attention.k_proj_weight)
        maps = (*maps, attention.v_proj_weight)
    shifts = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(
        linear(each, weight, shift)
        for each, weight, shift in zip((query, key, value), maps, shifts, strict=True)
    )


def heads_second(split, batch_first):
    """(..., head, dim) in the layout of the input as (batch, head, length, dim)."""
    if split.dim() == 3:
        return split.transpose(0, 1)[None]
    return split.transpose(1, 2) if batch_first else split.permute(1, 2, 0, 3)


def with_last_key(keys, learned):
    """`keys` and after them a learned one, the same in every batch element."""
    batch, heads, _, dim = keys.shape
    learned = learned.to(keys.dtype).view(1, heads, 1, dim)
    return torch.cat((keys, learned.expand(batch, -1, -1, -1)), dim=2)


def join(output, *, batched, batch_first):
    """(batch, head, query, head dim) with its heads side by side, in input layout."""
    if not batched:
        return output[0].transpose(0, 1).flatten(1)  # (query, dim)
    if batch_first:
        return output.transpose(1, 2).flatten(2)  # (batch, query, dim)
    return output.permute(2, 0, 1, 3).flatten(2)  # (query, batch, dim)


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
