"""What holds for every sampled attention: no bias, its rate, and its interval.

Copies of one input along the batch are independent runs, made at once.
"""

import numpy as np
import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.backends import BACKENDS, options_of

STOCHASTIC = [name for name, each in BACKENDS.items() if each.stochastic]
SAMPLED = [name for name in STOCHASTIC if "samples" in options_of(BACKENDS[name])]
FEW = {name: {"samples": 6} for name in SAMPLED}
FEW["adaptive"] = {"target_error": 0.5, "max_samples": 16}
HIDDEN = torch.arange(20) % 3 == 1  # keys
MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "padding": {"key_padding_mask": HIDDEN[None]},
    "general": {"attn_mask": torch.where(HIDDEN, -torch.inf, torch.arange(20) / 9)},
}


def runs_of(name, q, k, v, *, runs, seed=1, **settings):
    """Result of independent runs, one an element of the batch."""
    sides = (each.expand(runs, -1, -1, -1) for each in (q, k, v))
    if "key_padding_mask" in settings:
        padding = settings.pop("key_padding_mask").expand(runs, -1)
        settings["key_padding_mask"] = padding
    generator = torch.Generator().manual_seed(seed)
    return quantum_attention(*sides, backend=name, generator=generator, **settings)


def tensors(queries, keys, *, dim=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, 1, length, dim, generator=g, dtype=torch.float64)
        for length in (queries, keys, keys)
    ]


def relative_error(found, exact):
    """Relative Frobenius error, root mean square over runs."""
    return ((found - exact).square().mean(0).sum() / exact.square().sum()).sqrt()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_mean_of_many_runs_is_softmax_attention(name, mask):
    """160 means within 5 standard errors: a false alarm in 10 000 tests."""
    q, k, v = tensors(20, 20)
    exact = quantum_attention(q, k, v, backend="math", **MASKS[mask]).output[0]
    found = runs_of(name, q, k, v, runs=600, **FEW[name], **MASKS[mask]).output
    spread = found.std(0) / 600**0.5
    assert ((found.mean(0) - exact).abs() <= 5 * spread + 1e-9).all()
    assert (spread[:, -1] > 0).any()


@pytest.mark.parametrize("name", [n for n in STOCHASTIC if BACKENDS[n].dropout])
def test_dropout_does_not_move_the_mean(name):
    """32 means within 5 standard errors: a false alarm in 50 000 tests."""
    q, k, v = tensors(4, 20)
    exact = quantum_attention(q, k, v, backend="math").output[0]
    found = runs_of(name, q, k, v, runs=1000, dropout_p=0.3, **FEW[name]).output
    spread = found.std(0) / 1000**0.5
    assert ((found.mean(0) - exact).abs() <= 5 * spread).all()
    plain = runs_of(name, q, k, v, runs=1000, **FEW[name]).output
    assert found.var(0).sum() > 1.1 * plain.var(0).sum()


@pytest.mark.parametrize("name", SAMPLED)
def test_error_falls_as_the_root_of_the_samples_or_faster(name):
    """The slope of 200 runs spreads by 0.02: false alarms are 3 spreads away."""
    q, k, v = tensors(4, 300)
    exact = quantum_attention(q, k, v, backend="math").output
    budgets = (8, 32, 128)
    errors = [
        relative_error(runs_of(name, q, k, v, runs=200, samples=each).output, exact)
        for each in budgets
    ]
    slope = np.polyfit(np.log(budgets), np.log(errors), 1)[0]
    assert slope < -0.44
    if name in ("multinomial", "importance"):
        assert slope > -0.56


def test_adaptive_reaches_the_error_that_is_asked_for():
    q, k, v = tensors(40, 100)
    exact = quantum_attention(q, k, v, backend="math").output
    for target in (0.8, 0.4):
        settings = {"target_error": target, "max_samples": 10_000}
        result = runs_of("adaptive", q, k, v, runs=30, **settings)
        assert 0.5 * target < relative_error(result.output, exact) < 1.1 * target


@pytest.mark.parametrize("mask", ["none", "causal"])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_two_standard_errors_cover_the_exact_output(name, mask):
    """At 32 draws 2 standard errors cover 94 % of components, if not more."""
    q, k, v = tensors(64, 64)
    exact = quantum_attention(q, k, v, backend="math", **MASKS[mask]).output
    many = {"samples": 32} if name in SAMPLED else {"target_error": 0.3}
    result = runs_of(name, q, k, v, runs=40, **many, **MASKS[mask])
    miss = (result.output - exact).abs()
    inside = miss <= 2 * result.info.standard_error + 1e-9
    assert inside.double().mean() > 0.9
    assert result.info.standard_error.square().mean() < 6 * miss.square().mean()


@pytest.mark.parametrize("name", SAMPLED)
def test_sixteen_samples_of_64_gaussian_keys_err(name):
    """No exact softmax hides in an estimator: 64 dimensions, 16 draws, over 20 %."""
    q, k, v = tensors(64, 64, dim=64)
    exact = quantum_attention(q, k, v, backend="math").output
    found = runs_of(name, q, k, v, runs=4, samples=16).output
    assert relative_error(found, exact) > 0.2


@pytest.mark.parametrize("name", STOCHASTIC)
def test_info_prints_without_its_tensors(name):
    info = runs_of(name, *tensors(4, 20), runs=2, **FEW[name]).info
    assert info.standard_error is not None
    assert "tensor" not in repr(info)
