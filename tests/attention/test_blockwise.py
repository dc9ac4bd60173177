"""Attention to clusters of keys: what must be exact, and what may not leak."""

import pytest
import torch

from qlib.attention.blockwise.attend import attend
from qlib.attention.mask import Mask, without_padding


def blockwise(q, k, v, mask=None, **options):
    mask = Mask() if mask is None else mask
    return attend(
        q,
        without_padding(k, mask),
        without_padding(v, mask),
        mask,
        scale=q.shape[-1] ** -0.5,
        pools=options.pop("pools", 1),
        heavy=options.pop("heavy", 1),
        dropout_p=0.0,
        generator=None,
        need_weights=True,
        **options,
    )


def softmax_attention(q, k, v, mask):
    q, k, v = q.double(), k.double(), v.double()
    logits = q @ k.mT * q.shape[-1] ** -0.5
    tile = mask.full(q.shape[2], k.shape[2], like=logits)
    weights = (logits if tile is None else logits + tile).softmax(-1).nan_to_num(0.0)
    return weights @ v


def tensors(seed, queries, keys, *, heads=2, dim=8, values=5):
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(2, heads, queries, dim, generator=draw),
        torch.randn(2, heads, keys, dim, generator=draw),
        torch.randn(2, heads, keys, values, generator=draw),
    )


def relative_error(found, exact):
    return ((found - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("is_causal", [False, True])
def test_what_is_pooled_is_told_and_fewer_keys_than_two_a_pool_are_exact(is_causal):
    mask = Mask(is_causal)
    for keys, kernel in ((31, "single keys"), (64, "pooled keys")):
        q, k, v = tensors(3, keys, keys)
        found = blockwise(q, k, v, mask, pools=16, tile=8)
        assert found.info.kernel == kernel
        error = relative_error(found.output, softmax_attention(q, k, v, mask))
        assert (error < 1e-6) == (kernel == "single keys")


LENGTHS = [(1, 1), (1, 9), (9, 1), (37, 37), (64, 64), (100, 70), (70, 100)]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_pools_of_one_key_are_exact(queries, keys, is_causal):
    q, k, v = tensors(0, queries, keys)
    open_keys = torch.rand(2, keys, generator=torch.Generator().manual_seed(1)) < 0.7
    for mask in (Mask(is_causal), Mask(is_causal, open_keys)):
        found = blockwise(q, k, v, mask, pool=1, tile=16)
        exact = softmax_attention(q, k, v, mask)
        torch.testing.assert_close(found.output.double(), exact, atol=2e-6, rtol=0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_keys_equal_in_groups_are_exact_however_they_are_shuffled(is_causal):
    q, k, v = tensors(2, 64, 8)
    k, v = (x.repeat(1, 1, 8, 1) for x in (k, v))
    shuffled = torch.cat(
        [
            start + torch.randperm(16, generator=torch.Generator().manual_seed(start))
            for start in range(0, 64, 16)
        ]
    )
    k, v, mask = k[:, :, shuffled], v[:, :, shuffled], Mask(is_causal)
    found = blockwise(q, k, v, mask, pool=2, tile=16)
    assert relative_error(found.output, softmax_attention(q, k, v, mask)) < 1e-6
    assert found.info.keys_touched < 64


def around_centres(spread):
    """Keys about the 16 corners of a box, by turns: every 32 hold each corner twice."""
    draw = torch.Generator().manual_seed(3)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    corners = torch.cat((signs * torch.tensor([4.0, 2, 1, 0.5]), 0 * signs), 1)
    return corners.repeat(2, 2, 16, 1) + spread * torch.randn(
        2, 2, 256, 8, generator=draw
    )


@pytest.mark.parametrize("is_causal", [False, True])
def test_error_falls_with_smaller_pools(is_causal):
    q, _, v = tensors(4, 256, 256)
    k, mask = around_centres(0.3), Mask(is_causal)
    exact = softmax_attention(q, k, v, mask)
    errors = [
        relative_error(blockwise(q, k, v, mask, pool=pool, tile=32).output, exact)
        for pool in (1, 2, 4, 8, 16)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 1e-6 < 0.01 < errors[1]


def test_error_is_of_first_order_in_the_spread_within_clusters():
    q, _, v = tensors(4, 256, 256)
    mask, errors = Mask(), []
    for spread in (0.02, 0.01):
        k = around_centres(spread)
        found = blockwise(q, k, v, mask, pool=2, tile=32).output
        errors.append(relative_error(found, softmax_attention(q, k, v, mask)))
    assert 1.9 < errors[0] / errors[1] < 2.1
    assert errors[1] < 0.02


@pytest.mark.parametrize("is_causal", [False, True])
def test_keys_may_differ_where_no_query_looks(is_causal):
    q, _, _ = tensors(14, 256, 256)
    q[..., 4:] = 0
    k, v = around_centres(0.0), torch.arange(16.0)[:, None].repeat(2, 2, 16, 1)
    k[..., 4:] = 3 * tensors(15, 256, 256)[1][..., 4:]
    mask = Mask(is_causal)
    found = blockwise(q, k, v, mask, pool=2, tile=32).output
    assert relative_error(found, softmax_attention(q, k, v, mask)) < 1e-5


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_key_that_takes_nearly_all_weight_is_not_pooled(is_causal):
    q, k, v = tensors(16, 128, 128)
    q[..., 0], k[..., 0] = 8.0, 0.0
    k[:, :, 5, 0] = 6.0
    mask = Mask(is_causal)
    found = blockwise(q, k, v, mask, pool=8, tile=16).output
    exact = softmax_attention(q, k, v, mask)
    assert relative_error(found[:, :, 6:], exact[:, :, 6:]) < 0.01


@pytest.mark.parametrize("is_causal", [False, True])
def test_weights_make_the_output_and_sum_to_one(is_causal):
    q, k, v = tensors(5, 75, 90)
    open_keys = torch.arange(90).expand(2, -1) != 3
    found = blockwise(q, k, v, Mask(is_causal, open_keys), pool=4, tile=16)
    torch.testing.assert_close(found.weights @ v, found.output, atol=2e-6, rtol=0)
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(2, 2, 75))
    seen = torch.ones(75, 90).tril() if is_causal else torch.ones(75, 90)
    seen[:, 3] = 0
    assert ((found.weights > 0) == (seen > 0)).all()


def test_later_tokens_change_nothing_bitwise():
    q, k, v = tensors(6, 100, 100)
    before = blockwise(q, k, v, Mask(True), pool=4, tile=8).output
    for first in (1, 8, 31, 64, 99):
        later = [x.clone() for x in (q, k, v)]
        for x in later:
            x[:, :, first:] = 7 * x[:, :, first:] + 1
        after = blockwise(*later, Mask(True), pool=4, tile=8).output
        assert torch.equal(before[:, :, :first], after[:, :, :first])
        assert not torch.equal(before, after)


@pytest.mark.parametrize("is_causal", [False, True])
def test_queries_without_keys_give_nothing_and_finite_gradients(is_causal):
    q, k, v = (x.requires_grad_() for x in tensors(9, 32, 32))
    open_keys = torch.ones(2, 32, dtype=torch.bool)
    open_keys[0] = False
    open_keys[1, :3] = False
    found = blockwise(q, k, v, Mask(is_causal, open_keys), pool=4, tile=8)
    assert (found.output[0] == 0).all()
    assert (found.weights[0] == 0).all()
    found.output.square().sum().backward()
    assert all(x.grad.isfinite().all() for x in (q, k, v))
    assert (k.grad[1, :, :3] == 0).all()


@pytest.mark.parametrize("is_causal", [False, True])
def test_gradients_are_those_of_finite_differences(is_causal):
    q, k, v = (x.double().requires_grad_() for x in tensors(10, 64, 64, heads=1))
    assert torch.autograd.gradcheck(
        lambda *x: blockwise(*x, Mask(is_causal), pool=2, tile=16).output,
        (q, k, v),
        fast_mode=True,
    )


def test_nan_stays_in_its_batch_element():
    q, k, v = tensors(11, 64, 64)
    clean = blockwise(q, k, v, pool=4, tile=16).output
    for x in (q, k, v):
        x[0, :, 5] = torch.nan
    found = blockwise(q, k, v, pool=4, tile=16).output
    assert torch.equal(found[1], clean[1])
    assert found[0].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_agree_to_their_rounding(dtype):
    q, k, v = tensors(12, 64, 64)
    exact = softmax_attention(q, k, v, Mask())
    half = blockwise(*(x.to(dtype) for x in (q, k, v)), pool=1).output
    assert half.dtype == dtype
    inside = blockwise(q, k, v, pool=1, dtype=dtype).output
    assert inside.dtype == torch.float32
    bound = max(2 * torch.finfo(dtype).eps, 1e-6)
    assert relative_error(half.double(), exact) < bound
    assert relative_error(inside.double(), exact) < bound


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool", 0),
        ("pool", 1.5),
        ("pools", 0),
        ("heavy", -1),
        ("tile", 0),
        ("tile", 96),
        ("dtype", torch.int8),
    ],
)
def test_bad_options_are_refused_by_name(option, value):
    with pytest.raises(ValueError, match=f"^{option}: got"):
        blockwise(*tensors(13, 4, 4), **{option: value})
