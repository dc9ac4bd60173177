"""Nested tensors of unequal lengths, as nn.TransformerEncoder makes of padding."""

import torch


def pad_nested(query, key, value):
    """Each tensor padded with zeros, and its lengths.

    Parameters
    ----------
    query, key, value : nested tensor
        (batch, lengths of its own, dim).

    Returns
    -------
    tuple of three ((batch, longest, dim) tensor, (batch,) integer tensor)
        One tensor given three times comes back as one.

    Raises
    ------
    ValueError
        If one of the three is not nested, by name.
    """
    padded = {}
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not tensor.is_nested:
            raise ValueError(
                f"{name}: got no nested tensor; allowed: all three or none"
            )
        if id(tensor) not in padded:
            lengths = [row.shape[0] for row in tensor.unbind()]
            padded[id(tensor)] = (
                torch.nested.to_padded_tensor(tensor, 0.0),
                torch.tensor(lengths, device=tensor.device),
            )
    return tuple(padded[id(tensor)] for tensor in (query, key, value))


def repack(padded, lengths):
    """The first rows of each batch element as a nested tensor."""
    rows = [row[:length] for row, length in zip(padded, lengths.tolist(), strict=True)]
    return torch.nested.as_nested_tensor(rows)


def past_end(padded, lengths):
    """(batch, longest) bool tensor, True where a padded tensor holds padding."""
    places = torch.arange(padded.shape[1], device=padded.device)
    return places >= lengths[:, None]
