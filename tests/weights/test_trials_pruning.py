"""Errors of masks by two routes, order among methods, nothing lost by keeping all."""

import numpy as np
import pytest

from qlib.weights import pruning
from qlib.weights.trials import pruning as trials

EFFORT = dict(kicks=20, reads=2, sweeps=200, clock=lambda: 0.0)


@pytest.fixture(scope="module")
def compared(studies):
    rng = np.random.default_rng(0)
    found, _ = trials.compare_masks(studies, (0.25, 0.5, 0.75), **EFFORT, rng=rng)
    return found


def test_refitting_never_raises_the_error(compared, studies):
    for name, found in compared.items():
        assert found.error.shape == (3, len(studies)), name
        assert (found.refitted_error <= found.error + 1e-12).all(), name
        assert (found.refitted_error >= -1e-12).all(), name


def test_search_by_swaps_is_never_worse_than_where_it_begins(compared):
    searched = compared["greedy and swap"].error
    assert (searched <= compared["greedy"].error + 1e-12).all()
    assert (searched < compared["random search"].error).all()


def test_no_method_beats_the_list_of_all_masks(compared, studies):
    """Of twelve features; annealing with its 200 sweeps finds the best of them here."""
    for column, study in enumerate(studies):
        weights = study.optimum.weights
        model = pruning.reconstruction_qubo(study.features, weights)
        power = pruning.output_power(pruning.feature_moments(study.features), weights)
        for row, keep in enumerate((3, 6, 9)):
            least = pruning.enumerate_masks(model, keep).energy / power
            for found in compared.values():
                assert found.error[row, column] >= least - 1e-10
            assert compared["SA"].error[row, column] == pytest.approx(least, rel=1e-9)


def test_annealing_the_second_order_loss_finds_its_best_mask(studies):
    study = studies[0]
    model = trials.fisher_model(study)
    every = pruning.enumerate_masks(model, 6)
    found = pruning.anneal(model, 6, num_reads=2, num_sweeps=200, seed=1)
    assert found.energy == pytest.approx(every.energy, rel=1e-9)
    assert model.energy(np.ones(12)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("keep", [1, 5, 11])
def test_error_is_the_energy_and_the_squared_change_of_the_logits(keep, study):
    weights, features = study.optimum.weights, study.features
    moments = pruning.feature_moments(features)
    model = pruning.reconstruction_qubo(features, weights)
    power = features @ weights
    power = np.sum(power.var(axis=0))
    kept = pruning.random_mask(12, keep, np.random.default_rng(keep))
    found = trials.pruned(study, moments, kept)
    energy = float(model.energy(np.where(kept, 1, -1)))
    assert found.error * power == pytest.approx(energy, rel=1e-9)
    change = features[:, ~kept] @ weights[~kept]
    assert found.error * power == pytest.approx(change.var(axis=0).sum(), rel=1e-9)


def test_keeping_all_leaves_logits_and_accuracy(study):
    moments = pruning.feature_moments(study.features)
    found = trials.pruned(study, moments, np.ones(12, dtype=bool))
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.refitted_error == pytest.approx(0, abs=1e-12)
    accuracy = study.accuracy(study.optimum.weights, study.optimum.bias)
    assert found.accuracy == found.refitted_accuracy == accuracy


@pytest.mark.parametrize("keep", [1, 6, 12])
def test_every_mask_keeps_as_many_as_asked_for(keep, study):
    weights = study.optimum.weights
    moments = pruning.feature_moments(study.features)
    model = pruning.reconstruction_qubo(study.features, weights)
    data = model, moments, weights, keep
    tick = iter(range(100))
    ways = EFFORT | dict(clock=lambda: next(tick))
    (found, seconds), (again, _) = (
        trials.masks(*data, **ways, rng=np.random.default_rng(2)) for _ in range(2)
    )
    assert seconds == dict.fromkeys(found, 1)
    for name, kept in found.items():
        assert kept.sum() == keep, name
        np.testing.assert_array_equal(kept, again[name])
    largest = np.argsort(-np.linalg.norm(weights, axis=1))[:keep]
    assert set(np.flatnonzero(found["magnitude"])) == set(largest)
