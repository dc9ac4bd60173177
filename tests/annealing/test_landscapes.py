"""Every landscape: its minimum, its box, its formula by another route."""

import pickle

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import kstest

from qlib.annealing import landscapes

FAMILY = [
    landscapes.double_rastrigin,
    landscapes.double_funnel,
    landscapes.rastrigin,
    landscapes.ackley,
    landscapes.schwefel,
    landscapes.griewank,
    landscapes.levy,
    landscapes.rosenbrock,
]


def _all():
    for make in FAMILY:
        for d in (1, 2, 5, 20):
            if make is landscapes.rosenbrock and d == 1:
                continue
            yield make(d=d)
            yield landscapes.shifted_and_rotated(make(d=d), rng=d)
    yield landscapes.double_rastrigin(-4.9, d=2)


@pytest.fixture(params=_all(), ids=lambda landscape: f"{landscape.name} {landscape.d}")
def landscape(request):
    return request.param


def test_the_minimum_is_where_and_what_it_is_said_to_be(landscape):
    low, high = landscape.bounds.T
    assert np.all((low <= landscape.x_min) & (landscape.x_min <= high))
    assert landscape(landscape.x_min) == pytest.approx(landscape.f_min, abs=1e-9)


def test_no_point_lies_below_the_minimum(landscape):
    rng = np.random.default_rng(0)
    low, high = landscape.bounds.T[:, :, None]
    for spread in (1.0, 1e-1, 1e-3, 1e-6):
        offsets = spread * (high - low) * rng.uniform(-1, 1, (landscape.d, 20_000))
        points = np.clip(landscape.x_min[:, None] + offsets, low, high)
        assert landscape(points).min() >= landscape.f_min - 1e-9


def test_no_descent_from_the_minimum_or_from_anywhere_gets_below_it(landscape):
    rng = np.random.default_rng(1)
    starts = [landscape.x_min, *rng.uniform(*landscape.bounds.T, (3, landscape.d))]
    for start in starts:
        found = minimize(landscape, start, method="L-BFGS-B", bounds=landscape.bounds)
        assert found.fun >= landscape.f_min - 1e-9


def test_the_gradient_vanishes_at_the_minimum(landscape):
    if "ackley" in landscape.name:  # a cone there
        return
    width = landscape.bounds[:, 1] - landscape.bounds[:, 0]
    steps = np.diag(1e-6 * width)
    x = landscape.x_min[:, None]
    forward, backward = landscape(x + steps), landscape(x - steps)
    curvature = np.abs(forward + backward - 2 * landscape.f_min)
    assert np.all(np.abs(forward - backward) <= 0.01 * curvature + 1e-10)


def test_vectorised_and_single_points_agree(landscape):
    points = np.random.default_rng(2).uniform(*landscape.bounds.T, (7, landscape.d)).T
    values = landscape(points)
    assert values.shape == (7,)
    single = [landscape(point) for point in points.T]
    assert np.shape(single[0]) == ()
    np.testing.assert_allclose(values, single, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_in_torch_out_with_the_same_values_and_dtype(landscape, dtype):
    torch = pytest.importorskip("torch")
    points = np.random.default_rng(3).uniform(*landscape.bounds.T, (7, landscape.d)).T
    given = torch.asarray(points.astype(dtype))
    values = landscape(given)
    assert isinstance(values, torch.Tensor)
    assert values.dtype == given.dtype
    assert landscape(points.astype(dtype)).dtype == dtype
    scale = np.abs(landscape(points)).max()
    tolerance = 1e-3 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(values, landscape(points), atol=tolerance * scale)


def test_landscapes_travel_to_other_processes(landscape):
    twin = pickle.loads(pickle.dumps(landscape))
    point = np.full((landscape.d, 1), 0.3)
    np.testing.assert_array_equal(twin(point), landscape(point))


def test_double_rastrigin_is_the_formula_of_the_report():
    center = 1.25
    x = np.linspace(-5, 5, 1001)
    y = x - center
    formula = y**2 - 10 * np.cos(2 * np.pi * y) - 8 * np.cos(4 * np.pi * y)
    landscape = landscapes.double_rastrigin(center)
    np.testing.assert_allclose(landscape(x[None]), formula, atol=1e-12)
    assert landscape(np.array([center])) == -18.0
    pair = landscapes.double_rastrigin(center, d=2)
    grid = np.stack(np.meshgrid(x[::50], x[::50])).reshape(2, -1)
    expected = landscape(grid[:1]) + landscape(grid[1:])
    np.testing.assert_allclose(pair(grid), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "point", "value"),
    [
        (landscapes.rastrigin, [0.5, 1.0], 21.25),
        (landscapes.ackley, [1.0, 1.0], 20 - 20 * np.exp(-0.2)),
        (landscapes.schwefel, [0.0, 0.0], 2 * 418.98288727243371),
        (landscapes.griewank, [np.pi, 0.0], 2 + np.pi**2 / 4000),
        (
            landscapes.levy,
            [-1.0, 1.0],
            1 + 0.25 * (1 + 10 * np.sin(np.pi / 2 + 1) ** 2),
        ),
        (landscapes.rosenbrock, [-1.0, 2.0], 104.0),
        (landscapes.double_funnel, [-1.5, -1.5], 2.0),
        (landscapes.double_funnel, [3.0, 4.0], 40.5),
    ],
)
def test_values_computed_by_hand(make, point, value):
    assert make(d=2)(np.array(point)) == pytest.approx(value, abs=1e-12)


def test_schwefels_minimiser_solves_its_equation():
    root = brentq(lambda y: np.sin(y) + np.cos(y) * y / 2, 20.0, 21.0, xtol=1e-14)
    assert landscapes.schwefel(1).x_min[0] == pytest.approx(root**2, rel=1e-14)
    assert landscapes.schwefel(1)(np.zeros(1)) == pytest.approx(
        root**2 * np.sin(root), rel=1e-14
    )


def test_the_right_funnel_is_the_narrower_one_and_narrows_with_dimension():
    shares = []
    for d in (1, 2, 4, 8):
        x = np.random.default_rng(0).uniform(-5, 5, (d, 100_000))
        funnels = landscapes.double_funnel(d)(x)
        funnels -= 10 * np.sum(1 - np.cos(2 * np.pi * (x - 3.5)), axis=0)
        right = np.isclose(funnels, np.sum((x - 3.5) ** 2, axis=0))
        shares.append(right.mean())
    border = min(np.roots([0.8, -7.6, 10.8]))  # (x − 3.5)² = 1 + 0.2 (x + 1.5)²
    assert shares[0] == pytest.approx((5 - border) / 10, abs=0.006)  # 4 σ
    assert np.all(np.diff(np.log(shares)) < -0.5)


def test_rotations_are_orthogonal_and_uniform_over_both_signs():
    """A column of a Haar matrix is uniform on the sphere: in d = 3 any entry is too.

    False-alarm rate 1e-4 for the entry, 1e-4 for the signs.
    """
    base = landscapes.rastrigin(3)
    moved = [landscapes.shifted_and_rotated(base, rng=seed) for seed in range(1000)]
    rotations = np.array([landscape.function.args[1] for landscape in moved])
    identity = rotations @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(identity, np.tile(np.eye(3), (1000, 1, 1)), atol=1e-12)
    for entry in ((0, 0), (1, 2)):
        uniform = (rotations[:, *entry] + 1) / 2
        assert kstest(uniform, "uniform").pvalue > 1e-4
    assert abs(np.linalg.det(rotations).mean()) < 3.9 / np.sqrt(1000)


def test_rotation_couples_the_coordinates_and_keeps_distances_to_the_minimum():
    base = landscapes.rastrigin(2)
    moved = landscapes.shifted_and_rotated(base, rng=1)
    h = 0.1
    steps = np.array([[h, h], [h, 0], [0, h], [0, 0]]).T
    both, first, second, none = moved(moved.x_min[:, None] + steps)
    assert abs(both - first - second + none) > 0.01  # a mixed difference
    both, first, second, none = base(base.x_min[:, None] + steps)
    assert abs(both - first - second + none) < 1e-12
    ball = landscapes.Landscape(
        "ball", lambda x: np.sum(x * x, axis=0), base.bounds, np.zeros(2), 0.0
    )
    moved = landscapes.shifted_and_rotated(ball, rng=1)
    assert moved(moved.x_min + np.array([0.3, 0.4])) == pytest.approx(0.25)
    assert np.all(np.abs(moved.x_min) <= 0.8 * 5.12)


def test_the_same_seed_makes_the_same_landscape():
    first, second, other = (
        landscapes.shifted_and_rotated(landscapes.levy(4), rng=seed)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.x_min, second.x_min)
    point = np.full((4, 1), 0.5)
    assert first(point) == second(point) != other(point)


@pytest.mark.parametrize("make", FAMILY)
@pytest.mark.parametrize("d", [0, -1, 1.5, "2", None])
def test_a_dimension_that_is_none_is_refused(make, d):
    with pytest.raises(ValueError, match=r"^d: got .*allowed: "):
        make(d=d)


@pytest.mark.parametrize("center", [5.1, -6, np.nan, "x"])
def test_a_center_outside_the_box_is_refused(center):
    with pytest.raises(ValueError, match=r"^center: got .*allowed: \[-5.0, 5.0\]"):
        landscapes.double_rastrigin(center)


def test_rosenbrock_of_one_coordinate_is_refused():
    with pytest.raises(ValueError, match=r"^d: got 1"):
        landscapes.rosenbrock(1)
