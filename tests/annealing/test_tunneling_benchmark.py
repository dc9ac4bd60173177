"""The harness of `benchmarks/annealing.py`: its problems, its records, its ERT."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from qlib.annealing import landscapes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark():
    path = ROOT / "benchmarks" / "annealing.py"
    spec = importlib.util.spec_from_file_location("benchmark_annealing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rotated", [False, True])
def test_rastrigin_is_the_landscape_moved_to_its_shift(benchmark, rotated):
    function, minimum, bounds = benchmark.rastrigin(rotated, 4, 3)
    shift = np.random.default_rng([4, 3]).uniform(-4.0, 4.0, 4)
    assert function(shift) == pytest.approx(minimum, abs=1e-12)
    assert all(low < s < high for s, (low, high) in zip(shift, bounds, strict=True))
    step = np.array([0.3, 0.0, 0.0, 0.0])
    plain = landscapes.rastrigin(4)(step)
    assert (function(shift + step) == pytest.approx(plain)) is not rotated


def test_an_interrupted_group_runs_only_what_is_missing(benchmark, tmp_path):
    calls = []

    def method(objective, bounds, rng):
        if objective.budget > 1:  # not the pass that pays for imports
            calls.append(len(bounds))
            if len(calls) == 2:
                raise KeyboardInterrupt
        while True:
            objective(rng.uniform(*np.transpose(bounds)))

    benchmark.METHODS["probe"] = method
    group = (tmp_path, "probe", "rastrigin", 2)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run_group(*group, [1, 2, 3], 50)
    records = benchmark.run_group(*group, [1, 2, 3], 50)
    assert len(calls) == 4  # instance 1, the interrupted 2, then 2 and 3
    assert [run["evaluations"] for run in records] == [50, 50, 50]
    assert [path.name for path in (tmp_path / "probe").iterdir()] == [
        "rastrigin-d2.json"
    ]


def test_failures_count_into_the_running_time_and_no_success_gives_a_bound(benchmark):
    solved = {"evaluations": 90, "hits": [30, None]}
    failed = {"evaluations": 100, "hits": [None, None]}
    ert, _, _, successes, runs = benchmark.running_time([solved, failed], 0)
    assert (ert, successes, runs) == (130, 1, 2)
    bound, _, _, successes, _ = benchmark.running_time([solved, failed], 1)
    assert (bound, successes) == (190, 0)
    assert benchmark.cell((bound, 1.0, np.inf, 0, 2)).startswith(">")
