"""How spread the weights of each query are: entropy, participation and distance."""

import torch
from torch.special import entr


def distributions(weights):
    """Rows of weights divided by their sum; rows that see no key stay 0.

    Parameters
    ----------
    weights : (..., key) tensor
        At least 0.

    Raises
    ------
    ValueError
        For negative weights, which an estimator may have and a probability not.
    """
    if (weights < 0).any():
        raise ValueError(
            f"weights: got {weights.min().item():.3g} as the least; allowed: >= 0"
        )
    total = weights.sum(-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1)


def entropy(weights):
    """Shannon entropy of each query's weights, in nats.

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
        Rows are divided by their sum first.

    Returns
    -------
    (batch, head, query) tensor
        0 for a single key and for a query without keys, at most ln(keys). The mean
        over batch and queries is the entropy of a head.
    """
    return entr(distributions(weights)).sum(-1)


def participation(weights):
    """Keys that each query effectively reads, 1 / sum_j p_j^2.

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
        Rows are divided by their sum first.

    Returns
    -------
    (batch, head, query) tensor
        From 1 to the number of keys; 0 for a query without keys. exp(entropy) is never
        less.
    """
    purity = distributions(weights).square().sum(-1)
    return torch.where(purity == 0, 0, 1 / purity)


def distance(weights):
    """Mean distance of query and key, sum_j p_j |i - j|, in tokens.

    Parameters
    ----------
    weights : (batch, head, query, key) tensor
        Rows are divided by their sum first.

    Returns
    -------
    (batch, head, query) tensor
        0 for a query without keys.
    """
    queries, keys = weights.shape[-2:]
    places = torch.arange(queries, device=weights.device)[:, None]
    apart = (places - torch.arange(keys, device=weights.device)).abs()
    return (distributions(weights) * apart).sum(-1)
