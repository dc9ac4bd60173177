"""Classes are split whole, subsets keep shares, inputs keep constants and means."""

import numpy as np
import pytest
import torch

from qlib.data import (
    load_images,
    resize_and_normalise,
    split_classes,
    stratified_subset,
)


def test_class_splits_are_disjoint_and_complete():
    data = load_images("digits")
    low = split_classes(data, data.class_names[:5])
    high = split_classes(data, ("9", "5", "6", "7", "8"))
    assert len(low.train_x) + len(high.train_x) == len(data.train_x)
    np.testing.assert_array_equal(
        high.train_x[high.train_y == 0], data.train_x[data.train_y == 9]
    )
    assert set(low.test_y) == set(range(5))
    for wrong in ((), ("1", "1"), ("ten",)):
        with pytest.raises(ValueError, match="classes: got"):
            split_classes(data, wrong)


@pytest.mark.parametrize("n", [1, 10, 33, 100])
def test_stratified_subset_keeps_every_share_within_one(n):
    labels = np.repeat([0, 1, 2, 7], [50, 30, 19, 1])
    chosen = stratified_subset(labels, n, rng=3)
    assert len(set(chosen.tolist())) == n
    for kind, size in ((0, 50), (1, 30), (2, 19), (7, 1)):
        assert abs(np.sum(labels[chosen] == kind) - n * size / 100) < 1
    np.testing.assert_array_equal(chosen, stratified_subset(labels, n, rng=3))
    if n in (10, 33):
        assert not np.array_equal(chosen, stratified_subset(labels, n, rng=4))


@pytest.mark.parametrize("n", [0, 5, 2.0])
def test_impossible_subsets_are_refused(n):
    with pytest.raises(ValueError, match="n: got"):
        stratified_subset([0, 1, 1, 0], n)


def test_resizing_keeps_a_constant_and_normalises_it():
    images = np.full((2, 8, 8, 1), 51, dtype=np.uint8)
    x = resize_and_normalise(images, 16, mean=(0.2, 0.1, 0.0), std=(1.0, 0.5, 0.25))
    assert x.shape == (2, 3, 16, 16)
    assert x.dtype == torch.float32
    expected = torch.tensor([0.0, 0.2, 0.8])[:, None, None].expand(3, 16, 16)
    torch.testing.assert_close(x[1], expected, atol=1e-6, rtol=0)


def test_halving_is_antialiased():
    stripes = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    stripes[:, :, ::2] = 255
    x = resize_and_normalise(stripes, 8, mean=(0, 0, 0), std=(1, 1, 1))
    assert (x - 0.5).abs().max() < 0.05  # without antialiasing: 0 or 1 by the phase


def test_wrong_images_are_refused():
    for wrong in (np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3))):
        with pytest.raises(ValueError, match="images: got"):
            resize_and_normalise(wrong)
    one = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="size: got 0"):
        resize_and_normalise(one, 0)
    with pytest.raises(ValueError, match=r"mean: got \(0.5,\)"):
        resize_and_normalise(one, mean=(0.5,))
    for std in ((1, 1, 0), (1, 1, np.nan), 1):
        with pytest.raises(ValueError, match="std: got"):
            resize_and_normalise(one, std=std)
