"""Error of sampled attention against the values it reads, with theory's line."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.attention.attention import quantum_attention
from qlib.attention.limits import least_samples
from qlib.attention.trials.inputs import reference, relative_errors, root_mean_square
from qlib.attention.trials.references import REFERENCES, reference_errors
from qlib.attention.trials.samplers import SAMPLERS

TARGETS = (1e-3, 100.0)  # relative errors between which that of a budget is found
HALVINGS = 10  # leave less than 2 % of it
UNJUDGED = 2**31  # a seed


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
        Values read per query, mean over queries, heads and seeds, a pilot's included;
        NaN for what states no error, which is no sampler.
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

    def at(self, method, budget):
        """Errors of a method at a budget, (seed, head)."""
        column = self.budgets.tolist().index(budget)
        return self.errors[self.methods.index(method), column]

    def best(self, share=0.25):
        """Name of the sampler of least mean error.

        Parameters
        ----------
        share : float
            Of the keys that a query may read; the nearest budget counts.
        """
        column = np.abs(self.budgets - share * self.length).argmin()
        errors = self.errors[:, column].mean((-2, -1))
        errors[np.isnan(self.values_touched[:, column])] = np.inf
        return self.methods[errors.argmin()]

    def advantage(self, method):
        """Error over that of multinomial draws which read as many values.

        Both by the root mean square over seeds and heads; multinomial's falls as the
        root of the values read.

        Returns
        -------
        (budget,) array
            Below 1 the method is better.
        """
        error = root_mean_square(self.errors, axis=(-2, -1))  # (method, budget)
        reads = self.values_touched
        row, base = (self.methods.index(name) for name in (method, "multinomial"))
        return error[row] / error[base] * np.sqrt(reads[row] / reads[base])

    def off_theory(self):
        """Distance from 1 of multinomial's error over theory's, (budget,)."""
        error = self.errors[self.methods.index("multinomial")]
        expected = root_mean_square(self.theory[0])
        return np.abs(root_mean_square(error, axis=(-2, -1)) / expected - 1)

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        error = root_mean_square(self.errors, axis=(-2, -1))
        for here in np.ndindex(error.shape):
            name, budget = self.methods[here[0]], int(self.budgets[here[1]])
            labels = {"inputs": self.name, "length": self.length}
            labels |= {"method": name, "budget": budget}
            yield "relative error", error[here], labels
            if np.isfinite(self.values_touched[here]):
                yield "values read per query", self.values_touched[here], labels


def sampling_errors(inputs, *, samplers=SAMPLERS, budgets=(32, 64, 128), seeds=5):
    """Run every sampler and reference at every budget with several seeds.

    `adaptive` is given the target error with which its queries and heads read the
    budget on average; all others read it in every query that sees as many keys.

    At a length of 512 a run takes 10 ms a head, sampler, budget and seed. For a quick
    look one Gaussian layer and two of a model, two budgets and three seeds: 4 s. In
    full all four layers, four budgets and ten seeds: 60 s.

    Parameters
    ----------
    inputs : Inputs
    samplers : dict
        Name: function of a budget that gives the backend and its options.
    budgets : sequence of int
        Values that a query may read; `adaptive` reads 17 at least.
    seeds : int

    Returns
    -------
    SamplingErrors
    """
    seeds = positive_integer("seeds", seeds)
    exact = reference(inputs)
    methods = (*samplers, *REFERENCES)
    shape = (len(methods), len(budgets), seeds, inputs.heads)
    errors, stated = np.full(shape, np.nan), np.full(shape, np.nan)
    touched = np.full(shape[:3], np.nan)
    for here in np.ndindex(shape[:3]):
        name, budget = methods[here[0]], budgets[here[1]]
        if name in REFERENCES:
            settings = {"budget": budget, "seed": here[2]}
            errors[here] = reference_errors(inputs, exact, name, **settings)
    for row, column in np.ndindex(len(samplers), len(budgets)):
        way = list(samplers.values())[row](budgets[column])
        way = kept_to(way, inputs, budgets[column])
        for seed in range(seeds):
            result = run(inputs, *way, seed=seed)
            here = (row, column, seed)
            errors[here] = relative_errors(result.output, exact)
            stated[here] = stated_error(result.info.standard_error, exact)
            if result.info.standard_error is not None:
                touched[here] = result.info.values_touched
    return SamplingErrors(
        inputs.name,
        inputs.length,
        methods,
        np.asarray(budgets),
        errors,
        stated,
        touched.mean(-1),
        theory(inputs, budgets),
    )


def joined(several):
    """`SamplingErrors` of the heads of several inputs, of one name and length.

    Parameters
    ----------
    several : sequence of SamplingErrors
        Of the same methods, budgets and seeds.
    """
    first = several[0]
    return replace(
        first,
        errors=np.concatenate([each.errors for each in several], -1),
        stated=np.concatenate([each.stated for each in several], -1),
        values_touched=np.mean([each.values_touched for each in several], 0),
        theory=np.concatenate([each.theory for each in several], -1),
    )


def kept_to(way, inputs, budget):
    """Backend and options; for `adaptive` with the least target within the budget.

    By bisection on a logarithmic scale, with a seed that no judged run has.
    """
    backend, options = way
    if backend != "adaptive":
        return way
    low, high = TARGETS
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        options = {"target_error": middle, "max_samples": inputs.length}
        read = run(inputs, backend, options, seed=UNJUDGED).info.values_touched
        low, high = (low, middle) if read <= budget else (middle, high)
    return backend, {"target_error": high, "max_samples": inputs.length}


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
