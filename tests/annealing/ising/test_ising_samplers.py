"""What holds for every sampler: dimod's manners, seeds, distinct reads, ground states.

A sampler added to `SAMPLERS` is tested by all of it.
"""

import unittest
import warnings

import dimod
import numpy as np
import pytest
from scipy.stats import chisquare

from qlib.annealing.ising import (
    FixedCardinalitySampler,
    IsingModel,
    PathIntegralSampler,
    ReplicaExchangeSampler,
    SimulatedAnnealingSampler,
    SimulatedBifurcationSampler,
    random_pm_j,
    sherrington_kirkpatrick,
)
from qlib.annealing.ising.exact import (
    all_energies,
    all_states,
    boltzmann_weights,
    ground_states,
)
from qlib.annealing.ising.replica_exchange import Ladders, scaled_rows
from qlib.annealing.ising.sampler import IsingSampler
from qlib.annealing.ising.sweeps import start_replicas

FALSE_ALARM = 1e-4


class HalfUpSampler(FixedCardinalitySampler):
    """The fixed cardinality n // 2, so that it is called as the others are."""

    def sample(self, bqm, **parameters):
        n = bqm.num_spins if isinstance(bqm, IsingModel) else bqm.num_variables
        return super().sample(bqm, cardinality=n // 2, **parameters)


class StartStates(IsingSampler):
    """Returns what it is given to start from: the base without a sampler."""

    def _run(self, model, settings):
        return settings.start_states(), {"betas": settings.betas()}


UNCONSTRAINED = [
    SimulatedAnnealingSampler,
    ReplicaExchangeSampler,
    PathIntegralSampler,
    SimulatedBifurcationSampler,
]
SAMPLERS = [*UNCONSTRAINED, HalfUpSampler]


@pytest.fixture(params=SAMPLERS, ids=lambda kind: kind.__name__)
def kind(request):
    """The class of one sampler, every one in turn."""
    return request.param


@pytest.fixture(params=UNCONSTRAINED, ids=lambda kind: kind.__name__)
def free(request):
    """One sampler of all 2^n states."""
    return request.param()


def glass(n, seed=0):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)), 1)
    return IsingModel(rng.normal(size=n), upper + upper.T)


def spins(answer):
    return answer.record.sample


def test_has_the_face_of_a_dimod_sampler(kind):
    sampler = kind()
    dimod.testing.assert_sampler_api(sampler)
    assert "beta_schedule_options" in sampler.properties
    for described in sampler.parameters.values():
        assert set(described) <= set(sampler.properties)


def test_passes_dimods_own_tests_of_samplers(kind):
    """SPIN, BINARY, float32 and dict models of 0 to 3 variables, odd labels."""
    case = type("Case", (unittest.TestCase,), {})
    dimod.testing.load_sampler_bqm_tests(kind)(case)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun == 32
    assert not result.failures + result.errors


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_answers_are_as_d_waves_sampler_gives_them(kind, vartype):
    """One call for all: parameters by D-Wave's names, labels, vartype, energies."""
    from dwave.samplers import SimulatedAnnealingSampler as Peer

    labels = ["b", 0, ("c", 1), "a", 7, 3.5]
    model = glass(6)
    named = IsingModel(model.h, model.J, 1.5, labels)
    bqm = named.to_bqm().change_vartype(vartype, inplace=False)
    up, down = max(bqm.vartype.value), min(bqm.vartype.value)
    start = dict(zip(labels, [up, down] * 3, strict=True))
    for sampler in (kind(), Peer()):
        answer = sampler.sample(
            bqm,
            num_reads=5,
            num_sweeps=20,
            beta_range=(0.1, 3.0),
            beta_schedule_type="linear",
            initial_states=start,
            seed=12,
            interrupt_function=lambda: False,
        )
        dimod.testing.assert_response_energies(answer, bqm)
        dimod.testing.assert_sampleset_energies(answer, bqm)
        assert answer.vartype is bqm.vartype
        assert len(answer) == 5
        assert set(answer.variables) == set(labels)
        assert set(np.unique(spins(answer))) == {up, down}


def test_same_seed_same_reads_and_another_seed_others(kind):
    model = random_pm_j(8, rng=0)
    first, again, other = (
        kind().sample(model, num_reads=5, num_sweeps=5, seed=seed) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(spins(first), spins(again))
    assert (spins(first) != spins(other)).any(axis=1).all()


def test_global_random_state_is_neither_read_nor_written(kind):
    model = random_pm_j(4, rng=0)
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    kind().sample(model, num_sweeps=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("sweeps", [1, 3, 10])
def test_at_least_60_of_64_reads_of_a_torus_differ(kind, sweeps):
    model = random_pm_j(16, rng=1)
    answer = kind().sample(model, num_reads=64, num_sweeps=sweeps, seed=0)
    assert len(np.unique(spins(answer), axis=0)) >= 60


def test_reads_from_one_initial_state_part(kind):
    """A random number shared by replicas would keep equal reads equal for ever.

    The range is warm: a cold quench from one state is almost without choices.
    """
    model = random_pm_j(16, rng=1)
    start = np.tile(np.tile([1, -1], 128), (64, 1))
    answer = kind().sample(
        model, initial_states=start, num_sweeps=5, beta_range=(0.3, 0.6), seed=0
    )
    assert len(np.unique(spins(answer), axis=0)) >= 60


def test_finds_the_ground_states_of_twelve_spins(free):
    for model in (glass(12), sherrington_kirkpatrick(12, rng=3), random_pm_j(3, rng=1)):
        lowest, _ = ground_states(model)
        answer = free.sample(model, num_reads=30, num_sweeps=300, seed=0)
        assert answer.first.energy == pytest.approx(lowest)


@pytest.mark.parametrize("seed", [0, 1])
def test_planar_lattices_reach_the_energy_of_perfect_matching(free, seed):
    from dwave.samplers import PlanarGraphSolver

    L = 7
    bqm = random_pm_j(L, periodic=False, rng=seed).to_bqm()
    at = {v: (v % L, v // L) for v in bqm.variables}
    exact = PlanarGraphSolver().sample(bqm, pos=at).first.energy
    answer = free.sample(bqm, num_reads=32, num_sweeps=1000, seed=0)
    assert answer.first.energy == exact


def test_half_up_sampler_finds_the_lowest_of_its_states():
    model = glass(12)
    lowest = all_energies(model)[all_states(12).sum(axis=1) == 0].min()
    answer = HalfUpSampler().sample(model, num_reads=30, num_sweeps=300, seed=0)
    assert answer.first.energy == pytest.approx(lowest)


def boltzmann_pvalue(model, beta, states):
    """Chi-square of states (reads, n), those expected less than 5 times in one class.

    Power: at 20000 reads of four spins a β off by 5 % gives 1e-6.
    """
    n = model.num_spins
    numbers = (states == 1) @ (1 << np.arange(n))
    counts = np.bincount(numbers, minlength=2**n)
    expected = len(states) * boltzmann_weights(model, beta)
    rare = expected < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    return chisquare(counts, expected).pvalue


SHAPES = {
    "dense": glass(4, seed=2),
    "sparse": random_pm_j(3, rng=2),
    "chain": IsingModel(0.2 * np.arange(9), np.eye(9, k=1) + np.eye(9, k=-1)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beta", [0.2, 0.6])
def test_annealing_at_constant_temperature_draws_boltzmann_weights(shape, beta):
    model, reads = SHAPES[shape], 20_000
    answer = SimulatedAnnealingSampler().sample(
        model, num_reads=reads, num_sweeps=60, beta_range=(beta, beta), seed=3
    )
    assert boltzmann_pvalue(model, beta, spins(answer)) > FALSE_ALARM


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clusters", [False, True])
def test_replicas_of_every_rung_draw_the_boltzmann_weights_of_theirs(shape, clusters):
    """Swaps and cluster moves of three temperatures; one state of each walk."""
    model, reads, betas = SHAPES[shape], 10_000, np.array([0.1, 0.4, 0.6])
    rng = np.random.default_rng(1)
    group = 6 if clusters else 3
    start = rng.choice(np.array([-1, 1]), (reads * group, model.num_spins))
    replicas = start_replicas(model, start, rng, group)
    rows = scaled_rows(model, replicas.unit) if clusters else None
    ladders = Ladders(replicas, betas, reads, rows)
    ladders.run(60)
    assert ladders.swap_rates().min() > 0.1
    states = ladders.states()  # (reads, copies, rungs, n)
    for rung, beta in enumerate(betas):
        assert boltzmann_pvalue(model, beta, states[:, -1, rung]) > FALSE_ALARM


@pytest.mark.parametrize("power", [-300, 300])  # beyond the range of float32
def test_units_of_energy_do_not_matter(kind, power):
    """With default temperatures E and 2^k E are annealed alike, to the last bit."""
    model = random_pm_j(5, rng=0)
    scaled = IsingModel(model.h, model.J * 2.0**power)
    first, second = (
        kind().sample(m, num_reads=8, num_sweeps=10, seed=0) for m in (model, scaled)
    )
    np.testing.assert_array_equal(spins(first), spins(second))
    np.testing.assert_array_equal(
        first.record.energy * 2.0**power, second.record.energy
    )


def test_interrupt_ends_an_endless_run_with_states(kind):
    calls = []

    def third_call():
        calls.append(None)
        return len(calls) >= 3

    model = glass(8)
    answer = kind().sample(
        model, num_reads=3, num_sweeps=10**6, interrupt_function=third_call, seed=0
    )
    assert len(calls) == 3
    assert spins(answer).shape == (3, 8)
    dimod.testing.assert_sampleset_energies(answer, model.to_bqm())


@pytest.mark.parametrize("n", [1, 2, 6])
def test_models_without_any_bias_are_no_special_case(kind, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = kind().sample(
            IsingModel(None, np.zeros((n, n)), 4.0), num_reads=3, seed=0
        )
    assert (answer.record.energy == 4.0).all()
    assert (abs(spins(answer)) == 1).all()


def test_empty_models_give_empty_states(kind):
    answer = kind().sample(dimod.BinaryQuadraticModel({}, {}, -2.0, "BINARY"))
    assert spins(answer).shape == (1, 0)
    assert answer.first.energy == -2.0
    assert answer.vartype is dimod.BINARY


REFUSED = {
    "num_reads": [0, -1, 2.5, True],
    "num_sweeps": [0, 1.5, None],
    "beta_range": [(2.0, 1.0), (1.0,), 3.0, (0.1, 1.0, 2.0), (np.nan, 1.0), (0.0, 1.0),
                   (-1.0, 1.0), (0.1, np.inf)],
    "beta_schedule_type": ["custom", None],
    "seed": [-1, 1.5, "a", True],
    "initial_states": [[1, 0, -1], [1, 2, 1], [1, 1], {"a": 1, "b": 1, "c": 1},
                       [[1, 1, 1], [1, 1, 1]]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]]
)
def test_bad_settings_are_refused_by_name(kind, name, value):
    settings = {"num_reads": 1, name: value}
    with pytest.raises(ValueError, match=name):
        kind().sample(glass(3), **settings)


def test_a_reversed_range_is_called_so(kind):
    with pytest.raises(ValueError, match="reversed; allowed: first <= last"):
        kind().sample(glass(3), beta_range=(3.0, 0.5))


def test_unknown_parameters_are_refused_by_name(kind):
    with pytest.raises(TypeError, match="chain_strength: got 2"):
        kind().sample(glass(3), chain_strength=2)
    with pytest.raises(TypeError, match="chain_strength: got 2"):
        kind().sample_qubo({("a", "b"): 1.0}, chain_strength=2)


def test_other_types_are_refused_by_name():
    with pytest.raises(TypeError, match="interrupt_function: got 3"):
        StartStates().sample(glass(3), interrupt_function=3)
    with pytest.raises(TypeError, match="bqm: got dict"):
        StartStates().sample({(0, 1): 1.0})


@pytest.mark.parametrize(
    "states",
    [
        {"b": -1, "a": 1},
        {"b": 0, "a": 1},
        ([[-1, 1]], ["b", "a"]),
        dimod.SampleSet.from_samples({"a": 1, "b": 0}, "BINARY", 0.0),
        dimod.SampleSet.from_samples({"a": 1, "b": -1}, "SPIN", 0.0),
    ],
    ids=["spins", "bits", "array", "binary set", "spin set"],
)
@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_initial_states_are_read_in_every_form(states, vartype):
    bqm = dimod.BinaryQuadraticModel({"b": 1.0, "a": 2.0}, {}, 0.0, "SPIN")
    answer = StartStates().sample(bqm.change_vartype(vartype), initial_states=states)
    low = min(answer.vartype.value)
    assert dict(answer.first.sample) == {"a": 1, "b": low}
    assert answer.first.energy == 1.0


def test_states_of_ones_are_in_the_vartype_of_what_holds_them():
    ones = {"a": 1, "b": 1}
    held = dimod.SampleSet.from_samples(ones, "BINARY", 0.0)
    bqm = dimod.BinaryQuadraticModel({"a": 1.0, "b": 2.0}, {}, 0.0, "SPIN")
    for states in (ones, held):
        answer = StartStates().sample(bqm, initial_states=states)
        assert dict(answer.first.sample) == ones


def test_reads_beyond_the_initial_states_start_at_random():
    start = np.ones((3, 64), dtype=int)
    bqm = dimod.BinaryQuadraticModel(64, "SPIN")
    assert len(StartStates().sample(bqm, initial_states=start)) == 3
    answer = StartStates().sample(bqm, initial_states=start, num_reads=10, seed=0)
    np.testing.assert_array_equal(spins(answer)[:3], start)
    assert len(np.unique(spins(answer), axis=0)) == 8


def test_one_generator_goes_on_from_call_to_call():
    rng = np.random.default_rng(5)
    bqm = dimod.BinaryQuadraticModel(64, "SPIN")
    first, second = (StartStates().sample(bqm, seed=rng) for _ in range(2))
    assert (spins(first) != spins(second)).any()


def test_schedules_run_from_first_to_last():
    betas = {
        (schedule, count): StartStates()
        .sample(
            glass(2),
            beta_range=(0.5, 8.0),
            beta_schedule_type=schedule,
            num_sweeps=count,
        )
        .info["betas"]
        for schedule in ("geometric", "linear")
        for count in (1, 5)
    }
    np.testing.assert_allclose(betas["geometric", 5], [0.5, 1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(betas["linear", 5], np.linspace(0.5, 8.0, 5))
    assert betas["geometric", 1] == betas["linear", 1] == [8.0]
