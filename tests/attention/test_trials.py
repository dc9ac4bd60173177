"""Trials: errors against theory, rivals and ratios, tables and fronts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.backend import ANY_MASK, AttentionResult, Backend, Info
from qlib.attention.backends import BACKENDS
from qlib.attention.exact.math import softmax_rows
from qlib.attention.limits import least_samples, oracle_keys, oracle_rank
from qlib.attention.profile.cost import cost_of
from qlib.attention.trials.configurations import standard
from qlib.attention.trials.errors import SamplingErrors, joined, sampling_errors
from qlib.attention.trials.inputs import (
    Inputs,
    gaussian,
    heads_of,
    reference,
    relative_errors,
    root_mean_square,
)
from qlib.attention.trials.limits import limits_table
from qlib.attention.trials.pareto import Configuration, Pareto, Point, pareto
from qlib.attention.trials.references import (
    REFERENCES,
    reference_output,
)
from qlib.attention.trials.samplers import SAMPLERS, performer
from qlib.attention.trials.small import EXACT, Small, small


def draws(q, k, v, mask, *, scale, dropout_p, generator, need_weights, samples=4):
    """Keys drawn with the softmax probabilities, independently."""
    weights = softmax_rows(q, k, mask, 0, q.shape[2], scale)
    drawn = weights.flatten(0, 2).multinomial(samples, True, generator=generator)
    drawn = drawn.unflatten(0, q.shape[:3])  # (batch, head, query, sample)
    values = torch.take_along_dim(v[:, :, None], drawn[..., None], 3)
    error = values.std(3) / samples**0.5
    info = Info("draws", "", q.dtype, q.shape[2], samples, standard_error=error)
    return AttentionResult(values.mean(3), None, info)


@pytest.fixture
def drawing(monkeypatch):
    """A backend whose error theory knows."""
    settings = {"exact": False, "stochastic": True, "normalised": True}
    settings |= {"masks": ANY_MASK, "dropout": False, "differentiable": False}
    backend = Backend("draws", draws, **settings, cost="", says="")
    monkeypatch.setitem(BACKENDS, "draws", backend)
    return {"draws": lambda budget: ("draws", {"samples": budget})}


def layered(length=16, *, layers=2, heads=3, dim=4, is_causal=True):
    generator = torch.Generator().manual_seed(3)
    tensors = torch.randn(3, layers, heads, length, dim, generator=generator)
    return Inputs("layers", *tensors, is_causal)


# --- errors ---------------------------------------------------------------------------


def test_relative_errors_are_those_of_each_head_layer_by_layer():
    exact = reference(layered())
    factors = torch.linspace(0.1, 0.6, 6, dtype=torch.float64)
    scaled = exact * (1 + factors.reshape(2, 3, 1, 1))
    np.testing.assert_allclose(relative_errors(scaled, exact), factors)
    assert root_mean_square(np.array([3.0, 4.0])) == pytest.approx(12.5**0.5)


def test_gaussian_inputs_are_their_seeds():
    first, again, other = (gaussian(8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.q, again.q)
    assert not torch.equal(first.q, other.q)
    assert (first.length, first.heads, first.v.shape[3]) == (8, 2, 64)


@pytest.mark.parametrize("is_causal", [False, True])
def test_errors_of_draws_follow_theory(drawing, is_causal):
    """Mean square over 20 seeds and 6 heads: spread 1.8 %, 10 % allowed (5 σ)."""
    inputs = layered(24, is_causal=is_causal)
    found = sampling_errors(inputs, samplers=drawing, budgets=(4, 64), seeds=20)
    assert found.methods == ("draws", *REFERENCES)
    assert found.errors.shape == (4, 2, 20, 6)
    square = np.square(found.errors[0]).mean(1)  # (budget, head)
    ratio = square / found.theory[0] ** 2
    assert np.abs(ratio.mean(1) - 1).max() < 0.1
    stated = np.square(found.stated[0]).mean((1, 2))
    np.testing.assert_allclose(stated, square.mean(1), rtol=0.1)
    np.testing.assert_allclose(found.theory[:, 0], 4 * found.theory[:, 1])
    assert (found.theory[1] <= found.theory[0]).all()
    np.testing.assert_array_equal(found.values_touched[0], [4, 64])
    assert np.isnan(found.values_touched[1:]).all()


def test_an_exact_backend_has_no_error_and_is_no_sampler(drawing):
    samplers = drawing | {"exact": lambda budget: ("math", {})}
    found = sampling_errors(layered(), samplers=samplers, budgets=[4, 5], seeds=1)
    assert found.errors[1].max() < 1e-5
    assert np.isnan(found.stated[1]).all()
    assert np.isnan(found.values_touched[1]).all()
    assert found.best() == "draws"
    told = [(metric, labels["method"]) for metric, _, labels in found.rows()]
    assert ("relative error", "exact") in told
    assert ("values read per query", "exact") not in told
    assert all(np.isfinite(value) for _, value, _ in found.rows())


@pytest.mark.parametrize("budget", [40, 60])
def test_adaptive_reads_the_budget_on_average(budget):
    """Its target is fitted with one seed, and the pilots of others differ."""
    inputs = gaussian(128, heads=3, dim=8)
    samplers = {"adaptive": SAMPLERS["adaptive"]}
    found = sampling_errors(inputs, samplers=samplers, budgets=[budget], seeds=3)
    assert found.values_touched[0, 0] == pytest.approx(budget, rel=0.1)


def test_advantage_is_over_multinomial_that_reads_as_much():
    """Errors c / root of the values read: the ratio of the c, whatever is read."""
    reads = np.array([[10, 40], [20, 50], [10, 40]], dtype=float)
    factors = np.array([3.0, 1.5, 6.0])
    errors = (factors[:, None] / np.sqrt(reads))[..., None, None] * np.ones(
        (1, 1, 2, 4)
    )
    found = SamplingErrors(
        *("made", 160, ("multinomial", "good", "bad"), np.array([10, 40])),
        *(errors, errors, reads, errors[:2, :, 0] / 1.25),
    )
    np.testing.assert_allclose(found.advantage("good"), 0.5)
    np.testing.assert_allclose(found.advantage("bad"), 2)
    np.testing.assert_allclose(found.off_theory(), 0.25)
    assert found.best(0.25) == "good"
    errors[2, 0] = 0
    assert found.best(0.05) == "bad"
    np.testing.assert_array_equal(found.at("bad", 40), errors[2, 1])
    np.testing.assert_array_equal(found.at("bad", 10), 0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_performer_costs_the_operations_of_a_sampler(is_causal):
    inputs = gaussian(512, heads=1, is_causal=is_causal)
    tensors, settings = (inputs.q, inputs.k, inputs.v), {"is_causal": is_causal}
    backend, options = performer(inputs)["Performer"](32)
    spent = cost_of(backend, *tensors, **options, **settings).flops
    wanted = cost_of("multinomial", *tensors, samples=32, **settings).flops
    assert 0.97 < spent / wanted < 1.2


def test_references_keep_the_heaviest_keys_or_any_or_all_alike():
    inputs = gaussian(32, heads=2, is_causal=True)
    exact = reference(inputs)
    for name in ("largest weights", "random keys"):
        output = reference_output(inputs, name, 32, seed=0)
        torch.testing.assert_close(output.double(), exact, rtol=1e-4, atol=1e-5)
    mean = reference_output(inputs, "mean of values", 1, seed=0)
    counts = torch.arange(1, 33)[:, None]
    torch.testing.assert_close(mean, inputs.v.cumsum(2) / counts)
    weights = quantum_attention(
        *(inputs.q, inputs.k, inputs.v),
        backend="math",
        is_causal=True,
        need_weights=True,
    ).weights
    first = inputs.v.gather(
        2, weights.argmax(-1, keepdim=True).expand(-1, -1, -1, inputs.v.shape[3])
    )
    torch.testing.assert_close(
        reference_output(inputs, "largest weights", 1, seed=0), first
    )


def test_heads_apart_and_joined_are_the_heads_together(drawing):
    settings = {"samplers": drawing, "budgets": (4,), "seeds": 1}
    several = [sampling_errors(head, **settings) for head in heads_of(layered())]
    whole, parts = sampling_errors(layered(), **settings), joined(several)
    np.testing.assert_allclose(parts.theory, whole.theory)
    row = parts.methods.index("largest weights")
    np.testing.assert_allclose(parts.errors[row], whole.errors[row], rtol=1e-5)
    assert parts.errors.shape == whole.errors.shape


def test_a_seed_gives_its_run_whatever_else_is_run(drawing):
    settings = {"samplers": drawing, "seeds": 2}
    both = sampling_errors(layered(), budgets=(2, 8), **settings)
    alone = sampling_errors(layered(), budgets=(8,), **settings)
    np.testing.assert_array_equal(both.errors[:, 1:], alone.errors)


# --- limits ---------------------------------------------------------------------------


def test_the_table_holds_the_limits_of_every_head():
    several = [layered(), layered(12, layers=1, is_causal=False)]
    table = limits_table(several, error=0.3)
    for row, inputs in zip(table, several, strict=True):
        tensors, settings = (inputs.q, inputs.k, inputs.v), {"error": 0.3}
        settings["is_causal"] = inputs.is_causal
        samples = least_samples(*tensors, **settings)
        np.testing.assert_array_equal(row.samples, samples.importance.flatten())
        np.testing.assert_array_equal(row.multinomial, samples.multinomial.flatten())
        keys = oracle_keys(*tensors, **settings)
        np.testing.assert_array_equal(row.keys, keys.kept.flatten())
        rank = oracle_rank(*tensors, **settings)
        np.testing.assert_array_equal(row.rank, rank.weights.flatten())
        np.testing.assert_array_equal(row.output_rank, rank.output.flatten())
        assert (row.length, row.is_causal) == (inputs.length, inputs.is_causal)


# --- pareto ---------------------------------------------------------------------------


def test_every_precision_brings_its_rivals(drawing):
    asked = [
        Configuration("math", "math"),
        Configuration("half", "math", dtype=torch.bfloat16),
        Configuration("wide", "sdpa", dtype=torch.float64),
    ]
    found = pareto(layered(), asked, repeats=2, seeds=2)
    names = [each.configuration.name for each in found.points]
    rivals = [f"{b}, float{bits}" for bits in (32, 64) for b in ("naive", "sdpa")]
    assert names == ["math", "half", "wide", *rivals]
    limits = [1e-5, 1e-1, 1e-12, 1e-5, 1e-5, 1e-12, 1e-12]
    for point, limit in zip(found.points, limits, strict=True):
        assert point.exact
        assert point.errors.shape == (1, 6)
        assert point.errors.max() < limit
        assert point.seconds.shape == (2,)
    assert found.points[1].errors.max() > 1e-4  # its inputs were rounded


def test_what_draws_is_run_with_every_seed(drawing):
    way = Configuration("draws", "draws", {"samples": 5})
    point = pareto(layered(), [way], repeats=1, seeds=4).points[0]
    assert point.errors.shape == (4, 6)
    assert len(np.unique(point.errors)) == 24
    assert (point.values_touched, point.exact) == (5, False)


def test_memory_is_that_of_one_layer():
    way = [Configuration("math", "math")]
    one, two = (
        pareto(layered(128, layers=n, heads=1), way, repeats=1).points[1].peak_bytes
        for n in (1, 2)
    )
    assert one == two >= 4 * 128**2


def point(name, seconds, error, *, exact=False, precision=torch.float32):
    way = Configuration(name, name.split(",")[0], dtype=precision)
    errors, seconds = np.full((1, 2), error), np.array(seconds)
    return Point(way, precision, exact, errors, seconds, int(error * 1000), 1.0, 1.0)


POINTS = (
    point("ours", [1.0, 2.0], 0.2),
    point("slow", [5.0, 5.0], 0.3),
    point("half", [0.5, 0.5], 0.004, exact=True, precision=torch.bfloat16),
    point("naive", [9.0, 8.0], 0.1, exact=True),
    point("sdpa", [4.0, 3.0], 0.05, exact=True),
    point("math", [2.5, 4.5], 0.1, exact=True),
)


def test_ratios_are_to_the_rival_of_the_same_precision():
    found = Pareto("made", 8, False, POINTS)
    ours, _, half, *_ = POINTS
    np.testing.assert_allclose(found.speed(ours, "naive"), [9, 4])
    np.testing.assert_allclose(found.speed(ours, "sdpa"), [4, 1.5])
    np.testing.assert_allclose(found.speed(ours, "exact"), [2.5, 2.25])
    np.testing.assert_allclose(found.speed(half, "exact"), [1, 1])
    assert found.memory(ours, "naive") == 2


def test_the_fastest_and_the_leanest_within_an_error():
    lean = replace(POINTS[1], peak_bytes=10)
    found = Pareto("made", 8, False, (POINTS[0], lean, *POINTS[2:]))
    assert found.fastest(0.25) is POINTS[0]
    assert found.fastest(0.35) is POINTS[0]
    assert found.fastest(0.2) is None
    assert found.leanest(0.35) is lean
    assert found.leanest(0.01) is None
    assert found.spared(lean) == pytest.approx(1 - 10 / 50)


def test_rows_of_seconds_are_marked_and_no_two_are_alike():
    found = Pareto("made", 8, False, POINTS[:2] + POINTS[3:])
    rows = list(found.rows())
    timed = [metric for metric, _, labels in rows if labels.get("kind") == "time"]
    assert set(timed) == {
        "milliseconds",
        *(f"times as fast as {kind}" for kind in ("naive", "sdpa", "exact")),
    }
    assert len({(metric, str(labels)) for metric, _, labels in rows}) == len(rows)


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_standard_configurations_run_and_honour_causality(is_causal):
    names = {each.name for each in standard(8192, is_causal=is_causal)}
    assert not any(name.startswith("stratified") for name in names)
    assert ("Linformer" in names) is ("Nyström" in names) is not is_causal
    inputs = gaussian(32, heads=1, dim=8, is_causal=is_causal)
    asked = standard(32, is_causal=is_causal)
    found = pareto(inputs, asked, repeats=1, seeds=1)
    names = [each.configuration.name for each in found.points]
    assert len(set(names)) == len(names) > len(asked)
    assert all(np.isfinite(value) for _, value, _ in found.rows())


# --- short inputs ---------------------------------------------------------------------


def test_short_inputs_are_judged_and_timed_at_every_length(drawing):
    found = small(lengths=(8, 12), dim=4, samplers=drawing, repeats=2, seeds=3)
    assert [(each.length, each.samples) for each in found] == [(8, 2), (12, 3)]
    for each in found:
        assert each.methods == (*EXACT, "draws")
        np.testing.assert_array_equal(each.exact, [True] * len(EXACT) + [False])
        assert each.seconds.shape == (len(EXACT) + 1, 2)
        assert each.errors[:-1].max() < 1e-5
        assert len(np.unique(each.errors[-1])) == 3
        assert each.errors[-1].min() > 0.1


def test_speed_is_of_the_fastest_on_either_side():
    seconds = np.array([[4.0, 4.4], [2.0, 2.2], [9.0, 9.0], [1.0, 1.0], [3.0, 0.9]])
    exact = np.array([True, True, True, False, False])
    found = Small(8, 2, tuple("abcde"), exact, seconds, np.zeros((5, 1)))
    np.testing.assert_allclose(found.speed(), [2 / 3, 2.2 / 0.9])


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        small(share=share)


@pytest.mark.parametrize("seeds", [0, 1.5])
def test_seeds_that_are_none_are_refused(seeds):
    for trial in (small, lambda **s: pareto(layered(), [], **s)):
        with pytest.raises(ValueError, match="seeds"):
            trial(seeds=seeds)
    with pytest.raises(ValueError, match="seeds"):
        sampling_errors(layered(), seeds=seeds)
