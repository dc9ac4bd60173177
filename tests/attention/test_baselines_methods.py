"""Facts of one baseline each, by a second route."""

import math
from itertools import pairwise

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.baselines.nystrom import pseudo_inverse
from qlib.attention.baselines.performer import CHUNK, orthogonal_normals


def tensors(query, key, *, dim=8, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 2, query, dim), (2, 2, key, dim), (2, 2, key, 5))
    options = {"generator": generator, "dtype": torch.float64}
    q, k, v = (torch.randn(shape, **options) for shape in shapes)
    return size * q, size * k, v


def run(name, *inputs, seed=1, **settings):
    generator = torch.Generator().manual_seed(seed)
    return quantum_attention(*inputs, backend=name, generator=generator, **settings)


def softmax_over(q, k, seen):
    logits = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~seen, -torch.inf)
    return logits.softmax(-1).nan_to_num()


# --- Performer ------------------------------------------------------------------------


def test_normals_are_orthogonal_in_groups_and_of_normal_length():
    like = torch.zeros(1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    normals = orthogonal_normals(2000, 16, generator=generator, like=like)
    group = normals[16:32] @ normals[16:32].T
    off = group - group.diag().diag()
    assert off.abs().max() < 1e-12
    squares = normals.square().sum(1)
    assert abs(squares.mean() - 16) < 5 * math.sqrt(32 / 2000)  # 5 standard errors
    assert 26 < squares.var() < 38  # of a chi-square of 16 degrees, 32
    assert normals.mean(0).abs().max() < 5 / math.sqrt(2000)
    upward = int((normals[::16, 0] > 0).sum())  # of 125 first vectors
    assert abs(upward - 62.5) < 5 * math.sqrt(125 / 4)
    assert abs(normals[:, 0].pow(4).mean() - 3) < 5 * math.sqrt(96 / 2000)


def test_performer_error_falls_as_the_root_of_its_features():
    """Over 20 other data sets the slope was -0.48 with a spread of 0.03."""
    inputs = tensors(64, 64, size=0.3)
    exact = quantum_attention(*inputs, backend="math").output

    def error(features):
        found = [
            run("performer", *inputs, features=features, seed=seed).output - exact
            for seed in range(16)
        ]
        return float(torch.stack(found).norm())

    slope = math.log(error(1024) / error(64)) / math.log(1024 / 64)
    assert -0.63 < slope < -0.33  # 5 spreads


@pytest.mark.parametrize("size", [0.3, 1.0, 6.0])
@pytest.mark.parametrize(
    "shape", [(2 * CHUNK + 9, 2 * CHUNK + 9), (300, 40), (40, 150)]
)
def test_causal_performer_is_the_full_one_masked_and_renormalised(shape, size):
    q, k, v = tensors(*shape, size=size)
    padding = torch.zeros(2, shape[1], dtype=torch.bool)
    padding[0, :5] = True
    settings = {"features": 32, "need_weights": True, "key_padding_mask": padding}
    full = run("performer", q, k, v, **settings).weights.tril()
    rows = full.sum(-1, keepdim=True)
    found = run("performer", q, k, v, is_causal=True, **settings).weights
    held = (rows > 1e-4).squeeze(-1)  # where the rest of the row keeps its digits
    expected = (full / rows.clamp_min(1e-300))[held]
    assert held.float().mean() > 0.2
    torch.testing.assert_close(found[held], expected, atol=1e-8, rtol=0)


def test_a_negative_scale_turns_the_queries():
    q, k, v = tensors(20, 20)
    one = run("performer", q, k, v, scale=-0.3).output
    torch.testing.assert_close(one, run("performer", -q, k, v, scale=0.3).output)


# --- Linformer ------------------------------------------------------------------------


def test_linformer_is_exact_where_keys_are_equal_within_segments():
    q, k, v = tensors(11, 12)
    k = k[:, :, ::3].repeat_interleave(3, dim=2)
    found = run("linformer", q, k, v, rank=4).output
    exact = quantum_attention(q, k, v, backend="math").output
    torch.testing.assert_close(found, exact)


def test_means_are_a_projection_by_their_matrix():
    q, k, v = tensors(11, 13)
    sizes = [3, 3, 3, 4]
    matrix = torch.zeros(4, 13, dtype=torch.float64)
    for row, size in enumerate(sizes):
        matrix[row, 3 * row : 3 * row + size] = 1 / size
    by_matrix = run("linformer", q, k, v, projection=matrix, need_weights=True)
    by_means = run("linformer", q, k, v, rank=4, need_weights=True)
    torch.testing.assert_close(by_matrix.output, by_means.output)
    torch.testing.assert_close(by_matrix.weights, by_means.weights)


def test_gaussian_projection_is_its_definition():
    q, k, v = tensors(11, 13)
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(4, 13, generator=generator, dtype=torch.float64) / 2
    found = run("linformer", q, k, v, rank=4, projection="gaussian").output
    short = softmax_over(q, matrix @ k, torch.tensor(True))
    torch.testing.assert_close(found, short @ (matrix @ v))


# --- Nyström --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 6), (6, 4), (4, 6), (1, 1)])
def test_pseudo_inverse_is_that_of_moore_and_penrose(shape):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    matrix[1, :, 0] = 0.0
    matrix[2] = 0.0
    found = pseudo_inverse(matrix, 40)
    torch.testing.assert_close(found, torch.linalg.pinv(matrix), atol=1e-8, rtol=1e-8)


def test_pseudo_inverse_triples_the_digits_at_each_step():
    matrix = torch.diag(torch.tensor([1.0, 0.5], dtype=torch.float64))
    unit = torch.eye(2, dtype=torch.float64)
    left = [
        float((unit - matrix @ pseudo_inverse(matrix, steps)).abs().max())
        for steps in (1, 2, 3)
    ]
    for before, after in pairwise(left):
        # I - A Z' = E^3 (3 I + E) / 4 with E = I - A Z
        assert after == pytest.approx(before**3 * (3 + before) / 4, abs=1e-14)


def test_nystrom_is_exact_where_queries_and_keys_are_equal_within_segments():
    q, k, v = tensors(12, 12)
    q, k = (x[:, :, ::3].repeat_interleave(3, dim=2) for x in (q, k))
    found = run("nystrom", q, k, v, landmarks=4, iterations=30).output
    exact = quantum_attention(q, k, v, backend="math").output
    torch.testing.assert_close(found, exact, atol=1e-7, rtol=0)


# --- local window ---------------------------------------------------------------------


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("shape", "window"), [((90, 70), 7), ((70, 90), 40)])
def test_window_is_softmax_within_the_band(shape, window, is_causal):
    q, k, v = tensors(*shape)
    generator = torch.Generator().manual_seed(3)
    bias = torch.randn(2, 1, *shape, generator=generator, dtype=torch.float64)
    bias[:, :, :, 3] = -torch.inf
    padding = torch.zeros(2, shape[1], dtype=torch.bool)
    padding[1, 50:60] = True
    settings = {"attn_mask": bias, "key_padding_mask": padding}
    found = run(
        *("local_window", q, k, v),
        **{"window": window, "is_causal": is_causal, "need_weights": True, **settings},
    )
    away = torch.arange(shape[1]) - torch.arange(shape[0])[:, None]
    ahead = 0 if is_causal else window
    out = ((away < -window) | (away > ahead)) | padding[:, None, None]
    logits = q @ k.mT * 8**-0.5 + bias
    exact = logits.masked_fill(out, -torch.inf).softmax(-1).nan_to_num()
    torch.testing.assert_close(found.weights, exact)
    torch.testing.assert_close(found.output, exact @ v)
    inside = (away >= -window) & (away <= ahead)
    assert found.info.keys_touched == pytest.approx(float(inside.sum()) / shape[0])


def test_dropout_zeroes_weights_and_keeps_their_mean():
    q, k, v = tensors(200, 200)
    settings = {"window": 30, "need_weights": True}
    plain = run("local_window", q, k, v, **settings).weights
    found = run("local_window", q, k, v, dropout_p=0.25, **settings).weights
    kept = found > 0
    torch.testing.assert_close(found[kept], plain[kept] / 0.75)
    draws = int((plain > 0).sum())
    share = float(kept.sum()) / draws
    assert abs(share - 0.75) < 5 * math.sqrt(0.75 * 0.25 / draws)  # 5 standard errors


# --- LSH ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("level", [0.0, -5000.0])
@pytest.mark.parametrize("shape", [(90, 90), (90, 70), (70, 90)])
def test_rounds_merge_to_softmax_over_the_pairs_seen(shape, level, is_causal):
    """Each pair counts once, however many rounds see it, at any level of the logits."""
    q, k, v = tensors(*shape)
    q[..., 0], k[..., 0] = 1.0, level
    settings = {"buckets": 4, "rounds": 3, "block": 8, "need_weights": True}
    result = run("lsh", q, k, v, is_causal=is_causal, **settings)
    seen = result.weights > 0
    torch.testing.assert_close(result.weights, softmax_over(q, k, seen))
    touched = seen.sum(-1).double()
    assert result.info.keys_touched == pytest.approx(float(touched.mean()))
    assert touched.max() <= 2 * 8 * (3 + 1)
    assert 8 < touched.mean() < 0.9 * shape[1]


def test_causal_buckets_hold_the_latest_keys_of_the_querys_own():
    """With one direction of keys a bucket is the whole past, so the latest are seen."""
    q, k, v = tensors(64, 64)
    q = q.new_tensor([3.0] + [0.0] * 7).expand_as(q)
    k = torch.where(torch.arange(64)[:, None] % 2 == 0, q, -q)  # every other one
    settings = {"buckets": 2, "rounds": 1, "block": 4, "need_weights": True}
    weights = run("lsh", q, k, v, is_causal=True, **settings).weights
    for query in (20, 40, 63):
        like = [key for key in range(query, -1, -2) if key % 2 == 0]
        seen = weights[0, 0, query].nonzero().flatten().tolist()
        local = [key for key in seen if key > query - 8]
        assert set(range(query - 3, query + 1)) <= set(local)
        if query % 2 == 0:
            assert set(like[:4]) <= set(seen)


def test_lsh_finds_the_cluster_that_no_window_holds():
    """Eight directions, keys in random order, queries that look for one of them."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q[:8]
    which = torch.randint(8, (2, 512), generator=generator)
    k, q = 4 * centres[which[0]][None, None], 8 * centres[which[1]][None, None]
    v = torch.randn(1, 1, 512, 8, generator=generator) + 3 * k[..., :8]
    exact = quantum_attention(q, k, v, backend="math").output

    def error(name, **options):
        found = run(name, q, k, v, **options).output
        return float((found - exact).norm() / exact.norm())

    assert error("lsh", buckets=16, rounds=4, block=64) < 0.1
    assert error("local_window", window=8) > 0.3
