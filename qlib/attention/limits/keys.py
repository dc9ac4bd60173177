"""The fewest keys per query that reach a given error."""

from dataclasses import dataclass

import torch

from qlib.attention.limits.weights import checked, exact_weights, squared_norm


@dataclass(frozen=True, eq=False)
class OracleKeys:
    """Keys of each query that reach an error, the same number for every query.

    Attributes
    ----------
    kept : (batch, head) int64 tensor
        With the exact weights, the rest left out: what is left out is the error.
    renormalised : (batch, head) int64 tensor
        With the weights of those that stay brought to sum 1, as top-k attention does.
    """

    kept: torch.Tensor
    renormalised: torch.Tensor


def oracle_keys(q, k, v, error=0.1, *, scale=None, is_causal=False):
    """Keys per query when the ones with the largest a_ij ‖v_j‖ are known.

    Found by bisection, with the error of every number tried computed in full. The
    error falls with the number of keys but for cancellation between values, so a
    smaller number may do in rare cases; the one returned does.

    Parameters
    ----------
    q, k, v, error, scale, is_causal
        See `oracle_rank`.

    Returns
    -------
    OracleKeys
        A query that sees fewer keys than that uses all it sees.

    Notes
    -----
    O(n² (d + log n) log n) a head, and the weights in memory.
    """
    q, k, v, error, scale = checked(q, k, v, error, scale)
    weights = exact_weights(q, k, scale=scale, is_causal=is_causal)
    output = weights @ v  # (batch, head, query, value)
    limit = error**2 * squared_norm(output)
    worth = weights * torch.linalg.vector_norm(v, dim=-1)[..., None, :]
    order = worth.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(k.shape[2], device=k.device).expand_as(order)
    place = torch.empty_like(order).scatter_(-1, order, places)

    def reaches(count, renormalise):
        kept = weights * (place < count[..., None, None])
        if renormalise:
            kept = kept / kept.sum(-1, keepdim=True)
        return (kept @ v - output).square().sum((-2, -1)) <= limit

    return OracleKeys(
        fewest(lambda count: reaches(count, False), 0, limit, k.shape[2]),
        fewest(lambda count: reaches(count, True), 1, limit, k.shape[2]),
    )


def fewest(reaches, low, like, high):
    """Smallest integer in [low, high] for which `reaches` is true, by bisection.

    Parameters
    ----------
    reaches : callable
        Of an int64 tensor of counts, one a head; taken to be true at `high`.
    low, high : int
    like : (batch, head) tensor
        Of the shape wanted.

    Returns
    -------
    (batch, head) int64 tensor
    """
    low = torch.full_like(like, low, dtype=torch.int64)
    high = torch.full_like(low, high)
    while (low < high).any():
        middle = (low + high) // 2
        enough = reaches(middle)
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, middle + 1).minimum(high)
    return high
