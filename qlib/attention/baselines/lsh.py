"""LSH attention: queries see the keys that fall into their buckets.

Angular hashing: the bucket of x is the largest component of [x R, -x R], R normal.
Keys are sorted by bucket and place, cut into blocks, and a query sees two blocks: the
latest keys of its bucket under causality, else those around or in its bucket.
Rounds of independent hashes are merged by log-sum-exp, each pair counted once. Kitaev
et al. (Reformer), arXiv 2001.04451.

Three things differ from the paper. Queries and keys are not shared, so a bucket may
hold no key that a query may see; one more round, in which the order is that of the
places (a local window, the layer that Reformers alternate with), gives every query
some. Keys are hashed less their mean. And blocks are counted within a bucket under
causality, so that later keys move none.
"""

import torch

from qlib.arguments import positive_integer
from qlib.attention.backend import AttentionResult, Backend, Info
from qlib.attention.baselines.intervals import Intervals, attend_round, merge
from qlib.attention.baselines.rows import BITS
from qlib.attention.exact.math import accumulation_dtype


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
    buckets=16,
    rounds=4,
    block=64,
):
    """LSH attention.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        As `Backend` says. Hashes are drawn anew at each call.
    buckets : int
        Even; 16 by default, the best of 8 to 128 on the language model of this
        package at 512 and 2048 keys under causality, but for 8.
    rounds : int
        Hashes; 4 by default, where the paper's gains flatten. The local round is one
        more.
    block : int
        A query sees at most two blocks of keys a round; 64 is Reformer's.

    Returns
    -------
    AttentionResult

    Raises
    ------
    ValueError
        If an option is not a positive integer, or `buckets` is odd.
    """
    if positive_integer("buckets", buckets) % 2:
        raise ValueError(f"buckets: got {buckets}; allowed: an even integer")
    positive_integer("rounds", rounds)
    positive_integer("block", block)
    dtype = accumulation_dtype(q.dtype)
    queries = q.to(dtype) * (scale * BITS)
    keys, values = (x.to(dtype) for x in (k, v))
    there = torch.ones(k.shape[:3], dtype=torch.bool, device=k.device)
    if mask.keys is not None:
        there = there & mask.keys[:, None]
    there = there.flatten(0, 1)
    middled = centred(keys, there, mask.is_causal)
    codes = hashes(queries, middled, buckets, rounds, generator)
    seen_by = _latest if mask.is_causal else _around
    sets = [seen_by(*pair, there, block) for pair in zip(*codes, strict=True)]
    flat = [x.flatten(0, 2) for x in (queries, keys, values)]
    done = [
        attend_round(*flat, each, sets[:number], need_weights=need_weights)
        for number, each in enumerate(sets)
    ]
    output, factors = merge(done)
    touched = sum(each.touched for each in done) / q.shape[:3].numel()
    weights = None
    if need_weights:
        weights = _spread([each.weights for each in done], factors, k.shape[2])
        weights = weights.view(*q.shape[:3], k.shape[2]).to(q.dtype)
    info = Info("lsh", "tiles of sorted buckets", dtype, touched, touched)
    output = output.view(*q.shape[:3], v.shape[3])  # (batch, head, query, value dim)
    return AttentionResult(output.to(q.dtype), weights, info)


def centred(keys, there, is_causal):
    """Keys less their mean, which no softmax sees but every angle does.

    Parameters
    ----------
    keys : (batch, head, key, dim) tensor
        0 at padding.
    there : (batch x head, key) bool tensor
        Whether a key is no padding.
    is_causal : bool
        The mean is that of the keys so far.

    Returns
    -------
    (batch, head, key, dim) tensor
    """
    keys = keys.detach()
    count = there.to(keys.dtype).view(*keys.shape[:3], 1)
    if is_causal:
        return keys - keys.cumsum(2) / count.cumsum(2).clamp_min(1.0)
    return keys - keys.sum(2, keepdim=True) / count.sum(2, keepdim=True).clamp_min(1.0)


def hashes(queries, keys, buckets, rounds, generator):
    """Buckets of queries and keys in every round, the first round having one only.

    Returns
    -------
    (round, group, query) integer tensor, (round, group, key) integer tensor
    """
    options = {"dtype": keys.dtype, "device": keys.device}
    shape = (rounds, 1, keys.shape[3], buckets // 2)
    normals = torch.randn(shape, generator=generator, **options)
    codes = []
    for x in (queries, keys):
        sides = x.detach().flatten(0, 1) @ normals  # (round, group, length, side)
        found = torch.cat((sides, -sides), dim=-1).argmax(-1)
        codes.append(torch.cat((torch.zeros_like(found[:1]), found)))
    return codes


def _sorted(code_q, code_k, there):
    """Keys by bucket and place, padding last, and where each query's bucket begins.

    Returns
    -------
    order, slot : (group, key) integer tensor
    start, until, end : (group, query) integer tensor
        The query's bucket is slots start to end - 1; its keys up to the query's own
        place lie before `until`.
    """
    length = code_k.shape[1]
    stride = max(length, code_q.shape[1])
    last = int(torch.iinfo(code_k.dtype).max) // (2 * stride)
    places = torch.arange(stride, device=code_k.device)
    ranks = torch.where(there, code_k, last) * stride + places[:length]
    ranks, order = torch.sort(ranks, dim=1)
    slot = torch.empty_like(order).scatter_(1, order, places[:length].expand_as(order))
    own = code_q * stride
    start = torch.searchsorted(ranks, own)
    until = torch.searchsorted(ranks, own + places[: own.shape[1]], right=True)
    end = torch.searchsorted(ranks, own + stride)
    return order, slot, start, until, end


def _latest(code_q, code_k, there, block):
    """The latest keys of a query's bucket, from the block before its own on."""
    order, slot, start, until, _ = _sorted(code_q, code_k, there)
    whole = (until - start - 1).clamp_min(0) // block * block
    base = start + whole - block
    first = torch.maximum(base, start)
    return _intervals(order, slot, first, until, base, block)


def _around(code_q, code_k, there, block):
    """Two blocks of sorted keys: around a small bucket, about the own place in a large.

    Small is a bucket of at most two blocks; its neighbours fill the rest.
    """
    order, slot, start, until, end = _sorted(code_q, code_k, there)
    total = there.sum(1, keepdim=True)
    near = torch.minimum(torch.maximum(until, start + block), end - block)
    middle = torch.where(end - start > 2 * block, near, (start + end) // 2)
    base = (middle - block // 2) // block * block
    final = (total - block - 1) // block * block
    base = torch.minimum(base, final).clamp_min(0)
    last = torch.minimum(base + 2 * block, total)
    return _intervals(order, slot, base, last, base, block)


def _intervals(order, slot, first, last, base, block):
    compared = (x.to(torch.int32) for x in (slot, first, last))  # the faster
    return Intervals(order, *compared, base, 2 * block)


def _spread(rounds, factor, key_length):
    """Weights of all rounds as one matrix, (group x query, key)."""
    weights = factor.new_zeros(factor.shape[1] * key_length)
    for parts, share in zip(rounds, factor, strict=True):
        for queries, keys, tile in parts:
            where = queries[:, :, None] * key_length + keys[:, None] % key_length
            weights = weights.index_add(
                0, where.flatten(), (tile * share[queries]).flatten()
            )
    return weights


LSH = Backend(
    name="lsh",
    attend=attend,
    exact=False,
    stochastic=False,
    normalised=True,
    masks=frozenset({"causal", "padding"}),
    dropout=False,
    differentiable=True,
    cost="8 n block (rounds + 1) d + rounds n (buckets d + log n)",
    says="Attention within sorted buckets of angular hashes (Reformer).",
)
