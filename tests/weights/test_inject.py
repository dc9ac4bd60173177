"""What is injected is what the network then computes, exactly."""

import copy

import numpy as np
import pytest
import torch

from qlib.data import resize_and_normalise
from qlib.weights import inject, probes
from qlib.weights.features import features
from qlib.weights.training import fine_tune

BLOCKS = ("layer1.0", "layer3.1", "layer4.0", "layer4.1")


def logits(model, images):
    with torch.no_grad():
        return model(resize_and_normalise(images, 32)).numpy()


def feature_values(model, images, folder):
    return np.asarray(features(model, images, size=32, cache_dir=folder), np.float64)


def test_injected_head_is_an_affine_map_of_the_features(network, images, tmp_path):
    rng = np.random.default_rng(3)
    weights, bias = rng.normal(size=(512, 5)) / 20, rng.normal(size=5)
    expected = feature_values(network, images, tmp_path) @ weights + bias
    assert inject.inject_head(network, weights, bias) is network
    np.testing.assert_allclose(logits(network, images), expected, atol=1e-5)


def test_injection_draws_nothing(network):
    state = torch.random.get_rng_state()
    inject.inject_head(network, np.zeros((512, 2)), np.zeros(2))
    assert torch.equal(state, torch.random.get_rng_state())


def test_features_are_the_positive_part_of_scale_shift_and_skip(
    network, images, tmp_path
):
    u, skip = probes.last_block_preactivations(network, images, size=32, batch_size=5)
    assert u.shape == skip.shape == (12, 512, 1)
    rng = np.random.default_rng(0)
    values = [
        probes.batchnorm_parameters(network),
        (rng.normal(size=512), rng.normal(size=512)),
    ]
    for gamma, beta in values:
        inject.inject_batchnorm(network, gamma, beta)
        total = gamma[:, None] * u + beta[:, None] + skip
        np.testing.assert_allclose(
            np.maximum(total, 0).mean(axis=2),
            feature_values(network, images, tmp_path),
            atol=1e-5,
        )


def test_features_average_over_four_positions_at_size_64(network, images, tmp_path):
    u, skip = probes.last_block_preactivations(network, images[:3])
    assert u.shape == (3, 512, 4)
    gamma, beta = probes.batchnorm_parameters(network)
    total = gamma[:, None] * u + beta[:, None] + skip
    found = features(network, images[:3], cache_dir=tmp_path)
    np.testing.assert_allclose(np.maximum(total, 0).mean(axis=2), found, atol=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
def test_block_activations_are_what_the_second_convolution_reads(
    network, images, block
):
    activations, kernel = probes.block_activations(
        network, images, block, size=32, batch_size=5
    )
    assert activations.min() == 0  # after the ReLU
    part = network.get_submodule(block)
    seen = {}
    part.conv2.register_forward_hook(lambda *a: seen.setdefault("out", a[2]))
    logits(network, images)
    found = torch.nn.functional.conv2d(
        torch.from_numpy(activations), torch.from_numpy(kernel), padding=1
    )
    torch.testing.assert_close(found, seen["out"], atol=1e-4, rtol=1e-4)


def test_channel_gradients_are_difference_quotients(network, images):
    block, labels, step = "layer4.1", np.arange(12) % 3, 1e-3
    gradients = probes.channel_gradients(
        network, images, labels, block, size=32, batch_size=5
    )
    assert all(p.grad is None for p in network.parameters())

    def losses(shift):
        hook = network.get_submodule(block).conv2.register_forward_pre_hook(
            lambda _, inputs: (inputs[0] + shift,)
        )
        out = torch.from_numpy(logits(network, images)).double()
        hook.remove()
        y = torch.from_numpy(labels)
        return torch.nn.functional.cross_entropy(out, y, reduction="none").numpy()

    rng = np.random.default_rng(0)
    direction = rng.normal(size=gradients.shape).astype(np.float32)
    shift = torch.from_numpy(step * direction)
    quotient = (losses(shift) - losses(-shift)) / (2 * step)
    slope = np.einsum("nchw,nchw->n", gradients, direction)
    np.testing.assert_allclose(slope, quotient, rtol=0.02, atol=5e-3)


def without_channels(model, kept, block):
    """The same network with the channels physically gone."""
    model = copy.deepcopy(model)
    part = model.get_submodule(block)
    kept = torch.from_numpy(kept)
    for name, old in (("conv1", part.conv1), ("conv2", part.conv2)):
        new = torch.nn.utils.skip_init(
            torch.nn.Conv2d,
            int(kept.sum()) if name == "conv2" else old.in_channels,
            old.out_channels if name == "conv2" else int(kept.sum()),
            3, stride=old.stride, padding=1, bias=False,
        )  # fmt: skip
        weight = old.weight[kept] if name == "conv1" else old.weight[:, kept]
        new.weight.data.copy_(weight.detach())
        setattr(part, name, new)
    norm = torch.nn.BatchNorm2d(int(kept.sum())).eval()
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name).data.copy_(getattr(part.bn1, name)[kept].detach())
    part.bn1 = norm
    return model


@pytest.mark.parametrize("block", BLOCKS)
def test_masked_channels_are_as_good_as_removed(network, images, block):
    channels = network.get_submodule(block).conv1.out_channels
    kept = np.random.default_rng(1).random(channels) < 0.6
    before = logits(network, images)
    expected = logits(without_channels(network, kept, block), images)
    inject.mask_channels(network, kept, block)
    found = logits(network, images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - before).max() > 1e-3


def test_masked_channels_stay_silent_through_fine_tuning(network, images):
    kept = np.arange(512) % 3 > 0
    inject.mask_channels(network, kept)
    labels = np.arange(12) % 3
    fine_tune(
        network, images, labels, lr=0.05, epochs=2, batch_size=6, size=32,
        weight_decay=1e-3, rng=0,
    )  # fmt: skip
    activations, _ = probes.block_activations(network, images, size=32)
    assert np.all(activations[:, ~kept] == 0)
    assert np.any(activations[:, kept] > 0)


def test_masked_features_do_not_count(network, images, tmp_path):
    kept = np.arange(512) % 2 == 0
    x = feature_values(network, images, tmp_path)[:, kept]
    weights = network.fc.weight.detach().numpy().T[kept]
    expected = x @ weights + network.fc.bias.detach().numpy()
    inject.mask_features(network, kept)
    np.testing.assert_allclose(logits(network, images), expected, atol=1e-5)


def test_injected_kernel_and_shift_act_before_the_normalisation(network, images):
    part = network.layer4[1]
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(512, 512, 3, 3)) / 50
    shift = rng.normal(size=512)
    expected = copy.deepcopy(network)
    layer = torch.nn.Conv2d(512, 512, 3, padding=1)
    layer.weight.data.copy_(torch.from_numpy(kernel))
    layer.bias.data.copy_(torch.from_numpy(shift))
    expected.layer4[1].conv2 = layer
    inject.inject_kernel(network, kernel, shift)
    assert part is network.layer4[1]
    np.testing.assert_allclose(
        logits(network, images), logits(expected, images), atol=1e-4
    )


def test_bad_values_are_refused_and_change_nothing(network, images):
    before = logits(network, images)
    nan = np.full(512, np.nan)
    for call, message in (
        (lambda: inject.inject_head(network, np.zeros((511, 3)), np.zeros(3)), "weig"),
        (lambda: inject.inject_head(network, np.zeros((512, 3)), np.zeros(2)), "bias"),
        (lambda: inject.inject_batchnorm(network, nan, np.zeros(512)), "gamma"),
        (lambda: inject.inject_batchnorm(network, np.zeros(512), nan), "beta"),
        (lambda: inject.inject_batchnorm(network, np.zeros(3), np.zeros(3)), "gamma"),
        (lambda: inject.mask_features(network, np.ones(512)), "kept"),
        (lambda: inject.mask_channels(network, np.ones(4, bool)), "kept"),
        (lambda: inject.mask_channels(network, np.ones(512, bool), "fc"), "block"),
        (lambda: inject.inject_kernel(network, np.zeros((2, 2, 3, 3))), "kernel"),
        (lambda: inject.inject_kernel(
            network, np.zeros((512, 512, 3, 3)), nan), "shift"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{message}.*: got"):
            call()
    np.testing.assert_array_equal(logits(network, images), before)
