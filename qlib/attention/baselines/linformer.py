"""Linformer: keys and values projected to `rank` rows before attention.

softmax(q (E k)^T) (E v), linear in the length. Wang et al., arXiv 2006.04768: E and F
are trained with the model and may be shared between keys and values. Here nothing is
trained, so E is their untrained projection, means over segments (their section 4,
"general projections"), or the Gaussian one of their theorem, or any matrix given, such
as a trained one.
"""

import torch

from qlib.arguments import one_of, positive_integer
from qlib.attention.backend import AttentionResult, Backend, Info
from qlib.attention.baselines.rows import (
    BITS,
    segment_means,
    softmax,
)
from qlib.attention.exact.math import accumulation_dtype
from qlib.attention.mask import without_padding


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
    rank=256,
    projection="mean",
):
    """Linformer attention.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As `Backend` says.
    rank : int
        Rows that keys and values are projected to, at most the keys there are; 256 is
        the largest of the paper's tables. A matrix given brings its own.
    projection : {"mean", "gaussian"} or (rows, key) tensor
        Means over `rank` segments of consecutive keys; entries normal of variance
        1 / `rank`, drawn from `generator`; or this matrix. The default loses least on
        untrained projections.

    Returns
    -------
    AttentionResult

    Raises
    ------
    ValueError
        If `rank` is not a positive integer, or `projection` none of these, or of
        another number of columns than keys.
    """
    rank = min(positive_integer("rank", rank), k.shape[2])
    dtype = accumulation_dtype(q.dtype)
    keys, values = (x.to(dtype) for x in (k, v))
    rows = _projection(projection, rank, mask, keys, generator)
    short, there = rows(keys)  # (batch, head, row, dim)
    logits = q.to(dtype) * (scale * BITS) @ short.mT  # (batch, head, query, row)
    if there is not None:
        logits = logits.masked_fill(~there, -torch.inf)
    read = softmax(logits)
    weights = None
    if need_weights:
        each = torch.eye(k.shape[2], dtype=dtype, device=k.device)
        each = without_padding(each.expand(len(k), 1, -1, -1), mask)
        weights = (read @ rows(each)[0]).to(q.dtype)  # (batch, head, query, key)
    touched = float(short.shape[2])
    info = Info("linformer", "projected keys, softmax", dtype, touched, touched)
    output = (read @ rows(values)[0]).to(q.dtype)  # (batch, head, query, value dim)
    return AttentionResult(output, weights, info)


def _projection(projection, rank, mask, keys, generator):
    """A function from (.., key, dim) to (.., row, dim) and which rows hold a key."""
    length = keys.shape[2]
    if not isinstance(projection, torch.Tensor):
        one_of("projection", projection, ("mean", "gaussian"))
        if projection == "mean":
            return lambda x: segment_means(x, rank, mask)
        options = {"dtype": keys.dtype, "device": keys.device}
        drawn = torch.randn(rank, length, generator=generator, **options)
        matrix = drawn * rank**-0.5
    elif projection.dim() == 2 and projection.shape[1] == length:
        matrix = projection.to(keys)
    else:
        raise ValueError(
            f"projection: got a tensor of shape {tuple(projection.shape)}; allowed: "
            f"(rows, {length}), a column for each key"
        )
    return lambda x: (matrix @ x, None)


LINFORMER = Backend(
    name="linformer",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=False,
    masks=frozenset({"padding"}),
    dropout=False,
    differentiable=True,
    cost="4 n rank d; a projection by a matrix as much again",
    says="Keys and values projected to a few rows, then softmax attention.",
)
