"""The fewest independent draws per query that reach a given error."""

from dataclasses import dataclass

import torch

from qlib.attention.exact import math
from qlib.attention.limits.weights import checked, squared_norm
from qlib.attention.mask import Mask


@dataclass(frozen=True, eq=False)
class LeastSamples:
    """Independent draws per query whose expected relative error is the one asked for.

    Expected: the root of the mean square. Means over queries, not rounded. Draws that
    are not independent, such as stratified ones, may do with fewer.

    Attributes
    ----------
    multinomial : (batch, head) tensor
        Keys drawn with the softmax probabilities.
    importance : (batch, head) tensor
        Drawn with probability ∝ a_ij ‖v_j‖, the least of all distributions: S_min.
    allocated : (batch, head) tensor
        The same, with the draws shared out between the queries as their standard
        deviations are, which is the least of all allocations.
    """

    multinomial: torch.Tensor
    importance: torch.Tensor
    allocated: torch.Tensor


def least_samples(q, k, v, error=0.1, *, scale=None, is_causal=False):
    """Draws per query that an unbiased estimator of each query's output needs.

    With p_ij ∝ a_ij ‖v_j‖ a draw a_ij v_j / p_ij has the length m_i = Σ_j a_ij ‖v_j‖
    whichever key is drawn, so its variance is m_i² - ‖o_i‖², and

        S_min = Σ_i (m_i² - ‖o_i‖²) / (error² ‖O‖²).

    With p = a the first term is Σ_j a_ij ‖v_j‖² instead.

    Parameters
    ----------
    q, k, v, error, scale, is_causal
        See `oracle_rank`.

    Returns
    -------
    LeastSamples

    Notes
    -----
    O(n² d) a head; one chunk of logits in memory, so long inputs are fine.
    """
    q, k, v, error, scale = checked(q, k, v, error, scale)
    output, length, square = moments(q, k, v, scale=scale, is_causal=is_causal)
    limit = error**2 * squared_norm(output)
    of_output = output.square().sum(-1)
    multinomial = (square - of_output).clamp(min=0)  # rounding; (batch, head, query)
    importance = (length.square() - of_output).clamp(min=0)
    queries = q.shape[2]
    return LeastSamples(
        multinomial.sum(-1) / limit,
        importance.sum(-1) / limit,
        importance.sqrt().sum(-1).square() / (queries * limit),
    )


def moments(q, k, v, *, scale, is_causal):
    """Output, and mean norm and mean square norm of the values under the weights.

    Returns
    -------
    output : (batch, head, query, value) tensor
    length, square : (batch, head, query) tensors
    """
    norm = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    wide = torch.cat((v, norm, norm.square()), dim=-1)
    found = math.attend(
        q,
        k,
        wide,
        Mask(is_causal),
        scale=scale,
        dropout_p=0.0,
        generator=None,
        need_weights=False,
    ).output
    return found[..., :-2], found[..., -2], found[..., -1]
