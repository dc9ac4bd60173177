"""The same choice inside a ResNet stage: channels between two convolutions."""

import numpy as np

from qlib.arguments import positive_integer
from qlib.weights.arguments import finite_array
from qlib.weights.pruning.moments import InputMoments
from qlib.weights.pruning.qubo import moments_qubo

CHUNK_ELEMENTS = 4_000_000  # 32 MB of patches at a time


def patch_moments(activations, kernel, *, padding=1, stride=1):
    """Moments of the patches that a convolution reads, over images and positions.

    A convolution is a linear layer of the patches under its kernel, so their mean and
    covariance give its mean squared output error for every choice of channels and for
    every new kernel: the contributions of single channels are never formed.

    Parameters
    ----------
    activations : (n, c, h, w) array
        What the convolution reads: in a basic block, channels after the first
        convolution, its normalisation and ReLU.
    kernel : (int, int)
        Height and width kh, kw.
    padding, stride : int
        Of the convolution; zeros are padded. Defaults as in a basic block.

    Returns
    -------
    InputMoments
        c channels of kh·kw inputs each, row-major in the kernel.

    Notes
    -----
    O(positions · (c kh kw)²) operations for n · h_out · w_out positions, float64, in
    pieces of 32 MB beside the (c kh kw)² result.
    """
    activations = finite_array("activations", activations, ("n", "c", "h", "w"))
    height, width = (positive_integer("kernel", size) for size in kernel)
    stride = positive_integer("stride", stride)
    if padding != 0:
        padding = positive_integer("padding", padding)
    border = (padding, padding)
    padded = np.pad(activations, ((0, 0), (0, 0), border, border))
    if min(padded.shape[2] - height, padded.shape[3] - width) < 0:
        raise ValueError(
            f"kernel: got ({height}, {width}); allowed: at most the padded "
            f"{padded.shape[2:]}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (height, width), axis=(2, 3)
    )[:, :, ::stride, ::stride]  # (n, c, h_out, w_out, kh, kw)
    windows = windows.transpose(0, 2, 3, 1, 4, 5)  # (n, h_out, w_out, c, kh, kw)
    inputs = activations.shape[1] * height * width
    positions = windows[0].size // inputs
    images = max(1, CHUNK_ELEMENTS // (positions * inputs))
    origin = windows[:1].reshape(-1, inputs).mean(axis=0)  # against cancellation
    total, gram = np.zeros(inputs), np.zeros((inputs, inputs))
    for first in range(0, windows.shape[0], images):
        patches = windows[first : first + images].reshape(-1, inputs) - origin
        total += patches.sum(axis=0)
        gram += patches.T @ patches
    rows = windows.shape[0] * positions
    shift = total / rows
    covariance = gram / rows - np.outer(shift, shift)
    return InputMoments(origin + shift, covariance, height * width)


def flatten_kernel(weight):
    """A convolution's weight (out, c, kh, kw) as a matrix (c·kh·kw, out)."""
    weight = finite_array("weight", weight, ("out", "c", "kh", "kw"))
    return np.ascontiguousarray(weight.reshape(weight.shape[0], -1).T)


def unflatten_kernel(matrix, shape):
    """The inverse of `flatten_kernel`: (c·kh·kw, out) as `shape` (out, c, kh, kw)."""
    matrix = finite_array("matrix", matrix, (int(np.prod(shape[1:])), shape[0]))
    return np.ascontiguousarray(matrix.T).reshape(shape)


def stage_qubo(activations, weight, *, padding=1, stride=1, refit_bias=True):
    """Mean squared error of a convolution's output as an Ising model of its channels.

    With a_c the share of channel c in the output, the energy of a mask is
    Σ_cc' m_c m_c' ⟨a_c · a_c'⟩ over the removed channels, ⟨·⟩ the mean over images and
    positions and the dot product over output channels: the squared output error.

    Parameters
    ----------
    activations : (n, c, h, w) array
    weight : (out, c, kh, kw) array
    padding, stride : int
        As for `patch_moments`.
    refit_bias : bool
        Whether the mean of what is removed is handed to the bias of each output
        channel (in a basic block: the running mean of the normalisation that follows).

    Returns
    -------
    IsingModel
        c spins, +1 = kept. Energies in squared outputs, summed over output channels.

    Notes
    -----
    O(positions · (c kh kw)² + out (c kh kw)²).
    """
    weight = finite_array("weight", weight, ("out", "c", "kh", "kw"))
    moments = patch_moments(
        activations, weight.shape[2:], padding=padding, stride=stride
    )
    return moments_qubo(moments, flatten_kernel(weight), refit_bias=refit_bias)


def stage_gate_gradients(activations, gradients):
    """Gradient of each image's loss in a gate on each channel.

    Parameters
    ----------
    activations, gradients : (n, c, h, w) array
        The channels, and the gradient of each image's own loss in them.

    Returns
    -------
    (n, c) array
        Nats: Σ over positions of activation times gradient, for `fisher_qubo`.
    """
    activations = finite_array("activations", activations, ("n", "c", "h", "w"))
    gradients = finite_array("gradients", gradients, activations.shape)
    return np.einsum("nchw,nchw->nc", activations, gradients)
