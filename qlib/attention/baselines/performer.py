"""Performer: softmax attention by positive orthogonal random features (FAVOR+).

exp(q.k) = E_w exp(w.q - |q|^2/2) exp(w.k - |k|^2/2) for w standard normal, so that
attention becomes phi(q) (phi(k)^T v), linear in the length. Choromanski et al., arXiv
2009.14794: features positive, so that no total is ever near 0; the w orthogonal in
groups of d, with the lengths of normal vectors; and in pairs w, -w (their SM-hyp+),
which lowers the variance again and saves half of the projections.

Numerically each feature is divided by its largest value over the keys, the factor
going to the query, so the total of a query is at least 1 and no constant has to be
added. The value is an exact function of the features: nothing is clipped.
"""

import torch
from torch.nn.functional import pad

from qlib.arguments import positive_integer
from qlib.attention.backend import AttentionResult, Backend, Info
from qlib.attention.baselines.rows import BITS, divided
from qlib.attention.exact.math import accumulation_dtype

CHUNK = 128  # queries, or keys, whose features are held at a time


def orthogonal_normals(count, dim, *, generator=None, like):
    """Standard normal vectors, orthogonal to each other in groups of `dim`.

    Parameters
    ----------
    count, dim : int
    generator : torch.Generator, optional
    like : tensor
        Of the dtype and device wanted.

    Returns
    -------
    (count, dim) tensor
        Directions uniform, lengths those of independent normal vectors; each alone is
        standard normal.
    """
    groups = -(-count // dim)
    options = {"generator": generator, "dtype": like.dtype, "device": like.device}
    rotations, upper = torch.linalg.qr(torch.randn(groups, dim, dim, **options))
    rotations = rotations * upper.diagonal(dim1=1, dim2=2).sign()[:, None]  # uniform
    lengths = torch.randn(count, dim, **options).norm(dim=1, keepdim=True)
    return rotations.flatten(0, 1)[:count] * lengths


def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights, features=256):
    """FAVOR+ attention.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As `Backend` says. The features are drawn anew at each call.
    features : int
        Even; 256 is the paper's default for heads of 64.

    Returns
    -------
    AttentionResult

    Raises
    ------
    ValueError
        If `features` is not a positive even integer.
    """
    if positive_integer("features", features) % 2:
        raise ValueError(f"features: got {features}; allowed: an even integer")
    dtype = accumulation_dtype(q.dtype)
    root = abs(scale) ** 0.5
    queries = q.to(dtype) * (-root if scale < 0 else root)
    keys = k.to(dtype) * root
    values = v.to(dtype)
    options = {"generator": generator, "like": keys}
    normals = orthogonal_normals(features // 2, q.shape[-1], **options) * BITS
    halves = keys.square().sum(-1, keepdim=True) * (BITS / 2)
    if mask.keys is not None:
        halves = halves.masked_fill(~mask.keys[:, None, :, None], torch.inf)
    linear = _causal if mask.is_causal else _full
    output = linear(queries, keys, halves, values, normals)
    weights = None
    if need_weights:
        each = torch.eye(k.shape[2], dtype=dtype, device=k.device)
        each = each.expand(*k.shape[:2], -1, -1)
        weights = linear(queries, keys, halves, each, normals).to(q.dtype)
    info = Info("performer", "positive random features", dtype, 0.0, float(features))
    return AttentionResult(output.to(q.dtype), weights, info)


def _logarithms(x, normals):
    """Of the features of q, or of k without its factor exp(-|k|^2/2), in bits."""
    projections = x @ normals.T
    return torch.cat((projections, -projections), dim=-1)


def _finite(top):
    return torch.where(top == -torch.inf, 0.0, top)


def _full(queries, keys, halves, values, normals):
    """Every query sees every key.

    Parameters
    ----------
    queries, keys : (batch, head, length, dim) tensors
        Their products are the logits.
    halves : (batch, head, key, 1) tensor
        |k|^2/2 in bits, inf at padding.
    values : (batch, head, key, value dim) tensor
    normals : (features / 2, dim) tensor
        Times `BITS`.

    Returns
    -------
    (batch, head, query, value dim) tensor
    """
    values = pad(values, (0, 1), value=1.0)
    top = _first_key(keys, halves, normals)
    sums = values.new_zeros(*top.shape[:2], top.shape[3], values.shape[3])
    chunks = (x.split(CHUNK, dim=2) for x in (keys, halves, values))
    for key, half, value in zip(*chunks, strict=True):
        top, sums = _absorbed(top, sums, _logarithms(key, normals) - half, value)
    outcomes = [
        _read(query, top, normals) @ sums for query in queries.split(CHUNK, dim=2)
    ]
    outcome = torch.cat(outcomes, dim=2)  # (batch, head, query, value dim + 1)
    return divided(outcome[..., :-1], outcome[..., -1:])


def _causal(queries, keys, halves, values, normals):
    """Query i sees keys up to i: sums over past chunks and products within a chunk.

    What stabilises a query is made of keys that it sees, so later keys change nothing,
    not even rounding. Parameters and result are those of `_full`.
    """
    surplus = queries.shape[2] - keys.shape[2]
    keys = pad(keys, (0, 0, 0, surplus))
    halves = pad(halves, (0, 0, 0, surplus), value=torch.inf)
    values = pad(pad(values, (0, 1), value=1.0), (0, 0, 0, surplus))
    top, outcomes = _first_key(keys, halves, normals), []
    sums = values.new_zeros(*top.shape[:2], top.shape[3], values.shape[3])
    chunks = (x.split(CHUNK, dim=2) for x in (queries, keys, halves, values))
    for query, key, half, value in zip(*chunks, strict=True):
        read = _read(query, top, normals)
        key = _logarithms(key, normals) - half  # (batch, head, key, feature)
        within, past = _within_chunk(read, key - top)
        outcomes.append(within @ value + past * (read @ sums))
        top, sums = _absorbed(top, sums, key, value)
    outcome = torch.cat(outcomes, dim=2)
    return divided(outcome[..., :-1], outcome[..., -1:])


def _first_key(keys, halves, normals):
    """Features of the first key that is no padding: seen by all that see any key.

    Returns
    -------
    (batch, head, 1, feature) tensor
        Logarithms in bits, without gradient; finite.
    """
    first = (halves < torch.inf).to(torch.uint8).argmax(2, keepdim=True)
    key = keys.detach().gather(2, first.expand(-1, -1, -1, keys.shape[3]))
    return _finite(_logarithms(key, normals) - halves.detach().gather(2, first))


def _read(query, top, normals):
    """Features of queries times the keys' largest, the largest of a query being 1."""
    found = _logarithms(query, normals) + top  # (batch, head, query, feature)
    return torch.exp2(found - found.detach().amax(-1, keepdim=True))


def _absorbed(top, sums, key, value):
    """Largest features of the keys so far, and the sums over them, with more keys.

    Parameters
    ----------
    top : (batch, head, 1, feature) tensor
    sums : (batch, head, feature, value dim + 1) tensor
        Of features over `top` times values.
    key : (batch, head, key, feature) tensor
        Logarithms of features.
    value : (batch, head, key, value dim + 1) tensor

    Returns
    -------
    Tensors of the shapes of `top` and `sums`
    """
    new_top = torch.maximum(top, key.detach().amax(2, keepdim=True))
    added = torch.exp2(key - new_top).mT @ value
    return new_top, sums * torch.exp2(top - new_top).mT + added


def _within_chunk(read, key):
    """Weights of the keys of a query's own chunk, and the factor of the past.

    Parameters
    ----------
    read : (batch, head, query, feature) tensor
        Features of the queries times the past's largest.
    key : (batch, head, key, feature) tensor
        Logarithms of the keys' features over the past's largest, in bits.

    Returns
    -------
    (batch, head, query, key) tensor, (batch, head, query, 1) tensor
        Both over the largest factor of the keys seen by the query.
    """
    size = key.detach().amax(-1, keepdim=True)  # (batch, head, key, 1)
    largest = size.cummax(2).values.clamp_min(0.0)  # (batch, head, query, 1)
    places = torch.arange(key.shape[2], device=key.device)
    later = places > places[:, None]
    factor = torch.exp2((size.mT - largest).masked_fill(later, -torch.inf))
    overlaps = read @ torch.exp2(key - _finite(size)).mT  # (batch, head, query, key)
    return overlaps * factor, torch.exp2(-largest)


PERFORMER = Backend(
    name="performer",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=frozenset({"causal", "padding"}),
    dropout=False,
    differentiable=True,
    cost="6 n features d",
    says="Positive orthogonal random features of the softmax kernel (FAVOR+).",
)
