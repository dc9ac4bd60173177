"""A long chain from end to end: forecast, screen, search, measurement."""

import time

import numpy as np
import pytest
import torch

from qlib.entanglement import freefermions, hamiltonians
from qlib.entanglement.predictor import LinearInLogSize
from qlib.entanglement.spectrum import features
from qlib.intervals import Estimate
from qlib.nas.blocks import MPS, RBM
from qlib.nas.candidates import candidates
from qlib.nas.trials import long_chain
from qlib.nas.trials.forecast import (
    SIZES,
    WITHOUT,
    Forecast,
    corner_spectrum,
    forecast,
    free_chains,
)
from qlib.nas.trials.measurement import fresh

BLOCKS = candidates(32, names=("RBM, range 1", "RBM, all sites"))


@pytest.fixture(scope="module")
def predictor():
    return LinearInLogSize().fit(free_chains(1, rng=0))


@pytest.fixture(scope="module")
def gapped():
    return long_chain.chain(1.5, num_sites=32, bond_dim=12, clock=time.perf_counter)


@pytest.mark.parametrize("field", [1.3, 2.0, 5.0])
def test_a_gapped_ising_chain_has_the_corner_spectrum_of_its_entropy(field):
    exact = freefermions.ground_state(hamiltonians.tfim(128, field=field))
    entropy = exact.features(64).entropy
    implied, p = corner_spectrum(entropy), exact.schmidt_probabilities(64, 8)
    seen = np.count_nonzero(p > 1e-12)
    assert seen > 3
    np.testing.assert_allclose(implied[:seen], p[:seen], rtol=1e-5)


def test_two_copies_have_the_multiplets_of_the_xx_chain():
    exact = freefermions.ground_state(hamiltonians.xxz(128, 0.0))
    p = exact.schmidt_probabilities(64, 6)
    implied = corner_spectrum(exact.features(64).entropy, 2)
    assert p[1] == pytest.approx(p[2])
    assert implied[1] == pytest.approx(implied[2])
    np.testing.assert_allclose(implied[:4], p[:4], rtol=0.15)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("entropy", [0.0, 1e-5, 0.3, 0.8])
def test_a_corner_spectrum_has_the_entropy_it_was_asked_for(entropy, copies):
    p = corner_spectrum(copies * entropy, copies)
    assert (np.diff(p) <= 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert features(p).entropy == pytest.approx(copies * entropy, rel=1e-4, abs=1e-9)


def test_spectra_of_a_forecast_follow_the_arch_of_a_critical_chain():
    charge = 0.5
    told = Forecast(64, Estimate(0.6, 0.5, 0.7), charge / 6 * np.log(2), {}, True)
    spectra = told.spectra()
    assert told.charge == pytest.approx(charge)
    assert len(spectra) == 63
    assert [len(p) for p in spectra[:2]] == [2, 4]
    entropies = [features(p).entropy for p in spectra]
    middle = [entropies[cut - 1] for cut in (16, 32, 48)]
    expected = 0.6 + charge / 6 * np.log(np.sin(np.pi / 4))
    np.testing.assert_allclose(middle, [expected, 0.6, expected], atol=1e-6)


def test_what_is_learnt_from_knows_no_ising_chain_and_no_size_above_16():
    learnt = free_chains(1, rng=1)
    assert learnt.sizes == SIZES == (4, 8, 16)
    assert not set(WITHOUT) & set(learnt.family)
    assert len(learnt) == len(set(learnt.family)) >= 10


def test_forecast_and_exact_spectra_of_a_gapped_chain_screen_alike(predictor, gapped):
    found = long_chain.screened(gapped, BLOCKS, predictor)
    told = found.forecast
    assert told.entropy.value == pytest.approx(gapped.entropy[15], rel=0.02)
    assert told.baselines["same as largest"] < told.entropy.value
    for forecast_bound, exact_bound in found.bounds.values():
        assert forecast_bound == pytest.approx(exact_bound, rel=0.5, abs=1e-12)
    for least in found.settings.values():
        assert least[1e-2][0] == least[1e-2][1]
    assert found.kept(1e-2) == found.kept(1e-2, exact=True) == list(BLOCKS)
    assert found.kept(1e-12) == ["RBM, all sites"]


def test_the_target_itself_is_measured_right(gapped):
    """DMRG's state as a block: no infidelity, intervals that hold the exact values.

    95 % intervals of one energy and three entropies, widened by half: false alarm
    below 2 %; the seed is fixed.
    """
    block = MPS.from_tensors(gapped.target.mps.tensors)
    found = long_chain.measured(
        "itself", block, 0.0, None, chain=gapped, samples=400, seed=0
    )
    assert found.infidelity < 1e-9
    error = found.energy_error
    assert abs(error.value) <= 1.5 * (error.high - error.low) / 2
    exact = gapped.renyi2[[3, 7, 15]]
    width = (found.high - found.low) / 2
    assert (abs(found.renyi2 - exact) <= 1.5 * width).all()


def test_fresh_samples_have_forgotten_the_target_that_they_start_from(gapped):
    """Independent spins of mean tanh 2a, from chains of mean 0: four deviations."""
    block, a = RBM(32, generator=torch.Generator().manual_seed(0)), 0.55
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
        block.visible_bias += a
    _, spins = fresh(block, chain=gapped, samples=400, seed=0)
    mean = np.tanh(2 * a)
    error = np.sqrt((1 - mean**2) / spins.numel())
    assert float(spins.mean()) == pytest.approx(mean, abs=4 * error)


def test_from_end_to_end(predictor, gapped):
    settings = {"steps": 12, "trainings": 2, "samples": 32, "proposals": 2}
    vmc = {"vmc_steps": 2, "vmc_samples": 64, "measured_samples": 64}
    settings |= vmc | {"clock": time.perf_counter}
    found = long_chain.end_to_end(gapped, BLOCKS, predictor, **settings)
    names = [
        "DMRG",
        "DMRG, χ = 4",
        "search",
        "fixed",
        "search, then VMC",
        "fixed, then VMC",
    ]
    assert [one.name for one in found.reached] == names
    assert found.searches["forecast"] is found.searches["exact"]
    assert found.search.architectures[0][0] in BLOCKS
    searched, fixed = found.state("search"), found.state("fixed")
    assert fixed.evaluations <= searched.evaluations
    assert fixed.evaluations > 0.9 * searched.evaluations
    assert searched.infidelity < 0.9
    assert found.state("DMRG").energy_error.value == pytest.approx(0, abs=1e-8)
    for one in found.reached:
        assert one.energy_error.high > -1e-12
    values = [value for _, value, _ in long_chain.rows(found)]
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda p, c: long_chain.chain(0.5, clock=time.perf_counter), "field"),
        (lambda p, c: forecast(c.states, 48, p), "num_sites"),
        (lambda p, c: corner_spectrum(5.0), "entropy"),
        (lambda p, c: corner_spectrum(0.5, 0), "copies"),
        (
            lambda p, c: long_chain.end_to_end(
                c, {"RBM, range 1": BLOCKS["RBM, range 1"]}, p, clock=time.perf_counter
            ),
            "blocks",
        ),
        (
            lambda p, c: long_chain.end_to_end(
                c, BLOCKS, p, wanted=-1.0, clock=time.perf_counter
            ),
            "wanted",
        ),
    ],
)
def test_what_is_no_long_chain_is_refused_by_name(call, name, predictor, gapped):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call(predictor, gapped)
