"""What all baselines share, and where each becomes exact."""

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.baselines import BACKENDS

NAMES = [each.name for each in BACKENDS]
CAUSAL = [each.name for each in BACKENDS if "causal" in each.masks]
CASES = [
    (each.name, is_causal)
    for each in BACKENDS
    for is_causal in (False, True)
    if not is_causal or "causal" in each.masks
]
SMALL = {  # options that make each a true approximation at 40 keys
    "performer": {"features": 16},
    "linformer": {"rank": 7},
    "nystrom": {"landmarks": 7},
    "local_window": {"window": 5},
    "lsh": {"buckets": 4, "rounds": 2, "block": 4},
}
WHOLE = {  # options at which each is softmax attention
    "linformer": {"rank": 40},
    "nystrom": {"landmarks": 40, "iterations": 30},
    "local_window": {"window": 40},
    "lsh": {"block": 40, "buckets": 4},
}


def tensors(query=40, key=40, *, seed=0, batch=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": dtype}
    q = torch.randn(batch, 2, query, 8, **options)
    k = torch.randn(batch, 2, key, 8, **options)
    return q, k, torch.randn(batch, 2, key, 6, **options)


def run(name, q, k, v, seed=1, **settings):
    generator = torch.Generator().manual_seed(seed)
    settings = {**SMALL[name], **settings}
    return quantum_attention(q, k, v, backend=name, generator=generator, **settings)


def softmax_attention(q, k, v, hidden=None):
    logits = q @ k.mT * q.shape[-1] ** -0.5
    if hidden is not None:
        logits = logits.masked_fill(hidden, -torch.inf)
    return logits.softmax(-1) @ v


def later(query, key):
    return torch.ones(query, key, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("shape", [(40, 40), (13, 40), (40, 13), (1, 40), (1, 1)])
@pytest.mark.parametrize("name", WHOLE)
def test_with_all_keys_in_reach_it_is_softmax_attention(name, shape):
    q, k, v = tensors(*shape)
    found = run(name, q, k, v, **WHOLE[name]).output
    torch.testing.assert_close(found, softmax_attention(q, k, v), atol=1e-9, rtol=0)


@pytest.mark.parametrize("shape", [(40, 40), (13, 40), (40, 13), (1, 1)])
@pytest.mark.parametrize("name", [name for name in CAUSAL if name in WHOLE])
def test_with_all_earlier_keys_in_reach_it_is_causal_attention(name, shape):
    q, k, v = tensors(*shape)
    exact = softmax_attention(q, k, v, later(*shape))
    found = run(name, q, k, v, is_causal=True, **WHOLE[name]).output
    torch.testing.assert_close(found, exact, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_small_settings_err_visibly(name):
    """No exact softmax in disguise."""
    q, k, v = tensors()
    exact = softmax_attention(q, k, v)
    error = (run(name, q, k, v).output - exact).norm() / exact.norm()
    assert 0.05 < error < 3


@pytest.mark.parametrize("name", NAMES)
def test_equal_keys_and_values_give_back_the_value(name):
    q, k, v = tensors()
    k, v = k[:, :, :1].expand_as(k), v[:, :, :1].expand_as(v)
    found = run(name, q, k, v).output
    torch.testing.assert_close(found, v, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("name", "is_causal"), CASES)
def test_weights_give_the_output(name, padded, is_causal):
    q, k, v = tensors(37, 41)
    padding = torch.zeros(2, 41, dtype=torch.bool)
    padding[0, 20:] = padding[1, :9] = padded
    settings = {"is_causal": is_causal, "key_padding_mask": padding}
    result = run(name, q, k, v, need_weights=True, **settings)
    torch.testing.assert_close(result.weights @ v, result.output)
    plain = run(name, q, k, v, **settings).output
    torch.testing.assert_close(plain, result.output)
    assert (result.weights.masked_select(padding[:, None, None]) == 0).all()
    if is_causal:
        assert (result.weights.masked_select(later(37, 41)) == 0).all()
    if next(each for each in BACKENDS if each.name == name).normalised:
        sums = result.weights.sum(-1)
        seen = torch.ones_like(sums, dtype=torch.bool)
        seen[1, :, :9] = not (is_causal and padded)
        if name == "local_window" and padded:
            seen = sums > 0.5
        torch.testing.assert_close(sums, seen.to(sums))


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("at", [1, 17, 129])
def test_later_keys_values_and_queries_change_nothing(name, at):
    q, k, v = tensors(140, 140, dtype=torch.float32)
    before = run(name, q, k, v, is_causal=True).output
    for x in (q, k, v):
        x[:, :, at:] *= -7
    after = run(name, q, k, v, is_causal=True).output
    assert torch.equal(before[:, :, :at], after[:, :, :at])
    assert not torch.equal(before[:, :, at:], after[:, :, at:])


@pytest.mark.parametrize(("name", "is_causal"), CASES)
def test_padding_is_never_read(name, is_causal):
    q, k, v = tensors()
    padding = torch.zeros(2, 40, dtype=torch.bool)
    padding[0, :6] = padding[1, 25:] = True
    settings = {"key_padding_mask": padding, "is_causal": is_causal}
    before = run(name, q, k, v, **settings).output
    for x in (k, v):
        x.transpose(1, 2)[padding] = 1e6
    assert torch.equal(before, run(name, q, k, v, **settings).output)


@pytest.mark.parametrize(("name", "is_causal"), CASES)
def test_no_key_gives_zero_and_finite_gradients(name, is_causal):
    inputs = [x.requires_grad_() for x in tensors(dtype=torch.float32)]
    padding = torch.tensor([[True], [False]]).expand(2, 40)
    settings = {"key_padding_mask": padding, "is_causal": is_causal}
    result = run(name, *inputs, need_weights=True, **settings)
    assert (result.output[0] == 0).all()
    assert (result.weights[0] == 0).all()
    result.output.square().sum().backward()
    assert all(x.grad.isfinite().all() for x in inputs)
    assert all((x.grad[0] == 0).all() and (x.grad[1] != 0).any() for x in inputs)


@pytest.mark.parametrize(("name", "is_causal"), CASES)
def test_gradients_agree_with_differences(name, is_causal):
    inputs = [x.requires_grad_() for x in tensors(9, 9, batch=1)]
    padding = torch.tensor([[False] * 7 + [True, False]])

    def output(*inputs):
        settings = {"is_causal": is_causal, "key_padding_mask": padding}
        return run(name, *inputs, **settings).output

    assert torch.autograd.gradcheck(output, inputs, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_in_its_batch_element(name):
    inputs = tensors()
    clean = run(name, *inputs).output
    for x in inputs:
        broken = [y.clone() if y is x else y for y in inputs]
        broken[[y is x for y in inputs].index(True)][0, 0, 3] = torch.nan
        found = run(name, *broken).output
        assert found[0].isnan().any()
        assert torch.equal(found[1], clean[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_precision_is_that_of_the_inputs(name, dtype):
    q, k, v = (x.to(dtype) for x in tensors())
    found = run(name, q, k, v).output
    assert found.dtype == dtype
    wide = run(name, q.double(), k.double(), v.double(), scale=8**-0.5)
    if name in ("local_window", "nystrom"):  # draw nothing, order nothing
        torch.testing.assert_close(found.double(), wide.output, atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_huge_logits_stay_finite(name):
    q, k, v = (x.float() for x in tensors())
    for is_causal in (False, name in CAUSAL):
        found = run(name, 100 * q, 100 * k, v, is_causal=is_causal).output
        assert found.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_non_contiguous_inputs_and_a_repeated_seed(name):
    inputs = tensors()
    before = run(name, *inputs).output
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs]
    torch.testing.assert_close(run(name, *strided).output, before)
    assert torch.equal(run(name, *inputs).output, before)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("performer", "features", 7),
        ("performer", "features", 0),
        ("linformer", "rank", 0),
        ("linformer", "projection", "median"),
        ("linformer", "projection", torch.ones(3, 7)),
        ("nystrom", "landmarks", 0),
        ("nystrom", "iterations", 1.5),
        ("local_window", "window", 0),
        ("lsh", "buckets", 3),
        ("lsh", "rounds", 0),
        ("lsh", "block", -1),
    ],
)
def test_bad_options_are_refused_by_name(name, option, value):
    with pytest.raises(ValueError, match=f"{option}: got .* allowed"):
        run(name, *tensors(), **{option: value})
