"""Models under analysis: what is captured, and what a swapped backend changes."""

import copy
import math

import pytest
import torch
from torch import nn

from qlib.attention.analysis.capture import attention_calls, recorded
from qlib.attention.analysis.gradients import (
    agreement,
    input_gradients,
    parameter_gradients,
)
from qlib.attention.analysis.maps import attention_maps, projections
from qlib.attention.analysis.propagation import error_propagation, relative_error
from qlib.attention.attention import quantum_attention
from qlib.attention.encoding import make_encoding
from qlib.attention.language import LanguageModel, nats
from qlib.attention.module import replace_attention

FAR = {"backend": "encoded", "encoding": "amplitude"}  # another attention altogether


@pytest.fixture(autouse=True)
def seeded():
    """The start of layers that draw from torch's own generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def tokens(batch=2, length=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(11, (batch, length), generator=generator)


@pytest.fixture
def model():
    return LanguageModel(width=8, heads=2, layers=3, reach=2, vocabulary=11).eval()


@pytest.mark.parametrize("fused", [True, False])
def test_projections_give_back_the_output_of_every_attention(model, fused):
    model.train(not fused)
    found = projections(model, tokens(), first_position=3)
    calls = attention_calls(model, tokens(), first_position=3)
    assert [call.name for call in calls] == [f"blocks.{i}.self_attn" for i in range(3)]
    for (q, k, v), call in zip(found, calls, strict=True):
        assert q.shape == k.shape == v.shape == (2, 2, 9, 4)
        output = quantum_attention(q, k, v, is_causal=True).output
        joined = call.attention.out_proj(output.transpose(1, 2).flatten(2))
        torch.testing.assert_close(joined, call.output)
        assert not q.requires_grad
        assert not call.output.requires_grad


def test_recording_leaves_no_hook_and_the_model_as_it_was(model):
    before = model(tokens())
    with recorded(model) as calls:
        during = model(tokens())
    assert torch.equal(before, during)
    model(tokens())
    assert len(calls) == 3
    with pytest.raises(RuntimeError), recorded(model):
        raise RuntimeError
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_attention_is_refused():
    with pytest.raises(ValueError, match="model: got Linear without attention"):
        attention_calls(nn.Linear(2, 2), torch.zeros(2))


def test_maps_are_those_of_the_attention_itself_by_default(model):
    calls = attention_calls(model, tokens())
    maps = attention_maps(calls)
    exact = attention_maps(calls, "auto")
    for weights, again, (q, k, v) in zip(
        maps, exact, projections(model, tokens()), strict=True
    ):
        expected = quantum_attention(q, k, v, is_causal=True, need_weights=True).weights
        torch.testing.assert_close(weights, expected)
        torch.testing.assert_close(again, expected)


def test_maps_of_a_backend_are_made_of_the_recorded_inputs(model):
    maps = attention_maps(attention_calls(model, tokens()), **FAR)
    for weights, (q, k, v) in zip(maps, projections(model, tokens()), strict=True):
        expected = quantum_attention(
            q, k, v, is_causal=True, need_weights=True, **FAR
        ).weights
        torch.testing.assert_close(weights, expected)


def test_maps_of_a_stochastic_backend_repeat_by_seed(model):
    calls = attention_calls(model, tokens())
    first, again, other = (
        attention_maps(
            calls, "multinomial", generator=torch.Generator().manual_seed(seed)
        )
        for seed in (0, 0, 1)
    )
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_masks_are_carried_along(batch_first, batched):
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((4, 4, 8) if batched else (4, 8), generator=generator)
    shut = torch.ones(4, 4, dtype=torch.bool).triu(2)
    keywords = {"attn_mask": shut, "need_weights": True}
    _, expected = attention(x, x, x, average_attn_weights=False, **keywords)
    calls = attention_calls(attention, x, x, x, **keywords)
    for backend in (None, "auto"):
        (weights,) = attention_maps(calls, backend)
        torch.testing.assert_close(weights, expected.detach().view_as(weights))
        assert weights.dim() == 4


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
@pytest.mark.parametrize("nested", [True, False])
def test_a_padded_encoder_in_evaluation_is_captured(nested):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 8, generator=generator)
    padding = torch.arange(5) >= torch.tensor([5, 3])[:, None]
    for q, k, v in projections(encoder, x, src_key_padding_mask=padding):
        assert q.shape == k.shape == v.shape == (2, 2, 5, 4)
    calls = attention_calls(encoder, x, src_key_padding_mask=padding)
    for backend in (None, "auto"):
        for weights in attention_maps(calls, backend):
            assert not weights[1, :, :3, 3:].any()
            assert (weights[0] > 0).all()
    last = calls[-1].output
    assert last.shape == (2, 5, 8)


def test_an_exact_backend_propagates_no_error(model):
    result = error_propagation(model, lambda model: model(tokens()), "math")
    assert result.names == tuple(f"blocks.{i}.self_attn" for i in range(3))
    for errors in (result.isolated, result.inputs, result.outputs, (result.final,)):
        assert max(errors) < 1e-5


def test_errors_start_in_the_first_attention_and_reach_the_output(model):
    state = copy.deepcopy(model.state_dict())
    result = error_propagation(model, lambda model: model(tokens()), **FAR)
    assert result.inputs[0] == 0
    assert result.isolated[0] == result.outputs[0]
    assert min(result.isolated) > 1e-3
    assert result.inputs[1] > 1e-4
    assert result.inputs[2] > 1e-4
    assert result.isolated[1] != result.outputs[1]
    assert result.final > 1e-4
    assert all(
        torch.equal(state[name], part) for name, part in model.state_dict().items()
    )


def test_isolated_errors_are_those_of_single_swaps(model):
    result = error_propagation(model, lambda model: model(tokens()), **FAR)
    for call, (q, k, v), error in zip(
        attention_calls(model, tokens()),
        projections(model, tokens()),
        result.isolated,
        strict=True,
    ):
        output = quantum_attention(q, k, v, is_causal=True, **FAR).output
        joined = call.attention.out_proj(output.transpose(1, 2).flatten(2))
        assert relative_error(joined, call.output) == pytest.approx(error, rel=1e-4)


def test_relative_error_at_its_edges():
    zero, one = torch.zeros(3), torch.ones(3)
    assert relative_error(1.5 * one, one) == pytest.approx(0.5)
    assert relative_error(zero, zero) == 0
    assert relative_error(one, zero) == math.inf
    assert relative_error(torch.tensor([torch.nan]), torch.ones(1)) != 0


def test_agreement_of_known_vectors():
    one = torch.ones(2)
    found = agreement(torch.tensor([2.0, 0.0]), torch.tensor([3.0, 4.0]))
    assert found.cosine == pytest.approx(0.6)
    assert found.norm_ratio == pytest.approx(0.4)
    opposite = agreement(
        [torch.tensor([-1.0]), torch.ones(2)], [-torch.ones(1), torch.ones(2)]
    )
    assert opposite.cosine == pytest.approx(1)
    for pair in ((one, 0 * one), (0 * one, one)):
        assert math.isnan(agreement(*pair).cosine)
    assert agreement(0 * one, one).norm_ratio == 0


def qkv(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, 2, 6, 4, generator=generator, dtype=torch.float64)
        for _ in range(4)
    ]


def test_exact_gradients_agree_and_those_of_another_attention_do_not():
    *inputs, cotangent = qkv()
    exact = input_gradients(*inputs, "math", cotangent=cotangent, is_causal=True)
    other = input_gradients(*inputs, **FAR, cotangent=cotangent, is_causal=True)
    assert exact.keys() == other.keys() == {"q", "k", "v"}
    for name in "qkv":
        assert exact[name].cosine == pytest.approx(1)
        assert exact[name].norm_ratio == pytest.approx(1)
        assert other[name].cosine < 0.99


def test_input_gradients_are_those_by_hand():
    *inputs, cotangent = qkv()
    masks = {"is_causal": True, "scale": 0.3}
    found = input_gradients(*inputs, **FAR, cotangent=cotangent, **masks)
    gradients = []
    for settings in (FAR, {}):
        leaves = [x.clone().requires_grad_() for x in inputs]
        output = quantum_attention(*leaves, **masks, **settings).output
        (output * cotangent).sum().backward()
        gradients.append([x.grad.flatten() for x in leaves])
    for name, ours, exact in zip("qkv", *gradients, strict=True):
        cosine = torch.cosine_similarity(ours, exact, dim=0)
        assert found[name].cosine == pytest.approx(cosine.item())
        assert found[name].norm_ratio == pytest.approx(
            (ours.norm() / exact.norm()).item()
        )


def test_a_cotangent_of_another_shape_is_refused():
    *inputs, cotangent = qkv()
    with pytest.raises(ValueError, match=r"cotangent: got shape \(1, 2, 6, 4\)"):
        input_gradients(*inputs, "math", cotangent=cotangent[:1])


def test_gradients_of_parameters_agree_when_exact(model):
    windows = tokens(2, 10)
    before = [parameter.grad for parameter in model.parameters()]
    result = parameter_gradients(
        model, lambda model: nats(model, windows).mean(), "math"
    )
    assert result.keys() == {"", *(name for name, _ in model.named_parameters())}
    assert result[""].cosine == pytest.approx(1, abs=1e-5)
    assert result[""].norm_ratio == pytest.approx(1, abs=1e-5)
    assert before == [parameter.grad for parameter in model.parameters()]


def test_gradients_of_parameters_are_those_by_hand(model):
    def loss(model):
        return nats(model, tokens(2, 10)).mean()

    result = parameter_gradients(model, loss, **FAR)
    found = {}
    for name, settings in (("exact", {}), ("far", FAR)):
        other = replace_attention(copy.deepcopy(model), **settings)
        loss(other).backward()
        found[name] = [parameter.grad.flatten() for parameter in other.parameters()]
    exact, far = (torch.cat(found[name]) for name in ("exact", "far"))
    cosine = torch.cosine_similarity(exact, far, dim=0).item()
    assert cosine < 0.9999
    assert result[""].cosine == pytest.approx(cosine)
    assert result[""].norm_ratio == pytest.approx((far.norm() / exact.norm()).item())
    first = torch.cosine_similarity(found["far"][0], found["exact"][0], dim=0).item()
    assert result["embedding.weight"].cosine == pytest.approx(first)


def test_gradients_of_parameters_through_a_trainable_encoding(model):
    encoding = make_encoding("iqp", 2, 4)
    result = parameter_gradients(
        model,
        lambda model: nats(model, tokens(2, 10)).mean(),
        "encoded",
        encoding=encoding,
    )
    assert 0 < result[""].cosine < 0.999
    assert not any("encoding" in name for name in result)
    assert encoding.log_sharpness.grad is None
