"""Facts about straight-through training: its gradient, its runs side by side."""

import numpy as np
import pytest

from qlib.weights.quantize.calibration import cross_entropy, probabilities
from qlib.weights.quantize.codes import BITS, levels
from qlib.weights.quantize.refit import refit
from qlib.weights.quantize.rounding import round_to_nearest
from qlib.weights.quantize.straight_through import (
    Training,
    loss_and_gradients,
    straight_through,
)


def classified(samples=300, d=10, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((samples, d)) @ rng.standard_normal((d, d)) / 2
    weights, bias = rng.standard_normal((d, classes)), rng.standard_normal(classes)
    shares = probabilities(features @ weights + bias)
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return features, labels, weights, bias


def random_training(bits, runs=2, classes=4, d=10, l2=0.05):
    rng = np.random.default_rng(1)
    return Training(
        1.5 * levels(bits)[-1] * rng.standard_normal((runs, classes, d)),
        rng.standard_normal((runs, classes)) - 2,
        rng.standard_normal((runs, classes)),
        bits,
        l2,
        np.full(runs, np.inf),
        [None] * runs,
    )


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("own_samples", [False, True])
def test_gradients_are_those_of_automatic_differentiation(bits, own_samples):
    torch = pytest.importorskip("torch")
    features, labels, _, _ = classified(40)
    training = random_training(bits)
    if own_samples:
        drawn = np.random.default_rng(2).integers(0, 40, (2, 15))
        features, labels = features[drawn], labels[drawn]
    loss, gradients = loss_and_gradients(training, features, labels)

    variables = [
        torch.tensor(values, requires_grad=True)
        for values in (training.latent, training.log_scale, training.bias)
    ]
    latent, log_scale, bias = variables
    codes = torch.tensor(training.codes.astype(np.float64))
    clipped = latent.clamp(-training.reach, training.reach)
    through = clipped + (codes - clipped).detach()
    weights = through * log_scale.exp()[..., None]  # (S, C, d)
    inputs = torch.tensor(np.broadcast_to(features, (2, *features.shape[-2:])).copy())
    targets = torch.tensor(np.broadcast_to(labels, (2, labels.shape[-1])).copy())
    logits = inputs @ weights.transpose(1, 2) + bias[:, None]
    losses = torch.stack(
        [
            torch.nn.functional.cross_entropy(z, y)
            for z, y in zip(logits, targets, strict=True)
        ]
    )
    losses = losses + training.l2 / 2 * (weights**2).sum(dim=(1, 2))
    losses.sum().backward()
    np.testing.assert_allclose(loss, losses.detach().numpy(), rtol=1e-12)
    for ours, variable in zip(gradients, variables, strict=True):
        np.testing.assert_allclose(ours, variable.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_gradient_passes_unchanged_inside_the_range_and_not_at_all_beyond(bits):
    features, labels, _, _ = classified(40)
    training = random_training(bits, l2=0.0)
    _, (of_latent, _, _) = loss_and_gradients(training, features, labels)
    weights = training.codes * np.exp(training.log_scale)[..., None]
    for run in range(2):
        slope = probabilities(features @ weights[run].T + training.bias[run])
        slope[np.arange(40), labels] -= 1
        of_codes = (slope.T @ features) / 40 * np.exp(training.log_scale[run])[:, None]
        inside = np.abs(training.latent[run]) <= training.reach
        assert inside.any()
        assert not inside.all()
        np.testing.assert_allclose(of_latent[run][inside], of_codes[inside], atol=1e-14)
        assert (of_latent[run][~inside] == 0).all()


@pytest.mark.parametrize("batch", [None, 50])
def test_seeds_side_by_side_are_runs_alone(batch):
    problem = classified()
    together = straight_through(
        *problem, 1.58, seeds=(3, 7, 3), steps=40, batch=batch, l2=1e-3
    )
    for seed, head in zip((3, 7, 3), together, strict=True):
        (alone,) = straight_through(
            *problem, 1.58, seeds=(seed,), steps=40, batch=batch, l2=1e-3
        )
        np.testing.assert_array_equal(alone.codes, head.codes)
        np.testing.assert_allclose(alone.weights, head.weights, atol=1e-9)
    assert (together[0].codes != together[1].codes).any()


def test_without_noise_full_batches_do_not_depend_on_the_seed():
    first, second = straight_through(*classified(), 2, seeds=(0, 1), steps=20, noise=0)
    np.testing.assert_array_equal(first.codes, second.codes)


@pytest.mark.parametrize("bits", [1, 1.58, 2])
@pytest.mark.parametrize("batch", [None, 100])
def test_training_lowers_the_loss_of_refitted_rounding(bits, batch):
    features, labels, weights, bias = classified()
    plain = refit(round_to_nearest(weights, bias, bits), features, labels)
    start = cross_entropy(plain.logits(features), labels)
    for head in straight_through(
        features, labels, weights, bias, bits, seeds=range(3), steps=200, batch=batch
    ):
        assert cross_entropy(head.logits(features), labels) < start


def test_best_codes_of_a_run_are_kept():
    features, labels, _, _ = classified(40)
    training = random_training(2, runs=2)
    training.keep(np.array([1.0, 1.0]))
    first = [head.codes.copy() for head in training.best]
    training.latent = -training.latent
    training.keep(np.array([2.0, 0.5]))
    np.testing.assert_array_equal(training.best[0].codes, first[0])
    assert (training.best[1].codes != first[1]).any()
    np.testing.assert_array_equal(training.least, [1.0, 0.5])
    loss, _ = loss_and_gradients(training, features, labels)
    expected = cross_entropy(training.best[1].logits(features), labels)
    penalty = training.l2 / 2 * np.sum(training.best[1].weights ** 2)
    assert loss[1] == pytest.approx(expected + penalty, rel=1e-12)


def test_one_sample_and_zero_weights_train():
    features, labels = np.array([[0.0, 1.0]]), np.array([1])
    (head,) = straight_through(
        features, labels, np.zeros((2, 3)), np.zeros(3), 1.58, steps=5, l2=0.1
    )
    assert head.logits(features).argmax() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, "seeds: got"),
        ({"seeds": (-1,)}, "seeds: got"),
        ({"seeds": (0.5,)}, "seeds: got"),
        ({"seeds": 3}, "seeds: got"),
        ({"steps": 0}, "steps: got 0"),
        ({"learning_rate": 0.0}, "learning_rate: got 0"),
        ({"gain_learning_rate": np.nan}, "gain_learning_rate: got nan"),
        ({"noise": -0.1}, "noise: got"),
        ({"batch": 0}, "batch: got 0"),
        ({"batch": 3}, "batch: got 3"),
        ({"l2": -1}, "l2: got -1"),
        ({"labels": [0, 3]}, "labels: got 3"),
        ({"features": [[1.0, np.inf], [0.0, 0.0]]}, "features: got"),
        ({"bits": 3.5}, r"bits: got 3\.5"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {
        "features": np.eye(2),
        "labels": [0, 1],
        "weights": np.ones((2, 3)),
        "bias": np.zeros(3),
        "bits": 2,
    }
    with pytest.raises(ValueError, match=message):
        straight_through(**arguments | change)
