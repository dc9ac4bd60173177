"""The backend of encodings: softmax over their logits under every mask."""

import copy

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.encoding import ENCODINGS, TWINS, make_encoding
from qlib.attention.module import QuantumMultiheadAttention

NAMES = [*ENCODINGS, *(f"iqp {kind}" for kind in TWINS)]


@pytest.fixture(autouse=True)
def seeded():
    """The start of layers that draw from torch's own generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(params=NAMES)
def encoding(request):
    name, *kind = request.param.split()
    made = make_encoding(name, 2, 8)
    return made.twin(*kind, generator=torch.Generator()) if kind else made


def qkv(queries=5, keys=7, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(3, 2, length, width, generator=generator, dtype=dtype)
        for length, width in ((queries, 8), (keys, 8), (keys, 4))
    ]


def attend(q, k, v, encoding, **settings):
    return quantum_attention(q, k, v, backend="encoded", encoding=encoding, **settings)


def test_output_is_the_softmax_of_the_logits(encoding):
    q, k, v = qkv()
    result = attend(q, k, v, encoding, need_weights=True, scale=0.9)
    weights = encoding.logits(q, k, scale=0.9).softmax(-1)
    torch.testing.assert_close(result.weights, weights)
    torch.testing.assert_close(result.output, weights @ v)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("queries", "keys"), [(40, 24), (24, 40)])
def test_chunks_of_queries_change_nothing(encoding, monkeypatch, queries, keys, causal):
    q, k, v = qkv(queries, keys)
    bias = torch.randn(2, queries, keys, generator=torch.Generator()).double()
    settings = {"is_causal": causal, "attn_mask": bias, "need_weights": True}
    whole = attend(q, k, v, encoding, **settings)
    monkeypatch.setattr("qlib.attention.encoding.attend.TILE", 1)
    parts = attend(q, k, v, encoding, **settings)
    torch.testing.assert_close(parts.output, whole.output)
    torch.testing.assert_close(parts.weights, whole.weights)
    assert whole.info.keys_touched == (min(queries, keys) if causal else keys)
    assert (parts.info.keys_touched < whole.info.keys_touched) == causal


def test_masks_exclude_and_bias_as_in_softmax_attention(encoding):
    q, k, v = qkv()
    bias = torch.randn(5, 7, generator=torch.Generator().manual_seed(3)).double()
    padding = torch.arange(7) >= torch.tensor([7, 4, 2])[:, None]
    result = attend(
        q,
        k,
        v,
        encoding,
        attn_mask=bias,
        key_padding_mask=padding,
        is_causal=True,
        need_weights=True,
    )
    logits = encoding.logits(q, k) + bias
    shut = padding[:, None, None] | torch.ones(5, 7, dtype=torch.bool).triu(1)
    expected = logits.masked_fill(shut, -torch.inf).softmax(-1)
    torch.testing.assert_close(result.weights, expected)


def test_a_query_that_sees_no_key_gets_zero_and_gradients_stay_finite(encoding):
    q, k, v = (x.requires_grad_() for x in qkv())
    shut = torch.zeros(3, 7, dtype=torch.bool)
    shut[1] = True
    result = attend(q, k, v, encoding, key_padding_mask=shut, need_weights=True)
    assert not result.output[1].any()
    assert not result.weights[1].any()
    result.output.square().sum().backward()
    for tensor in (q, k, v, *encoding.parameters()):
        assert torch.isfinite(tensor.grad).all()
    assert not k.grad[1].any()
    assert k.grad[0].any()


def test_nan_stays_in_its_batch_element(encoding):
    q, k, v = qkv()
    clean = attend(q, k, v, encoding).output
    q[1, 0, 2, 3] = torch.nan
    spoilt = attend(q, k, v, encoding).output
    assert spoilt[1, 0, 2].isnan().all()
    assert torch.equal(spoilt[[0, 2]], clean[[0, 2]])


def test_later_tokens_change_nothing_bitwise(encoding):
    q, k, v = qkv(7, 7, dtype=torch.float32)
    before = attend(q, k, v, encoding, is_causal=True).output
    for x in (q, k, v):
        x[:, :, 4:] = 3.0
    after = attend(q, k, v, encoding, is_causal=True).output
    assert torch.equal(after[:, :, :4], before[:, :, :4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_of_the_output_is_that_of_the_queries(encoding, dtype):
    q, k, v = qkv(dtype=dtype)
    result = attend(q, k, v, encoding, need_weights=True)
    assert result.output.dtype == result.weights.dtype == dtype
    assert result.info.dtype == torch.float32
    wide = attend(q.double(), k.double(), v.double(), encoding).output
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(
        result.output.double(), wide, atol=tolerance, rtol=tolerance
    )


def test_dropout_repeats_by_seed_and_is_right_in_the_mean(encoding):
    """4000 keys of weight w: the kept mass is within 5 standard errors of 1."""
    q, k, v = qkv(1, 4000)
    first, again = (
        attend(
            q,
            k,
            v,
            encoding,
            dropout_p=0.3,
            generator=torch.Generator().manual_seed(2),
            need_weights=True,
        ).weights
        for _ in range(2)
    )
    full = attend(q, k, v, encoding, need_weights=True).weights
    assert torch.equal(first, again)
    error = (full.square().sum(-1) * 0.3 / 0.7).sqrt()
    assert ((first.sum(-1) - 1).abs() < 5 * error).all()
    kept = first != 0
    torch.testing.assert_close(first[kept], full[kept] / 0.7)


def test_a_half_precision_encoding_computes_in_single_precision(encoding):
    q, k, v = qkv(dtype=torch.bfloat16)
    wide = attend(q, k, v, encoding, need_weights=True).weights
    half = attend(q, k, v, encoding.to(torch.bfloat16), need_weights=True)
    assert half.info.dtype == torch.float32
    torch.testing.assert_close(half.weights, wide, atol=2e-3, rtol=2e-2)


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_name_is_that_encoding_at_its_start(name):
    q, k, v = qkv()
    by_name = attend(q, k, v, name).output
    assert torch.equal(by_name, attend(q, k, v, name).output)
    torch.testing.assert_close(
        by_name, attend(q, k, v, make_encoding(name, 2, 8)).output
    )


@pytest.mark.parametrize("name", ENCODINGS)
def test_one_key_one_query_one_dimension(name):
    v = torch.tensor([[[[2.0, -3.0]]]])
    x = torch.tensor([[[[0.7]]]])
    torch.testing.assert_close(attend(x, x, v, name).output, v)


@pytest.mark.parametrize("name", ENCODINGS)
def test_equal_keys_share_the_weight(name):
    q, k, v = qkv()
    result = attend(q, k[:, :, :1].expand_as(k), v, name)
    expected = v.mean(2, keepdim=True).expand_as(result.output)
    torch.testing.assert_close(result.output, expected)


def test_an_encoding_really_differs_from_softmax_attention():
    q, k, v = qkv(32, 32)
    exact = quantum_attention(q, k, v).output
    for name in ENCODINGS:
        error = (attend(q, k, v, name).output - exact).norm() / exact.norm()
        assert error > 0.05


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("rbf", "encoding: got 'rbf'; allowed: an Encoding, amplitude, multiscale"),
        (None, "encoding: got None"),
        (make_encoding("iqp", 2, 4), "encoding: got one for 2 heads of 4; allowed"),
        (
            make_encoding("iqp", 3, 8),
            "for 3 heads of 8; allowed: for 1 head or 2 heads",
        ),
        (make_encoding("iqp", 2, 8).to("meta"), "encoding: got one on meta"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused_by_name(encoding, message):
    with pytest.raises(ValueError, match=message):
        attend(*qkv(), encoding)


def test_one_head_takes_an_encoding_of_one():
    q, k, v = (each[:, :1] for each in qkv())
    with pytest.raises(ValueError, match="for 2 heads of 8; allowed: for 1 head of 8 "):
        attend(q, k, v, make_encoding("iqp", 2, 8))


@pytest.mark.parametrize("kind", [None, *TWINS])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_layer_with_its_encoding_learns_and_is_saved(name, kind):
    encoding = make_encoding(name, 2, 4)
    encoding = encoding.twin(kind, generator=torch.Generator()) if kind else encoding
    layer = QuantumMultiheadAttention(
        8, 2, backend="encoded", backend_options={"encoding": encoding}
    )
    inside = {id(parameter) for parameter in layer.parameters()}
    assert inside >= {id(parameter) for parameter in encoding.parameters()}
    x = torch.randn(3, 2, 8, generator=torch.Generator().manual_seed(0))
    loss = layer(x, x, x)[0].square().mean()
    loss.backward()
    assert all(parameter.grad.any() for parameter in encoding.parameters())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter -= 0.05 * parameter.grad
    assert layer(x, x, x)[0].square().mean() < loss
    other = QuantumMultiheadAttention(
        8, 2, backend="encoded", backend_options={"encoding": copy.deepcopy(encoding)}
    )
    other.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(other(x, x, x)[0], layer(x, x, x)[0])
