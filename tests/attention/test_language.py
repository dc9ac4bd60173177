"""The model is causal and normalised, training repeats itself, losses are in bits."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from qlib.attention.language import (
    FULL,
    QUICK,
    LanguageModel,
    Stage,
    bits_per_character,
    nats,
    pretrain,
    sinusoids,
    windows_of,
)
from qlib.attention.module import QuantumMultiheadAttention
from qlib.data import characters
from qlib.data.text import Text

TINY = (Stage(16, 4, 6), Stage(24, 1, 2))
SMALL = {"width": 16, "heads": 2, "layers": 2}


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return LanguageModel(**SMALL)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_bytes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, count).astype(np.uint8)


def test_position_codes_have_one_length_and_turn_with_the_shift():
    codes = sinusoids(torch.arange(8192), 32)
    torch.testing.assert_close((codes**2).sum(1), torch.full((8192,), 16.0))
    near = (codes[100:200] * codes[107:207]).sum(1)  # a function of the shift alone
    far = (codes[8000:8100] * codes[8007:8107]).sum(1)
    torch.testing.assert_close(near, far, atol=2e-2, rtol=0)
    assert float(near.max()) < 15


def test_later_bytes_change_nothing_before_them_bitwise(model):
    tokens = torch.from_numpy(some_bytes(40)).long()[None]
    changed = tokens.clone()
    changed[:, 25:] = (changed[:, 25:] + 1) % 256
    one, two = model(tokens), model(changed)
    assert torch.equal(one[:, :25], two[:, :25])
    assert not torch.equal(one[:, 25], two[:, 25])


def test_bytes_and_places_far_away_are_seen(model):
    tokens = torch.from_numpy(some_bytes(40)).long()[None]
    changed = tokens.clone()
    changed[0, 0] += 1 if changed[0, 0] < 255 else -1
    assert not torch.equal(model(tokens)[:, -1], model(changed)[:, -1])
    moved = model(tokens, first_position=3)
    assert not torch.allclose(model(tokens)[:, -1], moved[:, -1])


def test_convolution_sees_reach_bytes_and_no_more(model):
    """With attention that gives nothing, a byte reaches five places further."""
    for block in model.blocks:
        nn.init.zeros_(block.self_attn.out_proj.weight)
    tokens = torch.from_numpy(some_bytes(30)).long()[None]
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 256
    same = (model(tokens) == model(changed)).all(-1)[0]
    assert (~same).nonzero().flatten().tolist() == list(range(10, 16))


def test_attention_is_the_drop_in_one_under_the_names_of_pytorch(model):
    attentions = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    assert len(attentions) == 2
    assert all(isinstance(m, QuantumMultiheadAttention) for m in attentions)
    plain = nn.TransformerEncoderLayer(16, 2, 64, batch_first=True)
    assert list(model.blocks[0].state_dict()) == list(plain.state_dict())


def test_probabilities_of_the_next_byte_sum_to_one(model):
    start = torch.from_numpy(some_bytes(6)).long().expand(256, 6)
    windows = torch.cat((start, torch.arange(256)[:, None]), 1)
    found = nats(model, windows).detach()  # (256, 6)
    assert found.shape == (256, 6)
    assert math.isclose(float((-found[:, -1]).exp().sum()), 1, rel_tol=1e-5)
    torch.testing.assert_close(found[:1, :-1].expand(256, 5), found[:, :-1])


def test_training_repeats_itself_and_leaves_the_global_randomness_alone():
    text = some_bytes(300)
    before = torch.random.get_rng_state()
    runs = [
        pretrain(text, stages=TINY, generator=generator(s), **SMALL) for s in (1, 1, 2)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, again, other = (run.state_dict() for run in runs)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_a_periodic_text_is_learnt_and_every_step_is_reported():
    text = np.tile(np.frombuffer(b"abcdefg ", np.uint8), 40)
    steps, losses = [], []

    def callback(step, loss):
        steps.append(step)
        losses.append(loss)

    stages, chance = (Stage(32, 2, 80),), generator()
    model = pretrain(text, stages=stages, generator=chance, callback=callback, **SMALL)
    assert steps == list(range(80))
    assert losses[0] > 5
    assert losses[-1] < 0.3
    held = windows_of(text, 32, 4)
    assert bits_per_character(model, held).max() < 0.3 / math.log(2)
    noise = windows_of(some_bytes(200), 32, 4)
    assert bits_per_character(model, noise).min() > 8


def test_the_whole_text_is_drawn_from_its_first_byte_to_its_last():
    """One window of all the text there is: its nats are those of the first model."""
    text, losses = some_bytes(33), []
    pretrain(
        text,
        stages=(Stage(32, 1, 1),),
        generator=generator(4),
        callback=lambda _, loss: losses.append(loss),
        **SMALL,
    )
    chance = generator(4)
    seed = int(torch.randint(2**31, (), generator=chance))
    torch.randint(1, (1,), generator=chance)
    place = int(torch.randint(8192 - 32 + 1, (), generator=chance))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(**SMALL)
    window = torch.from_numpy(text)[None].long()
    expected = nats(model, window, first_position=place).mean().item()
    assert math.isclose(losses[0], expected, rel_tol=1e-6)


@pytest.mark.parametrize("stages", [QUICK, FULL])
def test_stages_fit_the_positions_and_grow(stages):
    lengths = [stage.length for stage in stages]
    assert lengths == sorted(lengths)
    assert lengths[-1] <= 8192


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": ()}, "stages: got"),
        ({"stages": (Stage(9000, 1, 1),)}, "lengths up to 8192"),
        ({"stages": (Stage(8, 0, 1),)}, "batch: got 0"),
        ({"stages": (Stage(300, 1, 1),)}, "text: got 300 bytes; .* at least 301"),
        ({"stages": Stage(8, 1, 1)}, r"stages: got Stage\(.*; allowed: a sequence of"),
        ({"stages": ((8, 1, 1),)}, r"stages: got \(\(8, 1, 1\),\); allowed: a seq"),
        ({"text": b"abc"}, r"text: got bytes; allowed: a uint8 array, as load_text"),
        ({"text": Text("a", "b", None, None)}, "text: got Text; allowed"),
        ({"text": np.ones(300)}, r"text: got an array of float64 and shape \(300,\)"),
        ({"width": 15, "heads": 3}, "width: got 15; allowed: even, and a multiple"),
        ({"heads": 3}, "width: got 128; allowed: even, and a multiple of heads, 3"),
        ({"layers": 0}, "layers: got 0"),
        ({"matrix_rate": 0.0}, "matrix_rate: got 0"),
        ({"other_rate": math.nan}, "other_rate: got nan"),
    ],
)
def test_bad_settings_of_a_training_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        pretrain(**{"text": some_bytes(300), "stages": TINY, **settings})


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (torch.zeros(9, dtype=torch.uint8), r"got shape \(9,\); allowed: \(count, len"),
        (torch.zeros(2, 1, dtype=torch.uint8), r"got shape \(2, 1\)"),
        (torch.zeros(2, 9), "got torch.float32; allowed: a uint8 tensor"),
        (b"abc", "got bytes; allowed: a uint8 tensor, from windows_of"),
    ],
)
def test_windows_that_are_none_are_refused(model, windows, message):
    with pytest.raises((TypeError, ValueError), match=f"windows: {message}"):
        bits_per_character(model, windows)


def test_windows_are_spread_over_the_text_and_do_not_overlap():
    text = (np.arange(103) % 256).astype(np.uint8)
    windows = windows_of(text, 19, 5)
    assert windows.shape == (5, 20)
    assert windows.dtype == torch.uint8
    assert torch.equal(windows.diff(dim=1).int(), torch.ones(5, 19, dtype=torch.int))
    starts, ends = windows[:, 0].tolist(), windows[:, -1].tolist()
    assert (starts[0], ends[-1]) == (0, 102)
    assert all(e < s for e, s in zip(ends, starts[1:], strict=False))
    assert windows_of(text, 102, 1).shape == (1, 103)
    with pytest.raises(ValueError, match="at most 5, of 103 bytes"):
        windows_of(text, 19, 6)


def test_a_model_that_knows_nothing_needs_eight_bits_for_a_byte(model):
    nn.init.zeros_(model.embedding.weight)
    text = np.frombuffer(("naïve – 量子 " * 9).encode(), np.uint8)
    windows = windows_of(text, 40, 3)
    expected = 8 * 40 / characters(windows[:, 1:].numpy())
    assert (expected > 8).all()
    np.testing.assert_allclose(bits_per_character(model, windows), expected, rtol=1e-6)
