"""What the annealing methods share: start, moves inside the box, acceptance."""

from math import ceil, sqrt

from qlib.annealing.schedules import schedule
from qlib.arguments import number_between

SAMPLE = 20  # evaluations that calibrate a temperature, at most a tenth of the budget


class Anneal:
    """Chains of every run with their schedule: placed, then moved an iteration a time.

    Parameters
    ----------
    problem : Problem
    random : RandomSource
    chains : int
        Points S that a run moves in parallel, each one evaluation an iteration.
    cooling : {"linear", "geometric"} or callable
        A callable maps progress in [0, 1] to the absolute temperature.
    temperature : float or None
        First temperature. None calibrates it, each run its own, to the mean absolute
        deviation of f over uniform points: at a temperature of the order of the spread
        of f, Metropolis moves are hardly hindered (White 1984). The sample takes at
        most 20 evaluations and at most a tenth of the budget (but 2, and the S
        starting points count); a sample without spread gives temperature 1.
    temperature_ratio : float
        Last over first temperature of a named cooling.
    coordinates : {"one", "all"}
        What a proposal changes: one coordinate, drawn uniformly, or all of them.

    Attributes
    ----------
    share : float
        Unit of a proposal's width: this share of the box, 1 or 1/√d.
    iterations : int
        Iterations that the budget allows after the start, or 1 if it allows none.
    relative, heat : lists of float
        Temperature of each iteration over `scale`, and over the schedule's maximum.
    scale : (R, 1) array
        Unit of `relative`; set by `place`.
    x, f : (d, R, S) and (R, S) arrays
        Positions and their energies; set by `place`.

    References
    ----------
    S. R. White, "Concepts of scale in simulated annealing", Proc. IEEE ICCD, 646
    (1984).
    """

    def __init__(
        self,
        problem,
        random,
        chains,
        cooling,
        temperature,
        temperature_ratio,
        coordinates,
    ):
        if coordinates not in ("one", "all"):
            raise ValueError(f"coordinates: got {coordinates!r}; allowed: 'one', 'all'")
        self.problem, self.random = problem, random
        self._one = coordinates == "one" and problem.d > 1
        self.share = 1.0 if self._one else 1 / sqrt(problem.d)
        calibrate = temperature is None and not callable(cooling)
        if temperature is not None:
            if callable(cooling):
                raise ValueError(
                    f"temperature: got {temperature!r}; allowed: None with a callable "
                    "cooling, which gives absolute temperatures"
                )
            number_between("temperature", temperature, 0.0, float("inf"), open_low=True)
        number_between(
            "temperature_ratio",
            temperature_ratio,
            0.0,
            1.0,
            open_low=cooling == "geometric",
        )
        self.chains, self._first = chains, chains
        if calibrate:
            self._first = max(chains, min(SAMPLE, max(2, problem.maxfun // 10)))
        self.iterations = max(1, ceil((problem.maxfun - self._first) / chains))
        relative = schedule("cooling", cooling, self.iterations, temperature_ratio)
        peak = relative.max()
        self.relative = relative.tolist()
        self.heat = (relative / peak).tolist() if peak > 0 else self.relative
        given = 1.0 if temperature is None else float(temperature)
        self.scale = None if calibrate else given

    def widths(self, step, thermal_step):
        """Proposal width of each iteration: `step`, times √heat with `thermal_step`."""
        if thermal_step and max(self.heat) == 0:
            raise ValueError(
                "cooling: got 0 throughout; allowed: a temperature > 0 somewhere, or "
                "thermal_step=False (at 0 a thermal step moves nothing)"
            )
        return [step * sqrt(heat) if thermal_step else step for heat in self.heat]

    def place(self, **series):
        """Evaluate the starting points, calibrate on them, and record both.

        Parameters
        ----------
        **series
            First entries of further series that the method records.
        """
        problem, xp = self.problem, self.problem.xp
        x = problem.uniform(self.random, self._first)
        f = problem.evaluate(x)
        self.x, self.f = x[:, :, : self.chains], f[:, : self.chains]
        if self.scale is None:
            self.scale = spread(xp, f)
        else:
            self.scale = xp.full(
                (problem.runs, 1), self.scale, dtype=xp.float64, device=problem.device
            )
        moved = xp.ones(self.f.shape, dtype=xp.bool, device=problem.device)
        self.record(self.scale * self.relative[0], moved, **series)

    def record(self, temperature, moved, **series):
        """Close an iteration in which the chains `moved` (R, S) took their proposal."""
        xp = self.problem.xp
        series = {
            "temperature": temperature[:, 0],
            "acceptance": xp.sum(moved, axis=1) / self.chains,
            "energy": xp.sum(self.f, axis=1) / self.chains,
            **series,
        }
        self.problem.record(series, population=self.x, energies=self.f, moved=moved)

    def displacement(self, width, *, drift=None, size=None):
        """Gaussian displacements, in one random coordinate of each point or in all.

        Parameters
        ----------
        width : float or array
            Standard deviation of what moves, in units of `share` of the box.
        drift : (d, R, S) array or None
            Mean of the displacement.
        size : int or None
            Points S a run; None for one per chain.

        Returns
        -------
        (d, R, S) array
        """
        problem, xp = self.problem, self.problem.xp
        shape = (problem.runs, self.chains if size is None else size)
        noise = self.random.normal((1 if self._one else problem.d, *shape))
        moves = width * self.share * problem.width * noise
        if drift is not None:
            moves = moves + drift
        if not self._one:
            return moves
        chosen = xp.floor(problem.d * self.random.uniform((1, *shape)))
        axis = xp.arange(problem.d, dtype=xp.float64, device=problem.device)
        return xp.where(axis[:, None, None] == chosen, moves, 0.0)

    def accept(self, proposals, temperature):
        """Evaluate proposals (d, R, S) and take them by Metropolis' rule.

        u < exp(−Δ/T) for uniform u is Δ <= T E for exponential E, which needs no
        special case at T = 0, for infinite values, or for points not evaluated (NaN).

        Returns
        -------
        (R, S) bool array
            Which chains moved.
        """
        xp = self.problem.xp
        values = self.problem.evaluate(proposals)
        threshold = self.f + temperature * self.random.exponential(self.f.shape)
        moved = values <= threshold
        self.x = xp.where(moved, proposals, self.x)
        self.f = xp.where(moved, values, self.f)
        return moved


def spread(xp, f):
    """Mean absolute deviation (R, 1) of the finite values of f (R, S); 1 where zero."""
    finite = xp.isfinite(f)
    count = xp.sum(xp.astype(finite, f.dtype), axis=1, keepdims=True)
    count = xp.where(count > 0, count, 1.0)
    mean = xp.sum(xp.where(finite, f, 0.0), axis=1, keepdims=True) / count
    deviation = xp.abs(xp.where(finite, f, mean) - mean)
    mean_deviation = xp.sum(deviation, axis=1, keepdims=True) / count
    return xp.where(mean_deviation > 0, mean_deviation, 1.0)


def reflect(problem, x):
    """Points folded back into the box at its walls, however far they lie outside.

    Folding keeps a symmetric proposal symmetric: every path from y back to x is the
    mirror image of one from x to y.
    """
    xp = problem.xp
    offset = x - problem.low
    offset -= 2 * problem.width * xp.round(offset / (2 * problem.width))
    return xp.minimum(problem.low + xp.abs(offset), problem.high)
