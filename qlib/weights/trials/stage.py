"""Channels inside a ResNet's block: masks by every method, with and without refit."""

import copy

import numpy as np

from qlib.weights import pruning
from qlib.weights.inject import inject_head, inject_kernel, mask_channels
from qlib.weights.probes import block_activations
from qlib.weights.training import evaluate
from qlib.weights.trials.pruning import Pruned, masks


def compare_channels(net, draws, head, *, block, test, share, **effort):
    """Every method on the channels between a block's convolutions.

    Parameters
    ----------
    net : `trials.network.Backbone`
        Its model is left as it is.
    draws : sequence of (n,) arrays
        Training images on which moments are taken, a draw each.
    head : (weights (d, C), bias (C,))
        On raw features.
    block : str
        Such as "layer3.1".
    test : (m,) array
        Test images on which the whole network's accuracy is measured.
    share : float
        Of the channels kept, in (0, 1).
    **effort
        As for `trials.pruning.masks`.

    Returns
    -------
    dict
        Method to a `Pruned` of (draws,) arrays; "refitted" is least squares for the
        second convolution, the head stays.
    """
    found = {}
    for rows in draws:
        images = net.images.train_x[rows]
        activations, kernel = block_activations(net.model, images, block, size=net.size)
        weights = pruning.flatten_kernel(kernel)
        moments = pruning.patch_moments(activations, kernel.shape[2:])
        model = pruning.moments_qubo(moments, weights)
        keep = max(1, round(share * model.num_spins))
        selected, _ = masks(model, moments, weights, keep, **effort)
        for name, kept in selected.items():
            layers = (
                pruning.prune_weights(moments, weights, kept),
                pruning.least_squares_refit(moments, weights, kept),
            )
            power = pruning.output_power(moments, weights)
            errors = [
                pruning.output_error(moments, weights, layer) / power
                for layer in layers
            ]
            right = [
                _accuracy(net, head, block, kept, kernel.shape, layer, test)
                for layer in layers
            ]
            found.setdefault(name, []).append([*errors, *right])
    return {name: Pruned(*np.transpose(rows)) for name, rows in found.items()}


def _accuracy(net, head, block, kept, shape, layer, test):
    """Accuracy of the network with channels removed and the second kernel replaced."""
    model = inject_head(copy.deepcopy(net.model), *head)
    mask_channels(model, kept, block)
    kernel = pruning.unflatten_kernel(layer.weights, shape)
    inject_kernel(model, kernel, layer.bias, block)
    images = net.images
    return evaluate(
        model, images.test_x[test], images.test_y[test], size=net.size
    ).accuracy
