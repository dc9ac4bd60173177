"""Exchanges keep the sum exactly and sample the Boltzmann weights at that sum."""

import dimod
import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chisquare

from qlib.annealing.ising import FixedCardinalitySampler, IsingModel
from qlib.annealing.ising.exact import all_energies, all_states, boltzmann_weights

FALSE_ALARM = 1e-4
SAMPLER = FixedCardinalitySampler()


@pytest.fixture(params=[np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def make(request):
    """How the couplings are stored; each has a kernel of its own."""
    return request.param


def glass(n, make, seed=0):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)), 1)
    return IsingModel(rng.normal(size=n), make(upper + upper.T))


def ones(sampleset):
    return np.count_nonzero(sampleset.record.sample == 1, axis=1)


@pytest.mark.parametrize("cardinality", range(7))
@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_every_read_has_exactly_the_cardinality(make, vartype, cardinality):
    bqm = glass(6, make).to_bqm().change_vartype(vartype, inplace=False)
    answer = SAMPLER.sample(
        bqm, cardinality=cardinality, num_reads=50, num_sweeps=20, seed=0
    )
    np.testing.assert_array_equal(ones(answer), cardinality)
    assert answer.vartype is bqm.vartype
    dimod.testing.assert_sampleset_energies(answer, bqm)


@pytest.mark.parametrize("cardinality", [1, 2, 3])
def test_reads_have_the_boltzmann_weights_of_their_sum(make, cardinality):
    model, beta, reads = glass(5, make), 0.6, 20_000
    answer = SAMPLER.sample(
        model,
        cardinality=cardinality,
        num_reads=reads,
        num_sweeps=30,
        beta_range=(beta, beta),
        seed=cardinality,
    )
    numbers = (answer.record.sample == 1) @ (1 << np.arange(5))
    allowed = np.count_nonzero(all_states(5) == 1, axis=1) == cardinality
    weights = boltzmann_weights(model, beta)[allowed]
    counts = np.bincount(numbers, minlength=32)[allowed]
    expected = reads * weights / weights.sum()
    assert expected.min() > 5
    assert chisquare(counts, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("cardinality", [2, 6, 9])
def test_finds_the_lowest_of_all_states_of_the_sum(make, cardinality):
    model = glass(12, make, seed=4)
    allowed = np.count_nonzero(all_states(12) == 1, axis=1) == cardinality
    answer = SAMPLER.sample(
        model, cardinality=cardinality, num_reads=20, num_sweeps=300, seed=0
    )
    lowest = all_energies(model)[allowed].min()
    assert answer.first.energy == pytest.approx(lowest)


def test_dense_and_sparse_kernels_take_the_same_walk():
    reads = [
        SAMPLER.sample(glass(40, make), cardinality=11, num_reads=5, seed=3)
        for make in (np.asarray, sparse.csr_array)
    ]
    np.testing.assert_array_equal(reads[0].record.sample, reads[1].record.sample)


def test_terms_that_no_exchange_changes_do_not_matter():
    """Adding c (Σ s)² + c' Σ s: the same default temperatures and the same reads."""
    model = glass(20, np.asarray)
    shifted = IsingModel(
        model.h + 100.0, model.J + 100.0 * (1 - np.eye(20)), model.offset
    )
    first, second = (
        SAMPLER.sample(m, cardinality=8, num_reads=5, num_sweeps=50, seed=0)
        for m in (model, shifted)
    )
    np.testing.assert_allclose(
        first.info["beta_range"], second.info["beta_range"], rtol=1e-6
    )
    np.testing.assert_array_equal(first.record.sample, second.record.sample)


def test_all_equal_biases_leave_every_state_alike():
    model = IsingModel(np.ones(6), 1 - np.eye(6))
    answer = SAMPLER.sample(model, cardinality=3, num_reads=200, seed=0)
    assert len(np.unique(answer.record.energy)) == 1
    # 200 uniform draws miss one of the 20 states with probability < 20 · 0.95^200
    assert len(np.unique(answer.record.sample, axis=0)) == 20


def test_given_states_are_kept_when_interrupted_at_once(make):
    start = [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
    answer = SAMPLER.sample(
        glass(5, make),
        cardinality=2,
        initial_states=start,
        interrupt_function=lambda: True,
    )
    np.testing.assert_array_equal((1 + answer.record.sample) // 2, start)


def test_one_spin_and_none():
    one = IsingModel([2.0], [[0.0]])
    assert SAMPLER.sample(one, cardinality=1).first.energy == 2.0
    assert SAMPLER.sample(one, cardinality=0).first.energy == -2.0
    none = dimod.BinaryQuadraticModel("BINARY")
    assert SAMPLER.sample(none, cardinality=0).record.sample.shape == (1, 0)


def test_numpy_integers_are_integers():
    answer = SAMPLER.sample(glass(5, np.asarray), cardinality=np.int64(2), seed=0)
    assert ones(answer) == [2]


@pytest.mark.parametrize("value", [None, -1, 6, 2.0, True, np.nan, "2"])
def test_bad_cardinalities_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"cardinality: got .* allowed: an integer"):
        SAMPLER.sample(glass(5, np.asarray), cardinality=value)


def test_a_missing_cardinality_is_refused_by_name():
    with pytest.raises(ValueError, match="cardinality: got None"):
        SAMPLER.sample(glass(5, np.asarray))


def test_cardinality_of_no_spins_is_zero():
    with pytest.raises(ValueError, match="cardinality: got 3"):
        SAMPLER.sample(dimod.BinaryQuadraticModel("SPIN"), cardinality=3)


def test_initial_states_of_another_sum_are_refused():
    with pytest.raises(ValueError, match="initial_states: got 3 ones in state 1"):
        SAMPLER.sample(
            glass(5, np.asarray),
            cardinality=2,
            initial_states=[[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]],
        )
