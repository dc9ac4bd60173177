"""The table of what any method of a kind must spend, for several inputs."""

from dataclasses import dataclass

import numpy as np

from qlib.attention.limits import (
    least_samples,
    oracle_keys,
    oracle_rank,
    polynomial_features,
)

METRICS = {
    "samples": "least draws per query",
    "multinomial": "least multinomial draws per query",
    "allocated": "least draws per query, shared out between queries",
    "keys": "keys per query of an oracle",
    "keys_renormalised": "keys per query of an oracle, weights renormalised",
    "rank": "rank of the weights of an oracle",
    "output_rank": "rank of the output",
    "degree": "least degree of a polynomial kernel",
    "features": "features of that kernel",
}


@dataclass(frozen=True, eq=False)
class Limits:
    """Least spending at an error, arrays with one number for each head of all layers.

    Attributes
    ----------
    name : str
    length : int
    is_causal : bool
    error : float
    samples, multinomial, allocated : (heads,) arrays
        Draws per query: of the best distribution, of the softmax probabilities, and
        of the best shared out best; see `LeastSamples`.
    keys, keys_renormalised : (heads,) arrays
        See `OracleKeys`.
    rank, output_rank : (heads,) arrays
        Of the weights, and of the output; see `OracleRank`.
    degree, features : (heads,) arrays
        See `PolynomialFeatures`; infinite where the highest degree tried is not enough.
    """

    name: str
    length: int
    is_causal: bool
    error: float
    samples: np.ndarray
    multinomial: np.ndarray
    allocated: np.ndarray
    keys: np.ndarray
    keys_renormalised: np.ndarray
    rank: np.ndarray
    output_rank: np.ndarray
    degree: np.ndarray
    features: np.ndarray

    def rows(self):
        """What a record holds: (metric, value, labels), medians over heads."""
        labels = {"inputs": self.name, "length": self.length, "error": self.error}
        labels["causal"] = self.is_causal
        for name, metric in METRICS.items():
            yield metric, float(np.median(getattr(self, name))), labels


def limits_table(several, *, error=0.1, highest=12):
    """`Limits` of each of several inputs.

    A head takes 0.3 s of one core at length 512 and 9 s at 2048. For a quick look,
    Gaussian inputs of 2 heads and the eight of a model's layers at 512: 3 s. In full
    also two heads of each at 2048: 40 s.

    Parameters
    ----------
    several : sequence of Inputs
    error : float
        Relative, in [1e-6, 1]; by default the claim under test.
    highest : int
        Degree of polynomial up to which it is tried.

    Returns
    -------
    list of Limits
    """
    return [one_row(inputs, error, highest) for inputs in several]


def one_row(inputs, error, highest):
    """`Limits` of one input."""
    tensors, settings = (inputs.q, inputs.k, inputs.v), {"is_causal": inputs.is_causal}
    samples = least_samples(*tensors, error, **settings)
    keys = oracle_keys(*tensors, error, **settings)
    rank = oracle_rank(*tensors, error, **settings)
    features = polynomial_features(*tensors, error, highest=highest, **settings)
    return Limits(
        inputs.name,
        inputs.length,
        inputs.is_causal,
        error,
        samples=flat(samples.importance),
        multinomial=flat(samples.multinomial),
        allocated=flat(samples.allocated),
        keys=flat(keys.kept),
        keys_renormalised=flat(keys.renormalised),
        rank=flat(rank.weights),
        output_rank=flat(rank.output),
        degree=flat(features.degree),
        features=flat(features.features),
    )


def flat(tensor):
    """Heads of all layers in a row, as an array."""
    return tensor.flatten().numpy(force=True)
