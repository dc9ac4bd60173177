"""Every wrong argument is refused by its name, before any work."""

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.backends import BACKENDS, backend_named, options_of

Q = torch.ones(2, 3, 4, 8)
K = torch.ones(2, 3, 5, 8)
V = torch.ones(2, 3, 5, 6)
JAGGED = torch.nested.as_nested_tensor(list(Q), layout=torch.jagged)

TENSORS = [  # changed argument, its value, what the message says
    ("q", [1.0], r"q: got list; allowed: a tensor"),
    ("q", Q.long(), r"q: got dtype torch.int64; allowed: torch.float16"),
    ("q", Q.to(torch.complex64), r"q: got dtype torch.complex64"),
    ("q", Q.to_sparse(), r"q: got a torch.sparse_coo tensor; allowed: a dense one"),
    ("q", JAGGED, r"q: got a nested tensor; allowed: a dense one"),
    ("q", Q[0, 0], r"q: got shape \(4, 8\); allowed: \(batch, head"),
    ("q", Q[None], r"q: got shape \(1, 2, 3, 4, 8\)"),
    ("q", Q[:, :, :0], r"q: got shape \(2, 3, 0, 8\)"),
    ("k", K[:, :, :0], r"k: got shape \(2, 3, 0, 8\)"),
    ("k", K.double(), r"k: got dtype torch.float64; allowed: that of q"),
    ("v", V.to("meta"), r"v: got device meta; allowed: that of q, cpu"),
    ("k", K[:1], r"k: got shape \(1, 3, 5, 8\); allowed: \(2, 3, length, dim\)"),
    ("v", V[:, :1], r"v: got shape \(2, 1, 5, 6\); allowed: \(2, 3, length"),
    ("v", V[:, 0], r"v: got shape \(2, 5, 6\); allowed: \(2, 3, length"),
    ("k", K[..., :7], r"k: got dimension 7; allowed: that of q, 8"),
    ("v", V[:, :, :4], r"v: got length 4; allowed: that of k, 5"),
]
SETTINGS = [
    ({"backend": "math2"}, r"backend: got 'math2' \(did you mean 'math'\?\); allowed"),
    ({"backend": 3}, r"backend: got int; allowed: auto, math, sdpa"),
    ({"backend": K}, r"backend: got Tensor; allowed: auto, math, sdpa"),
    ({"backend": K.numpy()}, r"backend: got ndarray; allowed: auto, math, sdpa"),
    ({"backend": "math", "samples": 3}, r"samples: got 3; allowed with .*: none"),
    (
        {"backend": "multinomial", "sample": 3},
        r"sample: got 3 \(did you mean 'samples'\?\); allowed with backend 'multi",
    ),
    ({"attn_mask": [[True]]}, r"attn_mask: got list; allowed: a bool or float"),
    ({"attn_mask": Q.long()}, r"attn_mask: got torch.int64; allowed: a bool or float"),
    (
        {"attn_mask": torch.ones(5, 4).bool()},
        r"attn_mask: got shape \(5, 4\); allowed: what broadcasts to \(2, 3, 4, 5\)",
    ),
    ({"attn_mask": torch.ones(1, 2, 3, 4, 5)}, r"attn_mask: got shape"),
    ({"attn_mask": torch.ones(4, 5, device="meta")}, r"attn_mask: got device meta"),
    ({"key_padding_mask": torch.ones(2, 5)}, r"key_padding_mask: got torch.float32"),
    ({"key_padding_mask": True}, r"key_padding_mask: got bool; allowed: a bool tensor"),
    (
        {"key_padding_mask": torch.ones(2, 4).bool()},
        r"key_padding_mask: got shape \(2, 4\); allowed: \(batch, key\) = \(2, 5\)",
    ),
    ({"is_causal": 1}, r"is_causal: got 1; allowed: True, False"),
    ({"need_weights": None}, r"need_weights: got None; allowed: True, False"),
    ({"scale": torch.nan}, r"scale: got nan; allowed: \(-inf, inf\)"),
    ({"scale": torch.inf}, r"scale: got inf"),
    ({"scale": "one"}, r"scale: got 'one'"),
    ({"dropout_p": 1.0}, r"dropout_p: got 1.0; allowed: \[0, 1\)"),
    ({"dropout_p": -0.1}, r"dropout_p: got -0.1; allowed: \[0, 1\)"),
    ({"dropout_p": torch.nan}, r"dropout_p: got nan"),
    ({"generator": 7}, r"generator: got int; allowed: a torch.Generator or None"),
]


@pytest.mark.parametrize(("name", "value", "says"), TENSORS)
def test_tensors_that_do_not_fit_are_refused_by_name(name, value, says):
    with pytest.raises((TypeError, ValueError), match=says):
        quantum_attention(**{"q": Q, "k": K, "v": V, name: value})


@pytest.mark.parametrize(("settings", "says"), SETTINGS)
def test_wrong_settings_are_refused_by_name(settings, says):
    with pytest.raises((TypeError, ValueError), match=says):
        quantum_attention(Q, K, V, **settings)


@pytest.mark.parametrize("samples", [0, -1, 1.5, "many", True])
@pytest.mark.parametrize(
    "name", [n for n, each in BACKENDS.items() if "samples" in options_of(each)]
)
def test_no_samples_are_refused(name, samples):
    with pytest.raises(ValueError, match=f"samples: got {samples!r}; allowed"):
        quantum_attention(Q, K, V, backend=name, samples=samples)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_numeric_option_refuses_minus_one_and_nan(name):
    for option, default in options_of(BACKENDS[name]).items():
        if isinstance(default, bool | str) or default is None:
            continue
        for value in (-1, float("nan"), "x"):
            with pytest.raises(ValueError, match=f"{option}: got {value!r}; allowed"):
                quantum_attention(Q, K, V, backend=name, **{option: value})


@pytest.mark.parametrize("name", BACKENDS)
def test_a_mask_that_a_backend_cannot_honour_is_refused_by_name(name):
    masks = {
        "causal": ("is_causal", True, "is_causal: got True, or an attn_mask"),
        "padding": ("key_padding_mask", ~torch.ones(2, 5).bool(), "key_padding_mask"),
        "general": ("attn_mask", torch.ones(4, 5).bool(), "attn_mask, or a float key"),
    }
    for kind in set(masks) - BACKENDS[name].masks:
        argument, value, got = masks[kind]
        says = rf"^{got}.*; backend '{name}' takes no {kind} mask; .*math"
        with pytest.raises(ValueError, match=says):
            quantum_attention(Q, K, V, backend=name, **{argument: value})


@pytest.mark.parametrize(
    "name", [n for n, each in BACKENDS.items() if not each.dropout]
)
def test_dropout_is_refused_where_there_is_none(name):
    says = rf"dropout_p: got 0.1; backend '{name}' takes no dropout; .*backends math"
    with pytest.raises(ValueError, match=says):
        quantum_attention(Q, K, V, backend=name, dropout_p=0.1)


def test_three_dimensional_inputs_are_checked_as_they_came():
    with pytest.raises(ValueError, match=r"attn_mask: .* broadcasts to \(2, 4, 5\)"):
        quantum_attention(Q[:, 0], K[:, 0], V[:, 0], attn_mask=torch.ones(3, 4, 5))


def test_a_backend_is_found_by_its_name():
    assert all(backend_named(name).name == name for name in BACKENDS)
    assert all(options_of(name) == options_of(BACKENDS[name]) for name in BACKENDS)
    with pytest.raises(ValueError, match=r"got 'auto'; allowed"):
        backend_named("auto")
