"""The least rank with which attention can be replaced at a given error."""

from dataclasses import dataclass

import torch

from qlib.attention.limits.weights import (
    checked,
    exact_weights,
    squared_norm,
    terms_needed,
)


@dataclass(frozen=True, eq=False)
class OracleRank:
    """Ranks that reach an error.

    Attributes
    ----------
    weights : (batch, head) int64 tensor
        Of the weights' truncated singular value decomposition, which knows Q and K
        but not V, as Linformer and Nyström do. 0 ... min(query, key).
    output : (batch, head) int64 tensor
        Of the best replacement that knows V too: the truncated decomposition of the
        output A V itself. At most the dimension of the values; a method must find
        that subspace without computing A V.
    """

    weights: torch.Tensor
    output: torch.Tensor


def oracle_rank(q, k, v, error=0.1, *, scale=None, is_causal=False):
    """Rank of a replacement of the weights that reaches an error of A V.

    The truncated decomposition A_r = Σ_{i ≤ r} s_i u_i w_iᵀ leaves
    ‖(A - A_r) V‖² = Σ_{i > r} s_i² ‖Vᵀ w_i‖², for the u_i are orthonormal. So one
    decomposition gives the error at every rank.

    Parameters
    ----------
    q, k, v : (batch, head, query, d), (batch, head, key, d), (batch, head, key, value)
    error : float
        Relative, in [1e-6, 1]; the default, 10 %, is the claim under test.
    scale : float, optional
        By default d**-0.5.
    is_causal : bool

    Returns
    -------
    OracleRank

    Notes
    -----
    O(n³) a head, and the weights in memory.
    """
    q, k, v, error, scale = checked(q, k, v, error, scale)
    weights = exact_weights(q, k, scale=scale, is_causal=is_causal)
    output = weights @ v  # (batch, head, query, value)
    limit = error**2 * squared_norm(output)
    squares, right = torch.linalg.eigh(weights.mT @ weights)  # rising, s_i² and w_i
    left = squares.clamp(min=0) * (v.mT @ right).square().sum(-2)
    of_output = torch.linalg.svdvals(output).square().flip(-1)
    return OracleRank(terms_needed(left, limit), terms_needed(of_output, limit))
