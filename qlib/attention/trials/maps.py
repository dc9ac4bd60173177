"""Attention maps of a language model by backend, and the entropy of its heads."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.attention.analysis.capture import attention_calls
from qlib.attention.analysis.entropy import entropy
from qlib.attention.analysis.maps import attention_maps


@dataclass(frozen=True, eq=False)
class Maps:
    """Weights of every head by how it attends, on the same queries and keys.

    Attributes
    ----------
    names : tuple of str
        ``"exact"``, then the configurations.
    backends : tuple of str
        Of the configurations.
    weights : (name, layer, head, query, key) float32 array
        Those used.
    entropy : (name, layer, head) array
        Mean over queries, nats; NaN where some weight is negative, so that a row is no
        distribution.
    """

    names: tuple
    backends: tuple
    weights: np.ndarray
    entropy: np.ndarray

    @property
    def distance(self):
        """Total variation from the exact weights, mean over queries.

        Returns
        -------
        (name, layer, head) array
            Half the sum of absolute differences: 0 for equal rows, 1 for disjoint ones.
        """
        apart = np.abs(self.weights - self.weights[0]).sum(-1) / 2
        return apart.mean(-1)

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        for name, entropies, distances in zip(
            self.names, self.entropy, self.distance, strict=True
        ):
            labels = {"attention": name, "length": self.weights.shape[-1]}
            if np.isfinite(entropies).all():
                yield "entropy of heads, mean, nats", float(entropies.mean()), labels
            yield "distance from exact weights, mean", float(distances.mean()), labels


def maps_by_backend(model, tokens, configurations, *, seed=0):
    """The weights of every layer while a model reads one window.

    Each layer gets what it gets in the model as it was trained, so that nothing an
    earlier layer does differently is passed on.

    Parameters
    ----------
    model : LanguageModel
    tokens : (length,) uint8 tensor
        O(configurations · layers · heads · length²) numbers are kept.
    configurations : sequence of `qlib.attention.trials.pareto.Configuration`
        Causal-capable, with weights.
    seed : int
        Of each configuration's draws.

    Returns
    -------
    Maps
    """
    calls = attention_calls(model, tokens[None])
    every = [torch.cat(attention_maps(calls, "math"))]
    for each in configurations:
        generator = torch.Generator().manual_seed(seed)
        found = attention_maps(
            calls, each.backend, generator=generator, **each.options
        )  # of (1, head, query, key)
        every.append(torch.cat(found))
    return Maps(
        ("exact", *(each.name for each in configurations)),
        tuple(each.backend for each in configurations),
        np.array([weights.float().numpy() for weights in every]),
        np.array([mean_entropy(weights) for weights in every]),
    )


def mean_entropy(weights):
    """Entropy of each head, mean over queries; NaN where a weight is negative.

    Parameters
    ----------
    weights : (layer, head, query, key) tensor

    Returns
    -------
    (layer, head) array
    """
    if (weights < 0).any():
        return np.full(weights.shape[:2], np.nan)
    return entropy(weights).mean(-1).numpy()
