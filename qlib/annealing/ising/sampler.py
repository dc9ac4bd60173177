"""What every sampler of Ising models shares: arguments, conversion, the answer."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, log
from typing import ClassVar

import dimod
import numpy as np

from qlib.annealing.ising.model import IsingModel
from qlib.arguments import number_between, positive_integer

SCHEDULES = ("geometric", "linear")
EXCITATIONS = 0.01  # spins expected out of place at the end of the default schedule


@dataclass(frozen=True)
class Settings:
    """The checked arguments of one call.

    Attributes
    ----------
    num_reads, num_sweeps : int
    beta_range : (float, float)
        First and last inverse temperature, first <= last.
    beta_schedule_type : {"geometric", "linear"}
    initial : (k, n) int8 array
        The given start states in the order of the model's spins, k <= num_reads.
    rng : `numpy.random.Generator`
    interrupted : callable
        ``interrupted() -> bool``: whether to stop and return what there is.
    options : dict
        The sampler's own parameters, given or default.
    """

    num_reads: int
    num_sweeps: int
    beta_range: tuple
    beta_schedule_type: str
    initial: np.ndarray
    rng: np.random.Generator
    interrupted: Callable
    options: dict = field(default_factory=dict)

    def betas(self, count=None):
        """The schedule, (count,), by default of `num_sweeps`; one is the last."""
        count = self.num_sweeps if count is None else count
        hot, cold = self.beta_range
        if count == 1:
            return np.array([cold])
        space = np.geomspace if self.beta_schedule_type == "geometric" else np.linspace
        return space(hot, cold, count)

    def start_states(self):
        """The given states, filled up with uniform random ones: (num_reads, n) int8."""
        given, n = self.initial.shape
        bits = self.rng.integers(0, 2, size=(self.num_reads - given, n), dtype=np.int8)
        return np.concatenate([self.initial, 2 * bits - 1])


class IsingSampler(dimod.Sampler):
    """Base of the samplers: a `dimod.Sampler` with the parameters of D-Wave's.

    A subclass names its own parameters and their defaults in `options`, refuses bad
    ones in `_check`, and returns spins from `_run`.
    """

    options: ClassVar[dict] = {}

    @property
    def parameters(self):
        """Names that `sample` takes, each with the properties that describe it."""
        names = dict.fromkeys(
            (
                "num_reads",
                "num_sweeps",
                "beta_range",
                "beta_schedule_type",
                "initial_states",
                "seed",
                "interrupt_function",
                *self.options,
            )
        )
        described = {name: [] for name in names}
        described["beta_schedule_type"] = ["beta_schedule_options"]
        return described

    @property
    def properties(self):
        """The schedules that `beta_schedule_type` takes."""
        return {"beta_schedule_options": SCHEDULES}

    def sample(
        self,
        bqm,
        *,
        num_reads=None,
        num_sweeps=1000,
        beta_range=None,
        beta_schedule_type="geometric",
        initial_states=None,
        seed=None,
        interrupt_function=None,
        **options,
    ):
        """Draw states of low energy.

        Parameters
        ----------
        bqm : dimod.BinaryQuadraticModel or IsingModel
            SPIN or BINARY, any labels.
        num_reads : int or None
            States returned, >= 1; None for one per initial state, or one.
        num_sweeps : int
            Sweeps over all spins, >= 1. D-Wave's default.
        beta_range : (float, float) or None
            First and last inverse temperature, 0 < first <= last, 0 <= first where
            the schedule is linear; None for `default_beta_range`.
        beta_schedule_type : {"geometric", "linear"}
            How β goes from first to last; a single sweep takes the last.
        initial_states : samples as of `dimod.as_samples`, or None
            At most `num_reads` start states with the model's labels; further reads
            start at random. Values 0 and 1, or −1 and 1; states of ones alone are in
            the vartype of `bqm`.
        seed : int, `numpy.random.Generator` or None
            Source of all randomness.
        interrupt_function : callable or None
            Called without arguments between blocks of sweeps; once it returns True,
            the states reached so far are returned.
        **options
            The sampler's own parameters.

        Returns
        -------
        dimod.SampleSet
            In the vartype of `bqm`, SPIN for an `IsingModel`, a row per read;
            `info["beta_range"]` is the range used.

        Raises
        ------
        TypeError
            For a parameter that the sampler does not have.
        ValueError
            For a value out of range.
        """
        unknown = [name for name in options if name not in self.options]
        if unknown:
            raise TypeError(
                f"{unknown[0]}: got {options[unknown[0]]!r}; allowed parameters: "
                f"{', '.join(self.parameters)}"
            )
        if interrupt_function is not None and not callable(interrupt_function):
            raise TypeError(
                f"interrupt_function: got {interrupt_function!r}; allowed: None or a "
                "callable"
            )
        model, vartype = _model(bqm)
        options = self.options | options
        self._check(model, options)
        initial = _initial_states(initial_states, model, vartype)
        if num_reads is None:
            num_reads = max(1, len(initial))
        num_reads = positive_integer("num_reads", num_reads)
        if len(initial) > num_reads:
            raise ValueError(
                f"initial_states: got {len(initial)} states; allowed: at most "
                f"num_reads = {num_reads}"
            )
        beta_range = _beta_range(beta_range, beta_schedule_type)
        if beta_range is None and model.num_spins == 0:
            beta_range = default_beta_range(model)
        elif beta_range is None:
            beta_range = self._default_beta_range(model, options)
        settings = Settings(
            num_reads=num_reads,
            num_sweeps=positive_integer("num_sweeps", num_sweeps),
            beta_range=beta_range,
            beta_schedule_type=beta_schedule_type,
            initial=initial,
            rng=_generator(seed),
            interrupted=interrupt_function or (lambda: False),
            options=options,
        )
        return self._sample_set(model, vartype, settings)

    def _sample_set(self, model, vartype, settings):
        if model.num_spins == 0:
            spins, info = np.empty((settings.num_reads, 0), dtype=np.int8), {}
        else:
            spins, info = self._run(model, settings)
        answer = dimod.SampleSet.from_samples(
            (spins, list(model.variables)),
            energy=model.energy(spins),
            vartype=dimod.SPIN,
            info={
                "beta_range": settings.beta_range,
                "beta_schedule_type": settings.beta_schedule_type,
            }
            | info,
        )
        return answer.change_vartype(vartype, inplace=True)

    def _check(self, model, options):
        """Refuse the sampler's own parameters where they are out of range."""

    def _default_beta_range(self, model, options):
        """First and last inverse temperature of a model of n >= 1 spins."""
        return default_beta_range(model)

    @abstractmethod
    def _run(self, model, settings):
        """Spins (num_reads, n) int8 of a model of n >= 1 spins, and a dict of info."""


def default_beta_range(model):
    """Inverse temperatures between which a model melts and freezes.

    The first β lets the spin of the largest possible local field F flip against it
    half of the time: exp(−2βF) = 1/2, F = max_i |h_i| + Σ_j |J_ij|. The last β leaves
    0.01 spins excited in expectation over the smallest gap 2g: n exp(−2βg) = 0.01.
    Both conditions are D-Wave's; their g is the smallest nonzero bias, which real
    couplings make arbitrarily small. Here g = min_i max(b_i, σ_i/√n), b_i the smallest
    nonzero bias at spin i and σ_i² = h_i² + Σ_j J_ij²: local fields of a glass are
    distributed as P(f) ~ f/σ² at small f, so the smallest of n is about σ/√n.

    Parameters
    ----------
    model : IsingModel

    Returns
    -------
    (float, float)
        Inverse energies. (0.1, 1) if all biases vanish, as D-Wave's.

    References
    ----------
    D. J. Thouless, P. W. Anderson, R. G. Palmer, Phil. Mag. 35, 593 (1977), for P(f).
    """
    size = np.abs(model.h)
    indptr, _, weights = model.neighbours()
    weights = np.abs(weights)
    filled = np.flatnonzero(np.diff(indptr))  # reduceat takes no empty segment
    largest, squares, smallest = size.copy(), size**2, np.where(size > 0, size, inf)
    if filled.size:
        starts = indptr[filled]
        largest[filled] += np.add.reduceat(weights, starts)
        squares[filled] += np.add.reduceat(weights**2, starts)
        least = np.minimum.reduceat(weights, starts)
        smallest[filled] = np.minimum(smallest[filled], least)
    biased = largest > 0
    if not biased.any():
        return 0.1, 1.0
    n = np.count_nonzero(biased)
    gap = np.maximum(smallest[biased], np.sqrt(squares[biased] / n)).min()
    hot, cold = log(2) / (2 * largest.max()), log(n / EXCITATIONS) / (2 * gap)
    return float(hot), float(cold)


def _model(bqm):
    if isinstance(bqm, IsingModel):
        return bqm, dimod.SPIN
    if not hasattr(bqm, "to_numpy_vectors"):
        raise TypeError(
            f"bqm: got {type(bqm).__name__}; allowed: a dimod.BinaryQuadraticModel or "
            "an IsingModel"
        )
    return IsingModel.from_bqm(bqm), bqm.vartype


def _initial_states(states, model, vartype):
    """The given states as spins (k, n) int8 in the order of the model."""
    n = model.num_spins
    if states is None:
        return np.empty((0, n), dtype=np.int8)
    values, labels = dimod.as_samples(states)
    if set(labels) != set(model.variables):
        raise ValueError(
            f"initial_states: got {len(labels)} labels, {list(labels)[:3]} first; "
            f"allowed: those of the model, {list(model.variables[:3])} first"
        )
    column = {label: i for i, label in enumerate(labels)}
    values = values[:, [column[label] for label in model.variables]]
    wrong = values[(values != 0) & (abs(values) != 1)]
    negative, zero = (values == -1).any(), (values == 0).any()
    if wrong.size or (negative and zero):
        got = wrong[0] if wrong.size else "0 beside -1"
        raise ValueError(f"initial_states: got {got}; allowed: 0 and 1, or -1 and 1")
    given = getattr(states, "vartype", vartype)
    if zero or (given is dimod.BINARY and not negative):
        values = 2 * values - 1
    return np.ascontiguousarray(values, dtype=np.int8)


def _beta_range(beta_range, schedule):
    if schedule not in SCHEDULES:
        raise ValueError(
            f"beta_schedule_type: got {schedule!r}; allowed: 'geometric' or 'linear'"
        )
    if beta_range is None:
        return None
    hot, cold = first_and_last("beta_range", beta_range)
    open_low = schedule == "geometric"
    hot = number_between("beta_range[0]", hot, 0.0, inf, open_low=open_low)
    cold = number_between("beta_range[1]", cold, 0.0, inf, open_low=open_low)
    if hot > cold:
        raise ValueError(
            f"beta_range: got ({hot}, {cold}), reversed; allowed: first <= last"
        )
    return hot, cold


def first_and_last(name, given):
    """The two elements of a pair, refused by `name` if it is none."""
    try:
        first, last = given
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: got {given!r}; allowed: None or (first, last)"
        ) from None
    return first, last


def _generator(seed):
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None:
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        if not whole or seed < 0:
            raise ValueError(
                f"seed: got {seed!r}; allowed: None, an integer >= 0 or a "
                "numpy.random.Generator"
            )
    return np.random.default_rng(seed)
