"""Features are the network's own, computed once, resumed, and never stale."""

import numpy as np
import pytest
import torch

from qlib.data import resize_and_normalise
from qlib.weights.features import features, segment, stage_inputs


@pytest.fixture
def kept(tmp_path):
    """Settings that keep the files of a test by themselves."""
    return {"size": 32, "batch_size": 5, "cache_dir": tmp_path}


def logits(model, images):
    with torch.no_grad():
        return model(resize_and_normalise(images, 32)).numpy()


def test_last_layer_of_features_is_the_network(network, images, kept):
    x = features(network, images, **kept)
    assert x.shape == (12, 512)
    assert x.dtype == np.float32
    head = network.fc.weight.detach().numpy(), network.fc.bias.detach().numpy()
    np.testing.assert_allclose(
        x @ head[0].T + head[1], logits(network, images), atol=1e-5
    )


def test_second_call_reads_the_file_and_a_new_head_changes_nothing(
    network, images, kept
):
    first = features(network, images, **kept)
    done = []
    with torch.no_grad():
        network.fc.weight.zero_()
    again = features(network, images, **kept, callback=lambda *n: done.append(n))
    assert done == []
    assert again.filename == first.filename
    assert not again.flags.writeable


def test_weights_images_and_settings_each_have_their_own_file(network, images, kept):
    names = {features(network, images, **kept).filename}
    names.add(features(network, images[:6], **kept).filename)
    names.add(features(network, images[::-1], **kept).filename)
    names.add(features(network, images, **kept, std=(0.2, 0.2, 0.2)).filename)
    names.add(features(network, images, **{**kept, "size": 33}).filename)
    network.layer4[1].bn2.running_mean[3] += 1e-3
    names.add(features(network, images, **kept).filename)
    assert len(names) == 6


def test_interrupted_call_resumes_after_its_last_batch(network, images, kept, tmp_path):
    whole = np.array(features(network, images, **kept | {"cache_dir": tmp_path / "a"}))
    kept["cache_dir"] = tmp_path / "b"

    def interrupt(done, n):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(network, images, **kept, callback=interrupt)
    files = {p.suffix for p in (tmp_path / "b").iterdir()}
    assert files == {".npy", ".json"}
    done = []
    network.train()
    x = features(network, images, **kept, callback=lambda *n: done.append(n))
    assert done == [(12, 12)]  # two of three batches were there
    assert network.training
    assert network.layer4[0].bn1.training
    np.testing.assert_array_equal(x, whole)
    assert [p.suffix for p in (tmp_path / "b").iterdir()] == [".npy"]


def test_two_calls_at_once_write_one_file(network, images, kept, tmp_path):
    """The second begins, and ends, within the first one's first batch."""
    whole = np.array(features(network, images, **kept | {"cache_dir": tmp_path / "a"}))
    kept["cache_dir"] = tmp_path / "b"
    inner = []

    def second(done, n):
        if not inner:
            inner.append(None)
            inner[0] = np.array(features(network, images, **kept))

    outer = features(network, images, **kept, callback=second)
    np.testing.assert_array_equal(inner[0], whole)
    np.testing.assert_array_equal(outer, whole)
    assert [p.suffix for p in (tmp_path / "b").iterdir()] == [".npy"]


def test_last_stage_of_stage_inputs_is_the_network(network, images):
    inputs = stage_inputs(network, images, size=32, batch_size=5)
    assert inputs.shape == (12, 256, 2, 2)
    with torch.no_grad():
        found = segment(network, "layer4", None)(inputs).numpy()
    np.testing.assert_allclose(found, logits(network, images), atol=1e-5)


def test_no_images_are_refused(network, kept):
    with pytest.raises(ValueError, match="images: got shape"):
        features(network, np.zeros((0, 8, 8, 3), np.uint8), **kept)
    with pytest.raises(ValueError, match="images: got float64"):
        features(network, np.zeros((1, 8, 8, 3)), **kept)
    assert list(kept["cache_dir"].iterdir()) == []
    with pytest.raises(ValueError, match="batch_size: got 0"):
        features(network, np.zeros((1, 8, 8, 3), np.uint8), batch_size=0)
    with pytest.raises(ValueError, match="images: got shape"):
        stage_inputs(network, np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="batch_size: got 0"):
        stage_inputs(network, np.zeros((1, 8, 8, 3), np.uint8), batch_size=0)
