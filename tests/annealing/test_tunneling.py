"""`tunneling_annealing`: what each part finds exactly, and what the whole solves."""

import numpy as np
import pytest

from qlib.annealing import landscapes, random_search, tunneling_annealing
from qlib.annealing.problem import Problem
from qlib.annealing.tunneling.cma_es import CMA
from qlib.annealing.tunneling.descent import descend
from qlib.annealing.tunneling.envelope import Archive, fit_quadratic, propose
from qlib.annealing.tunneling.line_scan import AxisScan
from qlib.annealing.tunneling.method import CHALLENGER
from qlib.annealing.tunneling.search import Search

# Budgets at which 100 of 100 fresh seeds reached f_min + 1e-6 (95 % upper limit of the
# failure rate: 3 %), save the last: 99 of 100.
SOLVED = [
    (landscapes.double_rastrigin(1.5), 400),
    (landscapes.double_rastrigin(0.7, d=5), 3000),
    (landscapes.rastrigin(10), 3000),
    (landscapes.ackley(5), 6000),
    (landscapes.schwefel(5), 2000),
    (landscapes.levy(5), 3000),
    (landscapes.rosenbrock(5), 2000),
    (landscapes.shifted_and_rotated(landscapes.rastrigin(5), rng=1), 20000),
]


def _search(function, bounds, seed=0, maxfun=10**6):
    problem = Problem(function, bounds, maxfun=maxfun, vectorized=True)
    return Search(problem, np.random.default_rng(seed))


def _solves(method, landscape, budget, seed):
    target = landscape.f_min + 1e-6
    settings = {"maxfun": budget, "target": target, "vectorized": True, "rng": seed}
    return method(landscape, landscape.bounds, **settings).success


def _shifted_rastrigin(d, seed):
    shift = np.random.default_rng(seed).uniform(-4, 4, (d, 1))
    plain = landscapes.rastrigin(d)
    return (lambda x: plain(x - shift)), plain.bounds, shift[:, 0]


@pytest.mark.parametrize(
    ("landscape", "budget"), SOLVED, ids=[f"{f.name}-{f.d}" for f, _ in SOLVED]
)
def test_global_minimum_is_found_where_random_search_fails(landscape, budget):
    assert all(_solves(tunneling_annealing, landscape, budget, s) for s in range(3))
    assert not any(_solves(random_search, landscape, budget, s) for s in range(3))


@pytest.mark.parametrize("d", [2, 5, 10, 20])
def test_separable_rastrigin_takes_evaluations_linear_in_d(d):
    # about 10^d wells; 100 of 100 other seeds took at most 153 d, their median 120 d
    for seed in range(3):
        function, bounds, shift = _shifted_rastrigin(d, seed)
        settings = {"maxfun": 160 * d, "target": 1e-6, "vectorized": True, "rng": seed}
        assert not random_search(function, bounds, **settings).success
        result = tunneling_annealing(function, bounds, **settings)
        assert result.success
        np.testing.assert_allclose(result.x, shift, atol=1e-3)


@pytest.mark.parametrize("center", [-3.7, 0.0, 2.2])
def test_scan_of_sixty_points_ends_in_the_deepest_of_forty_wells(center):
    landscape = landscapes.double_rastrigin(center)
    search = _search(landscape, landscape.bounds)
    start = np.array([4.9])
    scan = AxisScan(search, start, float(landscape(start)))
    scan.refine(60)
    place, _ = scan.deepest()
    assert abs(place[0] - center) < 0.05  # the wells are half a unit apart
    assert search.nfev == 59


def test_scan_sees_each_axis_through_the_point():
    def function(x):
        return (x[0] - 1) ** 2 + 10 * (x[1] + x[0]) ** 2

    search = _search(function, [(-3.0, 3.0)] * 2)
    scan = AxisScan(search, np.array([2.0, 0.5]), 63.5)
    scan.refine(60)
    places, values = scan.deepest()
    # minima of f(x, 0.5) and f(2, y)
    np.testing.assert_allclose(places, [(1 - 5) / 11, -2.0], atol=1e-2)
    np.testing.assert_allclose(values, [225 / 110, 1.0], atol=1e-2)


def test_quadratic_is_recovered_exactly_from_as_many_points_as_coefficients():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((21, 5))
    root = rng.standard_normal((5, 5))
    hessian, gradient = root @ root.T, rng.standard_normal(5)
    values = 3 + x @ gradient + 0.5 * np.einsum("ni,ij,nj->n", x, hessian, x)
    found = fit_quadratic(x, values, np.ones(21), stiffness=0.0)
    np.testing.assert_allclose(found[0], gradient, atol=1e-8)
    np.testing.assert_allclose(found[1], hessian, atol=1e-8)
    assert found[2] < 1e-8


def test_a_sphere_is_recovered_exactly_from_d_plus_2_points():
    rng = np.random.default_rng(1)
    x, centre = rng.standard_normal((8, 6)), rng.standard_normal(6)
    values = 2.5 * ((x - centre) ** 2).sum(axis=1)
    gradient, hessian, misfit = fit_quadratic(
        x, values, np.ones(8)
    )  # of 28 coefficients
    np.testing.assert_allclose(gradient, -5 * centre, atol=1e-9)
    np.testing.assert_allclose(hessian, 5 * np.eye(6), atol=1e-9)
    assert misfit < 1e-9


def test_envelope_points_within_a_twentieth_of_the_box_of_its_minimum():
    rng = np.random.default_rng(2)
    d, centre = 5, np.array([1.0, -2.0, 0.0, 3.0, -1.0])
    root = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.sqrt([1, 2, 3, 4, 5])
    archive = Archive(np.full(d, 10.0), 60)
    for x in rng.uniform(-5, 5, (60, d)):
        archive.add((((x - centre) @ root) ** 2).sum(), x)
    starts = np.array([propose(archive, rng) for _ in range(50)])
    # the stiffness draws the fit a little toward a sphere; the box is 10 wide
    assert np.abs(starts.mean(axis=0) - centre).max() < 0.5


def test_envelope_needs_more_than_2d_minima_and_upward_curvature():
    rng = np.random.default_rng(3)
    archive = Archive(np.ones(3), 50)
    points = rng.uniform(0, 1, (20, 3))
    for x in points[:6]:
        archive.add((x**2).sum(), x)
    assert propose(archive, rng) is None
    archive.add((points[6] ** 2).sum(), points[6])
    assert propose(archive, rng) is not None
    hill = Archive(np.ones(3), 50)
    for x in points:
        hill.add(-(x**2).sum(), x)
    assert propose(hill, rng) is None


def test_archive_keeps_the_best_of_distinct_minima():
    archive = Archive(np.ones(1), 3)
    for value, place in [(5, 0.1), (3, 0.2), (4, 0.3), (1, 0.20001), (2, 0.4)]:
        archive.add(float(value), np.array([place]))
    archive.add(9.0, np.array([0.4]))  # known, and worse
    archive.add(np.inf, np.array([0.9]))
    np.testing.assert_array_equal(archive.values, [1, 2, 4])
    np.testing.assert_array_equal(archive.x[:, 0], [0.20001, 0.4, 0.3])


def test_descent_reaches_a_corner_of_a_linear_function_in_three_steps():
    slope = np.array([[3.0], [-2.0], [1.0], [-5.0]])
    search = _search(lambda x: (slope * x).sum(axis=0), [(-1.0, 2.0)] * 4)
    value, x = descend(search, np.full(4, 0.5))
    np.testing.assert_array_equal(x, [-1, 2, -1, 2])
    assert value == -3 - 4 - 1 - 10
    assert search.nfev <= 3 * 5


def test_covariance_adapts_to_a_quadratic_of_condition_one_million():
    d = 6
    scales = np.logspace(0, 6, d)
    rng = np.random.default_rng(0)
    run = CMA(np.full(d, 3.0), 1.0, 9, rng, np.full(d, -5.0), np.full(d, 5.0))
    for _ in range(600):
        points = run.ask()
        assert (np.abs(points) <= 5).all()
        run.tell((scales[:, None] * points**2).sum(axis=0))
    variances = np.diag(run._covariance)
    slope = np.polyfit(np.log10(scales), np.log10(variances), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.15)  # covariance ∝ inverse Hessian


def test_cma_sees_only_the_ranking_of_values():
    means = []
    for distort in (lambda f: f, np.log, lambda f: f**3):
        rng = np.random.default_rng(4)
        run = CMA(np.full(3, 1.0), 0.5, 7, rng, np.full(3, -99.0), np.full(3, 99.0))
        for _ in range(30):
            run.tell(distort((run.ask() ** 2).sum(axis=0) + 1))
        means.append(run.mean)
    np.testing.assert_array_equal(means[0], means[1])
    np.testing.assert_array_equal(means[0], means[2])


def test_on_a_constant_arms_pay_alike_so_the_owner_evaluates_most():
    result = tunneling_annealing(
        lambda x: np.zeros(x.shape[1]),
        [(0, 1)] * 3,
        maxfun=30000,
        vectorized=True,
        rng=0,
    )
    used = np.bincount(
        result.history["arm"].astype(int),
        weights=np.diff(result.history["nfev"], prepend=0),
    )
    prices = [1, CHALLENGER["restarts"], CHALLENGER["scans"]]  # descents own the best
    shares = used / used.sum()
    wanted = 1 / np.array(prices) / sum(1 / np.array(prices))
    np.testing.assert_allclose(shares, wanted, atol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_minimum_is_found_beside_a_forbidden_half(seed):
    def function(x):
        return np.where(x[0] < 0.3, np.inf, ((x - 0.5) ** 2).sum(axis=0))

    result = tunneling_annealing(
        function, [(-1, 1)] * 3, maxfun=3000, target=1e-8, vectorized=True, rng=seed
    )
    assert result.success


def test_no_global_random_state_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    landscape = landscapes.rastrigin(3)
    tunneling_annealing(
        landscape, landscape.bounds, maxfun=5000, vectorized=True, rng=0
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_course_does_not_depend_on_the_budget():
    landscape = landscapes.levy(3)
    paths = []
    for maxfun in (500, 2000):
        points = []

        def function(x, points=points):
            points.append(x.copy())
            return landscape(x)

        tunneling_annealing(function, landscape.bounds, maxfun=maxfun, rng=7)
        paths.append(points)
    assert len(paths[0]) == 500
    for first, second in zip(paths[0], paths[1][:500], strict=True):
        np.testing.assert_array_equal(first, second)
