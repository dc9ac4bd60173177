"""The drop-in module against nn.MultiheadAttention, in every configuration."""

import itertools

import pytest
import torch
from torch import nn

from qlib.attention.module import QuantumMultiheadAttention

BATCH, HEADS, WIDTH, QUERIES, KEYS = 3, 2, 8, 4, 5
FLAGS = ("bias", "add_bias_kv", "add_zero_attn", "batch_first")
CONFIGURATIONS = [
    dict(zip(FLAGS, flags, strict=True), kdim=kdim, vdim=vdim)
    for flags in itertools.product((True, False), repeat=len(FLAGS))
    for kdim, vdim in ((None, None), (6, 3))
]


def pair(backend="auto", seed=0, dtype=torch.float64, **settings):
    """PyTorch's attention and ours with the same random weights, biases included."""
    generator = torch.Generator().manual_seed(seed)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, dtype=dtype, **settings)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.normal_(std=0.4, generator=generator)
    ours = QuantumMultiheadAttention(
        WIDTH, HEADS, dtype=dtype, backend=backend, **settings
    )
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def tensors(settings, batched, seed=1):
    """Query, key and value in the layout of a configuration."""
    generator = torch.Generator().manual_seed(seed)
    kdim, vdim = settings.get("kdim") or WIDTH, settings.get("vdim") or WIDTH
    made = []
    for length, dim in ((QUERIES, WIDTH), (KEYS, kdim), (KEYS, vdim)):
        shape = (
            (BATCH, length, dim) if settings["batch_first"] else (length, BATCH, dim)
        )
        shape = shape if batched else (length, dim)
        made.append(torch.randn(shape, generator=generator, dtype=torch.float64))
    return made


def masks(batched, queries=QUERIES, keys=KEYS, seed=2):
    """Keyword arguments: each kind of mask and pair of kinds, no row without keys."""
    generator = torch.Generator().manual_seed(seed)
    batch = BATCH if batched else 1
    pairs = torch.rand(batch * HEADS, queries, keys, generator=generator) < 0.4
    pairs[..., 0] = False
    places = torch.rand(batch, keys, generator=generator) < 0.4
    places[:, 0] = False
    places = places if batched else places[0]
    bias = torch.randn(
        batch * HEADS, queries, keys, generator=generator, dtype=torch.float64
    )
    bias = bias.masked_fill(pairs, -torch.inf)
    for attn_mask, padding in (
        (None, None),
        (None, places),
        (None, floats(places) + 0.3),
        (pairs[0], None),
        (pairs, places),
        (bias[0], floats(places)),
        (bias, None),
    ):
        yield {"attn_mask": attn_mask, "key_padding_mask": padding}
    later = torch.ones(queries, keys, dtype=torch.bool).triu(1)
    yield {"attn_mask": floats(later), "is_causal": True}
    yield {"attn_mask": later, "is_causal": True, "key_padding_mask": places}


def floats(mask):
    """A bool mask as what is added to the logits."""
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(mask, -torch.inf)


def assert_same(theirs, ours):
    """Outputs and weights of two attentions agree to rounding."""
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def total(attention, inputs, batched, seed=3):
    """One number that depends on each component of all outputs and weights."""
    generator = torch.Generator().manual_seed(seed)
    summed = torch.zeros((), dtype=torch.float64)
    for given in masks(batched):
        for weights in (False, True):
            made = attention(*inputs, **given, need_weights=weights)
            for each in made[: 1 + weights]:
                factor = torch.randn(each.shape, generator=generator).to(each.dtype)
                summed = summed + (each * factor).sum()
    return summed


@pytest.mark.parametrize("settings", CONFIGURATIONS)
def test_every_configuration_and_mask_agrees_with_gradients(settings):
    theirs, ours = pair(**settings)
    for batched in (True, False) if settings["bias"] else (True,):
        inputs = tensors(settings, batched)
        sums, gradients = [], []
        for attention in (theirs, ours):
            leaves = [each.clone().requires_grad_() for each in inputs]
            leaves += list(attention.parameters())
            sums.append(total(attention, leaves[:3], batched))
            gradients.append(torch.autograd.grad(sums[-1], leaves))
        torch.testing.assert_close(sums[1], sums[0])
        assert_same(*gradients)


@pytest.mark.parametrize("backend", ["auto", "math", "sdpa", ("sdpa", "math")])
@pytest.mark.parametrize("batch_first", [True, False])
def test_every_mask_agrees_in_eval_where_pytorch_fuses(backend, batch_first):
    theirs, ours = (each.eval() for each in pair(backend, batch_first=batch_first))
    x = tensors({"batch_first": batch_first}, True)[0]
    for given in masks(True, keys=QUERIES):
        for weights, average in ((False, True), (True, True), (True, False)):
            given |= {"need_weights": weights, "average_attn_weights": average}
            with torch.no_grad():
                assert_same(theirs(x, x, x, **given), ours(x, x, x, **given))
