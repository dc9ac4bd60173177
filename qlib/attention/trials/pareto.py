"""Error, time and memory of many ways to attend, on the same inputs in the same run."""

from dataclasses import dataclass, field

import numpy as np
import torch

from qlib.arguments import positive_integer
from qlib.attention.attention import quantum_attention
from qlib.attention.backend import Info
from qlib.attention.backends import BACKENDS
from qlib.attention.limits.break_even import naive
from qlib.attention.profile import profiles
from qlib.attention.trials.inputs import reference, relative_errors, root_mean_square

NAIVE = "naive"  # the formula as it is written down, a rival and no backend


@dataclass(frozen=True, eq=False)
class Configuration:
    """A backend with its options and the dtype of what it is given.

    Attributes
    ----------
    name : str
        For tables and figures; one of its kind in a run.
    backend : str
        See `quantum_attention`; or ``"naive"``, the formula as it is written down.
    options : dict
    dtype : torch.dtype
    """

    name: str
    backend: str
    options: dict = field(default_factory=dict)
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True, eq=False)
class Point:
    """What one configuration costs and how far it is off.

    Attributes
    ----------
    configuration : Configuration
    precision : torch.dtype
        Of its products, as it says itself; rivals are of the same.
    exact : bool
        Whether it is exact up to the rounding of its precision.
    errors : (seed, head) array
        Relative, in the Frobenius norm, against float64; one seed where nothing is
        drawn.
    seconds : (repeat,) array
        Of all layers, one after the other; the configurations take turns.
    peak_bytes : int
        The most held at a time, of the layer that needs most.
    keys_touched, values_touched : float
        See `Info`; mean over layers.
    """

    configuration: Configuration
    precision: torch.dtype
    exact: bool
    errors: np.ndarray
    seconds: np.ndarray
    peak_bytes: int
    keys_touched: float
    values_touched: float

    @property
    def error(self):
        """Root mean square of the errors, over seeds and heads."""
        return float(root_mean_square(self.errors, axis=None))


@dataclass(frozen=True, eq=False)
class Pareto:
    """Points of one input.

    Attributes
    ----------
    name : str
        Of the inputs.
    length : int
    is_causal : bool
    points : tuple of Point
        In the order asked for, then the naive formula and SDPA of every precision.
    """

    name: str
    length: int
    is_causal: bool
    points: tuple

    def rival(self, point, kind, precision=None):
        """The point to compare with.

        Parameters
        ----------
        point : Point
        kind : {"naive", "sdpa", "exact"}
            The last is the fastest that is exact, these two included.
        precision : torch.dtype, optional
            Of the rival; that of `point` unless given.

        Returns
        -------
        Point
        """
        wanted = point.precision if precision is None else precision
        same = [each for each in self.points if each.precision == wanted]
        if kind != "exact":
            same = [each for each in same if each.configuration.backend == kind]
        same = [each for each in same if each.exact]
        return min(same, key=lambda each: each.seconds.min())

    def speed(self, point, kind, precision=None):
        """How many times as fast as a rival it is, in each turn.

        Returns
        -------
        (repeat,) array
        """
        return self.rival(point, kind, precision).seconds / point.seconds

    def memory(self, point, kind):
        """Peak memory over that of a rival."""
        return point.peak_bytes / self.rival(point, kind).peak_bytes

    def spared(self, point):
        """Share of memory spared against the leanest exact one of its precision."""
        exact = [
            each.peak_bytes
            for each in self.points
            if each.exact and each.precision == point.precision
        ]
        return 1 - point.peak_bytes / min(exact)

    def fastest(self, error):
        """The approximation of least seconds whose error is below `error`, or None.

        Parameters
        ----------
        error : float
            Root mean square over seeds and heads, relative.

        Returns
        -------
        Point or None
        """
        points = self.within(error)
        return min(points, key=lambda each: each.seconds.min(), default=None)

    def leanest(self, error):
        """The approximation of least memory whose error is below `error`, or None."""
        return min(self.within(error), key=lambda each: each.peak_bytes, default=None)

    def within(self, error):
        """All approximations whose error is below `error`."""
        return [each for each in self.points if not each.exact and each.error < error]

    def cheaper(self, error):
        """What is no exact attention in float32 and whose error is below `error`.

        Parameters
        ----------
        error : float

        Returns
        -------
        list of Point
            Approximations, and exact kernels of lower precision.
        """
        return [
            each
            for each in self.points
            if each.error < error
            and not (each.exact and each.precision == torch.float32)
        ]

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        place = {"inputs": self.name, "length": self.length, "causal": self.is_causal}
        for each in self.points:
            labels = place | {"method": each.configuration.name}
            yield "relative error", each.error, labels
            yield "peak memory over naive's", self.memory(each, NAIVE), labels
            timed = labels | {"kind": "time"}
            yield "milliseconds", 1e3 * each.seconds.min(), timed
            for kind in (NAIVE, "sdpa", "exact"):
                faster = self.rival(each, kind).seconds.min() / each.seconds.min()
                yield f"times as fast as {kind}", faster, timed


def pareto(inputs, configurations, *, repeats=3, seeds=3):
    """Measure every configuration, with the naive formula and SDPA beside them.

    With `configurations.standard`, one layer of two heads, causal: 3 s of one core
    at 512 with two repeats and one seed, for a quick look; in full, with three of
    both, 5 s at 512, 20 s at 2048 and, with one seed, 60 s at 8192, a layer.

    Parameters
    ----------
    inputs : Inputs
    configurations : sequence of Configuration
    repeats : int
        Turns of each.
    seeds : int
        Runs for the error of those that draw.

    Returns
    -------
    Pareto
    """
    seeds = positive_integer("seeds", seeds)
    exact = reference(inputs)
    asked = list(configurations)
    judged = {each: judge(each, inputs, exact, seeds) for each in asked}
    for precision in dict.fromkeys(found["precision"] for found in judged.values()):
        for backend in (NAIVE, "sdpa"):
            name = f"{backend}, {str(precision).removeprefix('torch.')}"
            rival = Configuration(name, backend, dtype=precision)
            judged[rival] = judge(rival, inputs, exact, 1)
    spent = profiles(
        {each: calls_all_layers(each, inputs) for each in judged},
        repeats,
        device=inputs.q.device,
    )
    points = tuple(
        Point(each, **found, **cost_of(spent[each])) for each, found in judged.items()
    )
    return Pareto(inputs.name, inputs.length, inputs.is_causal, points)


def errors_elsewhere(configurations, several):
    """Errors of configurations that draw nothing, on other inputs, untimed.

    Parameters
    ----------
    configurations : sequence of Configuration
    several : sequence of Inputs

    Returns
    -------
    dict
        Name of the configuration: (input,) array, root mean square over heads.
    """
    found = {each.name: [] for each in configurations}
    for inputs in several:
        exact = reference(inputs)
        for each in configurations:
            errors = judge(each, inputs, exact, 1)["errors"]
            found[each.name].append(float(root_mean_square(errors, axis=None)))
    return {name: np.array(errors) for name, errors in found.items()}


def judge(configuration, inputs, exact, seeds):
    """What a configuration says of itself, and its errors with several seeds."""
    errors, first = [], None
    for seed in range(seeds):
        generator = torch.Generator(inputs.q.device).manual_seed(seed)
        runs = [
            attended(configuration, layer, inputs.is_causal, generator)
            for layer in layers(inputs, configuration.dtype)
        ]
        output = torch.cat([output for output, _ in runs])
        if first is not None and torch.equal(output, first):
            break  # nothing is drawn
        first = output if first is None else first
        errors.append(relative_errors(output, exact))
    infos = [info for _, info in runs]
    backend = infos[0].backend  # what was taken where "auto" was asked for
    return {
        "precision": infos[0].dtype,
        "exact": backend == NAIVE or BACKENDS[backend].exact,
        "errors": np.array(errors),
        "keys_touched": np.mean([info.keys_touched for info in infos]),
        "values_touched": np.mean([info.values_touched for info in infos]),
    }


def layers(inputs, dtype):
    """(q, k, v) of every layer, (1, head, length, dim) each, in a dtype."""
    parts = (each.to(dtype).split(1) for each in (inputs.q, inputs.k, inputs.v))
    return list(zip(*parts, strict=True))


def attended(configuration, layer, is_causal, generator):
    """Output and `Info` of one layer."""
    if configuration.backend == NAIVE:
        output, keys = naive(*layer, is_causal=is_causal), float(layer[1].shape[2])
        return output, Info(NAIVE, "every pair kept", output.dtype, keys, keys)
    result = quantum_attention(
        *layer,
        backend=configuration.backend,
        is_causal=is_causal,
        generator=generator,
        **configuration.options,
    )
    return result.output, result.info


def calls_all_layers(configuration, inputs):
    """A function that runs every layer and keeps none."""
    prepared = layers(inputs, configuration.dtype)
    generator = torch.Generator(inputs.q.device).manual_seed(0)

    def call():
        for layer in prepared:
            attended(configuration, layer, inputs.is_causal, generator)

    return call


def cost_of(profile):
    """The parts of a `Profile` that a `Point` holds."""
    return {"seconds": np.array(profile.every), "peak_bytes": profile.peak_bytes}
