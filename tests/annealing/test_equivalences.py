"""Two routes to one trajectory, or to one distribution."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import ks_2samp

from qlib.annealing import (
    landscapes,
    path_integral_annealing,
    quantum_inspired_annealing,
    replica_exchange,
    simulated_annealing,
)
from qlib.annealing.random_source import RandomSource

FALSE_ALARM = 1e-4
RASTRIGIN = landscapes.shifted_and_rotated(landscapes.rastrigin(3), rng=0)
SHARED = [
    {},
    {"cooling": "linear", "coordinates": "all", "temperature": 30.0},
    {
        "cooling": lambda s: 3 - 2 * s,
        "thermal_step": False,
        "step": 0.05,
        "x0": [0] * 3,
    },
]


def _assert_equal(first, second, *, rtol=0.0, names=("fun", "nfev", "energy")):
    np.testing.assert_allclose(first.x, second.x, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(first.fun, second.fun, rtol=rtol, atol=rtol)
    for name in (*names, "temperature", "acceptance"):
        np.testing.assert_allclose(
            first.history[name], second.history[name], rtol=rtol, atol=rtol
        )


def _run(method, **settings):
    settings = {"maxfun": 603, "vectorized": True, "rng": 1, **settings}
    return method(RASTRIGIN, RASTRIGIN.bounds, **settings)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("chains", [1, 5])
@pytest.mark.parametrize("runs", [None, 3])
def test_qia_without_its_forces_is_simulated_annealing(shared, chains, runs):
    shared = {**shared, "runs": runs}
    bare = _run(
        quantum_inspired_annealing, particles=chains, tunnelling=0.0, pull=0.0, **shared
    )
    _assert_equal(bare, _run(simulated_annealing, replicas=chains, **shared))


@pytest.mark.parametrize("force", [{"tunnelling": 0.5}, {"pull": 0.5}])
def test_each_force_of_qia_changes_the_trajectory(force):
    forces = {"tunnelling": 0.0, "pull": 0.0}
    bare = _run(quantum_inspired_annealing, **forces)
    forced = _run(quantum_inspired_annealing, **{**forces, **force})
    assert not np.array_equal(bare.history["energy"], forced.history["energy"])


def test_tunnelling_beside_a_thermal_step_is_exactly_a_larger_step():
    tunnelling = _run(quantum_inspired_annealing, step=0.3, tunnelling=0.4, pull=0.0)
    larger = _run(simulated_annealing, step=0.5, replicas=5)
    _assert_equal(tunnelling, larger, rtol=1e-9)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("slices", [1, 4, 5])
def test_path_integral_without_springs_is_independent_replicas(shared, slices):
    if slices == 5:
        with pytest.raises(ValueError, match="slices"):
            _run(path_integral_annealing, coupling=False, slices=5)
        return
    free = _run(path_integral_annealing, coupling=False, slices=slices, **shared)
    _assert_equal(free, _run(simulated_annealing, replicas=slices, **shared))


def test_springs_change_the_trajectory():
    tied, free = (_run(path_integral_annealing, coupling=c) for c in (True, False))
    assert not np.array_equal(tied.history["energy"], free.history["energy"])


def test_stiff_springs_draw_the_ring_together():
    last = {}

    def keep(intermediate_result):
        last["x"] = intermediate_result.population

    spreads = []
    for coupling in (True, False):
        _run(
            path_integral_annealing,
            coupling=coupling,
            maxfun=4000,
            runs=20,
            shrinking=lambda progress: 0.02,
            cooling=lambda progress: 20.0,
            callback=keep,
        )
        spreads.append(last["x"].std(axis=1).mean())
    assert spreads[0] < 0.1 * spreads[1]


def test_one_replica_of_replica_exchange_is_metropolis_at_fixed_temperature():
    settings = {"temperature": 4.0, "temperature_ratio": 1.0}
    _assert_equal(
        _run(replica_exchange, replicas=1, temperature=4.0),
        _run(simulated_annealing, cooling="linear", **settings),
    )


def test_one_of_many_runs_is_distributed_as_a_single_run(many_runs):
    landscape = landscapes.double_rastrigin(0.7)
    settings = {"maxfun": 120, "vectorized": True}
    together = many_runs(landscape, landscape.bounds, runs=400, rng=0, **settings)
    rng = np.random.default_rng(1)
    alone = [
        many_runs(landscape, landscape.bounds, rng=rng, **settings) for _ in range(100)
    ]
    assert ks_2samp(together.fun, [r.fun for r in alone]).pvalue > FALSE_ALARM
    for early in (30, 60):  # evaluations
        column = int(np.argmax(together.history["nfev"][0] >= early))
        first = together.history["fun"][:, column]
        second = [r.history["fun"][column] for r in alone]
        assert ks_2samp(first, second).pvalue > FALSE_ALARM


def test_shapes_of_many_runs(many_runs, double_well):
    box = [(-2.0, 2.0)] * 2
    result = many_runs(double_well, box, maxfun=101, vectorized=True, runs=4, rng=0)
    assert result.x.shape == (4, 2)
    assert result.fun.shape == result.nfev.shape == result.success.shape == (4,)
    for values in result.history.values():
        assert values.shape == (4, result.nit)
    np.testing.assert_array_equal(result.fun, double_well(result.x.T))
    np.testing.assert_array_equal(result.nfev, 101)
    assert len(np.unique(result.fun)) == 4
    one = many_runs(double_well, box, maxfun=101, vectorized=True, runs=1, rng=0)
    single = many_runs(double_well, box, maxfun=101, vectorized=True, rng=0)
    np.testing.assert_array_equal(one.x[0], single.x)


@pytest.mark.parametrize("vectorized", [True, False])
def test_runs_end_one_by_one_at_their_own_targets(
    many_runs, vectorized, counted, double_well
):
    func = counted(double_well)
    runs, maxfun, target = 24, 80, -0.4
    frozen = {}

    def callback(intermediate_result):
        for run in np.flatnonzero(intermediate_result.fun <= target):
            for name in ("x", "population"):
                now = intermediate_result[name][run].copy()
                if name == "x" or "temperature" in intermediate_result:
                    before = frozen.setdefault((run, name), now)
                    np.testing.assert_array_equal(before, now)

    result = many_runs(
        func,
        [(-2.0, 2.0)] * 2,
        maxfun=maxfun,
        target=target,
        vectorized=vectorized,
        callback=callback,
        runs=runs,
        rng=0,
    )
    np.testing.assert_array_equal(result.success, result.fun <= target)
    assert 0 < result.success.sum() < runs
    np.testing.assert_array_equal(result.nfev[~result.success], maxfun)
    assert np.all(result.nfev[result.success] <= maxfun)
    np.testing.assert_array_equal(result.history["nfev"][:, -1], result.nfev)
    assert np.all(np.diff(result.history["nfev"], axis=1) >= 0)
    if vectorized:
        assert func.points >= result.nfev.sum()
    else:
        assert func.points == result.nfev.sum()


def test_runs_of_one_point_an_iteration_evaluate_exactly_what_they_count(counted):
    func = counted(landscapes.double_rastrigin(0.7))
    result = simulated_annealing(
        func,
        [(-5.0, 5.0)],
        maxfun=400,
        target=-17.0,
        temperature=10.0,
        vectorized=True,
        runs=50,
        rng=0,
    )
    assert result.success.any()
    assert func.points == result.nfev.sum() < 50 * 400


def test_history_can_be_left_out(many_runs, double_well):
    settings = {"maxfun": 80, "vectorized": True, "runs": 3, "rng": 0}
    bare = many_runs(double_well, [(-2.0, 2.0)], keep_history=False, **settings)
    full = many_runs(double_well, [(-2.0, 2.0)], **settings)
    assert bare.history == {}
    assert bare.nit == full.nit
    np.testing.assert_array_equal(bare.x, full.x)


def test_numpy_and_torch_walk_the_same_way_on_the_same_draws(many_runs, monkeypatch):
    torch = pytest.importorskip("torch")

    def from_numpy(self, rng, device):
        generator = np.random.default_rng(rng)
        for name, draw in (
            ("uniform", generator.random),
            ("normal", generator.standard_normal),
            ("exponential", generator.standard_exponential),
        ):
            setattr(self, name, lambda shape, draw=draw: _to(draw(shape), device))

    def _to(array, device):
        return array if device is None else torch.asarray(array, device=device)

    monkeypatch.setattr(RandomSource, "__init__", from_numpy)
    for settings in ({"runs": 3}, {"runs": 3, "target": 5.0}, {}):
        settings = {**settings, "maxfun": 300, "x0": [0.5, 0.0, -1.0]}
        first = _run(many_runs, **settings)
        second = _run(many_runs, device="cpu", **settings)
        np.testing.assert_allclose(first.x, second.x, rtol=1e-7, atol=1e-9)
        np.testing.assert_array_equal(first.nfev, second.nfev)
        assert first.history.keys() == second.history.keys()
        for name, values in first.history.items():
            np.testing.assert_allclose(
                values, second.history[name], rtol=1e-6, atol=1e-9
            )


def test_torch_draws_its_own_numbers_to_the_same_distribution():
    pytest.importorskip("torch")
    settings = {"runs": 500, "maxfun": 100}
    first, second = (
        _run(simulated_annealing, device=device, **settings) for device in (None, "cpu")
    )
    assert isinstance(second.fun, np.ndarray)
    assert second.fun.dtype == second.x.dtype == np.float64
    assert ks_2samp(first.fun, second.fun).pvalue > FALSE_ALARM
    assert not np.array_equal(first.fun, second.fun)


def test_torch_repeats_itself_and_leaves_its_global_generator_alone(many_runs):
    torch = pytest.importorskip("torch")
    before = torch.get_rng_state()
    first, second = (
        _run(many_runs, device="cpu", runs=2, maxfun=90, rng=7) for _ in range(2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_default_dtype() == torch.float32
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.history["fun"], second.history["fun"])


def test_a_serial_objective_sees_torch_points_on_the_device():
    torch = pytest.importorskip("torch")

    def func(x):
        assert isinstance(x, torch.Tensor)
        assert x.dtype == torch.float64
        return (x**2).sum()

    result = simulated_annealing(
        func, [(-1.0, 1.0)] * 2, maxfun=200, device="cpu", runs=2, rng=0
    )
    assert np.all(result.fun < 0.1)


def test_importing_the_annealers_loads_neither_torch_nor_matplotlib_nor_cma():
    code = (
        "import sys, qlib.annealing, qlib.annealing.measure, qlib.annealing.landscapes;"
        "print([m for m in ('torch', 'matplotlib', 'cma', 'ioh') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
