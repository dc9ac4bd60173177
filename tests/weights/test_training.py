"""SGD here is torch's SGD; fine-tuning moves what it should and nothing else."""

import numpy as np
import pytest
import torch

from qlib.weights.convex import fit_softmax
from qlib.weights.features import stage_inputs
from qlib.weights.training import evaluate, fine_tune, train_last_layer

LABELS = np.array([0, 1, 2] * 4)


def problem(n=50, d=6, classes=3):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(n, d))
    return x, (
        x @ rng.normal(size=(d, classes)) + rng.normal(size=(n, classes))
    ).argmax(1)


def test_last_layer_follows_torch_step_by_step():
    x, y = problem()
    found = train_last_layer(x, y, lr=0.1, epochs=3, batch_size=16, l2=0.01, rng=7)
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 6, 3, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    groups = [
        {"params": [layer.weight], "weight_decay": 0.01},
        {"params": [layer.bias], "weight_decay": 0.0},
    ]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    rng = np.random.default_rng(7)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(3):
        order = rng.permutation(50)
        for first in range(0, 50, 16):
            chosen = order[first : first + 16]
            sgd.zero_grad()
            torch.nn.functional.cross_entropy(layer(x[chosen]), y[chosen]).backward()
            sgd.step()
    loss = torch.nn.functional.cross_entropy(layer(x), y).item()
    np.testing.assert_allclose(found.weights, layer.weight.detach().T, atol=1e-12)
    np.testing.assert_allclose(found.bias, layer.bias.detach(), atol=1e-12)
    assert found.loss[-1] == pytest.approx(loss, abs=1e-12)


def test_full_batches_reach_the_convex_optimum_from_above():
    x, y = problem()
    best = fit_softmax(x, y, l2=0.01)
    found = train_last_layer(x, y, lr=0.3, epochs=2000, batch_size=50, l2=0.01, rng=0)
    np.testing.assert_allclose(found.weights, best.weights, atol=1e-6)
    objective = found.loss[-1] + 0.005 * np.sum(found.weights**2)
    assert best.loss <= objective + 1e-12
    assert found.loss[0] == pytest.approx(np.log(3))


def test_history_starts_at_the_start_and_follows_the_callback():
    x, y = problem()
    seen = []
    start = np.ones((6, 3)), np.array([0.0, 1.0, 0.0])
    found = train_last_layer(
        x, y, lr=0.1, epochs=2, start=start, rng=1,
        callback=lambda epoch, w, b: seen.append((epoch, w.copy())),
    )  # fmt: skip
    assert found.loss.shape == found.accuracy.shape == (3,)
    assert found.accuracy[0] == np.mean(y == 1)
    assert [epoch for epoch, _ in seen] == [0, 1]
    np.testing.assert_array_equal(seen[1][1], found.weights)
    np.testing.assert_array_equal(start[0], 1.0)  # not written to


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "lr: got 0.0"),
        ({"lr": float("nan")}, "lr: got nan"),
        ({"momentum": 1.0}, "momentum: got 1.0"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"l2": -1.0}, "l2: got -1.0"),
        ({"start": (np.zeros((6, 2)), np.zeros(2))}, r"start\[0\]: got shape"),
        ({"classes": 2}, "labels: got"),
    ],
)
def test_bad_settings_of_the_last_layer_are_refused(changes, message):
    x, y = problem()
    with pytest.raises(ValueError, match=message):
        train_last_layer(x, y, **{"lr": 0.1, **changes})


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, model):
    """Modules with any changed tensor, the counters of batches left out."""
    return {
        name.split(".")[0]
        for name, value in model.state_dict().items()
        if not torch.equal(before[name], value) and "num_batches" not in name
    }


def test_last_stage_moves_alone_and_from_images_or_cached_inputs_alike(network, images):
    inputs = stage_inputs(network, images, size=32)
    before = snapshot(network)
    settings = {"lr": 0.01, "parameters": "last_stage", "epochs": 2, "batch_size": 4}
    losses = fine_tune(network, images, LABELS, size=32, rng=3, **settings)
    assert changed(before, network) == {"layer4", "fc"}
    after = snapshot(network)
    network.load_state_dict(before)
    again = fine_tune(network, inputs, LABELS, rng=3, **settings)
    np.testing.assert_array_equal(losses, again)
    assert all(torch.equal(after[n], v) for n, v in network.state_dict().items())
    on_images = evaluate(network, images, LABELS, size=32)
    on_inputs = evaluate(network, inputs, LABELS)
    assert on_images.loss == pytest.approx(on_inputs.loss, abs=1e-5)


def test_whole_network_learns_twelve_images_by_heart(network, images):
    before = evaluate(network, images, LABELS, size=32)
    start = snapshot(network)
    seen = []
    losses = fine_tune(
        network, images, LABELS, lr=0.02, epochs=12, batch_size=12, size=32, rng=0,
        callback=lambda epoch, loss: seen.append((epoch, loss, network.training)),
    )  # fmt: skip
    assert losses[-1] < 0.1 < before.loss
    assert seen == [(k, loss, False) for k, loss in enumerate(losses)]
    assert changed(start, network) >= {"conv1", "layer1", "layer4", "fc"}


def test_training_leaves_the_global_generator(network, images):
    state = torch.random.get_rng_state()
    fine_tune(network, images, LABELS, lr=0.01, batch_size=6, size=32, rng=0)
    assert torch.equal(state, torch.random.get_rng_state())


def test_evaluation_of_a_uniform_head_is_ln_3(network, images):
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.zero_()
    found = evaluate(network, images, LABELS, size=32, batch_size=5)
    assert found.loss == pytest.approx(np.log(3))
    assert found.accuracy == pytest.approx(1 / 3)  # the first class, a third of them


def test_bad_input_of_fine_tuning_is_refused(network, images):
    for labels in (LABELS[:-1], LABELS + 1, LABELS.astype(float)):
        with pytest.raises(ValueError, match="labels: "):
            fine_tune(network, images, labels, lr=0.1)
    with pytest.raises(ValueError, match=r"labels: got shape .* at least one"):
        fine_tune(network, images[:0], LABELS[:0], lr=0.1)
    with pytest.raises(ValueError, match="parameters: got 'head'"):
        fine_tune(network, images, LABELS, lr=0.1, parameters="head")
    with pytest.raises(ValueError, match="images: got a tensor"):
        fine_tune(network, torch.zeros(12, 256, 2, 2), LABELS, lr=0.1)
    with pytest.raises(ValueError, match="lr: got -1"):
        fine_tune(network, images, LABELS, lr=-1)


def test_a_rate_that_falls_to_zero_ends_nearer_to_the_minimum():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(200, 5)), rng.integers(3, size=200)
    lowest = fit_softmax(features, labels, l2=0.01).loss
    ways = dict(lr=0.1, epochs=100, l2=0.01, rng=0)

    def excess(**how):
        end = train_last_layer(features, labels, **ways, **how)
        return end.loss[-1] + 0.005 * np.sum(end.weights**2) - lowest

    assert 0 <= excess(cosine=True) < 0.1 * excess(cosine=False)
