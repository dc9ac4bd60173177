"""What the drop-in module does where nn.MultiheadAttention gives no guide."""

import copy
import itertools
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from qlib.attention.backends import BACKENDS, options_of
from qlib.attention.module import (
    QuantumMultiheadAttention,
    replace_attention,
    set_backend,
)

WIDTH, HEADS, LENGTH = 8, 2, 5
STOCHASTIC = [name for name, each in BACKENDS.items() if each.stochastic]
EXACT = [name for name, each in BACKENDS.items() if each.exact and name != "mixed"]


def attention(backend="auto", *, seed=0, dtype=torch.float64, **settings):
    """A module with batch first whose biases are not 0 either."""
    torch.manual_seed(seed)
    settings = {"batch_first": True, "dtype": dtype, "num_heads": HEADS} | settings
    made = QuantumMultiheadAttention(WIDTH, backend=backend, **settings)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.4)
    return made


def sequences(length=LENGTH, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, length, WIDTH, generator=generator, dtype=dtype)


def test_each_head_is_that_of_its_own_backend():
    backends = ("local_window", "math", "local_window", "sdpa")
    options = ({"window": 1}, {}, {"window": 3}, {})
    x = sequences()
    settings = {"average_attn_weights": False}
    mixed = attention(backends, num_heads=4, backend_options=options)
    _, weights = mixed(x, x, x, **settings)
    for head, (backend, option) in enumerate(zip(backends, options, strict=True)):
        whole = attention(backend, num_heads=4, backend_options=option)
        _, expected = whole(x, x, x, **settings)
        torch.testing.assert_close(weights[:, head], expected[:, head])
    output, nothing = mixed(x, x, x, need_weights=False)
    torch.testing.assert_close(output, mixed(x, x, x)[0])
    assert nothing is None


def test_a_mask_of_each_head_reaches_its_head():
    x = sequences()
    generator = torch.Generator().manual_seed(3)
    bias = torch.randn(3 * 4, LENGTH, LENGTH, generator=generator, dtype=torch.float64)
    exact = attention(num_heads=4)
    mixed = attention(("math", "sdpa", "math", "sdpa"), num_heads=4)
    for weights in (True, False):
        given = {"attn_mask": bias, "need_weights": weights}
        torch.testing.assert_close(mixed(x, x, x, **given), exact(x, x, x, **given))


@pytest.mark.parametrize("backend", EXACT)
def test_queries_without_keys_give_the_bias_of_the_output(backend):
    ours = attention(backend)
    x = sequences().requires_grad_()
    padding = torch.tensor(
        [[False] * LENGTH, [True] * LENGTH, [False, True] * 2 + [True]]
    )
    for mask, weights in itertools.product((padding, floats(padding)), (True, False)):
        output, used = ours(x, x, x, key_padding_mask=mask, need_weights=weights)
        assert torch.equal(output[1], ours.out_proj.bias.expand(LENGTH, -1))
        assert used is None or (used[1] == 0).all()
        gradients = torch.autograd.grad(output.sum(), [x, *ours.parameters()])
        assert all(each.isfinite().all() for each in gradients)


def floats(mask):
    """A bool mask as what is added to the logits."""
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(mask, -torch.inf)


@pytest.mark.parametrize("backend", ["auto", *STOCHASTIC])
def test_a_nan_stays_in_its_batch_element(backend):
    ours = attention(backend).eval()
    clean, ill = sequences(), sequences()
    ill[1, 2] = torch.nan
    for weights in (True, False):
        results = []
        for x in (clean, ill):
            ours.generator = torch.Generator().manual_seed(5)
            results.append(ours(x, x, x, need_weights=weights))
        for mine, other in zip(*results, strict=True):
            assert mine is None or torch.equal(mine[::2], other[::2])


def test_dropout_thins_the_weights_that_are_returned_in_training_only():
    """Of 3 * 64 * 64 weights 0.5 are dropped: 6 sigma, one false alarm in 5e8."""
    ours = attention(dropout=0.5, num_heads=1)
    x = sequences(length=64)
    full = ours.eval()(x, x, x)[1]
    results = []
    for _ in range(2):
        ours.train().generator = torch.Generator().manual_seed(6)
        results.append(ours(x, x, x))
    output, weights = results[0]
    assert torch.equal(output, results[1][0])
    kept = weights != 0
    torch.testing.assert_close(weights[kept], 2 * full[kept])
    assert abs(kept.double().mean() - 0.5) < 6 * 0.5 / kept.numel() ** 0.5
    value = nn.functional.linear(x, *(each.chunk(3)[2] for each in packed(ours)))
    torch.testing.assert_close(output, ours.out_proj(weights @ value))


def packed(module):
    """Weight and bias of the three input maps."""
    return module.in_proj_weight, module.in_proj_bias


@pytest.mark.parametrize("backend", STOCHASTIC)
def test_one_generator_makes_draws_repeatable_and_copies_equal(backend):
    few = {"samples": 4} if "samples" in options_of(BACKENDS[backend]) else {}
    generator = torch.Generator().manual_seed(7)
    ours = attention(backend, generator=generator, backend_options=few)
    copies = [ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))]
    x = sequences(length=20)
    first, *others = (each(x, x, x, need_weights=False)[0] for each in copies)
    assert all(torch.equal(first, other) for other in others)
    again = ours(x, x, x, need_weights=False)[0]
    assert not torch.equal(first, again)
    exact = attention()(x, x, x)[0]
    assert not torch.allclose(first, exact, rtol=1e-4)


def test_gradients_reach_float_masks():
    x = sequences()
    bias = torch.randn(LENGTH, LENGTH, dtype=torch.float64, requires_grad=True)
    padding = torch.randn(3, LENGTH, dtype=torch.float64, requires_grad=True)
    ours = attention()
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    results = []
    for module in (ours, theirs):
        output = module(
            x, x, x, attn_mask=bias, key_padding_mask=padding, need_weights=False
        )[0]
        results.append(torch.autograd.grad(output.square().sum(), (bias, padding)))
    torch.testing.assert_close(*results)


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        made = function(*arguments, **(settings or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return made


def test_nothing_of_query_by_key_is_built_for_a_causal_hint():
    ours, length = attention(), 256
    x = sequences(length)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    for gradients, mask in itertools.product((True, False), (None, later)):
        with torch.set_grad_enabled(gradients), Largest() as largest:
            ours(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)
        assert largest.elements == x.numel() * 3 < length**2
    expected = ours(x, x, x, attn_mask=later, need_weights=False)
    made = ours(x, x, x, is_causal=True, need_weights=False)
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("added", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_a_hint_without_mask_is_the_causal_mask_and_leaves_added_keys_open(added):
    ours, x = attention(**added), sequences()
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    hinted, expected = ours(x, x, x, is_causal=True), ours(x, x, x, attn_mask=later)
    torch.testing.assert_close(hinted, expected)
    assert (hinted[1][:, 0, -1] > 0).all()
    assert (hinted[1][:, 0, 1:-1] == 0).all()


@pytest.mark.parametrize("weights", [True, False])
def test_autocast_gives_the_dtype_and_precision_of_pytorch(weights):
    ours = attention(dtype=torch.float32, add_bias_kv=True)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, add_bias_kv=True)
    theirs.load_state_dict(ours.state_dict())
    x = sequences(dtype=torch.float32)
    bias = torch.randn(LENGTH, LENGTH)
    exact = theirs(x, x, x, attn_mask=bias)
    with torch.autocast("cpu", torch.bfloat16):
        given = {"attn_mask": bias, "need_weights": weights}
        results = [each(x, x, x, **given) for each in (ours, theirs)]
    for mine, other, true in zip(*results, exact, strict=True):
        if mine is not None:
            assert mine.dtype == other.dtype == torch.bfloat16
            torch.testing.assert_close(mine.float(), true, rtol=0.03, atol=0.03)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_padding_by_their_lengths():
    ours = attention()
    rows = [each[:length] for each, length in zip(sequences(), (5, 2, 3), strict=True)]
    nested = torch.nested.nested_tensor(rows)
    output, weights = ours(nested, nested, nested)
    for row, mine, used in zip(rows, output.unbind(), weights, strict=True):
        expected = ours(row, row, row)
        torch.testing.assert_close(mine, expected[0])
        torch.testing.assert_close(used[: len(row), : len(row)], expected[1])
        assert used.count_nonzero() == len(row) ** 2
    with pytest.raises(ValueError, match="attn_mask, key_padding_mask: got one"):
        ours(nested, nested, nested, attn_mask=torch.zeros(5, 5))
    with pytest.raises(ValueError, match="value: got no nested tensor"):
        ours(nested, nested, sequences())
    with pytest.raises(ValueError, match="allowed with batch_first=True"):
        attention(batch_first=False)(nested, nested, nested)


def test_modules_among_the_options_are_trained_saved_and_shared_with_copies():
    encoding = (
        BACKENDS["encoded"]
        .attend.__globals__["make_encoding"]("amplitude", HEADS, WIDTH // HEADS)
        .double()
    )
    ours = attention("encoded", backend_options={"encoding": encoding})
    assert {id(each) for each in encoding.parameters()} <= {
        id(each) for each in ours.parameters()
    }
    copied = copy.deepcopy(ours)
    assert copied.encodings[0] is copied.backend_options["encoding"] is not encoding
    x = sequences()
    ours(x, x, x)[0].square().sum().backward()
    assert any(each.grad is not None for each in encoding.parameters())
    ours.set_backend("sdpa")
    assert ours.state_dict().keys() == nn.MultiheadAttention(8, 2).state_dict().keys()


@pytest.mark.parametrize("backend", ["sdpa", "multinomial"])
def test_exported_modules_give_and_draw_the_same(backend):
    ours = attention(backend, dtype=torch.float32).eval()
    x = sequences(dtype=torch.float32)
    padding = floats(torch.arange(LENGTH) >= torch.tensor([5, 3, 4])[:, None]).float()
    given = {"key_padding_mask": padding, "is_causal": True, "need_weights": False}
    exported = torch.export.export(ours, (x, x, x), given).module()
    results = []
    for each in (ours, exported):
        torch.manual_seed(8)
        results.append(each(x, x, x, **given)[0])
    torch.testing.assert_close(*results)


def test_compiled_modules_are_one_graph_and_give_the_same():
    ours = attention("sdpa")
    x = sequences()
    padding = floats(torch.arange(LENGTH) >= torch.tensor([5, 3, 4])[:, None])
    given = {"key_padding_mask": padding, "need_weights": False}
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, x, x, **given), ours(x, x, x, **given))


X = torch.zeros(3, LENGTH, WIDTH)


@pytest.mark.parametrize(
    ("inputs", "given", "error", "message"),
    [
        ((X[None], X, X), {}, ValueError, r"query: got \(1, 3, 5, 8\); allowed"),
        ((X[..., 1:],) * 3, {}, ValueError, "allowed: the last axis of 8, embed_dim"),
        ((X, X[0], X), {}, ValueError, r"key: got shape \(5, 8\); allowed: 3 axes"),
        ((X, X, X[..., 1:]), {}, ValueError, r"value: got shape \(3, 5, 7\)"),
        ((X, X[:2], X[:2]), {}, ValueError, "key: got batch 2; allowed: .* 3"),
        ((X, X, X[:, :4]), {}, ValueError, r"value: .*\(3, 5, 8\) as key"),
        ((X, X.double(), X), {}, TypeError, "key: got dtype torch.float64; allowed"),
        ((X, X.to("meta"), X), {}, ValueError, "key: got device meta; allowed"),
        ((X, 3, X), {}, TypeError, "key: got int; allowed: a tensor"),
        ((X,) * 3, {"attn_mask": X[0]}, ValueError, r"attn_mask: .*\(6, 5, 5\)"),
        ((X,) * 3, {"attn_mask": X[0].int()}, TypeError, "attn_mask: got torch.int32"),
        (
            (X[0],) * 3,
            {"key_padding_mask": X[:1, :, 0]},
            ValueError,
            r"key_padding_mask: got shape \(1, 5\); allowed: \(5,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(inputs, given, error, message):
    with pytest.raises(error, match=message):
        attention(dtype=torch.float32)(*inputs, **given)


@pytest.mark.parametrize(
    ("backend", "options", "error", "message"),
    [
        ("sdpaa", None, ValueError, r"backend: got 'sdpaa' \(did you mean 'sdpa'\?\)"),
        (3, None, TypeError, "backend: got int; allowed"),
        (("math",), None, ValueError, "backend: got 1 entries; allowed: .* each of 2"),
        ("math", {"windw": 1}, TypeError, "windw: got 1; allowed .* none"),
        (("math", "local_window"), {"windw": 1}, TypeError, "did you mean 'window'"),
        ("math", 4, TypeError, "backend_options: got 4; allowed: a dict"),
        ("math", [{}], ValueError, "backend_options: got 1 entries"),
    ],
)
def test_unknown_backends_and_options_are_refused_by_name(
    backend, options, error, message
):
    with pytest.raises(error, match=message):
        attention(backend, backend_options=options)


def test_what_is_no_generator_is_refused_at_once_and_changes_nothing():
    ours = attention("math")
    for change in (ours.set_backend, partial(set_backend, ours)):
        with pytest.raises(TypeError, match=r"generator: got int; allowed"):
            change("sdpa", generator=3)
    assert ours.backend == "math"


def test_the_printed_module_names_its_backend():
    assert "backend='math'" in repr(
        replace_attention(nn.Sequential(nn.MultiheadAttention(4, 2)), "math")
    )
