"""Swapping exact for exact changes no loss; what changes attention is told apart."""

import numpy as np
import pytest
import torch

from qlib.attention.language import LanguageModel, bits_per_character, windows_of
from qlib.attention.module import set_backend
from qlib.attention.trials.language import captured, swapped_losses
from qlib.attention.trials.pareto import Configuration


@pytest.fixture(scope="module")
def model():
    """Untrained, with queries and keys large enough for sharp weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = LanguageModel(width=16, heads=2, layers=2)
        for block in model.blocks:
            block.self_attn.in_proj_weight.data.mul_(3)
    return model


@pytest.fixture(scope="module")
def windows():
    text = np.random.default_rng(0).integers(0, 256, 200).astype(np.uint8)
    return windows_of(text, 48, 3)


@pytest.fixture(scope="module")
def found(model, windows):
    return swapped_losses(
        model,
        windows,
        [
            Configuration("SDPA", "sdpa"),
            Configuration("all of it", "local_window", {"window": 48}),
            Configuration("a little", "local_window", {"window": 2}),
            Configuration("drawn", "multinomial", {"samples": 4}),
        ],
        seed=3,
    )


def test_captured_tensors_are_those_that_each_layer_attends_with(model, windows):
    inputs = captured(model, windows[0])
    assert inputs.q.shape == (2, 2, 49, 8)
    assert inputs.is_causal
    x, seen = None, []

    def keep(module, arguments):
        seen.append(arguments[0])

    hook = model.blocks[1].self_attn.register_forward_pre_hook(keep)
    model(windows[:1].long())
    hook.remove()
    (x,) = seen
    first = model.blocks[1].self_attn
    rows = first.in_proj_weight[16 + 8 : 32], first.in_proj_bias[16 + 8 : 32]
    expected = x @ rows[0].T + rows[1]  # keys of head 1 of layer 1
    torch.testing.assert_close(inputs.k[1, 1], expected[0])


def test_exact_attention_in_any_form_costs_no_bits(found):
    for name in ("SDPA", "all of it"):
        assert found.error(name) < 1e-5
        row = found.bits[found.names.index(name)]
        np.testing.assert_allclose(row, found.exact_bits, atol=1e-5)
        assert np.abs(found.excess(name)).max() < 1e-4  # paired: windows cancel
        assert np.abs(found.lost(name)).max() < 1e-4


def test_another_attention_costs_bits_as_its_own_model_says(found, model, windows):
    before = bits_per_character(model, windows)
    np.testing.assert_array_equal(found.exact_bits, before)
    for name in ("a little", "drawn"):
        assert found.error(name) > 0.05
        assert np.abs(found.bits[found.names.index(name)] - before).min() > 1e-6
    by_hand = LanguageModel(width=16, heads=2, layers=2)
    by_hand.load_state_dict(model.state_dict())
    set_backend(by_hand, "local_window", window=2)
    np.testing.assert_array_equal(found.bits[2], bits_per_character(by_hand, windows))
    excess = found.excess("a little")
    assert np.isclose(excess.value, (found.bits[2] - before).mean())
    assert excess.low < excess.value < excess.high
    assert found.mean("a little").value == pytest.approx(found.bits[2].mean())


def test_draws_are_fixed_by_the_seed(found, model, windows):
    drawn = [Configuration("drawn", "multinomial", {"samples": 4})]
    again = swapped_losses(model, windows, drawn, seed=3)
    np.testing.assert_array_equal(again.bits[0], found.bits[3])
    other = swapped_losses(model, windows, drawn, seed=4)
    assert not np.array_equal(other.bits[0], found.bits[3])
