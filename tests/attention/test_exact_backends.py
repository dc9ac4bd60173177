"""Exact backends are softmax attention in float64, forward and backward."""

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.backends import BACKENDS
from qlib.attention.exact import math, mixed, sdpa, tiles
from qlib.attention.exact.probe import half_dtype, processor

HALF = half_dtype(torch.device("cpu"))
NEEDS_HALF = pytest.mark.skipif(HALF is None, reason="no fast half precision here")
TOLERANCE = {"math": 1e-5, "sdpa": 1e-5, "mixed": 0.02}  # of the norm
EXACT = [
    pytest.param(name, marks=NEEDS_HALF if name == "mixed" else ())
    for name, backend in BACKENDS.items()
    if backend.exact
]


def reference(q, k, v, seen, bias, scale):
    """Attention from the definition: one exponential, one sum."""
    logits = torch.einsum("bhid,bhjd->bhij", q, k) * scale + bias
    logits = logits - logits.detach().masked_fill(~seen, -1e300).amax(-1, keepdim=True)
    weights = torch.where(seen, logits, 0).exp() * seen
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-300)
    return torch.einsum("bhij,bhje->bhie", weights, v), weights


def random_case(seed):
    """Inputs, the mask as arguments, and the same mask as (seen, bias)."""
    g = torch.Generator().manual_seed(seed)
    sizes = [int(torch.randint(1, top, (), generator=g)) for top in (4, 4, 24, 24, 17)]
    batch, heads, queries, keys, dim = sizes
    value_dim = dim if seed % 3 else dim + 2
    q = torch.randn(batch, queries, heads, dim, generator=g).transpose(1, 2)
    k = torch.randn(batch, heads, keys, dim, generator=g)
    v = torch.randn(batch, heads, keys, value_dim, generator=g)
    seen = torch.ones(batch, heads, queries, keys, dtype=torch.bool)
    bias = torch.zeros(1)
    masks = {}
    kind = seed % 10 // 2
    if seed % 2:
        masks["is_causal"] = True
        seen = seen & torch.ones(queries, keys, dtype=torch.bool).tril()
    if kind in (1, 3):
        padding = torch.rand(batch, keys, generator=g) < 0.4
        masks["key_padding_mask"] = padding
        seen = seen & ~padding[:, None, None]
    if kind in (2, 3):
        shape = [(queries, keys), (batch, 1, queries, keys), (heads, 1, keys)][seed % 3]
        masks["attn_mask"] = torch.rand(shape, generator=g) < 0.6
        seen = seen & masks["attn_mask"]
    if kind == 4:
        bias = torch.randn(batch, heads, queries, keys, generator=g)
        masks["attn_mask"] = bias
    return (q, k, v), masks, (seen, bias.double())


@pytest.mark.parametrize("name", EXACT)
def test_exact_backends_are_softmax_attention_and_its_gradients(name):
    for seed in range(100):
        tensors, masks, parts = random_case(seed)
        scale = (None, 0.7, -0.7, 0.0)[seed // 10 % 4]
        wide = [each.double().requires_grad_() for each in tensors]
        used = tensors[0].shape[-1] ** -0.5 if scale is None else scale
        exact, _ = reference(*wide, *parts, used)
        tensors = [each.requires_grad_() for each in tensors]
        found = quantum_attention(*tensors, backend=name, scale=scale, **masks).output
        g = torch.Generator().manual_seed(seed)
        cotangent = torch.randn(found.shape, generator=g)
        pairs = [(found, exact)]
        pairs += zip(
            torch.autograd.grad(found, tensors, cotangent),
            torch.autograd.grad(exact, wide, cotangent.double()),
            strict=True,
        )
        for found, exact in pairs:
            bound = TOLERANCE[name] * (exact.norm() + 0.1 * cotangent.norm())
            assert (found - exact).norm() <= bound, seed


@pytest.mark.parametrize("name", EXACT)
def test_weights_of_exact_backends_are_the_softmax(name):
    for seed in range(0, 30, 3):
        tensors, masks, parts = random_case(seed)
        wide = [each.double() for each in tensors]
        _, weights = reference(*wide, *parts, tensors[0].shape[-1] ** -0.5)
        found = quantum_attention(*tensors, backend=name, need_weights=True, **masks)
        error = (found.weights - weights).norm()
        assert error <= TOLERANCE[name] * (1 + weights.norm())
        assert (found.weights[~parts[0].expand_as(weights)] == 0).all()


@pytest.mark.parametrize("name", EXACT)
def test_dropped_weights_are_zero_or_divided_by_the_rate_kept(name):
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 40, 8, generator=g) for _ in range(3))
    whole = quantum_attention(q, k, v, backend=name, need_weights=True).weights
    found = quantum_attention(
        q, k, v, backend=name, dropout_p=0.25, generator=g, need_weights=True
    ).weights
    kept = found != 0
    bound = 3 * TOLERANCE[name] / 2 if name == "mixed" else 1e-5
    torch.testing.assert_close(found[kept], whole[kept] / 0.75, rtol=bound, atol=0)
    assert abs(kept.double().mean() - 0.75) < 5 * (0.1875 / kept.numel()) ** 0.5


@pytest.mark.parametrize("name", EXACT)
def test_dropout_is_the_same_with_and_without_weights(monkeypatch, name):
    monkeypatch.setattr(math, "TILE", 1)
    g = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, 20, 8, generator=g) for _ in range(3))
    lean, whole = (
        quantum_attention(
            q,
            k,
            v,
            backend=name,
            dropout_p=0.5,
            generator=torch.Generator().manual_seed(2),
            need_weights=asked,
        )
        for asked in (False, True)
    )
    assert torch.equal(lean.output, whole.output)
    assert whole.weights.shape == (1, 2, 20, 20)


@pytest.mark.parametrize("rows", [3, 16])
def test_the_size_of_a_chunk_does_not_matter(monkeypatch, rows):
    monkeypatch.setattr(sdpa, "ROWS", rows)
    monkeypatch.setattr(math, "TILE", rows)
    for seed in range(40):
        tensors, masks, parts = random_case(seed)
        wide = [each.double() for each in tensors]
        exact, _ = reference(*wide, *parts, tensors[0].shape[-1] ** -0.5)
        for name in ("math", "sdpa"):
            found = quantum_attention(*tensors, backend=name, **masks).output
            assert (found - exact).norm() <= 1e-5 * (1 + exact.norm())


@NEEDS_HALF
@pytest.mark.parametrize(("rows", "tile"), [(5, 64), (8, 1), (256, 2**19)])
def test_tiles_of_any_size_give_one_result(monkeypatch, rows, tile):
    monkeypatch.setattr(tiles, "ROWS", rows)
    monkeypatch.setattr(tiles, "TILE", tile)
    for seed in range(40):
        tensors, masks, parts = random_case(seed)
        wide = [each.double() for each in tensors]
        exact, _ = reference(*wide, *parts, tensors[0].shape[-1] ** -0.5)
        found = quantum_attention(*tensors, backend="mixed", **masks).output
        assert (found - exact).norm() <= 0.02 * (0.1 + exact.norm()), seed


@NEEDS_HALF
def test_mixed_errs_by_half_a_percent_on_gaussian_tensors():
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 512, 64, generator=g) for _ in range(3))
    exact = quantum_attention(*(each.double() for each in (q, k, v))).output
    error = quantum_attention(q, k, v, backend="mixed").output - exact
    assert 0.001 < error.norm() / exact.norm() < 0.005


@NEEDS_HALF
def test_a_common_part_of_all_keys_does_not_cost_mixed_its_digits():
    """Logits are 100 and more; rounded to 8 bits as they are, they err by 0.2."""
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, 128, 64, generator=g) for _ in range(3))
    q[..., 0], k[..., 0] = 64.0, 16.0
    exact = quantum_attention(*(each.double() for each in (q, k, v))).output
    error = quantum_attention(q, k, v, backend="mixed").output - exact
    assert error.norm() / exact.norm() < 0.01


def test_mixed_takes_the_fused_kernel_where_that_is_fast(monkeypatch):
    monkeypatch.setattr(mixed, "half_dtype", lambda device: torch.bfloat16)
    monkeypatch.setattr(mixed, "fused_kernel_is_fast", lambda device: True)
    tensors, masks, parts = random_case(7)
    wide = [each.double() for each in tensors]
    exact, _ = reference(*wide, *parts, tensors[0].shape[-1] ** -0.5)
    found = quantum_attention(*tensors, backend="mixed", **masks)
    assert found.output.dtype == torch.float32
    assert found.info.backend == "mixed"
    assert found.info.dtype == torch.bfloat16
    assert (found.output - exact).norm() <= 0.02 * exact.norm()


def test_mixed_is_refused_where_no_half_precision_is_fast(monkeypatch):
    monkeypatch.setattr(mixed, "half_dtype", lambda device: None)
    q = torch.ones(1, 1, 2, 4)
    with pytest.raises(ValueError, match=r"backend: got 'mixed'.*AVX512-BF16"):
        quantum_attention(q, q, q, backend="mixed")


def test_half_precision_goes_with_the_features_of_the_processor():
    here = processor()
    assert (HALF is torch.bfloat16) == (here.avx512_bf16 or here.amx_bf16)
    assert here.name
    assert here.cores >= 1


def test_auto_is_the_fused_kernel_and_the_reference_where_weights_are_asked_for():
    q = torch.ones(1, 2, 3, 4)
    assert quantum_attention(q, q, q).info.backend == "sdpa"
    assert quantum_attention(q, q, q, need_weights=True).info.backend == "math"


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (3, 7), (7, 3)])
def test_keys_touched_are_those_whose_logits_are_formed(queries, keys):
    q, k, v = torch.ones(1, 1, queries, 4), *torch.ones(2, 1, 1, keys, 4)
    seen = torch.ones(queries, keys).tril().sum().item() / queries
    for name, causal in (("math", keys), ("sdpa", seen)):
        for is_causal, expected in ((False, keys), (True, causal)):
            info = quantum_attention(q, k, v, backend=name, is_causal=is_causal).info
            assert info.keys_touched == info.values_touched == expected


@NEEDS_HALF
@pytest.mark.parametrize(("queries", "keys"), [(10, 10), (5, 9), (9, 5)])
def test_causal_tiles_form_the_keys_up_to_their_last_query(monkeypatch, queries, keys):
    monkeypatch.setattr(tiles, "ROWS", 4)
    monkeypatch.setattr(mixed, "fused_kernel_is_fast", lambda device: False)
    q, k, v = torch.ones(1, 1, queries, 4), *torch.ones(2, 1, 1, keys, 4)
    formed = [min(query // 4 * 4 + 4, queries, keys) for query in range(queries)]
    info = quantum_attention(q, k, v, backend="mixed", is_causal=True).info
    assert info.keys_touched == sum(formed) / queries
