"""Nyström attention: the matrix of weights from its rows and columns at landmarks.

softmax(q kL^T) pinv(softmax(qL kL^T)) softmax(qL k^T) v, where the landmarks qL, kL are
means over segments of consecutive queries and keys. Xiong et al. (Nyströmformer), arXiv
2102.03902. The pseudo-inverse is the paper's, a cubic Newton-Schulz iteration (Razavi
et al., 2014) that needs products only. The paper's convolution of the values beside
the attention has weights to be trained and is left out.
"""

import torch

from qlib.arguments import positive_integer
from qlib.attention.backend import AttentionResult, Backend, Info
from qlib.attention.baselines.rows import (
    BITS,
    divided,
    segment_means,
    softmax,
)
from qlib.attention.exact.math import accumulation_dtype


def pseudo_inverse(matrix, iterations=6):
    """Moore-Penrose pseudo-inverse by products of matrices.

    Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4 from A^T / (|A|_1 |A|_inf), whose
    residual of the projector falls with the third power at each step.

    Parameters
    ----------
    matrix : (..., m, n) tensor
    iterations : int
        6 by default, the paper's.

    Returns
    -------
    (..., n, m) tensor
        0 for a matrix of 0.
    """
    size = matrix.detach().abs()
    norms = size.sum(-2).amax(-1) * size.sum(-1).amax(-1)
    inverse = divided(matrix.mT, norms[..., None, None])
    unit = torch.eye(matrix.shape[-2], dtype=matrix.dtype, device=matrix.device)
    for _ in range(iterations):
        product = matrix @ inverse  # (..., m, m)
        inner = 15.0 * unit - product @ (7.0 * unit - product)
        inverse = 0.25 * inverse @ (13.0 * unit - product @ inner)
    return inverse


def attend(
    q,
    k,
    v,
    mask,
    *,
    scale,
    dropout_p,
    generator,
    need_weights,
    landmarks=64,
    iterations=6,
):
    """Nyström attention.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As `Backend` says.
    landmarks : int
        At most the queries and the keys there are; 64 is the paper's default.
    iterations : int
        Of the pseudo-inverse; 6 is the paper's.

    Returns
    -------
    AttentionResult

    Raises
    ------
    ValueError
        If `landmarks` or `iterations` is not a positive integer.
    """
    positive_integer("landmarks", landmarks)
    positive_integer("iterations", iterations)
    dtype = accumulation_dtype(q.dtype)
    queries = q.to(dtype) * (scale * BITS)
    keys, values = (x.to(dtype) for x in (k, v))
    few_queries, _ = segment_means(queries, min(landmarks, q.shape[2]))
    few_keys, there = segment_means(keys, min(landmarks, k.shape[2]), mask)
    read = _weights(queries, few_keys, there)  # (batch, head, query, landmark)
    middle = pseudo_inverse(_weights(few_queries, few_keys, there), iterations)
    shown = None if mask.keys is None else mask.keys[:, None, None]
    write = _weights(few_queries, keys, shown)  # (batch, head, landmark, key)
    output = read @ (middle @ (write @ values))  # (batch, head, query, value dim)
    weights = (read @ middle @ write).to(q.dtype) if need_weights else None
    touched = float(few_keys.shape[2])
    info = Info("nystrom", "landmarks, pseudo-inverse", dtype, touched, touched)
    return AttentionResult(output.to(q.dtype), weights, info)


def _weights(queries, keys, there):
    logits = queries @ keys.mT
    return softmax(logits if there is None else logits.masked_fill(~there, -torch.inf))


NYSTROM = Backend(
    name="nystrom",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=False,
    masks=frozenset({"padding"}),
    dropout=False,
    differentiable=True,
    cost="8 n landmarks d + 8 iterations landmarks^3",
    says="Attention at landmarks, joined by a pseudo-inverse (Nyströmformer).",
)
