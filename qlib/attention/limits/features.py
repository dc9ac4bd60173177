"""The fewest polynomial features of queries and keys that reach a given error."""

from dataclasses import dataclass
from math import comb

import torch

from qlib.arguments import positive_integer
from qlib.attention.limits.weights import checked, exact_weights, squared_norm

WIDEST = 600.0  # nats; exp(-600) is still a normal float64
DEPENDENT = 1e-10  # a column that keeps less of its length adds nothing but rounding


@dataclass(frozen=True, eq=False)
class PolynomialFeatures:
    """Degree and number of features that reach an error.

    Attributes
    ----------
    degree : (batch, head) float64 tensor
        Of the polynomial in the logit; infinite where `highest` is not enough.
    features : (batch, head) float64 tensor
        C(d + degree, degree): the monomials of d components up to that degree.
    errors : (batch, head, highest + 1) float64 tensor
        Relative error left at the degrees 0 ... `highest`.
    """

    degree: torch.Tensor
    features: torch.Tensor
    errors: torch.Tensor


def polynomial_features(q, k, v, error=0.1, *, scale=None, is_causal=False, highest=12):
    """Features with which linear attention by a polynomial kernel reaches an error.

    A polynomial of degree D in q·k is an inner product of C(d + D, D) features of q
    and of k. Its D + 1 coefficients are fitted to this very output by least squares,
    o_i ≈ Σ_j p(l_ij) v_j / Z_i with the exact normaliser Z_i: no series, Taylor's
    or any other, does better at the same normaliser.

    Parameters
    ----------
    q, k, v, error, scale, is_causal
        See `oracle_rank`.
    highest : int
        Degree up to which it is tried.

    Returns
    -------
    PolynomialFeatures

    Raises
    ------
    ValueError
        If the logits of a head span more than 600 nats.

    Notes
    -----
    O(n² d) a degree and head, and the weights in memory.
    """
    highest = positive_integer("highest", highest)
    q, k, v, error, scale = checked(q, k, v, error, scale)
    logits = (q * scale) @ k.mT  # (batch, head, query, key)
    weights = exact_weights(q, k, scale=scale, is_causal=is_causal)
    output = weights @ v  # (batch, head, query, value)
    total = squared_norm(output)
    place, base = normalised(logits, is_causal)
    left = unexplained(columns(place, base, v, highest), output)
    errors = (left / total[..., None]).clamp(min=0).sqrt()
    degree = (errors > error).to(errors).cumprod(-1).sum(-1)
    degree[degree > highest] = torch.inf
    counts = [
        comb(q.shape[-1] + int(each), int(each)) if each <= highest else torch.inf
        for each in degree.flatten().tolist()
    ]
    features = degree.new_tensor(counts).reshape(degree.shape)
    return PolynomialFeatures(degree, features, errors)


def normalised(logits, is_causal):
    """Logits brought to [-1, 1], and 1 / Z of every query; 0 where nothing is seen.

    Returns
    -------
    place, base : (batch, head, query, key) tensors
    """
    seen = torch.ones_like(logits, dtype=torch.bool)
    seen = seen.tril() if is_causal else seen
    high = logits.masked_fill(~seen, -torch.inf).amax((-2, -1), keepdim=True)
    low = logits.masked_fill(~seen, torch.inf).amin((-2, -1), keepdim=True)
    span = high - low
    if (span > WIDEST).any():
        raise ValueError(
            f"q: got logits that span {span.max():.4g} nats; allowed: up to {WIDEST:g}"
        )
    place = 2 * (logits - low) / span.clamp(min=1e-300) - 1
    total = ((logits - high).exp() * seen).sum(-1, keepdim=True)
    return place.masked_fill(~seen, 0), seen / total


def columns(place, base, v, highest):
    """Σ_j T_m(place_ij) base_ij v_j for Chebyshev's T_0 ... T_highest, one by one.

    Yields
    ------
    (batch, head, query · value) tensor
    """
    before, now = place, torch.ones_like(place)  # T_-1 = T_1
    for _ in range(highest + 1):
        yield ((now * base) @ v).flatten(-2)
        before, now = now, 2 * place * now - before


def unexplained(columns, output):
    """‖O‖² that is left after least squares on the first 1, 2, ... columns.

    Modified Gram-Schmidt, every column twice.

    Parameters
    ----------
    columns : iterable of (batch, head, size) tensors
    output : (batch, head, query, value) tensor

    Returns
    -------
    (batch, head, count) tensor
    """
    rest, basis, left = output.flatten(-2), [], []
    for column in columns:
        size = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        for other in basis * 2:
            column = column - (column * other).sum(-1, keepdim=True) * other
        kept = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        column = torch.where(kept > DEPENDENT * size, column / kept, 0.0)
        basis.append(column)
        rest = rest - (rest * column).sum(-1, keepdim=True) * column
        left.append(rest.square().sum(-1))
    return torch.stack(left, -1)
