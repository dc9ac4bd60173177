"""Samplers against exact kernels on inputs as small as the roadmap's."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import number_between, positive_integer
from qlib.attention.attention import quantum_attention
from qlib.attention.limits.break_even import naive
from qlib.attention.profile import in_turns
from qlib.attention.trials.inputs import gaussian, reference, relative_errors
from qlib.attention.trials.samplers import SAMPLERS

TIMED = {"kind": "time"}
EXACT = ("naive", "math", "sdpa")


@dataclass(frozen=True, eq=False)
class Small:
    """Seconds and errors of samplers and exact kernels at one length.

    Attributes
    ----------
    length : int
    samples : int
        Values that a query of a sampler may read.
    methods : tuple of str
    exact : (method,) bool array
        Whether it is an exact kernel.
    seconds : (method, repeat) array
        Of one call on one head; the methods take turns.
    errors : (method, seed) array
        Relative, in the Frobenius norm, on Gaussian inputs drawn with that seed.
    """

    length: int
    samples: int
    methods: tuple
    exact: np.ndarray
    seconds: np.ndarray
    errors: np.ndarray

    def speed(self):
        """Least seconds of the exact kernels over the least of the samplers.

        Returns
        -------
        (repeat,) array
            Of each turn, each side by the method that is fastest over all turns;
            above 1 the sampler is faster.
        """
        least = self.seconds.min(1)
        fastest = [
            self.seconds[side][least[side].argmin()]
            for side in (self.exact, ~self.exact)
        ]
        return fastest[0] / fastest[1]

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        place = {"length": self.length}
        for name, times, errors in zip(
            self.methods, self.seconds, self.errors, strict=True
        ):
            labels = place | {"method": name}
            yield "relative error", errors.mean(), labels
            yield "microseconds", 1e6 * times.min(), labels | TIMED
        speed = float(np.median(self.speed()))
        yield "times as fast as exact, fastest sampler", speed, place | TIMED


def small(
    *, lengths=(64, 128), dim=64, share=0.25, samplers=SAMPLERS, repeats=10, seeds=10
):
    """Time and judge every sampler at short lengths, 2 to 4 s of one core.

    Parameters
    ----------
    lengths : sequence of int
        The roadmap's claims are for 64 and 128.
    dim : int
    share : float
        Of the keys, whose values a query of a sampler may read.
    samplers : dict
        See `sampling_errors`.
    repeats, seeds : int

    Returns
    -------
    list of Small
    """
    share = number_between("share", share, 0, 1, open_low=True)
    seeds = positive_integer("seeds", seeds)
    return [one_length(n, dim, share, samplers, repeats, seeds) for n in lengths]


def one_length(length, dim, share, samplers, repeats, seeds):
    """`Small` of one length."""
    samples = max(1, round(share * length))
    ways = {name: (name, {}) for name in EXACT}
    ways |= {name: way(samples) for name, way in samplers.items()}
    drawn = [gaussian(length, heads=1, dim=dim, seed=seed) for seed in range(seeds)]
    errors = np.array(
        [
            [error_of(way, drawn[seed], seed) for seed in range(seeds)]
            for way in ways.values()
        ]
    )
    generator = torch.Generator().manual_seed(seeds)
    calls = {
        name: lambda way=way: attended(way, drawn[0], generator)
        for name, way in ways.items()
    }
    seconds = np.array(list(in_turns(calls, repeats).values()))
    exact = np.array([name in EXACT for name in ways])
    return Small(length, samples, tuple(ways), exact, seconds, errors)


def error_of(way, inputs, seed):
    """Relative error of one way on inputs of one head."""
    output = attended(way, inputs, torch.Generator().manual_seed(seed))
    return relative_errors(output, reference(inputs)).item()


def attended(way, inputs, generator):
    """Output of a backend with its options, or of the naive rival."""
    backend, options = way
    q, k, v = inputs.q, inputs.k, inputs.v
    if backend == "naive":
        return naive(q, k, v)
    return quantum_attention(
        q, k, v, backend=backend, generator=generator, **options
    ).output
