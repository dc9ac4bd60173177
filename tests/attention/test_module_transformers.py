"""The drop-in module inside PyTorch's transformer layers and stacks."""

import copy
import itertools
import pickle

import pytest
import torch
from torch import nn

from qlib.attention.backend import Backend
from qlib.attention.backends import BACKENDS
from qlib.attention.exact.math import MATH
from qlib.attention.module import (
    QuantumMultiheadAttention,
    replace_attention,
    set_backend,
)
from qlib.attention.module.multihead import keep_forward

NESTED = "ignore:The PyTorch API of nested tensors is in prototype stage"
WIDTH, HEADS, LENGTH = 8, 2, 5


def encoder(layers=2, seed=0, **settings):
    """A double-precision nn.TransformerEncoder without dropout."""
    torch.manual_seed(seed)
    settings = {"batch_first": True, "dtype": torch.float64} | settings
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0, **settings)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=True)


def sequences(batch=3, length=LENGTH, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, WIDTH, generator=generator, dtype=torch.float64)


@pytest.fixture
def counted(monkeypatch):
    """Calls of the module's forward, counted."""
    calls = []
    forward = QuantumMultiheadAttention.forward

    def counting(self, *arguments, **settings):
        calls.append(settings)
        return forward(self, *arguments, **settings)

    monkeypatch.setattr(QuantumMultiheadAttention, "forward", counting)
    return calls


@pytest.fixture
def plain(monkeypatch):
    """An approximation in name: softmax that takes no general mask; calls kept."""
    calls = []

    def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights, power=1):
        calls.append((mask.kinds, power, q.shape[1]))
        settings = {"generator": generator, "need_weights": need_weights}
        return MATH.attend(q, k, v, mask, scale=scale, dropout_p=dropout_p, **settings)

    kinds = frozenset({"causal", "padding"})
    backend = Backend("plain", attend, False, False, True, kinds, True, True, "", "")
    monkeypatch.setitem(BACKENDS, "plain", backend)
    return calls


def encoder_masks(length=LENGTH):
    """Keyword arguments of an encoder, each query seeing a key: masks, padding."""
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    places = torch.arange(length)
    band = (places - places[:, None]).abs() > 2
    bias = torch.zeros(length, length, dtype=torch.float64)
    bias = bias.masked_fill(later, -torch.inf)
    ends = torch.arange(length) >= torch.tensor([length, 3, 4])[:, None]
    scattered = torch.zeros(3, length, dtype=torch.bool)
    scattered[1, 1] = scattered[2, 2:4] = True
    for mask, padding in itertools.product(
        (None, later, band), (None, ends, scattered)
    ):
        yield {"mask": mask, "src_key_padding_mask": padding}
    yield {"mask": bias}
    yield {"mask": bias, "is_causal": True}


@pytest.mark.filterwarnings(NESTED)
@pytest.mark.parametrize("backend", ["auto", "math"])
@pytest.mark.parametrize("training", [True, False])
def test_encoder_agrees_and_every_layer_calls_the_module(backend, training, counted):
    theirs = encoder().train(training)
    ours = replace_attention(copy.deepcopy(theirs), backend)
    x = sequences()
    for given, gradients in itertools.product(encoder_masks(), (True, False)):
        counted.clear()
        with torch.set_grad_enabled(gradients):
            torch.testing.assert_close(ours(x, **given), theirs(x, **given))
        assert len(counted) >= 2, "PyTorch's fused kernel went past the module"


@pytest.mark.filterwarnings(NESTED)
def test_a_module_put_into_a_layer_is_called(counted):
    model = encoder(layers=1).eval()
    theirs = copy.deepcopy(model)
    settings = {"batch_first": True, "dtype": torch.float64}
    ours = QuantumMultiheadAttention(WIDTH, HEADS, **settings)
    ours.load_state_dict(model.layers[0].self_attn.state_dict())
    model.layers[0].self_attn = ours.eval()
    for given in encoder_masks():
        counted.clear()
        with torch.no_grad():
            torch.testing.assert_close(
                model(sequences(), **given), theirs(sequences(), **given)
            )
        assert counted


@pytest.mark.filterwarnings(NESTED)
def test_without_the_hook_pytorch_goes_past_the_module(counted):
    ours = replace_attention(encoder()).eval()
    for layer in ours.layers:
        assert list(layer.self_attn._forward_pre_hooks.values()) == [keep_forward]
        layer.self_attn._forward_pre_hooks.clear()
    with torch.no_grad():
        ours(sequences())
    assert not counted


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_agrees_with_gradients(norm_first):
    torch.manual_seed(2)
    settings = {"dropout": 0.0, "dtype": torch.float64, "norm_first": norm_first}
    layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 16, **settings)
    theirs = nn.TransformerDecoder(layer, 2)
    ours = replace_attention(copy.deepcopy(theirs))
    later = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    target, memory = torch.randn(4, 3, WIDTH).double(), sequences().transpose(0, 1)
    padding = torch.tensor(
        [[False] * 5, [False] * 3 + [True] * 2, [True] + [False] * 4]
    )
    memory_bias = torch.zeros(3, 5).double().masked_fill(padding, -torch.inf)
    results = []
    for model in (theirs, ours):
        made = model(
            target,
            memory,
            tgt_mask=later,
            memory_mask=torch.ones(4, 5).double(),
            memory_key_padding_mask=memory_bias,
        )
        gradients = torch.autograd.grad(made.square().sum(), list(model.parameters()))
        results.append((made, *gradients))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("backend", ["plain", ["sdpa"] * (HEADS - 1) + ["plain"]])
def test_padding_and_causality_reach_backends_without_general_masks(plain, backend):
    theirs = encoder().train()
    ours = replace_attention(copy.deepcopy(theirs), backend)
    x = sequences()
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    ends = torch.arange(LENGTH) >= torch.tensor([LENGTH, 3, 4])[:, None]
    for mask, padding, kinds in (
        (later, None, {"causal"}),
        (None, ends, {"padding"}),
        (later, ends, {"causal", "padding"}),
    ):
        plain.clear()
        given = {"mask": mask, "src_key_padding_mask": padding}
        torch.testing.assert_close(ours(x, **given), theirs(x, **given))
        assert [each[0] for each in plain] == [kinds, kinds]
    soft = torch.where(ends, 0.3, 0.0).double()
    for given in ({"mask": later.T}, {"src_key_padding_mask": soft}):
        with pytest.raises(ValueError, match=r"^attn_mask, .*'plain' takes no general"):
            ours(x, **given)


def test_a_causal_mask_beside_keys_that_are_added_is_no_plain_causality(plain):
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    ours = QuantumMultiheadAttention(
        WIDTH, HEADS, add_zero_attn=True, backend="plain", dtype=torch.float64
    )
    x = sequences().transpose(0, 1)
    with pytest.raises(ValueError, match=r"^attn_mask, .*'plain' takes no general"):
        ours(x, x, x, attn_mask=later)


def test_replacing_keeps_the_very_same_parameters_hooks_and_modules():
    model = encoder()
    before = dict(model.named_parameters())
    attention = model.layers[0].self_attn
    seen = []
    attention.register_forward_hook(lambda *given: seen.append(1))
    assert replace_attention(model) is model
    replace_attention(model, "math")
    assert model.layers[0].self_attn is attention
    assert attention.backend == "math"
    assert len(attention._forward_pre_hooks) == 1
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)
    model(sequences())
    assert seen == [1]
    alone = nn.MultiheadAttention(WIDTH, HEADS)
    assert isinstance(replace_attention(alone), QuantumMultiheadAttention)


def test_options_reach_all_modules_of_a_model(plain):
    model = replace_attention(encoder())
    generator = torch.Generator()
    assert set_backend(model, "plain", generator=generator, power=3) is model
    model(sequences())
    assert plain == [(frozenset(), 3, HEADS)] * 2
    assert all(layer.self_attn.generator is generator for layer in model.layers)
    set_backend(model, ("plain", "math"), power=4)
    model(sequences())
    assert plain[2:] == [(frozenset(), 4, 1)] * 2
    with pytest.raises(TypeError, match=r"powr: got 5 \(did you mean 'power'\?\)"):
        set_backend(model, "plain", powr=5)
    with pytest.raises(ValueError, match=r"backend: got 'plian' \(did you mean"):
        replace_attention(model, "plian")
    assert model.layers[0].self_attn.backend == ("plain", "math")


def test_models_without_replaceable_attention_are_refused():
    class Own(nn.MultiheadAttention):
        """A subclass with its own forward."""

    with pytest.raises(ValueError, match=r"model: got Linear without Multihead.* one$"):
        replace_attention(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"call replace_attention\(model\) first"):
        set_backend(encoder(), "math")
    model = nn.Sequential(nn.MultiheadAttention(4, 2), Own(4, 2))
    with pytest.raises(TypeError, match="model: got Own at '1'"):
        replace_attention(model)
    assert type(model[0]) is nn.MultiheadAttention


def test_weights_load_strictly_both_ways_and_copies_are_equal():
    theirs = encoder()
    ours = replace_attention(encoder(seed=7), "math")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = sequences()
    made = ours(x)
    torch.testing.assert_close(made, theirs(x))
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert copied.layers[1].self_attn.backend == "math"
        assert len(copied.layers[1].self_attn._forward_pre_hooks) == 1
        assert torch.equal(copied(x), made)


def test_a_backend_that_does_not_fit_leaves_the_model_as_it_was():
    model = nn.ModuleList([nn.MultiheadAttention(8, 2), nn.MultiheadAttention(8, 4)])
    for backend in ("sofmax", ["math", "sdpa"]):
        with pytest.raises(ValueError, match="backend: got"):
            replace_attention(model, backend)
        assert [type(each) for each in model] == [nn.MultiheadAttention] * 2
    with pytest.raises(TypeError, match="generator: got int; allowed"):
        replace_attention(model, generator=3)
    assert [type(each) for each in model] == [nn.MultiheadAttention] * 2
