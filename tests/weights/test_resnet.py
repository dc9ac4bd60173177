"""Networks are torchvision's, seeded, and read from checked files only."""

import os

import pytest
import torch
import torchvision

from qlib.data import archives
from qlib.weights.resnet import build_resnet


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_scratch_is_seeded_and_leaves_the_global_generator():
    before = torch.random.get_rng_state()
    first, again = build_resnet(classes=3), build_resnet(classes=3)
    other = build_resnet(classes=3, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert same(first.state_dict().values(), again.state_dict().values())
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    assert not first.training


@pytest.mark.parametrize(("arch", "d"), [("resnet34", 512), ("resnet50", 2048)])
def test_deeper_networks_have_their_feature_widths(arch, d):
    assert build_resnet(arch, classes=2).fc.weight.shape == (2, d)


def test_file_gives_its_weights_and_its_head_unless_classes_are_given(tmp_path):
    model = build_resnet(classes=3, seed=5)
    torch.save(model.state_dict(), tmp_path / "kept.pt")
    read = build_resnet(weights=tmp_path / "kept.pt")
    assert same(model.state_dict().values(), read.state_dict().values())
    other = build_resnet(weights=tmp_path / "kept.pt", classes=4)
    assert torch.equal(other.layer4[1].conv2.weight, model.layer4[1].conv2.weight)
    assert other.fc.out_features == 4


def test_imagenet_is_found_checked_and_otherwise_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.setattr(archives, "DOWNLOADS", tmp_path / "checkout" / "data")
    monkeypatch.setenv("QLIB_DATA", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    command = r"Fetch it: python -c .*build_resnet\('resnet18', .*download=True\)"
    with pytest.raises(FileNotFoundError, match=command):
        build_resnet(weights="imagenet")
    entry = torchvision.models.get_model_weights("resnet18")["IMAGENET1K_V1"]
    (tmp_path / os.path.basename(entry.url)).write_bytes(b"not the weights")
    with pytest.raises(ValueError, match=r"resnet18-\w+\.pth: truncated or changed"):
        build_resnet(weights="imagenet")


class Exit:
    def __reduce__(self):
        return os._exit, (1,)


def test_bad_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(FileNotFoundError, match=r"weights: got .*weights\.pt"):
        build_resnet(weights=path)
    model = build_resnet(classes=2)
    torch.save({"fc.weight": Exit()}, path)
    with pytest.raises(ValueError, match="not a whole state dict"):
        build_resnet(weights=path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="not a state dict of resnet18"):
        build_resnet(weights=path)
    torch.save(model.state_dict(), path)
    with pytest.raises(ValueError, match="weights: not those of resnet34"):
        build_resnet("resnet34", weights=path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="not a whole state dict"):
        build_resnet(weights=path)
    with pytest.raises(TypeError, match="weights: got None"):
        build_resnet(weights=None)
    with pytest.raises(ValueError, match="arch: got 'vgg11'"):
        build_resnet("vgg11")
    with pytest.raises(ValueError, match="classes: got 0"):
        build_resnet(classes=0)
