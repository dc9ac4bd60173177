"""What holds for every method: budget, target, box, reproducibility, refusals."""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy.optimize import Bounds

from qlib.annealing import landscapes, simulated_annealing

BOX = [(-2.0, 2.0), (-1.0, 3.0)]
LANDSCAPES = [
    landscapes.double_rastrigin(1.5),
    landscapes.double_funnel(1),
    landscapes.rastrigin(2),
    landscapes.ackley(3),
    landscapes.schwefel(1),
    landscapes.griewank(2),
    landscapes.levy(2),
    landscapes.rosenbrock(2),
    landscapes.shifted_and_rotated(landscapes.rastrigin(3), rng=0),
]


@pytest.mark.parametrize("maxfun", [1, 7, 100, 1003])
@pytest.mark.parametrize("vectorized", [False, True])
def test_exactly_maxfun_points_are_evaluated(
    method, maxfun, vectorized, counted, double_well
):
    func = counted(double_well)
    result = method(func, BOX, maxfun=maxfun, vectorized=vectorized, rng=0)
    assert func.points == result.nfev == maxfun
    assert result.history["nfev"][-1] == maxfun
    assert len(result.history["fun"]) == len(result.history["nfev"]) == result.nit


@pytest.mark.parametrize("hit", [1, 2, 23, 24, 25, 26, 60])
def test_serial_evaluation_stops_at_the_first_value_at_the_target(method, hit):
    seen = []

    def func(x):
        seen.append(x)
        return -1.0 if len(seen) == hit else 1.0 + len(seen)

    result = method(func, BOX, maxfun=60, target=-1.0, rng=0)
    assert len(seen) == result.nfev == hit
    assert result.success
    assert result.fun == -1.0
    np.testing.assert_array_equal(result.x, seen[-1])


def test_nfev_is_the_index_of_the_first_hit_inside_a_vectorised_batch(method):
    values = []

    def func(x):
        values.extend(np.where(x[0] > 0.7, 0.0, 1.0))
        return np.asarray(values[-x.shape[1] :])

    result = method(func, BOX, maxfun=500, target=0.5, vectorized=True, rng=1)
    assert result.success
    assert result.nfev == values.index(0.0) + 1


def test_vectorised_and_serial_trajectories_are_equal(method, double_well):
    for target in (None, -0.4):
        settings = {"maxfun": 203, "target": target, "rng": 5}
        serial = method(double_well, BOX, **settings)
        vectorised = method(double_well, BOX, vectorized=True, **settings)
        _assert_same(serial, vectorised)


def test_same_seed_same_result_and_other_seed_another(method, double_well):
    first, second = (method(double_well, BOX, maxfun=107, rng=3) for _ in range(2))
    _assert_same(first, second)
    other = method(double_well, BOX, maxfun=107, rng=4)
    assert not np.array_equal(first.x, other.x)


def test_a_generator_given_is_advanced(method, double_well):
    rng = np.random.default_rng(0)
    first = method(double_well, BOX, maxfun=50, rng=rng)
    second = method(double_well, BOX, maxfun=50, rng=rng)
    assert not np.array_equal(first.x, second.x)


def test_global_random_state_is_left_alone(method, double_well):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    method(double_well, BOX, maxfun=50, rng=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: landscape.name)
def test_every_point_lies_in_the_box_and_the_best_is_reported(method, landscape):
    points, values = [], []

    def func(x):
        points.append(x.copy())
        values.append(landscape(x))
        return values[-1]

    result = method(func, landscape.bounds, maxfun=251, vectorized=True, rng=2)
    points, values = np.hstack(points), np.hstack(values)
    low, high = landscape.bounds.T[:, :, None]
    assert np.all((low <= points) & (points <= high))
    assert result.fun == values.min()
    np.testing.assert_array_equal(result.x, points[:, values.argmin()])
    np.testing.assert_array_equal(
        result.history["fun"],
        np.minimum.accumulate(values)[result.history["nfev"] - 1],
    )


def test_a_start_on_the_corner_of_a_box_of_extreme_scale_stays_inside(method):
    bounds = Bounds([-1e-9, 1e6], [1e-9, 1e6 + 1])

    def func(x):
        assert np.all((bounds.lb <= x) & (x <= bounds.ub))
        return x[0] * 1e9 + x[1]

    method(func, bounds, maxfun=60, x0=[1e-9, 1e6 + 1], rng=0)


def test_x0_is_evaluated_first(method, double_well):
    seen = []

    def func(x):
        seen.append(x)
        return double_well(x)

    method(func, BOX, maxfun=3, x0=[0.1, 2.9], rng=0)
    np.testing.assert_array_equal(seen[0], [0.1, 2.9])


def test_nan_counts_as_infinity(method, double_well):
    def half_defined(x):
        with np.errstate(invalid="ignore"):
            return double_well(x) + np.sqrt(x[0]) * 0.0

    result = method(half_defined, BOX, maxfun=300, vectorized=True, rng=0)
    assert np.isfinite(result.fun)
    assert result.x[0] >= 0
    assert not np.isnan(result.history["fun"]).any()


def test_a_chain_walks_out_of_a_region_where_the_objective_is_nan():
    final = {}

    def keep(intermediate_result):
        final["energy"] = intermediate_result.energies[0]

    simulated_annealing(
        lambda x: np.nan if x[0] < 0 else x[0],
        [(-1.0, 1.0)],
        maxfun=200,
        x0=[-0.99],
        temperature=1.0,
        callback=keep,
        rng=0,
    )
    assert np.isfinite(final["energy"])


def test_an_objective_that_is_nowhere_defined_reports_infinity(method):
    result = method(lambda x: np.nan, BOX, maxfun=40, rng=0)
    assert result.fun == np.inf
    assert result.nfev == 40
    assert not result.success
    assert np.all(np.isfinite(result.x))


@pytest.mark.parametrize("value", [3.0, 1e300, -np.inf])
def test_a_flat_landscape_spends_the_budget_and_keeps_the_first_point(method, value):
    seen = []

    def func(x):
        seen.append(x)
        return value

    result = method(func, BOX, maxfun=40, rng=0)
    assert result.fun == value
    assert result.nfev == 40
    np.testing.assert_array_equal(result.x, seen[0])


def test_one_dimension(method):
    result = method(lambda x: (x[0] - 1) ** 2, [(-5, 5)], maxfun=400, rng=0)
    assert result.x.shape == (1,)
    assert abs(result.x[0] - 1) < 0.2


def test_an_objective_may_write_into_its_argument(method, double_well):
    def shifts_in_place(x):
        x -= 0.5
        return double_well(x)

    result = method(shifts_in_place, BOX, maxfun=90, vectorized=True, rng=0)
    assert result.fun == double_well(result.x - 0.5)


def test_bounds_objects_equal_pairs_and_args_are_passed(method, double_well):
    def func(x, factor, shift):
        return factor * double_well(x) + shift

    low, high = np.transpose(BOX)
    first = method(func, BOX, (2.0, 1.0), maxfun=45, rng=0)
    second = method(func, Bounds(low, high), (2.0, 1.0), maxfun=45, rng=0)
    _assert_same(first, second)
    assert first.fun == 2 * double_well(first.x) + 1


def test_callback_sees_each_iteration_and_may_stop(method, double_well):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 4:
            raise StopIteration

    result = method(double_well, BOX, maxfun=400, callback=callback, rng=0)
    assert result.nit == len(seen) == 4
    assert not result.success
    assert "callback" in result.message
    for name in ("fun", "nfev"):
        shown = [state[name] for state in seen]
        np.testing.assert_array_equal(shown, result.history[name])
    np.testing.assert_array_equal(seen[-1].x, result.x)


def test_positions_shown_to_the_callback_belong_to_their_energies(method, double_well):
    def callback(intermediate_result):
        if "population" in intermediate_result:
            energies = intermediate_result.energies  # NaN: not evaluated
            expected = double_well(intermediate_result.population.T)
            np.testing.assert_array_equal(
                energies, np.where(np.isnan(energies), np.nan, expected)
            )
            assert np.isfinite(energies).any()

    method(double_well, BOX, maxfun=200, callback=callback, vectorized=True, rng=0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"bounds": [(1.0, -1.0)]}, "bounds"),
        ({"bounds": [(1.0, 1.0)]}, "bounds"),
        ({"bounds": [(-np.inf, 1.0)]}, "bounds"),
        ({"bounds": [(0.0, np.nan)]}, "bounds"),
        ({"bounds": [(-1e308, 1e308)]}, "bounds"),
        ({"bounds": [(0.0, 1.0, 2.0)]}, "bounds"),
        ({"bounds": [(0.0, 1.0), (0.0,)]}, "bounds"),
        ({"bounds": []}, "bounds"),
        ({"bounds": Bounds([0.0, 0.0], [1.0, np.inf])}, "bounds"),
        ({"x0": [0.0, 3.5]}, "x0"),
        ({"x0": [0.0, np.nan]}, "x0"),
        ({"x0": [0.0]}, "x0"),
        ({"x0": [[0.0, 0.0]]}, "x0"),
        ({"maxfun": 0}, "maxfun"),
        ({"maxfun": -3}, "maxfun"),
        ({"maxfun": 10.5}, "maxfun"),
        ({"target": np.nan}, "target"),
        ({"callback": 3}, "callback"),
        ({"func": 3}, "func"),
    ],
)
def test_bad_input_is_refused_by_name_before_any_evaluation(method, settings, name):
    def never(x):
        raise AssertionError("the objective was evaluated")

    arguments = {"func": never, "bounds": BOX, "maxfun": 10, "rng": 0, **settings}
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: got .*allowed: "):
        method(**arguments)


def _refusals():
    zero_to_bad = partial(np.interp, xp=[0, 0.9, 1])
    temperature_is_negative = {"cooling": lambda s: 0.5 - s}
    return {
        "simulated_annealing": [
            (temperature_is_negative, "cooling"),
            ({"cooling": lambda s: np.nan}, "cooling"),
            ({"cooling": lambda s: np.inf}, "cooling"),
            ({"cooling": lambda s: zero_to_bad(s, fp=[1, 1, -1])}, "cooling"),
            ({"cooling": lambda s: 0.0}, "cooling"),
            ({"cooling": "log"}, "cooling"),
            ({"cooling": ["linear"]}, "cooling"),
            ({"cooling": lambda s: 1.0, "temperature": 2.0}, "temperature"),
            ({"temperature": 0.0}, "temperature"),
            ({"temperature": -1.0}, "temperature"),
            ({"temperature": np.inf}, "temperature"),
            ({"temperature_ratio": 0.0}, "temperature_ratio"),
            ({"temperature_ratio": 1.5}, "temperature_ratio"),
            ({"step": 0.0}, "step"),
            ({"step": np.nan}, "step"),
            ({"coordinates": "two"}, "coordinates"),
            ({"replicas": 0}, "replicas"),
            ({"replicas": 1.5}, "replicas"),
            ({"runs": 0}, "runs"),
            ({"runs": True}, "runs"),
        ],
        "quantum_inspired_annealing": [
            (temperature_is_negative, "cooling"),
            ({"particles": 0}, "particles"),
            ({"tunnelling": -0.1}, "tunnelling"),
            ({"pull": -0.1}, "pull"),
            ({"pull": 1.1}, "pull"),
            ({"pull": "much"}, "pull"),
        ],
        "path_integral_annealing": [
            (temperature_is_negative, "cooling"),
            ({"shrinking": lambda s: 0.5 - s}, "shrinking"),
            ({"shrinking": lambda s: 1.0 - s}, "shrinking"),
            ({"slices": 0}, "slices"),
            ({"slices": 3}, "slices"),
            ({"wavelength": 0.0}, "wavelength"),
            ({"wavelength_ratio": 0.0}, "wavelength_ratio"),
        ],
        "replica_exchange": [
            ({"temperature": 0.0}, "temperature"),
            ({"temperature_ratio": 0.0}, "temperature_ratio"),
            ({"replicas": 0}, "replicas"),
            ({"coordinates": None}, "coordinates"),
        ],
        "random_search": [({"batch": 0}, "batch"), ({"runs": -1}, "runs")],
    }


@pytest.mark.parametrize(
    ("name", "settings", "argument"),
    [(n, *case) for n, cases in _refusals().items() for case in cases],
)
def test_bad_settings_are_refused_before_any_evaluation(name, settings, argument):
    import qlib.annealing

    def never(x):
        raise AssertionError("the objective was evaluated")

    with pytest.raises(ValueError, match=rf"^{argument}: got .*allowed: "):
        getattr(qlib.annealing, name)(never, BOX, maxfun=300, rng=0, **settings)


@pytest.mark.parametrize(
    ("func", "vectorized"),
    [
        (lambda x: x, False),
        (lambda x: np.array([]), False),
        (lambda x: x, True),
        (lambda x: 1.0, True),
        (lambda x: np.ones(x.shape[1] + 1), True),
        (lambda x: np.ones((x.shape[1], 1)), True),
    ],
)
def test_an_objective_of_the_wrong_shape_is_refused_at_once(method, func, vectorized):
    with pytest.raises(ValueError, match=r"^func: got .*allowed"):
        method(func, BOX, maxfun=30, vectorized=vectorized, rng=0)


def test_an_error_in_the_objective_reaches_the_caller(method):
    def func(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        method(func, BOX, maxfun=30, rng=0)


def test_no_warning_where_most_of_the_box_is_infinite(method):
    def walled(x):
        return np.where(x[0] < 1.5, np.inf, x[1])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = method(walled, BOX, maxfun=400, vectorized=True, rng=0)
    assert result.x[0] >= 1.5


def _assert_same(first, second):
    np.testing.assert_array_equal(first.x, second.x)
    assert first.fun == second.fun
    assert first.nfev == second.nfev
    assert first.nit == second.nit
    assert first.success == second.success
    assert first.history.keys() == second.history.keys()
    for name, values in first.history.items():
        np.testing.assert_array_equal(values, second.history[name])
