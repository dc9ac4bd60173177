"""Comparisons head by head, rivals without a sampler, errors on other inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qlib.attention.trials import comparisons
from qlib.attention.trials.errors import SamplingErrors
from qlib.attention.trials.inputs import gaussian, reference, relative_errors
from qlib.attention.trials.language import Losses
from qlib.attention.trials.pareto import (
    Configuration,
    Pareto,
    Point,
    errors_elsewhere,
    judge,
)
from qlib.attention.trials.references import reference_errors, reference_output

METHODS = ("multinomial", "ours")


def head(ratio, read=1.0):
    """Errors of one head: ours is `ratio` of multinomial's, reading `read` as much."""
    budgets = np.array([4, 16])
    errors = np.array([[1.0, 0.5], [ratio, 0.5 * ratio]])[..., None, None]
    reads = np.array([[4.0, 16.0], [4 * read, 16 * read]])
    theory = np.ones((2, 2, 1))
    return SamplingErrors(
        "made",
        32,
        METHODS,
        budgets,
        errors * np.ones((1, 1, 3, 1)),
        errors,
        reads,
        theory,
    )


def test_a_ratio_over_heads_is_the_geometric_mean_at_equal_reads():
    heads = [head(0.25), head(1.0)]
    assert comparisons.over_rival(heads, "ours", "multinomial", 4).value == 0.5
    assert comparisons.over_multinomial(heads, "ours").value == pytest.approx(0.5)
    dear = [
        head(0.25, 4.0),
        head(1.0, 4.0),
    ]  # reads four times as much: twice the ratio
    assert comparisons.over_multinomial(dear, "ours").value == pytest.approx(1.0)
    mean = comparisons.mean_error(heads, "ours", 16)
    assert mean.value == pytest.approx((0.125 + 0.5) / 2)
    assert mean.low < 0.125
    assert mean.high > 0.5


def test_heads_by_themselves_are_joined_by_performer_and_no_other_head():
    inputs = gaussian(48, heads=3, dim=8)
    heads = comparisons.by_head(inputs, 2, seeds=1)
    assert len(heads) == 2
    for place, one in enumerate(heads):
        assert "Performer" in one.methods
        alone = replace(
            inputs, **{x: getattr(inputs, x)[:, place : place + 1] for x in "qkv"}
        )
        exact = reference(alone)
        for name in ("largest weights", "mean of values"):
            expected = reference_errors(alone, exact, name, 32, seed=0)
            np.testing.assert_allclose(one.at(name, 32)[0], expected, rtol=1e-4)


@pytest.mark.parametrize("budget", [2, 16])
def test_largest_weights_err_as_their_better_form(budget):
    inputs = gaussian(32, heads=4)
    exact = reference(inputs)
    forms = [
        relative_errors(
            reference_output(
                inputs, "largest weights", budget, seed=0, normalised=normalised
            ),
            exact,
        )
        for normalised in (True, False)
    ]
    assert np.abs(forms[0] - forms[1]).min() > 0.01
    found = reference_errors(inputs, exact, "largest weights", budget, seed=0)
    np.testing.assert_array_equal(found, np.minimum(*forms))


def test_keys_by_chance_are_as_many_and_none_that_is_hidden():
    """Of 32 keys 4, 6400 draws of each: the share of a key is 1/8 to 5 σ."""
    inputs = gaussian(32, heads=8, is_causal=True)
    identity = replace(inputs, v=torch.eye(32).expand(1, 8, 32, 32))
    kept = torch.stack(
        [reference_output(identity, "random keys", 4, seed=seed) for seed in range(25)]
    )
    assert (kept.triu(1) == 0).all()
    counts = (kept > 0).sum(-1)
    assert (counts == torch.arange(1, 33).clamp(max=4)).all()
    share = (kept[..., -1, :] > 0).double().mean((0, 1, 2))
    assert (share - 1 / 8).abs().max() < 5 * (7 / 64 / 200) ** 0.5


def point(name, seconds, error, *, exact=False, precision=torch.float32):
    configuration = Configuration(name, name)
    errors, seconds = np.full((1, 2), error), np.array([seconds, 2 * seconds])
    return Point(configuration, precision, exact, errors, seconds, 8, 1.0, 1.0)


FRONT = Pareto(
    "made",
    8,
    True,
    (
        point("coarse", 1.0, 0.09),
        point("fine", 2.0, 0.05),
        point("half", 3.0, 0.004, exact=True, precision=torch.bfloat16),
        point("naive", 9.0, 0.0, exact=True),
        point("sdpa", 4.0, 0.0, exact=True),
    ),
)


def test_a_setting_is_surely_within_by_its_interval_and_not_by_its_mean():
    spread, steady = np.array([0.05, 0.13, 0.09]), np.array([0.06, 0.07, 0.065])
    chosen = comparisons.fastest_surely_within
    both = {"coarse": spread, "fine": steady}
    assert chosen(FRONT, both, 0.1).configuration.name == "fine"
    assert chosen(FRONT, both | {"coarse": steady}, 0.1).configuration.name == "coarse"
    assert chosen(FRONT, {"coarse": spread, "fine": spread}, 0.1) is None


def test_cheaper_ways_are_approximations_and_lower_precision():
    names = [each.configuration.name for each in FRONT.cheaper(0.1)]
    assert names == ["coarse", "fine", "half"]
    assert [each.configuration.name for each in FRONT.cheaper(0.01)] == ["half"]
    half = FRONT.points[2]
    assert FRONT.rival(half, "naive", torch.float32) is FRONT.points[3]
    np.testing.assert_allclose(FRONT.speed(half, "naive", torch.float32), 3)


def test_errors_elsewhere_are_root_mean_squares_of_each_input():
    several = [gaussian(24, heads=3, dim=8, seed=seed) for seed in (1, 2)]
    window = Configuration("near", "local_window", {"window": 4})
    found = errors_elsewhere([window, Configuration("all", "math")], several)
    assert found["all"].max() < 1e-5
    for inputs, error in zip(several, found["near"], strict=True):
        errors = judge(window, inputs, reference(inputs), 1)["errors"]
        assert error == pytest.approx(np.sqrt(np.mean(errors**2)))


def losses(bits):
    bits = np.asarray(bits, dtype=float)
    names = tuple(f"way {place}" for place in range(len(bits)))
    errors = np.arange(1.0, len(bits) + 1)[:, None]
    exact = np.full(bits.shape[1], 2.0)
    return Losses(64, names, ("math",) * len(bits), exact, bits, errors)


def test_a_ranking_of_losses_has_fishers_interval():
    rising = losses([[2.1, 2.3], [2.2, 2.2], [2.3, 2.5], [2.5, 2.4], [2.6, 2.9]])
    found = rising.correlation()
    means = [2.2, 2.2, 2.4, 2.45, 2.75]
    assert np.all(np.diff(means) >= 0)
    assert 0.9 < found.value < 1
    spread = 1.959964 / np.sqrt(5 - 3)
    limits = np.tanh(np.arctanh(found.value) + np.array([-spread, spread]))
    np.testing.assert_allclose([found.low, found.high], limits, rtol=1e-5)


def test_losses_told_from_exact_and_from_one_another():
    found = losses([[2.0, 2.0, 2.01], [2.5, 2.52, 2.51], [1.5, 2.6, 2.0]])
    assert found.apart() == 1
    less = found.spared("way 0", "way 1")
    assert less.high < 0
    assert less.value == pytest.approx(-(0.5 + 0.52 + 0.5) / 3 / 2)
