"""What the chains sample at fixed temperature, against exact distributions.

Statistical tests take one final state from each of many independent runs, so that the
samples are independent. They reject at p < 1e-4: a false alarm in 10^4 seeds, a test.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import erf
from scipy.stats import chisquare, kstest, norm, truncnorm

from qlib.annealing import (
    path_integral_annealing,
    quantum_inspired_annealing,
    replica_exchange,
    simulated_annealing,
)
from qlib.annealing.metropolis import Anneal, reflect
from qlib.annealing.problem import Problem
from qlib.annealing.random_source import RandomSource
from qlib.annealing.replica_exchange import swap_neighbours

STATES = np.array([0.0, 0.3, 1.7, 1.7, 4.0, np.inf])
DRAWS = 20_000
FALSE_ALARM = 1e-4
WALLS = [(-5.0, 5.0)] * 2


def _toy(chains):
    """Chains over six states, with exponential draws at evenly spaced quantiles.

    The share of runs that accept then is the acceptance probability to 1/DRAWS.
    """
    problem = Problem(
        lambda x: STATES[x[0].astype(int)],
        [(0, len(STATES) - 1)],
        maxfun=10**6,
        vectorized=True,
        runs=DRAWS,
    )
    quantiles = -np.log((np.arange(DRAWS) + 0.5) / DRAWS)[:, None]

    def exponential(shape):
        return np.broadcast_to(quantiles, shape)

    random = SimpleNamespace(exponential=exponential)
    return Anneal(problem, random, chains, lambda s: 1.0, None, 1.0, "all")


def _place(anneal, states):
    states = np.broadcast_to(states, (DRAWS, anneal.chains))
    anneal.x, anneal.f = states[None].astype(float), STATES[states]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_metropolis_transition_matrix_is_in_detailed_balance(temperature):
    anneal, n = _toy(1), len(STATES)
    transition = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            _place(anneal, np.array([i]))
            proposals = np.full((1, DRAWS, 1), float(j))
            accepted = anneal.accept(proposals, np.full((DRAWS, 1), temperature))
            transition[i, j] = accepted.mean() / n  # every state proposed alike
    np.fill_diagonal(transition, 0)
    np.fill_diagonal(transition, 1 - transition.sum(axis=1))
    weights = np.exp(-STATES / temperature)
    flow = (weights / weights.sum())[:, None] * transition
    np.testing.assert_allclose(flow, flow.T, atol=2 / DRAWS)
    values, vectors = np.linalg.eig(transition.T)
    stationary = vectors[:, np.argmax(values.real)].real
    np.testing.assert_allclose(
        stationary / stationary.sum(), weights / weights.sum(), atol=1e-3
    )


def test_chains_and_runs_decide_independently():
    """Two chains accept a rise of T together with probability e⁻², not e⁻¹."""
    runs = 20_000
    problem = Problem(
        lambda x: 1.0 + 0.0 * x[0], [(0, 1)], maxfun=9, vectorized=True, runs=runs
    )
    anneal = Anneal(problem, RandomSource(0, None), 2, "linear", 1.0, 1.0, "all")
    anneal.x, anneal.f = np.zeros((1, runs, 2)), np.zeros((runs, 2))
    moved = anneal.accept(np.ones((1, runs, 2)), np.ones((runs, 1)))
    for both, exact in ((moved.all(axis=1), np.exp(-2)), (moved[:, 0], np.exp(-1))):
        error = np.sqrt(exact * (1 - exact) / runs)
        assert abs(both.mean() - exact) < norm.isf(FALSE_ALARM / 2) * error


def test_swaps_are_in_detailed_balance_with_the_product_distribution():
    anneal, n = _toy(2), len(STATES) - 1
    ladder = np.array([0.4, 1.5])
    weights = [np.exp(-STATES[:n] / t) for t in ladder]
    joint = np.outer(*[w / w.sum() for w in weights])
    for i in range(n):
        for j in range(n):
            rates = []
            for pair in ([i, j], [j, i]):
                _place(anneal, np.array(pair))
                swapped = swap_neighbours(anneal, np.tile(ladder, (DRAWS, 1)), 0)
                rates.append(swapped.mean())
            assert joint[i, j] * rates[0] == pytest.approx(
                joint[j, i] * rates[1], abs=2 / DRAWS
            )


def test_swaps_pair_neighbours_by_turns_and_keep_point_and_energy_together():
    anneal = _toy(5)
    ladder = np.tile([1e-9, 2e-9, 4e-9, 8e-9, 1.0], (DRAWS, 1))
    for first, expected in ((0, [2, 4, 0, 1, 3]), (1, [4, 1, 2, 0, 3])):
        _place(anneal, np.array([4, 2, 1, 0, 3]))
        swapped = swap_neighbours(anneal, ladder, first)
        assert swapped.shape == (DRAWS, 2)
        np.testing.assert_array_equal(anneal.x[0, 0], expected)
        np.testing.assert_array_equal(anneal.f, STATES[anneal.x[0].astype(int)])


def test_reflection_makes_a_symmetric_kernel_of_any_symmetric_displacement():
    n = 16
    problem = Problem(lambda x: 0.0, [(0.0, 1.0)], maxfun=1)
    cells = (np.arange(n) + 0.5) / n
    kernel = np.zeros((n, n))
    for shift in range(-5 * n, 5 * n + 1):  # far beyond the box
        weight = np.exp(-((shift / n) ** 2))
        landed = reflect(problem, (cells + shift / n)[None, :, None])[0, :, 0]
        kernel[np.arange(n), np.rint(landed * n - 0.5).astype(int)] += weight
    np.testing.assert_allclose(kernel, kernel.T, rtol=1e-12)


@pytest.mark.parametrize("coordinates", ["one", "all"])
def test_displacements_are_normal_in_one_coordinate_or_in_all(coordinates):
    runs, d, width = 4000, 3, 0.2
    problem = Problem(lambda x: 0.0, [(-1.0, 3.0)] * d, maxfun=1, runs=runs)
    random = RandomSource(0, None)
    anneal = Anneal(problem, random, 2, "linear", 1.0, 1.0, coordinates)
    moves = anneal.displacement(width)
    assert moves.shape == (d, runs, 2)
    if coordinates == "all":
        for sample in moves.reshape(d, -1):
            scaled = sample / (width * 4.0 / np.sqrt(d))
            assert kstest(scaled, "norm").pvalue > FALSE_ALARM
        return
    moved = moves != 0
    np.testing.assert_array_equal(moved.sum(axis=0), 1)
    assert chisquare(moved.sum(axis=(1, 2))).pvalue > FALSE_ALARM
    scaled = moves.sum(axis=0).ravel() / (width * 4.0)
    assert kstest(scaled, "norm").pvalue > FALSE_ALARM


def _final_population(method, func, bounds, **settings):
    last = {}

    def keep(intermediate_result):
        last["population"] = intermediate_result.population

    method(func, bounds, vectorized=True, callback=keep, keep_history=False, **settings)
    return last["population"]  # (R, S, d)


def _well(x):
    return 0.5 * np.sum((x - 0.5) ** 2, axis=0)


def _fixed(temperature):
    return lambda progress: temperature


@pytest.mark.parametrize("coordinates", ["one", "all"])
@pytest.mark.parametrize("temperature", [0.2, 8.0])
def test_metropolis_samples_boltzmann_on_a_quadratic_well(coordinates, temperature):
    """At T = 8 the well is wider than the box: the walls cut the Gaussian."""
    population = _final_population(
        simulated_annealing,
        _well,
        WALLS,
        maxfun=400,
        runs=2000,
        cooling=_fixed(temperature),
        step=0.15,
        coordinates=coordinates,
        rng=0,
    )
    sigma = np.sqrt(temperature)
    low, high = (-5.5 / sigma, 4.5 / sigma)
    exact = truncnorm(low, high, loc=0.5, scale=sigma)
    for coordinate in range(2):
        sample = population[:, 0, coordinate]
        assert kstest(sample, exact.cdf).pvalue > FALSE_ALARM
    correlation = np.corrcoef(population[:, 0].T)[0, 1]
    assert abs(correlation) < norm.isf(FALSE_ALARM / 2) / np.sqrt(len(population))


def test_every_temperature_of_replica_exchange_samples_boltzmann():
    ratio, replicas = 0.02, 4
    population = _final_population(
        replica_exchange,
        _well,
        WALLS,
        maxfun=1000,
        runs=1500,
        temperature=4.0,
        temperature_ratio=ratio,
        replicas=replicas,
        step=0.6,
        rng=1,
    )
    for k, temperature in enumerate(4.0 * np.geomspace(ratio, 1.0, replicas)):
        sigma = np.sqrt(temperature)
        exact = truncnorm(-5.5 / sigma, 4.5 / sigma, loc=0.5, scale=sigma)
        assert kstest(population[:, k, 0], exact.cdf).pvalue > FALSE_ALARM


def test_replica_exchange_weighs_two_wells_that_its_cold_chain_cannot_cross():
    """A barrier of 20 T parts wells of weights 1 : e²; only swaps equilibrate them."""

    def two_wells(x):
        return np.where(np.abs(x[0]) < 0.5, 20.0, np.where(x[0] > 0, 0.0, 2.0))

    population = _final_population(
        replica_exchange,
        two_wells,
        [(-1.0, 1.0)],
        maxfun=3000,
        runs=1000,
        x0=[-0.9],
        temperature=20.0,
        temperature_ratio=0.05,
        replicas=6,
        step=0.5,
        rng=2,
    )
    share = (population[:, 0, 0] > 0).mean()
    exact = 1 / (1 + np.exp(-2.0))
    error = np.sqrt(exact * (1 - exact) / 1000)
    assert abs(share - exact) < norm.isf(FALSE_ALARM / 2) * error


@pytest.mark.parametrize(
    ("dimension", "ratio", "rate"), [(1, 2.8, 0.69), (5, 2.8, 0.28), (2, 10.0, 0.18)]
)
def test_swap_rate_on_a_quadratic_well_is_that_of_gamma_energies(
    dimension, ratio, rate
):
    """Energies at T are T · Gamma(d/2); the rates are integrals over two of them."""
    rng = np.random.default_rng(0)
    cold, hot = rng.gamma(dimension / 2, size=(2, 10**6))
    integral = np.minimum(1, np.exp((1 - 1 / ratio) * (cold - ratio * hot))).mean()
    assert integral == pytest.approx(rate, abs=0.005)
    result = replica_exchange(
        _well,
        [(-5.0, 6.0)] * dimension,
        maxfun=4000,
        vectorized=True,
        runs=200,
        temperature=0.2,
        temperature_ratio=1 / ratio,
        replicas=2,
        step=0.1,
        rng=3,
    )
    swaps = result.history["swaps"][:, 401::2].mean(axis=1)  # turns of pair (0, 1)
    error = swaps.std() / np.sqrt(swaps.size)
    assert abs(swaps.mean() - integral) < norm.isf(FALSE_ALARM / 2) * error + 1e-3


def _ring(slices, length, temperature):
    """Covariance of the slices of a harmonic oscillator's ring: inverse of its action.

    f = x²/2 at slice temperature τ and springs (x_k − x_{k+1})²/(2 λ²); eigenvalues
    1/τ + 4 sin²(π n/P)/λ².
    """
    modes = 4 * np.sin(np.pi * np.arange(slices) / slices) ** 2
    spectrum = 1 / (1 / temperature + modes / length**2)
    return np.fft.ifft(spectrum).real  # of slices 0, 1, ... steps apart


@pytest.mark.parametrize("slices", [2, 4, 8])
@pytest.mark.parametrize("coordinates", ["one", "all"])
def test_ring_of_a_harmonic_oscillator_has_its_exact_covariance(slices, coordinates):
    width, length, temperature, runs = 20.0, 0.8, 0.9, 3000
    population = _final_population(
        path_integral_annealing,
        lambda x: 0.5 * np.sum(x * x, axis=0),
        [(-width / 2, width / 2)] * 2,
        maxfun=400 * slices,
        runs=runs,
        cooling=_fixed(temperature),
        shrinking=_fixed(length / width),
        slices=slices,
        step=0.12,
        coordinates=coordinates,
        rng=4,
    )
    covariance = _ring(slices, length, temperature)
    for coordinate in range(2):
        x = population[:, :, coordinate]  # (runs, slices)
        assert kstest(x[:, 0] / np.sqrt(covariance[0]), "norm").pvalue > FALSE_ALARM
        for distance in range(slices // 2 + 1):
            product = (x * np.roll(x, distance, axis=1)).mean(axis=1)
            error = product.std() / np.sqrt(runs)
            gap = abs(product.mean() - covariance[distance])
            assert gap < norm.isf(FALSE_ALARM / 2) * error


@pytest.mark.parametrize("length", [0.3, 1.2])
def test_two_slices_lie_as_far_apart_as_their_springs_let_them(length):
    """⟨(x_0 − x_1)²⟩ = 2/(1/τ + 4/λ²); slices deciding at once lie further apart."""
    temperature, width, runs = 0.9, 8.0, 5000
    population = _final_population(
        path_integral_annealing,
        lambda x: 0.5 * x[0] ** 2,
        [(-width / 2, width / 2)],
        maxfun=600,
        runs=runs,
        cooling=_fixed(temperature),
        shrinking=_fixed(length / width),
        slices=2,
        step=0.3,
        rng=0,
    )
    distance = np.diff(population[:, :, 0], axis=1)[:, 0] ** 2
    exact = 2 / (1 / temperature + 4 / length**2)
    error = distance.std() / np.sqrt(runs)
    assert abs(distance.mean() - exact) < norm.isf(FALSE_ALARM / 2) * error


def test_walls_bound_a_ring_without_drawing_or_repelling_it():
    """f = 0 on [0, 1], P = 2: density of a slice ∝ erf(x/λ) + erf((1 − x)/λ)."""
    length = 0.5
    population = _final_population(
        path_integral_annealing,
        lambda x: 0.0 * x[0],
        [(0.0, 1.0)],
        maxfun=200,
        runs=20_000,
        cooling=_fixed(1.0),
        shrinking=_fixed(length),
        slices=2,
        step=0.5,
        rng=1,
    )
    x = np.linspace(0, 1, 2001)
    density = erf(x / length) + erf((1 - x) / length)
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    sample = population[:, 0, 0]
    exact = np.interp(sample, x, cumulative / cumulative[-1])
    assert kstest(exact, "uniform").pvalue > FALSE_ALARM


def test_many_slices_reach_the_quantum_oscillator():
    """⟨x²⟩ = coth(β/2)/2 for ħ = m = ω = 1 and β = 1/T: what Trotter's limit means."""
    temperature = 0.4
    for slices in (64, 256):
        slice_temperature = slices * temperature
        length = 1 / np.sqrt(slice_temperature)  # λ² = ħ²/(m τ)
        exact = 0.5 / np.tanh(0.5 / temperature)
        ring = _ring(slices, length, slice_temperature)[0]
        assert ring == pytest.approx(exact, rel=2 / slices)


def test_the_pull_breaks_boltzmann_sampling():
    """Without a Hastings correction pulled chains crowd round the best point found."""
    runs, temperature = 2000, 0.2
    for pull, boltzmann in ((0.0, True), (0.5, False)):
        x = _final_population(
            quantum_inspired_annealing,
            _well,
            WALLS,
            maxfun=300,
            runs=runs,
            particles=1,
            cooling=_fixed(temperature),
            step=0.03,
            tunnelling=0.0,
            pull=pull,
            rng=5,
        )[:, 0, 0]
        error = temperature * np.sqrt(2 / runs)  # of the variance of a Gaussian sample
        deviation = (np.mean((x - 0.5) ** 2) - temperature) / error
        assert (abs(deviation) < norm.isf(FALSE_ALARM / 2)) == boltzmann
        assert boltzmann or deviation < 0
