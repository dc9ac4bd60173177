"""Conformal intervals, support, folds of families, and ensembles of networks."""

import numpy as np
import torch

from qlib.entanglement.predictor.calibration import (
    Support,
    conformal_quantile,
    folds,
)
from qlib.entanglement.predictor.networks import apply, draw_weights, minimise


def test_conformal_quantile_covers_new_scores_as_promised():
    """Mean coverage of 2000 draws of 49 scores, whose law is Beta: five sigma."""
    rng = np.random.default_rng(0)
    covered = [
        rng.uniform() <= conformal_quantile(rng.uniform(size=49), 0.9)
        for _ in range(2000)
    ]
    assert abs(np.mean(covered) - 0.9) < 5 * np.sqrt(0.9 * 0.1 / 2000)


def test_too_few_scores_bound_nothing():
    assert conformal_quantile(np.arange(8), 0.9) == np.inf
    assert conformal_quantile(np.arange(9), 0.9) == 8
    assert conformal_quantile([], 0.9) == np.inf


def test_folds_keep_groups_together_and_differ_by_one_group_at_most():
    groups = np.repeat(list("abcdefg"), [1, 5, 2, 3, 1, 1, 4])
    fold = folds(groups, 3, 0)
    per_group = [set(fold[groups == name]) for name in "abcdefg"]
    assert all(len(found) == 1 for found in per_group)
    sizes = np.bincount([found.pop() for found in per_group])
    assert sizes.min() == 2
    assert sizes.max() == 3


def test_support_holds_what_it_was_given_and_not_what_is_far():
    inputs = np.random.default_rng(0).normal(size=(50, 3))
    support = Support(inputs)
    assert support.holds(inputs).all()
    assert not support.holds(inputs + 100).any()


def test_members_of_an_ensemble_train_as_if_alone():
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    together = draw_weights(3, (1, 4, 1), torch.Generator().manual_seed(0))
    alone = [weight[1:2].detach().clone().requires_grad_() for weight in together]
    for weights in (together, alone):

        def losses(weights=weights):
            return (apply(weights, x) - x**2).square().mean(dim=(1, 2))

        minimise(weights, losses, steps=30, lr=1e-2, weight_decay=1e-2)
    for joint, single in zip(together, alone, strict=True):
        torch.testing.assert_close(joint[1:2], single, rtol=1e-12, atol=1e-14)


def test_early_stopping_ends_with_the_weights_of_the_least_validation_loss():
    """Training drives the output to 1, validation wants 0.3."""
    weights = draw_weights(2, (1, 1), torch.Generator().manual_seed(0))
    x, seen = torch.ones((1, 1), dtype=torch.float64), []

    def losses(target=1.0):
        return (apply(weights, x)[:, 0, 0] - target).square()

    def validation():
        seen.append(losses(0.3))
        return seen[-1]

    options = dict(steps=300, lr=1e-2, weight_decay=0.0)
    minimise(weights, losses, validation=validation, every=1, **options)
    least = torch.stack(seen).min(dim=0).values
    torch.testing.assert_close(losses(0.3).detach(), least.detach())
