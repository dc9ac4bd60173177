"""Tunnelling moves: global scans along the axes, which jump barriers between wells."""

import heapq

import numpy as np

from qlib.annealing.tunneling.descent import descend

FIRST = 17  # points of the even grid each scan starts from
SIZES = (60, 100, 160, 250)  # points of an axis after each stage


class AxisScan:
    """Profiles of the objective along every axis through one point, refined by STEP.

    STEP ("select the easiest point") asks of each interval between neighbours how
    curved a parabola through its ends must be to reach just below the best value seen,
    and halves the interval that asks least: it closes in on the deepest wells first and
    still returns to wide, untried intervals. All axes are refined together, one point
    each a batch.

    Parameters
    ----------
    search : Search
    x : (d,) array
        The point; its value is `value`.
    value : float

    Attributes
    ----------
    places, values : (d, n) array
        Row i: coordinate i, increasing, and the values there; +inf made finite.

    References
    ----------
    S. Swarzberg, G. Seront, H. Bersini, "S.T.E.P.: the easiest way to optimize a
    function", CEC 1994. P. Pošík, W. Huyer, "Restarted local search algorithms for
    continuous black box optimization", Evol. Comput. 20, 575 (2012).
    """

    def __init__(self, search, x, value):
        self.search, self.x = search, x
        self.places, self.values = x[:, None], np.full((search.d, 1), value)
        grid = np.linspace(0.0, 1.0, FIRST)
        self._add(search.low[:, None] + search.width[:, None] * grid)

    def refine(self, size):
        """Go on until each axis has `size` points; O(d · size) evaluations."""
        rows = np.arange(self.search.d)
        while self.places.shape[1] < size:
            above = self.values - self.values.min(axis=1, keepdims=True)
            goal = 1e-5 * np.median(above, axis=1, keepdims=True) + 1e-300
            roots = np.sqrt(above + goal)
            widths = np.diff(self.places, axis=1) / self.search.width[:, None]
            fine = widths < 1e-6
            curvature = (roots[:, 1:] + roots[:, :-1]) / np.where(fine, 1.0, widths)
            chosen = np.where(fine, np.inf, curvature).argmin(axis=1)
            ends = self.places[rows, chosen], self.places[rows, chosen + 1]
            self._add((ends[0] + ends[1])[:, None] / 2)

    def deepest(self):
        """The best coordinate of each axis, (d,), and the values there, (d,)."""
        rows, best = np.arange(self.search.d), self.values.argmin(axis=1)
        return self.places[rows, best], self.values[rows, best]

    def _add(self, places):
        d, count = places.shape
        points = np.repeat(self.x[:, None], d * count, axis=1)
        points[np.repeat(np.arange(d), count), np.arange(d * count)] = places.ravel()
        values = self.search.evaluate(points).reshape(d, count)
        self.places = np.column_stack([self.places, places])
        self.values = np.column_stack([self.values, values])
        order = np.argsort(self.places, axis=1, kind="stable")
        self.places = np.take_along_axis(self.places, order, axis=1)
        values = np.take_along_axis(self.values, order, axis=1)
        finite = values[np.isfinite(values)]
        ceiling = 2 * finite.max() - finite.min() + 1 if finite.size else 0.0
        self.values = np.where(np.isfinite(values), values, ceiling)


def scans(search):
    """Arm: scan the best minimum not scanned yet, join the best coordinates, descend.

    A scan starts with 60 points an axis. While the joined point gains at least half of
    what the axes promise one by one, the function passes for separable and the scan is
    refined: to 100, 160, 250 points. A turn is one scan.
    """
    untried, known, tried = [], 0, set()
    while True:
        for value, x in search.minima[known:]:
            if np.isfinite(value):
                heapq.heappush(untried, (value, known, x))
            known += 1
        start = _lowest(search, untried, tried)
        if start is None:
            yield
            continue
        value, x = start
        scan = AxisScan(search, x, value)
        for size in SIZES:
            scan.refine(size)
            joined, values = scan.deepest()
            gain = (value - values).sum()
            reached = search.evaluate(joined[:, None])[0]
            descend(search, joined)
            if gain <= 1e-9 * np.ptp(scan.values) or reached > value - 0.5 * gain:
                break
        yield


def _lowest(search, untried, tried):
    """Take the lowest minimum that is, to a thousandth of the box, not in `tried`."""
    while untried:
        value, _, x = heapq.heappop(untried)
        place = tuple(np.round(1e3 * (x - search.low) / search.width).astype(int))
        if place not in tried:
            tried.add(place)
            return value, x
    return None
