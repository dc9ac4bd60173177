"""Test landscapes with known minima, over any array namespace.

Every function takes ``(d,)`` or ``(d, S)`` (scipy's `differential_evolution`
convention), NumPy or torch, and returns a number or ``(S,)`` of the same kind and
dtype, at O(d) operations a point (O(d²) once rotated). Sources of the classical ones:
M. Jamil, X.-S. Yang, "A literature survey of benchmark functions for global
optimisation problems", Int. J. Math. Model. Numer. Optim. 4, 150 (2013).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import e, pi

import numpy as np
from array_api_compat import array_namespace, device

from qlib.arguments import number_between, positive_integer


@dataclass(frozen=True, eq=False)
class Landscape:
    """A function on a box, with its global minimum.

    Attributes
    ----------
    name : str
    function : callable
        ``(d,) -> number`` or ``(d, S) -> (S,)``; calling the landscape calls it.
    bounds : (d, 2) array
        Lower and upper edge of each coordinate.
    x_min : (d,) array
        The global minimiser.
    f_min : float
        The value there.
    """

    name: str
    function: Callable
    bounds: np.ndarray
    x_min: np.ndarray
    f_min: float

    def __call__(self, x):
        return self.function(x)

    @property
    def d(self):
        return len(self.bounds)


def double_rastrigin(center=0.0, d=1):
    """Two superposed ripples on a parabola, summed over d coordinates.

    With y = x − c, each coordinate adds y² − 10 cos 2πy − 8 cos 4πy on [−5, 5]; the
    minimum is −18 d at x = c. The second ripple splits every well of Rastrigin's
    function in two.

    Parameters
    ----------
    center : float
        c, in [−5, 5].
    d : int
        Dimensions, >= 1.
    """
    center = number_between("center", center, -5.0, 5.0)
    function = partial(_double_rastrigin, center=center)
    return _on_cube("double_rastrigin", function, d, -5.0, 5.0, center, -18.0)


def double_funnel(d=1):
    """Lunacek's bi-Rastrigin: the wider of two rippled funnels is the wrong one.

    f(x) = min{Σ (x_i − a)², D d + s Σ (x_i − b)²} + 10 Σ (1 − cos 2π(x_i − a)) on
    [−5, 5]^d with a = 3.5, b = −1.5, D = 1, s = 0.2. The minimum is 0 at x_i = a; the
    wrong funnel ends at x_i = b, higher by only d. The right one holds 33 % of the box
    at d = 1 and a share that falls exponentially with d. Lunacek et al. choose s and b
    as functions of d that leave the box (b) or change sign (s) for d < 3; fixed numbers
    keep d = 1 in the family.

    Parameters
    ----------
    d : int
        Dimensions, >= 1.

    References
    ----------
    M. Lunacek, D. Whitley, A. Sutton, "The impact of global structure on search",
    PPSN X, LNCS 5199, 498 (2008).
    """
    return _on_cube("double_funnel", _double_funnel, d, -5.0, 5.0, _RIGHT, 0.0)


def rastrigin(d=2):
    """10 d + Σ x_i² − 10 cos 2πx_i on [−5.12, 5.12]^d; minimum 0 at the origin."""
    return _on_cube("rastrigin", _rastrigin, d, -5.12, 5.12, 0.0, 0.0)


def ackley(d=2):
    """Ackley's function on [−32.768, 32.768]^d; minimum 0 at the origin.

    −20 exp(−0.2 √(Σ x_i²/d)) − exp(Σ cos(2πx_i)/d) + 20 + e: a narrow funnel in a
    rippled plain.
    """
    return _on_cube("ackley", _ackley, d, -32.768, 32.768, 0.0, 0.0)


def schwefel(d=2):
    """Schwefel's function 2.26 on [−500, 500]^d; minimum 0 at x_i = 420.9687….

    Σ 418.98… − x_i sin √|x_i|: the second-best well lies at the other end of the box.
    Outside the box, where the formula would fall below the minimum, it is taken at the
    nearest point of the box and the squared distance to the box is added.
    """
    return _on_cube("schwefel", _schwefel, d, -500.0, 500.0, _SCHWEFEL_X, 0.0)


def griewank(d=2):
    """1 + Σ x_i²/4000 − Π cos(x_i/√i) on [−600, 600]^d; minimum 0 at the origin."""
    return _on_cube("griewank", _griewank, d, -600.0, 600.0, 0.0, 0.0)


def levy(d=2):
    """Levy's function on [−10, 10]^d; minimum 0 at x_i = 1.

    With w = 1 + (x − 1)/4: sin²πw_1 + Σ_{i<d} (w_i − 1)² (1 + 10 sin²(πw_i + 1)) +
    (w_d − 1)² (1 + sin² 2πw_d).
    """
    return _on_cube("levy", _levy, d, -10.0, 10.0, 1.0, 0.0)


def rosenbrock(d=2):
    """Σ 100 (x_{i+1} − x_i²)² + (1 − x_i)² on [−5, 10]^d, d >= 2; minimum 0 at 1."""
    if positive_integer("d", d) < 2:
        raise ValueError(f"d: got {d}; allowed: an integer >= 2")
    return _on_cube("rosenbrock", _rosenbrock, d, -5.0, 10.0, 1.0, 0.0)


def shifted_and_rotated(landscape, rng=None):
    """The landscape turned about its minimum, which moves to a random place.

    g(x) = f(x_min + Q (x − x_new)) on the same box: Q is orthogonal, drawn from the
    Haar measure (QR of a Gaussian matrix with the signs of R's diagonal fixed); x_new
    is uniform in the central 80 % of the box, each coordinate. Coordinate-wise search
    loses the separability it may have lived on.

    Parameters
    ----------
    landscape : Landscape
        Its formula must not fall below its minimum outside its box (all here hold to
        that).
    rng : int, `numpy.random.Generator` or None
        Source of Q and x_new.

    References
    ----------
    F. Mezzadri, "How to generate random matrices from the classical compact groups",
    Notices of the AMS 54, 592 (2007).
    """
    rng = np.random.default_rng(rng)
    low, high = landscape.bounds.T
    middle, half = (low + high) / 2, (high - low) / 2
    x_new = middle + 0.8 * half * rng.uniform(-1.0, 1.0, landscape.d)
    q, r = np.linalg.qr(rng.standard_normal((landscape.d, landscape.d)))
    rotation = q * np.sign(np.diag(r))
    function = partial(
        _moved, landscape.function, rotation, x_new[:, None], landscape.x_min[:, None]
    )
    name = f"{landscape.name}, shifted and rotated"
    return Landscape(name, function, landscape.bounds, x_new, landscape.f_min)


_RIGHT, _WRONG, _WIDTH = 3.5, -1.5, 0.2  # a, b, s of the double funnel
_SCHWEFEL_X, _SCHWEFEL_MAX = 420.96874635998203, 418.98288727243371  # of x sin √x


def _on_cube(name, function, d, low, high, x_min, f_min):
    """The same interval, minimiser and share of the minimum in each coordinate."""
    d = positive_integer("d", d)
    bounds = np.tile([low, high], (d, 1))
    return Landscape(name, function, bounds, np.full(d, x_min), d * f_min)


def _double_rastrigin(x, center):
    xp = array_namespace(x)
    y = x - center
    c = xp.cos(2 * pi * y)
    return xp.sum(y * y - 10 * c - 8 * (2 * c * c - 1), axis=0)  # cos 4πy = 2 c² − 1


def _double_funnel(x):
    xp = array_namespace(x)
    y = x - _RIGHT
    right = xp.sum(y * y, axis=0)
    wrong = xp.sum(1.0 + _WIDTH * (x - _WRONG) ** 2, axis=0)
    ripple = 10 * xp.sum(1 - xp.cos(2 * pi * y), axis=0)
    return xp.where(right < wrong, right, wrong) + ripple


def _rastrigin(x):
    xp = array_namespace(x)
    return xp.sum(x * x + 10 * (1 - xp.cos(2 * pi * x)), axis=0)


def _ackley(x):
    xp = array_namespace(x)
    radius = xp.sqrt(xp.mean(x * x, axis=0))
    ripple = xp.mean(xp.cos(2 * pi * x), axis=0)
    return 20 - 20 * xp.exp(-0.2 * radius) + e - xp.exp(ripple)


def _schwefel(x):
    xp = array_namespace(x)
    inside = xp.where(x > 500.0, 500.0, xp.where(x < -500.0, -500.0, x))
    value = _SCHWEFEL_MAX - inside * xp.sin(xp.sqrt(xp.abs(inside)))
    return xp.sum(value + (x - inside) ** 2, axis=0)


def _griewank(x):
    xp = array_namespace(x)
    index = xp.arange(1, x.shape[0] + 1, dtype=x.dtype, device=device(x))
    root = xp.reshape(xp.sqrt(index), (-1,) + (1,) * (x.ndim - 1))
    return 1 + xp.sum(x * x, axis=0) / 4000 - xp.prod(xp.cos(x / root), axis=0)


def _levy(x):
    xp = array_namespace(x)
    v = (x - 1) / 4  # w − 1
    first = xp.sin(pi * v[0]) ** 2  # sin²π(1 + v) = sin²πv
    body = xp.sum(v[:-1] ** 2 * (1 + 10 * xp.sin(pi * (1 + v[:-1]) + 1) ** 2), axis=0)
    return first + body + v[-1] ** 2 * (1 + xp.sin(2 * pi * v[-1]) ** 2)


def _rosenbrock(x):
    xp = array_namespace(x)
    head, tail = x[:-1], x[1:]
    return xp.sum(100 * (tail - head * head) ** 2 + (1 - head) ** 2, axis=0)


def _moved(function, rotation, x_new, x_min, x):
    xp = array_namespace(x)
    place = {"dtype": x.dtype, "device": device(x)}
    rotation, x_new, x_min = (
        xp.asarray(array, **place) for array in (rotation, x_new, x_min)
    )
    points = xp.reshape(x, (x.shape[0], -1))  # (d, S)
    values = function(x_min + rotation @ (points - x_new))
    return values[0] if x.ndim == 1 else values
