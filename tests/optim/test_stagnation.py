"""Smoothed losses against averages made by hand, ages, and who jumps."""

import io
import math
from dataclasses import asdict

import pytest
import torch
from scipy.stats import binomtest

from qlib.optim.stagnation import (
    Progress,
    best_agent,
    copy_progress,
    forget,
    jumping,
    note_losses,
)

FALSE_ALARM = 1e-4
EVERYONE = torch.ones(4, dtype=torch.bool)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _noted(losses, smoothing, rows=EVERYONE, progress=None):
    progress = Progress.start(4) if progress is None else progress
    for row in losses:
        losses = torch.as_tensor(row, dtype=torch.float64).expand(4)
        progress = note_losses(progress, losses, smoothing=smoothing, rows=rows)
    return progress


def _assert_equal(first, second):
    for name, value in asdict(first).items():
        assert torch.equal(value, getattr(second, name)), name


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.9, 0.999])
def test_smoothed_loss_is_the_bias_corrected_moving_average(smoothing):
    """Four agents, each evaluated in about half of the steps, against one loop each
    over its own evaluations.
    """
    losses = torch.randn(60, 4, generator=_generator(1), dtype=torch.float64)
    due = torch.rand(60, 4, generator=_generator(2)) < 0.5
    progress = Progress.start(4)
    for row, rows in zip(losses, due, strict=True):
        progress = note_losses(progress, row, smoothing=smoothing, rows=rows)
    for agent in range(4):
        average, lowest, age = 0.0, math.inf, 0
        own = losses[due[:, agent], agent].tolist()
        for count, loss in enumerate(own, start=1):
            average = smoothing * average + (1 - smoothing) * loss
            corrected = average / (1 - smoothing**count)
            age = 0 if corrected < lowest else age + 1
            lowest = min(lowest, corrected)
        assert float(progress.smoothed[agent]) == pytest.approx(corrected, rel=1e-10)
        assert float(progress.lowest[agent]) == pytest.approx(lowest, rel=1e-10)
        assert int(progress.age[agent]) == age
        assert int(progress.count[agent]) == len(own)


def test_age_counts_own_evaluations_only():
    rows = torch.tensor([True, False, True, False])
    progress = _noted([1.0, 2.0, 2.0, 2.0], 0.5, rows)
    assert progress.age.tolist() == [3, 0, 3, 0]
    progress = _noted([1.0, 2.0], 0.5, ~rows, progress)
    assert progress.age.tolist() == [3, 1, 3, 1]
    assert progress.count.tolist() == [4, 2, 4, 2]


@pytest.mark.parametrize("loss", [0.1, 1 / 3, -2.7e8])
def test_equal_losses_are_no_improvement(loss):
    progress = _noted([loss] * 1000, 0.9)
    assert progress.age.tolist() == [999] * 4
    assert progress.smoothed.tolist() == progress.lowest.tolist() == [loss] * 4


def test_an_improvement_makes_young_again():
    progress = _noted([1.0, 2.0, 2.0], 0.0)
    assert progress.age.tolist() == [2] * 4
    assert _noted([0.9], 0.0, progress=progress).age.tolist() == [0] * 4


def test_nothing_is_known_before_the_first_evaluation():
    progress = Progress.start(4)
    assert progress.smoothed.isnan().all()
    assert progress.age.tolist() == progress.count.tolist() == [0] * 4
    assert best_agent(progress.smoothed, EVERYONE) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_leaves_its_agent_alone(bad):
    before = _noted([1.0, 3.0], 0.9)
    after = _noted([[-9.0, bad, -9.0, -9.0]], 0.9, progress=before)
    for name, value in asdict(after).items():
        assert value[1] == getattr(before, name)[1]
        assert value[0] != getattr(before, name)[0]
    first = _noted([[0.5, bad, 0.5, 0.5]], 0.9)
    assert first.smoothed.isnan().tolist() == [False, True, False, False]


def test_a_jump_starts_the_record_anew():
    rows = torch.tensor([False, True, False, False])
    progress = forget(_noted([1.0, 5.0, 5.0], 0.9), rows)
    assert progress.age.tolist() == [2, 0, 2, 2]
    assert progress.smoothed.isnan().tolist() == rows.tolist()
    progress = _noted([7.0], 0.9, progress=progress)
    assert float(progress.smoothed[1]) == float(progress.lowest[1]) == 7.0
    assert progress.age.tolist() == [3, 0, 3, 3]


def test_a_re_seeded_agent_goes_on_as_the_best_did():
    progress = _noted([[1.0, 9.0, 3.0, 4.0], [2.0, 9.0, 5.0, 5.0]], 0.9)
    rows = torch.tensor([False, True, False, True])
    copied = copy_progress(progress, rows, 0)
    assert copied.smoothed[rows].tolist() == [float(progress.smoothed[0])] * 2
    assert torch.equal(copied.lowest[rows], copied.smoothed[rows])
    assert copied.age.tolist() == [1, 0, 1, 0]
    later = _noted([1.0, 4.0], 0.9, progress=copied)
    assert torch.equal(later.smoothed[[1, 3]], later.smoothed[[0, 0]])


def test_re_seeding_from_an_agent_never_evaluated_starts_anew():
    rows = torch.tensor([True, False, False, False])
    progress = _noted([1.0, 2.0], 0.9, rows)
    start = Progress.start(4)
    copied = copy_progress(progress, rows, 2)
    torch.testing.assert_close(asdict(copied), asdict(start), equal_nan=True)


def test_record_survives_loading_of_weights_only():
    progress = _noted([1.0, 2.0, 0.5], 0.9)
    file = io.BytesIO()
    torch.save(asdict(progress), file)
    file.seek(0)
    _assert_equal(progress, Progress(**torch.load(file, weights_only=True)))


def test_best_agent_is_the_least_usable_loss():
    losses = torch.tensor([3.0, math.nan, 1.0, 2.0], dtype=torch.float64)
    assert best_agent(losses, EVERYONE) == 2
    assert best_agent(losses, torch.tensor([True, True, False, True])) == 3
    assert best_agent(losses, torch.tensor([False, True, False, False])) is None
    assert best_agent(-losses, EVERYONE) == 0
    tied = torch.ones(4, dtype=torch.float64)
    assert best_agent(tied, EVERYONE) == 0


# Jumps


def _jumps(age, alpha, *, rows=None, seed=0, patience=3):
    alpha = torch.as_tensor(alpha, dtype=torch.float64).expand(len(age))
    rows = torch.ones(len(age), dtype=torch.bool) if rows is None else rows
    return jumping(age, patience, alpha, _generator(seed), rows)


@pytest.mark.parametrize("alpha", [0.1, 0.5, math.pi / 3, math.pi / 2, 2.0, 3.0])
def test_a_stagnating_agent_jumps_with_probability_sine_squared(alpha):
    agents = 20_000
    jumps = _jumps(torch.full((agents,), 4), alpha, seed=round(10 * alpha))
    test = binomtest(int(jumps.sum()), agents, math.sin(alpha / 2) ** 2)
    assert test.pvalue > FALSE_ALARM


def test_the_poles_never_and_always_jump():
    age = torch.full((1000,), 4)
    assert not _jumps(age, 0.0).any()
    assert _jumps(age, math.pi).all()


@pytest.mark.parametrize("patience", [0, 3, 10])
def test_only_agents_older_than_the_patience_jump(patience):
    age = torch.arange(20)
    assert torch.equal(_jumps(age, math.pi, patience=patience), age > patience)


def test_agents_that_rest_do_not_jump_and_others_do_not_notice():
    age, rows = torch.full((40,), 9), torch.arange(40) % 3 == 0
    everyone = _jumps(age, math.pi / 2)
    assert torch.equal(_jumps(age, math.pi / 2, rows=rows), everyone & rows)
    assert 0 < int((everyone & rows).sum()) < int(everyone.sum()) < 40


def test_one_agent_never_jumps_and_draws_nothing():
    generator = _generator()
    before = generator.get_state()
    alpha = torch.full((1,), math.pi, dtype=torch.float64)
    rows = torch.ones(1, dtype=torch.bool)
    assert jumping(torch.tensor([99]), 3, alpha, generator, rows).tolist() == [False]
    assert torch.equal(generator.get_state(), before)
