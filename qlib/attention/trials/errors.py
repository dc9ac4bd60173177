"""Error of sampled attention against the values it reads, with theory's line."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.attention.attention import quantum_attention
from qlib.attention.limits import least_samples
from qlib.attention.trials.inputs import reference, relative_errors
from qlib.attention.trials.samplers import SAMPLERS


@dataclass(frozen=True, eq=False)
class SamplingErrors:
    """Errors of every sampler at every budget, and what theory expects.

    Attributes
    ----------
    name : str
        Of the inputs.
    length : int
    methods : tuple of str
    budgets : (B,) int array
        Values that a query may read.
    errors : (method, B, seed, head) array
        Relative, in the Frobenius norm.
    stated : (method, B, seed, head) array
        Error that each run expected of itself, from its standard errors; NaN for a
        backend that states none.
    values_touched : (method, B) array
        Values read per query, mean over queries, heads and seeds.
    theory : (2, B, head) array
        Root mean square error of independent draws: with the softmax probabilities,
        and with the best.
    """

    name: str
    length: int
    methods: tuple
    budgets: np.ndarray
    errors: np.ndarray
    stated: np.ndarray
    values_touched: np.ndarray
    theory: np.ndarray


def sampling_errors(inputs, *, samplers=SAMPLERS, budgets=(8, 32, 128), seeds=5):
    """Run every sampler at every budget with several seeds.

    Parameters
    ----------
    inputs : Inputs
    samplers : dict
        Name: function of a budget that gives the backend and its options.
    budgets : sequence of int
        Values that a query may read.
    seeds : int

    Returns
    -------
    SamplingErrors
    """
    seeds = positive_integer("seeds", seeds)
    exact = reference(inputs)
    shape = (len(samplers), len(budgets), seeds, inputs.heads)
    errors, stated = np.full(shape, np.nan), np.full(shape, np.nan)
    touched = np.zeros(shape[:3])
    for here in np.ndindex(shape[:3]):
        way, budget = list(samplers.values())[here[0]], budgets[here[1]]
        result = run(inputs, *way(budget), seed=here[2])
        errors[here] = relative_errors(result.output, exact)
        stated[here] = stated_error(result.info.standard_error, exact)
        touched[here] = result.info.values_touched
    return SamplingErrors(
        inputs.name,
        inputs.length,
        tuple(samplers),
        np.asarray(budgets),
        errors,
        stated,
        touched.mean(-1),
        theory(inputs, budgets),
    )


def run(inputs, backend, options, *, seed):
    """`AttentionResult` of one backend with one seed."""
    generator = torch.Generator(inputs.q.device).manual_seed(seed)
    return quantum_attention(
        *(inputs.q, inputs.k, inputs.v),
        backend=backend,
        is_causal=inputs.is_causal,
        generator=generator,
        **options,
    )


def stated_error(standard_error, exact):
    """Relative error of each head that the standard errors add up to, or NaN."""
    if standard_error is None:
        return np.nan
    return relative_errors(exact + standard_error, exact)


def theory(inputs, budgets):
    """Root mean square error of that many independent draws per query.

    Returns
    -------
    (2, budget, head) array
        With the softmax probabilities, and with the best.
    """
    tensors = (inputs.q, inputs.k, inputs.v)
    least = least_samples(*tensors, 1.0, is_causal=inputs.is_causal)
    square = torch.stack((least.multinomial.flatten(), least.importance.flatten()))
    return (square.numpy(force=True)[:, None] / np.asarray(budgets)[:, None]) ** 0.5
