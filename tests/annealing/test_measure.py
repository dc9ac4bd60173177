"""Measures against closed forms and hand-made histories."""

import numpy as np
import pytest
from scipy.stats import norm

from qlib.annealing import landscapes, measure, random_search, simulated_annealing

ALWAYS = (np.full(10, 100), np.ones(10, dtype=bool))
NEVER = (np.full(10, 100), np.zeros(10, dtype=bool))


@pytest.mark.parametrize(("hits", "runs"), [(0, 10), (3, 10), (10, 10), (47, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_success_rate_has_wilsons_interval(hits, runs, confidence):
    success = np.arange(runs) < hits
    estimate = measure.success_rate(success, confidence=confidence)
    z, p = norm.isf((1 - confidence) / 2), hits / runs
    center = (p + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z / (1 + z * z / runs) * np.sqrt(p * (1 - p) / runs + (z / (2 * runs)) ** 2)
    assert estimate.value == p
    assert estimate.low == pytest.approx(center - half, abs=1e-12)
    assert estimate.high == pytest.approx(center + half, abs=1e-12)


def test_running_time_counts_failed_runs_and_divides_by_successes():
    estimate = measure.expected_running_time([10, 50, 30], [True, False, True], rng=0)
    assert estimate.value == 45.0
    assert estimate.low < 45.0 < estimate.high
    certain = measure.expected_running_time([10, 20, 30], [True] * 3, rng=0)
    assert certain.value == 20.0
    assert certain.low >= 10
    assert certain.high <= 30


def test_running_time_of_equal_runs_has_no_width():
    assert measure.expected_running_time([7] * 5, [1] * 5, rng=0) == (7.0, 7.0, 7.0)


def test_running_time_without_a_success_is_infinite_with_a_finite_lower_limit():
    estimate = measure.expected_running_time([100] * 20, [False] * 20, rng=0)
    limit = measure.success_rate(np.zeros(20)).high
    assert estimate == (np.inf, 100 / limit, np.inf)


def test_few_successes_leave_the_upper_limit_open():
    estimate = measure.expected_running_time([100] * 10, np.arange(10) < 1, rng=0)
    assert estimate.value == 1000.0
    assert np.isfinite(estimate.low)
    assert estimate.high == np.inf


def test_running_time_is_that_of_restarts_and_its_interval_covers():
    """Geometric trials of cost 1 with budget B: ERT is 1/p whatever B.

    Coverage of 300 nominal 95 % intervals lies in [0.90, 0.99] but for 1 seed in 10^3
    (and for what the percentile bootstrap of 60 runs falls short of 0.95).
    """
    rng, p, budget = np.random.default_rng(0), 0.02, 40
    covered = []
    for _ in range(300):
        trials = rng.geometric(p, size=60)
        estimate = measure.expected_running_time(
            np.minimum(trials, budget), trials <= budget, resamples=400, rng=rng
        )
        covered.append(estimate.low <= 1 / p <= estimate.high)
    assert 0.90 <= np.mean(covered) <= 0.99
    trials = rng.geometric(p, size=200_000)
    many = measure.expected_running_time(
        np.minimum(trials, budget), trials <= budget, resamples=1, rng=rng
    )
    assert many.value == pytest.approx(1 / p, rel=0.02)


def test_running_time_agrees_with_its_seed():
    settings = {"nfev": [5, 9, 12, 40], "success": [1, 1, 1, 0]}
    first, second = (measure.expected_running_time(**settings, rng=1) for _ in range(2))
    assert first == second


def test_evaluations_to_targets_are_first_passages():
    history = {
        "fun": np.array([[9.0, 4.0, 4.0, 1.0], [9.0, 9.0, 9.0, 9.0]]),
        "nfev": np.array([[5, 10, 15, 17], [5, 10, 15, 20]]),
    }
    times = measure.evaluations_to_targets(history, [9.0, 4.0, 2.0, 0.0])
    np.testing.assert_array_equal(
        times, [[5, 10, 17, np.inf], [5, np.inf, np.inf, np.inf]]
    )
    single = {name: values[0] for name, values in history.items()}
    np.testing.assert_array_equal(
        measure.evaluations_to_targets(single, [2.0]), [[17.0]]
    )


def test_first_passage_in_a_history_is_where_a_run_with_that_target_stops():
    landscape = landscapes.double_rastrigin(0.7)
    settings = {"maxfun": 500, "vectorized": True, "runs": 30, "rng": 3}
    settings["temperature"] = 5.0  # one evaluation an iteration from the first
    free = simulated_annealing(landscape, landscape.bounds, **settings)
    stopped = simulated_annealing(landscape, landscape.bounds, target=-17, **settings)
    times = measure.evaluations_to_targets(free.history, [-17])[:, 0]
    expected = np.where(stopped.success, stopped.nfev, np.inf)
    assert stopped.success.any()
    np.testing.assert_array_equal(times, expected)


def test_ecdf_counts_pairs_solved_within_the_budget():
    times = np.array([[1.0, 10.0], [5.0, np.inf]])
    np.testing.assert_array_equal(
        measure.ecdf(times, [0.5, 1, 4, 5, 10, 1e9]), [0, 0.25, 0.25, 0.5, 0.75, 0.75]
    )


def test_ecdf_of_uniform_search_follows_the_geometric_law():
    """P(hit within n) = 1 − (1 − p)^n; the band is 4 binomial σ, false alarm 6e-5."""
    runs, p, budgets = 4000, 0.05, np.array([1, 5, 20, 60])
    result = random_search(
        lambda x: x[0], [(0.0, 1.0)], maxfun=80, vectorized=True, runs=runs, rng=0
    )
    times = measure.evaluations_to_targets(result.history, [p])
    exact = 1 - (1 - p) ** budgets
    error = np.sqrt(exact * (1 - exact) / runs)
    assert np.all(np.abs(measure.ecdf(times, budgets) - exact) < 4 * error)


def test_stuck_iterations_are_counted_in_the_phase_of_their_evaluations():
    history = {
        "nfev": np.arange(1, 13),
        "acceptance": np.array([1.0, 0, 0.2, 0, 0, 0, 0.5, 0, 0, 1, 1, 1]),
        "fun": np.array([9.0, 9, 8, 8, 8, 8, 8, 8, 7, 7, 7, 6]),
    }
    stuck, iterations = measure.stuck_iterations(history, 12)
    np.testing.assert_array_equal(iterations, [[3, 4, 4]])  # the start is no iteration
    np.testing.assert_array_equal(stuck, [[2, 3, 1]])
    stalled, _ = measure.stuck_iterations(history, 12, by="improvement")
    np.testing.assert_array_equal(stalled, [[2, 4, 2]])
    whole, iterations = measure.stuck_iterations(history, 12, phases=1)
    assert (whole, iterations) == ([[6]], [[11]])


def test_iterations_after_a_runs_end_are_not_stuck_ones():
    history = {
        "nfev": np.array([[1, 2, 3, 3, 3], [1, 2, 3, 4, 5]]),
        "acceptance": np.zeros((2, 5)),
    }
    stuck, iterations = measure.stuck_iterations(history, 6, phases=2)
    np.testing.assert_array_equal(iterations, [[2, 0], [2, 2]])
    np.testing.assert_array_equal(stuck, iterations)


def test_a_flat_landscape_never_sticks_by_moves_and_always_by_improvement():
    result = simulated_annealing(
        lambda x: 0.0 * x[0],
        [(0.0, 1.0)],
        maxfun=90,
        replicas=4,
        vectorized=True,
        runs=3,
        rng=0,
    )
    stuck, iterations = measure.stuck_iterations(result.history, 90)
    assert stuck.sum() == 0
    assert iterations.sum() == 3 * (result.nit - 1)
    stalled, _ = measure.stuck_iterations(result.history, 90, by="improvement")
    np.testing.assert_array_equal(stalled, iterations)


def test_a_quench_from_the_minimum_is_always_stuck():
    result = simulated_annealing(
        lambda x: x[0] ** 2,
        [(-1.0, 1.0)],
        maxfun=50,
        x0=[0.0],
        cooling=lambda progress: 0.0,
        thermal_step=False,
        rng=0,
    )
    assert result.fun == 0.0
    for by in ("move", "improvement"):
        stuck, iterations = measure.stuck_iterations(result.history, 50, by=by)
        np.testing.assert_array_equal(stuck, iterations)
        assert iterations.sum() == 49


def test_visited_share_counts_distinct_cells_of_each_run():
    edges = np.array([1.0, 2.0, 3.0])
    points = np.array([[[0.5], [0.6], [3.5]], [[2.5], [2.5], [2.5]]])
    np.testing.assert_array_equal(measure.visited_share(points, edges), [0.5, 0.25])
    np.testing.assert_array_equal(measure.visited_share(points[0], edges), [0.5])
    plane = np.array([[0.5, 0.5], [0.5, 3.5], [3.5, 0.5], [3.5, 3.5], [0.6, 0.6]])
    np.testing.assert_array_equal(measure.visited_share(plane, edges), [4 / 16])


def test_uniform_points_visit_the_expected_share():
    """1 − (1 − 1/m)^n of m cells; the mean over runs to 4 σ, false alarm 6e-5."""
    runs, n, k = 500, 40, 6
    points = np.random.default_rng(0).uniform(size=(runs, n, 2))
    shares = measure.visited_share(points, np.arange(1, k) / k)
    exact = 1 - (1 - 1 / k**2) ** n
    assert abs(shares.mean() - exact) < 4 * shares.std() / np.sqrt(runs)


def test_basins_of_rastrigin_end_halfway_between_its_wells():
    landscape = landscapes.rastrigin(1)
    edges = measure.basin_edges(landscape, *landscape.bounds[0])
    assert len(edges) == 10
    slope = 2 * edges + 20 * np.pi * np.sin(2 * np.pi * edges)
    curvature = 2 + 40 * np.pi**2 * np.cos(2 * np.pi * edges)
    assert np.all(curvature < 0)
    assert np.all(np.abs(slope / curvature) < 2e-3)  # the grid's spacing is 1.02e-3
    assert len(measure.basin_edges(lambda x: x[0] ** 2, -1.0, 1.0)) == 0


def test_the_second_ripple_doubles_the_basins():
    single = landscapes.rastrigin(1)
    double = landscapes.double_rastrigin(0.0)
    first, second = (measure.basin_edges(f, -4.9, 4.9) for f in (single, double))
    assert len(second) == 2 * len(first)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: measure.success_rate([]), "success"),
        (lambda: measure.success_rate([[True]]), "success"),
        (lambda: measure.expected_running_time([1, 2], [True]), "nfev"),
        (lambda: measure.expected_running_time([], []), "success"),
        (
            lambda: measure.expected_running_time([1], [True], resamples=0),
            "resamples",
        ),
        (
            lambda: measure.expected_running_time([1], [True], confidence=0),
            "confidence",
        ),
        (lambda: measure.ecdf([], [1]), "times"),
        (
            lambda: measure.stuck_iterations({"nfev": [1, 2]}, 2, by="luck"),
            "by",
        ),
        (
            lambda: measure.stuck_iterations({"nfev": [1, 2]}, 0),
            "maxfun",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=rf"^{name}: got .*allowed: "):
        call()


def test_interval_of_a_ratio_covers_it_in_95_percent_of_samples():
    """One evaluation a run and success 0.2 against 0.4: the ratio is 2.

    Fewer than 176 of 200 has a chance below 1e-3 at a coverage of 0.94.
    """
    rng = np.random.default_rng(2)
    ones, covered = np.ones(200), 0
    for _ in range(200):
        rare, often = rng.random(200) < 0.2, rng.random(200) < 0.4
        estimate = measure.running_time_ratio((ones, rare), (ones, often), rng=rng)
        covered += estimate.low <= 2.0 <= estimate.high
    assert 176 <= covered < 200


def test_ratio_of_running_times_is_that_of_their_estimates():
    rng = np.random.default_rng(3)
    first = rng.integers(1, 100, 30), rng.random(30) < 0.5
    second = rng.integers(1, 100, 40), rng.random(40) < 0.7
    ratio = measure.running_time_ratio(first, second)
    times = [
        measure.expected_running_time(*runs, rng=0).value for runs in (first, second)
    ]
    assert ratio.value == pytest.approx(times[0] / times[1])
    tenfold = measure.running_time_ratio((10 * first[0], first[1]), second)
    assert tenfold == pytest.approx(tuple(10 * part for part in ratio))


def test_an_unsolved_side_leaves_the_ratio_open_on_that_side():
    worse = measure.running_time_ratio(NEVER, ALWAYS)
    assert worse.value == worse.high == np.inf
    assert worse.low > 1
    better = measure.running_time_ratio(ALWAYS, NEVER)
    assert better.value == better.low == 0
    assert better.high < 1
    assert measure.running_time_ratio(NEVER, NEVER) == (np.inf, 0, np.inf)


def test_one_success_in_ten_is_no_proof_against_none_in_ten():
    once = (np.full(10, 100), np.arange(10) == 0)
    assert measure.running_time_ratio(once, NEVER).high > 1
