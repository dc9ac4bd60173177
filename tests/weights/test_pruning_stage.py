"""Moments of patches say what a convolution loses with its channels."""

import numpy as np
import pytest

from qlib.weights import pruning


def convolve(activations, weight, padding, stride):
    """A convolution by its definition: (n, out, h', w')."""
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(activations, border)
    height, width = weight.shape[2:]
    rows = range(0, padded.shape[2] - height + 1, stride)
    columns = range(0, padded.shape[3] - width + 1, stride)
    out = np.empty((len(activations), len(weight), len(rows), len(columns)))
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            patch = padded[:, :, y : y + height, x : x + width]
            out[:, :, i, j] = np.einsum("ncyx,ocyx->no", patch, weight)
    return out


CASES = [((3, 3), 1, 1), ((3, 3), 1, 2), ((1, 1), 0, 1), ((1, 3), 0, 1)]


@pytest.fixture(params=CASES, ids=str)
def block(request):
    """Activations (7, 5, 6, 4) after a ReLU, a kernel, padding and stride."""
    kernel, padding, stride = request.param
    rng = np.random.default_rng(0)
    mixed = np.einsum(
        "dc,nchw->ndhw", rng.normal(size=(5, 5)), rng.normal(size=(7, 5, 6, 4))
    )
    weight = rng.normal(size=(3, 5, *kernel))
    return np.maximum(mixed, 0), weight, padding, stride


@pytest.mark.parametrize("refit_bias", [False, True])
def test_energy_is_the_squared_error_of_the_convolution_for_every_mask(
    block, refit_bias
):
    activations, weight, padding, stride = block
    model = pruning.stage_qubo(
        activations, weight, padding=padding, stride=stride, refit_bias=refit_bias
    )
    for code in range(32):
        kept = (code >> np.arange(5)) & 1 == 1
        lost = convolve(activations[:, ~kept], weight[:, ~kept], padding, stride)
        if refit_bias:
            lost = lost - lost.mean(axis=(0, 2, 3), keepdims=True)
        error = np.mean(np.sum(lost**2, axis=1))
        energy = pruning.selection(model, kept).energy
        assert energy == pytest.approx(error, rel=1e-11, abs=1e-9)


def test_refit_is_the_least_squares_fit_of_the_convolutions_output(block):
    activations, weight, padding, stride = block
    moments = pruning.patch_moments(
        activations, weight.shape[2:], padding=padding, stride=stride
    )
    flat = pruning.flatten_kernel(weight)
    kept = np.array([True, False, True, True, False])
    refit = pruning.least_squares_refit(moments, flat, kept)
    new = pruning.unflatten_kernel(refit.weights, weight.shape)
    assert not new[:, ~kept].any()
    output = convolve(activations, weight, padding, stride)
    left = output - convolve(activations, new, padding, stride)
    left -= refit.bias[None, :, None, None]
    error = np.mean(np.sum(left**2, axis=1))
    measured = pruning.output_error(moments, flat, refit)
    assert measured == pytest.approx(error, rel=1e-10)
    inputs = [  # every kept input of the kernel by itself, as columns
        convolve(activations, unit, padding, stride)[:, 0].ravel()
        for unit in np.eye(weight[0].size).reshape(-1, 1, *weight.shape[1:])
        if unit[0, kept].any()
    ]
    columns = np.column_stack([*inputs, np.ones(inputs[0].size)])
    target = np.moveaxis(output, 1, -1).reshape(-1, 3)
    best = np.linalg.lstsq(columns, target, rcond=None)[0]
    lowest = np.sum((target - columns @ best) ** 2) / len(target)
    assert measured == pytest.approx(lowest, rel=1e-6)
    pruned = pruning.prune_weights(moments, flat, kept)
    assert measured < pruning.output_error(moments, flat, pruned)


def test_moments_do_not_depend_on_how_images_are_cut_into_pieces(monkeypatch):
    activations = np.random.default_rng(1).normal(size=(9, 2, 5, 5)) + 100
    whole = pruning.patch_moments(activations, (3, 3), padding=0)
    monkeypatch.setattr("qlib.weights.pruning.stage.CHUNK_ELEMENTS", 1)
    pieces = pruning.patch_moments(activations, (3, 3), padding=0)
    np.testing.assert_allclose(pieces.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(pieces.covariance, whole.covariance, atol=1e-12)


def test_a_head_is_the_convolution_of_one_position():
    rng = np.random.default_rng(2)
    features, weights = rng.normal(size=(30, 4)), rng.normal(size=(4, 3))
    head = pruning.reconstruction_qubo(features, weights)
    stage = pruning.stage_qubo(
        features[:, :, None, None], weights.T[:, :, None, None], padding=0
    )
    np.testing.assert_allclose(head.J, stage.J, atol=1e-13)
    np.testing.assert_allclose(head.h, stage.h, atol=1e-13)


def test_matches_torch_and_its_gate_gradients():
    import torch

    rng = np.random.default_rng(3)
    activations = rng.normal(size=(4, 3, 5, 5))
    weight = rng.normal(size=(2, 3, 3, 3))
    tensor = torch.from_numpy(activations)
    gates = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    inputs = (tensor * gates[:, :, None, None]).requires_grad_()
    inputs.retain_grad()
    output = torch.nn.functional.conv2d(inputs, torch.from_numpy(weight), padding=1)
    np.testing.assert_allclose(
        output.detach().numpy(), convolve(activations, weight, 1, 1), atol=1e-12
    )
    torch.logsumexp(output.flatten(1), dim=1).sum().backward()
    gradients = pruning.stage_gate_gradients(activations, inputs.grad.numpy())
    np.testing.assert_allclose(gradients, gates.grad.numpy(), atol=1e-12)


def test_flattening_a_kernel_is_undone():
    weight = np.random.default_rng(4).normal(size=(2, 3, 3, 1))
    flat = pruning.flatten_kernel(weight)
    assert flat.shape == (9, 2)
    np.testing.assert_array_equal(pruning.unflatten_kernel(flat, weight.shape), weight)


ONES = np.ones((2, 3, 4, 4))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("activations", lambda: pruning.patch_moments(np.ones((2, 3, 4)), (3, 3))),
        ("activations", lambda: pruning.patch_moments(ONES * np.nan, (3, 3))),
        ("activations", lambda: pruning.patch_moments(ONES[:0], (3, 3))),
        ("kernel", lambda: pruning.patch_moments(ONES, (7, 3))),
        ("kernel", lambda: pruning.patch_moments(ONES, (0, 3))),
        ("padding", lambda: pruning.patch_moments(ONES, (3, 3), padding=-1)),
        ("padding", lambda: pruning.patch_moments(ONES, (3, 3), padding="same")),
        ("stride", lambda: pruning.patch_moments(ONES, (3, 3), stride=0)),
        ("weights", lambda: pruning.stage_qubo(ONES, np.ones((5, 2, 3, 3)))),
        ("weight", lambda: pruning.stage_qubo(ONES, np.ones((5, 3, 3)))),
        ("gradients", lambda: pruning.stage_gate_gradients(ONES, ONES[:1])),
    ],
)
def test_bad_input_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        call()
