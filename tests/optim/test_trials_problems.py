"""Landscapes agree with the library's, gradients with automatic ones, counts add up."""

import numpy as np
import pytest
import torch

from qlib.annealing import landscapes
from qlib.optim.trials import problems

NAMES = list(problems.SHAPES)


def published(name, d):
    return getattr(landscapes, name.lower())(d)


@pytest.fixture(params=NAMES)
def problem(request):
    return problems.draw_problem(
        request.param, runs=5, d=4, rng=np.random.default_rng(3)
    )


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_the_published_landscapes(name):
    plain = problems.plain_problem(name, d=6, rng=np.random.default_rng(0))
    theirs = published(name, 6)
    x = plain.starts[0]
    values, _ = plain(x[None])
    np.testing.assert_allclose(values[0], theirs(x.T), rtol=1e-12)
    low, high = theirs.bounds[0]
    assert (problems.SHAPES[name].low, problems.SHAPES[name].high) == (low, high)


def test_gradients_are_those_of_automatic_differentiation(problem):
    """Through the library's formula, turned and moved by torch."""
    theirs = published(problem.name, 4)
    points = torch.from_numpy(problem.starts).requires_grad_()
    turned = torch.einsum(
        "rij,rkj->irk",
        torch.from_numpy(problem.rotations),
        points - torch.from_numpy(problem.minima)[:, None],
    )
    values = theirs(problems.SHAPES[problem.name].minimiser + turned.flatten(1))
    values.sum().backward()
    ours, gradients = problem(problem.starts)
    np.testing.assert_allclose(ours.ravel(), values.detach(), rtol=1e-10)
    scale = np.abs(points.grad.numpy()).max()
    np.testing.assert_allclose(gradients, points.grad, atol=1e-10 * scale)


def test_every_run_has_its_minimum_of_0_inside_the_box(problem):
    values, gradients = problem(problem.minima[:, None])
    assert np.abs(values).max() < 1e-12
    assert np.abs(gradients).max() < 1e-12
    shape = problems.SHAPES[problem.name]
    assert problem.minima.min() > shape.low
    assert problem.minima.max() < shape.high
    assert len(np.unique(problem.minima)) == problem.minima.size


def test_rotations_are_orthogonal(problem):
    squares = problem.rotations @ problem.rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(squares, np.tile(np.eye(4), (5, 1, 1)), atol=1e-12)


def test_one_run_alone_is_the_run_among_others(problem):
    values, gradients = problem(problem.starts)
    alone = problem.one(3)
    np.testing.assert_array_equal(alone(alone.starts)[0][0], values[3])
    np.testing.assert_allclose(alone(alone.starts)[1][0], gradients[3], rtol=1e-12)


def test_a_meter_counts_each_point_and_notes_the_best_so_far(problem):
    budget, rng = 300, np.random.default_rng(1)
    meter = problems.Meter(problem, budget)
    points = [problem.uniform(k, rng) for k in (1, 99, 150, 50)]
    values = np.concatenate([meter(x)[0] for x in points], axis=1)
    assert meter.spent == budget
    counts = problems.checkpoints(budget)
    noted = [place for place, count in enumerate(counts) if count in (100, 250, 300)]
    for place in noted:
        best = values[:, : counts[place]].min(axis=1)
        np.testing.assert_array_equal(meter.trace[:, place], best)
    assert (np.diff(meter.trace, axis=1) <= 0).all()
    with pytest.raises(problems.Spent):
        meter(points[0])


def test_values_that_are_not_numbers_are_no_best_values(problem):
    meter = problems.Meter(problem, 10)
    meter(np.full((5, 1, 4), np.nan))
    assert np.isinf(meter.trace).all()
    meter(problem.minima[:, None])
    assert np.abs(meter.trace).max() < 1e-12


def test_an_unknown_landscape_is_refused():
    with pytest.raises(ValueError, match="name: got 'Sphere'; allowed: Rastrigin"):
        problems.draw_problem("Sphere", runs=1, rng=np.random.default_rng(0))
