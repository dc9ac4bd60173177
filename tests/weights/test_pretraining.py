"""Pre-training learns, repeats itself bit by bit, and resumes after a whole epoch."""

import numpy as np
import pytest
import torch

from qlib.data import load_images, split_classes
from qlib.weights.pretraining import Pretraining, augment, one_cycle, pretrain
from qlib.weights.resnet import build_resnet
from qlib.weights.training import evaluate

SHORT = Pretraining(
    sizes=(16, 16, 24), batch_size=32, flip=False, padding=1, bfloat16=False
)


@pytest.fixture(scope="module")
def digits():
    data = split_classes(load_images("digits"), ("0", "1", "7"))
    return data.train_x[:64], data.train_y[:64]


def test_killed_pretraining_resumes_with_the_same_draws(digits, tmp_path):
    whole = pretrain(*digits, SHORT, folder=tmp_path / "a")

    def interrupt(epoch, loss):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(*digits, SHORT, folder=tmp_path / "b", callback=interrupt)
    epochs = []
    resumed = pretrain(
        *digits, SHORT, folder=tmp_path / "b", callback=lambda e, _: epochs.append(e)
    )
    assert epochs == [2]
    assert resumed.name == whole.name
    first, second = (torch.load(p, weights_only=True) for p in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [p.name for p in (tmp_path / "b").iterdir()] == [whole.name]
    pretrain(*digits, SHORT, folder=tmp_path / "b", callback=interrupt)  # is read


def test_pretrained_network_knows_its_classes(tmp_path):
    data = split_classes(load_images("digits"), ("0", "1", "7"))
    settings = Pretraining(
        sizes=(16,) * 4, batch_size=48, lr=0.02, flip=False, padding=1, bfloat16=False
    )
    path = pretrain(data.train_x, data.train_y, settings, folder=tmp_path)
    model = build_resnet(weights=path)
    found = evaluate(model, data.test_x, data.test_y, size=16)
    assert found.accuracy > 0.8


def test_settings_images_and_labels_name_the_file(digits, tmp_path):
    x, y = digits[0][:32], digits[1][:32]
    one = Pretraining(sizes=(8,), batch_size=16, bfloat16=False)
    two = Pretraining(sizes=(8,), batch_size=16, bfloat16=False, seed=1)
    names = {
        pretrain(x, y, one, folder=tmp_path).name,
        pretrain(x, y, two, folder=tmp_path).name,
        pretrain(x, (y + 1) % 3, one, folder=tmp_path).name,
        pretrain(x // 2, y, one, folder=tmp_path).name,
    }
    assert len(names) == 4


def test_rate_rises_then_falls_to_zero():
    rates = [one_cycle(p, 0.2) for p in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert np.argmax(rates) == 20
    assert max(rates) == 1
    assert abs(rates[-1]) < 1e-15
    assert all(np.diff(rates[:21]) > 0)
    assert all(np.diff(rates[20:]) < 0)


def test_augmented_images_are_windows_of_the_reflected_ones():
    image = np.arange(36, dtype=np.uint8).reshape(1, 6, 6, 1)
    padded = np.pad(image[0, :, :, 0], 2, mode="reflect")
    windows = {
        padded[r : r + 6, c : c + 6].tobytes() for r in range(5) for c in range(5)
    }
    mirrored = {
        padded[r : r + 6, c : c + 6][:, ::-1].tobytes()
        for r in range(5)
        for c in range(5)
    }
    many = np.repeat(image, 2000, axis=0)
    plain = augment(many, np.random.default_rng(0), padding=2, flip=False)
    # 25 windows, each missed with probability (24/25)^2000 < 1e-35
    assert {x.tobytes() for x in plain} == windows
    flipped = augment(many, np.random.default_rng(0), padding=2, flip=True)
    assert {x.tobytes() for x in flipped} == windows | mirrored


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "lr: got 0.0"),
        ({"momentum": -0.1}, "momentum: got -0.1"),
        ({"sizes": ()}, "sizes: got"),
        ({"sizes": (0,)}, "sizes: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"warmup": 1.0}, "warmup: got 1.0"),
        ({"padding": -1}, "padding: got -1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Pretraining(**settings)


def test_bad_labels_are_refused(digits, tmp_path):
    x, y = digits
    for wrong in (y[:-1], y + 1, y * 2):
        with pytest.raises(ValueError, match="labels: got"):
            pretrain(x, wrong, SHORT, folder=tmp_path)
    with pytest.raises(ValueError, match="at least batch_size = 32"):
        pretrain(x[:31], y[:31], SHORT, folder=tmp_path)
    with pytest.raises(ValueError, match="images: got float64"):
        pretrain(x / 255, y, SHORT, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
