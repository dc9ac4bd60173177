"""Where one power law of seconds crosses another."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.backends import BACKENDS
from qlib.attention.limits import break_even, crossing
from qlib.attention.limits.break_even import naive

LENGTHS = np.array([128, 512, 2048, 8192])


def test_power_laws_cross_where_they_are_equal():
    """a n against b n²: n = a / b, whatever the lengths timed."""
    found = crossing(LENGTHS, 3e-6 * LENGTHS, {"naive": 2e-9 * LENGTHS**2})
    assert found.length == pytest.approx(1500)
    np.testing.assert_allclose(found.ratios, 1500 / LENGTHS)


def test_the_fastest_rival_counts_at_every_length():
    rivals = {"naive": [1.0, 2.0, 9.0, 99.0], "sdpa": [2.0, 1.0, 8.0, 9.0]}
    found = crossing(LENGTHS, [4.0, 4.0, 4.0, 18.0], rivals)
    np.testing.assert_allclose(found.ratios, [4, 4, 0.5, 2])
    assert found.rivals == ("naive", "sdpa", "sdpa", "sdpa")


def test_a_lead_that_is_lost_again_does_not_count():
    rival = {"naive": np.ones(4)}
    assert crossing(LENGTHS, [2, 0.5, 2, 0.5], rival).length == pytest.approx(4096)
    assert crossing(LENGTHS, [0.5, 0.5, 0.5, 1.0], rival).length == np.inf


def test_faster_throughout_is_faster_from_the_shortest():
    assert crossing(LENGTHS, [0.5] * 4, {"naive": [1] * 4}).length == 128
    assert crossing([7], [2.0], {"naive": [1.0]}).length == np.inf


@pytest.mark.parametrize(
    ("lengths", "seconds", "rival", "named"),
    [
        ([2, 1], [1, 1], [1, 1], "lengths"),
        ([], [], [], "lengths"),
        ([1, 2], [1], [1, 1], "seconds"),
        ([1, 2], [1, 1], [1, 0], "naive"),
        ([1, 2], [1, np.nan], [1, 1], "seconds"),
    ],
)
def test_times_that_are_none_are_refused(lengths, seconds, rival, named):
    with pytest.raises(ValueError, match=named):
        crossing(lengths, seconds, {"naive": rival})


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_naive_rival_is_softmax_attention(is_causal):
    q, k, v = torch.randn(3, 2, 2, 9, 4, generator=torch.Generator().manual_seed(0))
    exact = quantum_attention(q, k, v, backend="math", is_causal=is_causal).output
    torch.testing.assert_close(naive(q, k, v, is_causal=is_causal), exact)


def test_every_length_is_timed_against_both_rivals():
    inputs = [tuple(torch.ones(3, 1, 1, n, 4)) for n in (4, 8)]
    found = break_even("math", inputs, repeats=1, is_causal=True)
    assert found.lengths.tolist() == [4, 8]
    assert (found.ratios > 0).all()
    assert set(found.rivals) <= {"naive", "sdpa"}


def test_rivals_are_of_the_precision_of_the_products(monkeypatch):
    def half(q, k, v, mask, **settings):
        result = BACKENDS["math"].attend(q, k, v, mask, **settings)
        return replace(result, info=replace(result.info, dtype=torch.bfloat16))

    seen = []
    kept = replace(BACKENDS["math"], attend=half)
    monkeypatch.setitem(BACKENDS, "half", kept)
    monkeypatch.setattr(
        import_module("qlib.attention.limits.break_even"),
        "naive",
        lambda q, *rest, **settings: seen.append(q),
    )
    break_even("half", [tuple(torch.ones(3, 1, 1, 4, 4))], repeats=1)
    assert {each.dtype for each in seen} == {torch.bfloat16}


X = torch.ones(1, 1, 4, 4)
TRIPLE = (X, X, X)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (TRIPLE, {}, r"inputs: got tuple; allowed: a sequence of \(q, k, v\)"),
        (X, {}, "inputs: got Tensor; allowed: a sequence"),
        ([(X, X)], {}, "inputs: got list; allowed: a sequence"),
        ([], {}, r"inputs: got lengths \[\]; allowed: positive and rising"),
        ([TRIPLE, TRIPLE], {}, r"inputs: got lengths \[4 4\]"),
        ([(X, X, 3)], {}, "v: got int; allowed: a tensor"),
        ([TRIPLE], {"scale": 1.0}, "scale: got one; allowed: none, for the rivals"),
        ([TRIPLE], {"attn_mask": X}, "attn_mask: got one"),
        ([TRIPLE], {"key_padding_mask": None}, "key_padding_mask: got one"),
        ([TRIPLE], {"need_weights": True}, "need_weights: got one"),
    ],
)
def test_what_is_no_fair_race_is_refused_before_it(
    monkeypatch, inputs, options, message
):
    module = import_module("qlib.attention.limits.break_even")
    monkeypatch.delattr(module, "in_turns")
    with pytest.raises((TypeError, ValueError), match=message):
        break_even("math", inputs, **options)
