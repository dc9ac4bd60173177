"""A network and its features; channels removed, and training from given heads."""

import copy

import numpy as np
import pytest
import torch

from qlib.data import Images
from qlib.weights import pruning
from qlib.weights.features import features, segment
from qlib.weights.inject import inject_head
from qlib.weights.pretraining import Pretraining
from qlib.weights.quantize.calibration import cross_entropy
from qlib.weights.training import evaluate
from qlib.weights.trials import network as trials
from qlib.weights.trials import stage as stage_trials
from qlib.weights.trials.stage import compare_channels

SIZE = 32
LABELS = np.array([0, 1, 2] * 4)
EFFORT = dict(kicks=5, reads=1, sweeps=20, clock=lambda: 0.0)
ALL = np.arange(12)


@pytest.fixture
def head():
    rng = np.random.default_rng(3)
    return 0.1 * rng.normal(size=(512, 3)), rng.normal(size=3)


def weights_of(model):
    return copy.deepcopy(model.state_dict())


def assert_unchanged(model, before):
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def channels(net, head, share, draws=(ALL,), block="layer1.1"):
    return compare_channels(
        net,
        draws,
        head,
        block=block,
        test=ALL,
        share=share,
        **EFFORT,
        rng=np.random.default_rng(4),
    )


def test_keeping_all_channels_leaves_the_network_as_it_is(net, head):
    before = weights_of(net.model)
    found = channels(net, head, 1.0)
    model = inject_head(copy.deepcopy(net.model), *head)
    whole = evaluate(model, net.images.test_x, LABELS, size=SIZE).accuracy
    for name, one in found.items():
        np.testing.assert_allclose(one.error, 0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(one.refitted_error, 0, atol=1e-6, err_msg=name)
        assert one.accuracy == one.refitted_accuracy == [whole], name
    assert_unchanged(net.model, before)


def test_refitting_half_of_the_channels_never_raises_the_error(net, head):
    found = channels(net, head, 0.5, draws=(ALL, ALL[:6]))
    for name, one in found.items():
        assert one.error.shape == (2,)
        assert (one.refitted_error <= one.error).all(), name
        assert (one.error > 0).all(), name
    assert (found["greedy and swap"].error <= found["greedy"].error + 1e-12).all()
    assert (found["SA"].error < found["random search"].error).all()


def test_accuracy_is_measured_on_the_network_with_the_new_kernel(
    net, head, monkeypatch
):
    """By hand: its zeros remove the channels, BatchNorm's mean takes up the bias."""
    seen = []

    def spy(model, images, labels, *, size):
        seen.append(features(model, images, size=size))
        return evaluate(model, images, labels, size=size)

    monkeypatch.setattr(stage_trials, "evaluate", spy)
    rng, kept = np.random.default_rng(6), np.arange(64) % 3 > 0
    by_hand = copy.deepcopy(net.model)
    block = by_hand.layer1[1]
    kernel = 0.1 * rng.normal(size=block.conv2.weight.shape) * kept[:, None, None]
    layer = pruning.Refit(pruning.flatten_kernel(kernel), rng.normal(size=64))
    stage_trials._accuracy(net, head, "layer1.1", kept, kernel.shape, layer, ALL)
    with torch.no_grad():
        block.conv2.weight.copy_(torch.from_numpy(kernel))
        block.bn2.running_mean -= torch.from_numpy(layer.bias)
    expected = features(by_hand, net.images.test_x, size=SIZE)
    np.testing.assert_allclose(seen[0], expected, atol=1e-4)


def test_curves_begin_at_the_heads_own_loss_whatever_the_rate(net, head):
    before = weights_of(net.model)
    stage = trials.last_stage(net, ALL, ALL[:5])
    logits = net.features @ head[0] + head[1]
    own = cross_entropy(logits, LABELS)
    right = (net.test_features[:5] @ head[0] + head[1]).argmax(axis=1) == LABELS[:5]
    for lr in (1e-9, 0.01):
        curve = trials.fine_tuning(net, stage, head, lr=lr, epochs=1, rng=0)
        assert curve.loss.shape == curve.accuracy.shape == (2,)
        assert curve.loss[0] == pytest.approx(own, abs=1e-5)
        assert curve.accuracy[0] == right.mean()
    assert_unchanged(net.model, before)


def test_a_rate_of_almost_zero_moves_batchnorm_statistics_alone(net, head):
    """All twelve images are one batch, so that their order does not matter."""
    stage = trials.last_stage(net, ALL, ALL)
    curve = trials.fine_tuning(net, stage, head, lr=1e-12, epochs=2, rng=1)
    model = inject_head(copy.deepcopy(net.model), *head)
    for step in (1, 2):
        segment(model, "layer4", None).train()
        with torch.no_grad():
            segment(model, "layer4", None)(stage.inputs)
        model.eval()
        still = evaluate(model, stage.inputs, stage.labels)
        assert curve.loss[step] == pytest.approx(still.loss, abs=1e-4)


def test_training_from_a_head_lowers_its_loss_and_repeats(net, head):
    """A batch an epoch: running statistics take some twenty to forget the start."""
    stage = trials.last_stage(net, ALL, ALL)
    curve = trials.fine_tuning(net, stage, head, lr=0.003, epochs=25, rng=2)
    assert curve.loss[-1] < curve.loss[0] / 2
    short = dict(lr=0.003, epochs=2, rng=2)
    one, again = (trials.fine_tuning(net, stage, head, **short) for _ in range(2))
    np.testing.assert_array_equal(one.loss, again.loss)


def test_pre_training_sees_one_half_of_the_classes_and_the_study_the_other(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)
    y = np.arange(24) % 4
    data = Images("noise", "noise of 8x8", x, y, x[:8], y[:8], tuple("abcd"))
    settings = Pretraining(sizes=(32,), batch_size=6, bfloat16=False)
    ways = dict(weights="pretrained here", size=SIZE, pretraining=settings)
    found = trials.backbone(data, **ways, folder=tmp_path)
    assert found.images.class_names == ("c", "d")
    np.testing.assert_array_equal(found.images.train_x, x[y >= 2])
    np.testing.assert_array_equal(found.images.train_y, y[y >= 2] - 2)
    assert found.origin == "noise of 8x8, classes a, b"
    assert found.features.shape == (12, 512)
    assert found.test_features.shape == (4, 512)
    direct = features(found.model, x[y >= 2], size=SIZE)
    np.testing.assert_allclose(found.features, direct, rtol=1e-5, atol=1e-5)
    again = trials.backbone(data, **ways, folder=tmp_path)
    np.testing.assert_array_equal(again.features, found.features)
    # the study's classes have no part in it: other images of them, the same weights
    x[y >= 2] = 255 - x[y >= 2]
    other = trials.backbone(data, **ways, folder=tmp_path / "other")
    for name, tensor in other.model.state_dict().items():
        if not name.startswith("fc"):
            assert torch.equal(tensor, found.model.state_dict()[name]), name
    assert not np.array_equal(other.features, found.features)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (("cifar100", "cifar10"), "cifar100"),
        (("cifar10", "cifar10-jpeg"), "cifar10"),
        (("cifar10-jpeg", "digits"), "cifar10-jpeg"),
    ],
)
def test_auto_is_the_first_data_that_are_there(there, taken, monkeypatch):
    def load(name):
        if name not in there:
            raise FileNotFoundError(f"fetch {name}")
        return name

    monkeypatch.setattr(trials, "load_images", load)
    assert trials.available("auto") == taken
    assert trials.available(there[-1]) == there[-1]


def test_without_data_the_message_says_how_to_get_the_least(monkeypatch):
    def load(name):
        raise FileNotFoundError(f"fetch {name}")

    monkeypatch.setattr(trials, "load_images", load)
    with pytest.raises(FileNotFoundError, match="fetch cifar10-jpeg"):
        trials.available("auto")


def test_starts_compared_are_each_fine_tuned_on_the_batches_of_its_draw(net, head):
    draws, other = [ALL, ALL[::2]], (-head[0], head[1])
    heads = [{"SGD": head, "SA": other}, {"SGD": other, "SA": head}]
    ways = dict(lr=0.01, epochs=2)
    found = trials.compare_starts(net, draws, heads, ALL[:5], **ways)
    for draw, (rows, starts) in enumerate(zip(draws, heads, strict=True)):
        stage = trials.last_stage(net, rows, ALL[:5])
        for name, start in starts.items():
            alone = trials.fine_tuning(net, stage, start, rng=draw, **ways)
            np.testing.assert_array_equal(found[name].loss[draw], alone.loss)
            np.testing.assert_array_equal(found[name].accuracy[draw], alone.accuracy)
