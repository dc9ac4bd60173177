"""The objective as every method sees it: inside its box, counted, never overspent."""

import array_api_compat.numpy as numpy_namespace
import numpy as np
from scipy.optimize import Bounds, OptimizeResult

from qlib.arguments import positive_integer


class Problem:
    """Objective, box, budget and target of one call, for R independent runs at once.

    Points travel as ``(d, R, S)``: coordinate, run, point of the run's batch. Values
    come back as ``(R, S)``. Budget and target are each run's own: a run ends at
    `maxfun` evaluations or at its first value <= `target`, and from then on its points
    are neither evaluated nor counted while other runs go on.

    Parameters
    ----------
    func : callable
        Objective, ``func(x, *args)``: ``(d,) -> float``, or ``(d, S) -> (S,)`` with
        `vectorized`. It receives a copy, so it may write into its argument. NaN counts
        as +inf.
    bounds : `scipy.optimize.Bounds` or sequence of d pairs
        Finite, low < high.
    args : tuple
        Further arguments of `func`.
    maxfun : int
        Evaluations allowed to a run, >= 1.
    target : float or None
        A run stops at its first evaluation with a value <= `target`.
    x0 : (d,) array or None
        Where the method starts; inside the box.
    vectorized : bool
        Whether `func` takes many points at once. The trajectory is the same either way.
    callback : callable or None
        ``callback(intermediate_result)`` after each iteration; raising `StopIteration`
        ends all runs. With `device` its arrays are torch tensors there.
    runs : int or None
        Independent runs R >= 1; None is one run, whose result has no run axis.
    device : str or None
        None for NumPy arrays, else the torch device on which all arrays live.
    keep_history : bool
        False leaves the history empty: with R runs it grows by R numbers a series and
        iteration, which at R >= 10^4 costs more time than the runs themselves.

    Attributes
    ----------
    x, fun, nfev
        Best point ``(d, R)``, best value ``(R,)`` and evaluations ``(R,)`` so far.
    remaining : int
        Evaluations left to each run that has not ended.
    active : (R,) bool array
        Runs that have not reached the target.
    done : bool
        Whether nothing more may be evaluated.
    nit : int
        Iterations recorded.
    """

    def __init__(
        self,
        func,
        bounds,
        args=(),
        *,
        maxfun,
        target=None,
        x0=None,
        vectorized=False,
        callback=None,
        runs=None,
        device=None,
        keep_history=True,
    ):
        low, high = box(bounds)
        self.maxfun = positive_integer("maxfun", maxfun)
        self.runs = 1 if runs is None else positive_integer("runs", runs)
        if target is not None and not np.isfinite(target):
            raise ValueError(f"target: got {target}; allowed: None or a finite number")
        if x0 is not None:
            x0 = _inside(x0, low, high)
        if not callable(func):
            raise TypeError(f"func: got {func!r}; allowed: a callable")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback: got {callback!r}; allowed: None or a callable")

        self.xp = namespace(device)
        self.device = device
        self.d = low.size
        self.target = target
        self._func, self._args, self._vectorized = func, args, vectorized
        self._callback, self._single = callback, runs is None
        self.low, self.high = self._column(low), self._column(high)  # (d, 1, 1)
        self.width = self.high - self.low
        self.x0 = None if x0 is None else self._column(x0)

        xp = self.xp
        self.x = None
        self.fun = xp.full((self.runs,), np.inf, dtype=xp.float64, device=device)
        self.active = xp.ones((self.runs,), dtype=xp.bool, device=device)
        self.remaining = self.maxfun
        self.nit = 0
        self._nfev = xp.zeros((self.runs,), dtype=xp.int64, device=device)
        self._all_active, self._any_active, self._stopped = True, True, False
        self._rows = xp.arange(self.runs, device=device)
        self._keep_history, self._history = keep_history, {}

    @property
    def nfev(self):
        xp = self.xp
        return xp.where(self.active, self.maxfun - self.remaining, self._nfev)

    @property
    def done(self):
        return self._stopped or self.remaining == 0 or not self._any_active

    def uniform(self, random, size):
        """Points (d, R, size) uniform in the box; the very first one is `x0`."""
        x = self.low + self.width * random.uniform((self.d, self.runs, size))
        x = self.xp.minimum(x, self.high)  # rounding
        if self.x0 is not None and self.x is None:
            x[:, :, :1] = self.x0
        return x

    def evaluate(self, x):
        """Values of a batch, in order, until budget or target ends a run.

        Parameters
        ----------
        x : (d, R, S) array
            Points inside the box.

        Returns
        -------
        (R, S) array
            Values; NaN where a point was not evaluated, or stands after its run's hit:
            every comparison with NaN is False, so no such point is ever accepted.
            A vectorised objective sees the whole batch in which a run hits.
        """
        xp = self.xp
        taken = min(x.shape[2], self.remaining)
        points = x[:, :, :taken]
        if not self._all_active:
            points = points[:, self.active, :]
        values = self._call(points)  # (active runs, taken)
        spent = self.maxfun - self.remaining
        self.remaining -= taken
        if self.target is not None:
            hit = values <= self.target
            reached = xp.any(hit, axis=1)
            first = xp.argmax(xp.astype(hit, xp.int8), axis=1)
            late = xp.arange(taken, device=self.device)[None, :] > first[:, None]
            values = xp.where(late & reached[:, None], np.nan, values)
        if values.shape != x.shape[1:]:
            full = xp.full(x.shape[1:], np.nan, dtype=xp.float64, device=self.device)
            if self._all_active:
                full[:, :taken] = values
            else:
                full[self.active, :taken] = values
            values = full
        self._keep_best(x, values)
        if self.target is not None and bool(xp.any(reached)):
            rows = self._rows[self.active]
            self._nfev[rows] = spent + first + 1
            self.active = xp.asarray(self.active, copy=True)
            self.active[rows] = ~reached
            self._all_active, self._any_active = False, bool(xp.any(self.active))
        return values

    def record(self, series, *, population=None, **state):
        """End an iteration: append to the history and inform the callback.

        Parameters
        ----------
        series : dict
            Name to a number or an (R,) array, the same names in every iteration; stored
            beside `fun` and `nfev`.
        population : (d, R, S) array or None
            Current points, shown to the callback as (R, S, d).
        **state
            Further arrays with a leading run axis, shown to the callback only.
        """
        nfev = self.nfev
        if self._keep_history:
            for name, value in {"nfev": nfev, "fun": self.fun, **series}.items():
                self._append(name, value)
        self.nit += 1
        if self._callback is None:
            return
        if population is not None:
            state["population"] = self.xp.permute_dims(population, (1, 2, 0))
        shown = {"x": self.x.T, "fun": self.fun, "nfev": nfev, **series, **state}
        if self._single:
            shown = {k: v[0] if hasattr(v, "shape") else v for k, v in shown.items()}
        try:
            self._callback(OptimizeResult(nit=self.nit, **shown))
        except StopIteration:
            self._stopped = True

    def result(self):
        """The outcome in NumPy arrays, with a leading run axis unless `runs` is None.

        Returns
        -------
        OptimizeResult
            `x`, `fun`, `nfev`, `nit`, `success`, `message`, `history`. `success` says
            whether the target was reached; without a target, whether the budget was
            spent without the callback's stop and a finite value was found.
        """
        fun = to_numpy(self.fun)
        reached = ~to_numpy(self.active)
        success = reached
        if self.target is None:
            success = np.isfinite(fun) & (not self._stopped)
        fields = {
            "x": to_numpy(self.x).T.copy(),
            "fun": fun.copy(),
            "nfev": to_numpy(self.nfev).copy(),
            "success": success,
        }
        history = {
            name: to_numpy(rows[: self.nit]).T  # (R, nit)
            for name, rows in self._history.items()
        }
        if self._single:
            fields = {name: value[0] for name, value in fields.items()}
            fields["fun"] = float(fields["fun"])
            fields["nfev"] = int(fields["nfev"])
            fields["success"] = bool(fields["success"])
            history = {name: rows[0] for name, rows in history.items()}
        return OptimizeResult(
            nit=self.nit, message=self._message(reached), history=history, **fields
        )

    def _message(self, reached):
        end = f"Budget of {self.maxfun} evaluations spent."
        if self._stopped:
            end = "Stopped by the callback."
        if self.target is None or not reached.any():
            return end
        if self._single:
            return "Target reached."
        count = f"Target reached in {reached.sum()} of {self.runs} runs."
        return count if reached.all() else f"{count} {end}"

    def _column(self, vector):
        xp = self.xp
        column = xp.asarray(vector, dtype=xp.float64, device=self.device)
        return column[:, None, None]  # (d, 1, 1)

    def _call(self, points):
        """Values (A, S) of points (d, A, S) with NaN made +inf."""
        xp = self.xp
        if self._vectorized:
            flat = xp.asarray(xp.reshape(points, (self.d, -1)), copy=True)
            size = flat.shape[1]
            values = xp.asarray(
                self._func(flat, *self._args), dtype=xp.float64, device=self.device
            )
            if values.shape != (size,):
                raise ValueError(
                    f"func: got values of shape {tuple(values.shape)} for points of "
                    f"shape ({self.d}, {size}); allowed with vectorized=True: ({size},)"
                )
            values = xp.reshape(values, points.shape[1:])
        else:
            values = self._call_serially(points)
        return xp.where(xp.isnan(values), np.inf, values)

    def _call_serially(self, points):
        """One point after another; a run's points after its hit are not evaluated."""
        _, runs, size = points.shape
        values = np.full((runs, size), np.nan)
        for run in range(runs):
            for index in range(size):
                point = self.xp.asarray(points[:, run, index], copy=True)
                value = to_numpy(self._func(point, *self._args))
                if value.size != 1:
                    raise ValueError(
                        f"func: got a value of shape {value.shape} for one point of "
                        f"shape ({self.d},); allowed: a number"
                    )
                values[run, index] = value.item()
                if self.target is not None and values[run, index] <= self.target:
                    break
        return self.xp.asarray(values, device=self.device)

    def _keep_best(self, x, values):
        xp = self.xp
        values = xp.where(xp.isnan(values), np.inf, values)
        index = xp.argmin(values, axis=1)  # (R,), the first of equals
        value = values[self._rows, index]
        point = x[:, self._rows, index]  # (d, R)
        better = value < self.fun
        self.x = point if self.x is None else xp.where(better, point, self.x)
        self.fun = xp.where(better, value, self.fun)

    def _append(self, name, value):
        xp = self.xp
        rows = self._history.get(name)
        if rows is None or self.nit == rows.shape[0]:
            dtype = xp.int64 if name == "nfev" else xp.float64
            shape = (max(64, self.nit), self.runs)
            more = xp.empty(shape, dtype=dtype, device=self.device)
            rows = more if rows is None else xp.concat([rows, more])
        rows[self.nit] = value
        self._history[name] = rows


def box(bounds):
    """Lower and upper edge, (d,) each, of finite bounds with low < high.

    Parameters
    ----------
    bounds : `scipy.optimize.Bounds` or sequence of d pairs (low, high)

    Raises
    ------
    ValueError
        If a bound is infinite or NaN, reversed or of no width, or of another shape.
    """
    if isinstance(bounds, Bounds):
        pairs = np.broadcast_arrays(np.atleast_1d(bounds.lb), bounds.ub)
        pairs = np.stack(pairs, axis=-1).astype(np.float64)
    else:
        try:
            pairs = np.asarray(bounds, dtype=np.float64)
        except (TypeError, ValueError):
            pairs = np.empty(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.shape[0] == 0:
        raise ValueError(
            f"bounds: got {bounds!r}; allowed: Bounds or d >= 1 pairs (low, high)"
        )
    for index, (low, high) in enumerate(pairs.tolist()):
        if not (np.isfinite(high - low) and low < high):
            raise ValueError(
                f"bounds: got ({low}, {high}) for coordinate {index}; allowed: finite "
                "with low < high"
            )
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def namespace(device):
    """The array namespace: NumPy's for None, torch's for a torch device."""
    if device is None:
        return numpy_namespace
    import array_api_compat.torch as torch_namespace

    return torch_namespace


def to_numpy(array):
    """A NumPy array with the values of a NumPy or torch array, or of a number."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def _inside(x0, low, high):
    x0 = np.asarray(x0, dtype=np.float64)
    if x0.shape != low.shape:
        raise ValueError(f"x0: got shape {x0.shape}; allowed: {low.shape}")
    outside = ~((low <= x0) & (x0 <= high))
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(
            f"x0: got {x0[index]} for coordinate {index}; allowed: "
            f"[{low[index]}, {high[index]}]"
        )
    return x0
