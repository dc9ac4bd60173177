"""The quadratic envelope of the minima found: where the next descent should start."""

import math
from bisect import insort

import numpy as np

from qlib.annealing.tunneling.descent import descend

STIFFNESS = 0.3
SCREEN = 8  # random points looked at for each coordinate before a descent


class Archive:
    """Distinct minima, best first.

    Parameters
    ----------
    width : (d,) array
        Of the box. Minima closer than 1e-4 of it in every coordinate are one.
    capacity : int
        How many of the best to keep.
    """

    def __init__(self, width, capacity):
        self.width, self.capacity = width, capacity
        self.x, self.values = np.empty((0, width.size)), np.empty(0)

    def add(self, value, x):
        """Keep a minimum unless it is known, too poor, or not finite."""
        if not np.isfinite(value):
            return
        same = (np.abs(self.x - x) < 1e-4 * self.width).all(axis=1)
        if same.any():
            if value >= self.values[same].min():
                return
            self.x, self.values = self.x[~same], self.values[~same]
        place = np.searchsorted(self.values, value)
        keep = self.capacity
        self.x = np.insert(self.x, place, x, axis=0)[:keep]
        self.values = np.insert(self.values, place, value)[:keep]


def fit_quadratic(x, values, weights, stiffness=STIFFNESS):
    """Weighted quadratic through points, as close to a sphere as they allow.

    Minimises the weighted squares of the residuals plus `stiffness` times the squared
    Frobenius distance of the Hessian from a free multiple of the identity, so that
    fewer points than coefficients still give a model. Points and values should have
    spread of order 1.

    Parameters
    ----------
    x : (n, d) array
    values, weights : (n,) array
    stiffness : float
        0 gives plain least squares, for n >= (d + 1)(d + 2)/2.

    Returns
    -------
    gradient : (d,) array
    hessian : (d, d) array
        value ≈ constant + gradient·x + x·hessian·x/2.
    misfit : float
        Root mean square of the weighted residuals. O(n d⁴).
    """
    n, d = x.shape
    i, j = np.triu_indices(d)
    sphere = 0.5 * (x * x).sum(axis=1)
    rest = x[:, i] * x[:, j] * np.where(i == j, 0.5, 1.0)  # (n, d (d + 1)/2)
    design = np.column_stack([np.ones(n), x, sphere, rest]) * weights[:, None]
    penalty = math.sqrt(stiffness) * np.where(i == j, 1.0, math.sqrt(2.0))
    penalty = np.column_stack([np.zeros((i.size, d + 2)), np.diag(penalty)])
    wanted = np.concatenate([values * weights, np.zeros(i.size)])
    solution = np.linalg.lstsq(np.vstack([design, penalty]), wanted, rcond=None)[0]
    hessian = np.zeros((d, d))
    hessian[i, j] = hessian[j, i] = solution[d + 2 :]
    hessian += solution[d + 1] * np.eye(d)
    residuals = design @ solution - values * weights
    return solution[1 : 1 + d], hessian, math.sqrt(np.mean(residuals**2))


def propose(archive, rng):
    """A random start near the minimum of the envelope of the archived minima.

    The quadratic is fitted to the archive, weighted down by rank. Its minimum is taken
    with curvatures no smaller than a tenth of the largest; along each principal axis
    the start scatters half as far as takes the envelope up by its own misfit: wells lie
    off the envelope by that much, so the deepest may hide that far away.

    Returns
    -------
    (d,) array or None
        May lie outside the box; None with 2 d minima or fewer, or where the envelope
        curves down everywhere.
    """
    count, d = archive.x.shape
    if count <= 2 * d:
        return None
    origin = archive.x[0]
    spread = archive.x.std(axis=0) + 1e-3 * archive.width
    depths = archive.values - archive.values[0]
    depths = depths / max(depths.std(), np.finfo(float).tiny)
    weights = np.exp(-2 * (np.arange(count) / count) ** 2)
    gradient, hessian, misfit = fit_quadratic(
        (archive.x - origin) / spread, depths, weights
    )
    curvatures, axes = np.linalg.eigh(hessian)
    if curvatures[-1] <= 0:
        return None
    curvatures = np.maximum(curvatures, 0.1 * curvatures[-1])
    scatter = 0.5 * np.sqrt(misfit / curvatures) * rng.standard_normal(d)
    return origin + spread * (axes @ (scatter - axes.T @ gradient / curvatures))


def descents(search):
    """Arm: descents from random points, or from the envelope as far as it proves good.

    The chance of an envelope start is the share of such descents so far that ended
    below the lower quartile of the random ones, counting two successes before the
    first. Where it is above nine tenths after eight, `search.funnel` is set. The
    archive keeps the best minima, 1.3 times the coefficients of a quadratic: fewer see
    only the ripple, more see regions that are far from quadratic.
    A turn is one descent.
    """
    rng, d = search.rng, search.d
    archive, known = Archive(search.width, int(0.65 * (d + 1) * (d + 2)) + 3), 0
    ends, better, tried = [], 2, 2
    while True:
        for value, x in search.minima[known:]:
            archive.add(value, x)
        known = len(search.minima)
        trusted = rng.random() < better / tried and ends
        start = propose(archive, rng) if trusted else None
        if start is None:
            value, _ = descend(search, search.best_of(SCREEN * d))
            insort(ends, value)
        else:
            value, _ = descend(search, search.clip(start))
            tried += 1
            better += value < ends[len(ends) // 4]
            search.funnel = tried >= 10 and better > 0.9 * tried
        yield
