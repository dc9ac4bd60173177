"""Queries, keys and values that trials share, and errors on them."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from qlib.attention.attention import quantum_attention


@dataclass(frozen=True, eq=False)
class Inputs:
    """Queries, keys and values of one or more layers.

    Attributes
    ----------
    name : str
        For tables and figures.
    q, k, v : (layer, head, length, dim) float32 tensors
    is_causal : bool
    """

    name: str
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    is_causal: bool

    @property
    def length(self):
        """Queries, which are as many as keys."""
        return self.q.shape[2]

    def layers(self, part):
        """Some of the layers, by a slice."""
        return replace(self, q=self.q[part], k=self.k[part], v=self.v[part])

    @property
    def heads(self):
        """Heads of all layers."""
        return self.q.shape[0] * self.q.shape[1]


def heads_of(inputs):
    """Each head of each layer by itself.

    Returns
    -------
    list of Inputs
        Of one layer with one head.
    """
    parts = ((x.flatten(0, 1).split(1)) for x in (inputs.q, inputs.k, inputs.v))
    return [
        Inputs(inputs.name, *(x[None] for x in head), inputs.is_causal)
        for head in zip(*parts, strict=True)
    ]


def gaussian(length, *, heads=2, dim=64, seed=0, is_causal=False):
    """Independent standard normal queries, keys and values of one layer.

    Parameters
    ----------
    length, heads, dim : int
        The defaults are the shape of a layer of the language model trained here.
    seed : int
    is_causal : bool

    Returns
    -------
    Inputs
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(3, 1, heads, length, dim, generator=generator)
    return Inputs("Gaussian", *drawn, is_causal)


def reference(inputs):
    """Softmax attention in float64.

    Returns
    -------
    (layer, head, query, value) float64 tensor
    """
    wide = (each.double() for each in (inputs.q, inputs.k, inputs.v))
    return quantum_attention(*wide, is_causal=inputs.is_causal).output


def relative_errors(output, exact):
    """‖Ô - O‖ / ‖O‖ of every head, in the Frobenius norm.

    Parameters
    ----------
    output, exact : (layer, head, query, value) tensors

    Returns
    -------
    (layer · head,) array
    """
    exact = exact.double()
    missed = (output.double() - exact).square().sum((-2, -1))
    return (missed / exact.square().sum((-2, -1))).sqrt().flatten().numpy(force=True)


def root_mean_square(errors, axis=-1):
    """Root of the mean square, the mean that theory speaks of."""
    return np.sqrt(np.mean(np.square(errors), axis=axis))
