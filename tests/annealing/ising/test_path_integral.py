"""The path integral against exact quantum averages, and its moves against the weights.

Statistical tests compare averages over independent chains, or one final state of each,
with exact values of the same number of slices.
"""

from itertools import product

import dimod
import numpy as np
import pytest
from scipy.stats import chisquare

from qlib.annealing.ising import IsingModel, random_pm_j
from qlib.annealing.ising.exact import all_energies as energies_of_all
from qlib.annealing.ising.exact import (
    boltzmann_weights,
    ground_states,
    transverse_field_averages,
    trotter_averages,
)
from qlib.annealing.ising.path_integral import (
    PathIntegralSampler,
    default_transverse_field,
    path_integral_averages,
)
from qlib.annealing.ising.path_integral_sweeps import (
    log,
    next_slice,
    segment_moves,
    slice_moves,
    start_worldlines,
    worldline_sweeps,
)

FALSE_ALARM = 1e-4
BETA, GAMMA = 1.2, 1.0


def glass(n, seed=1):
    """A dense random model with fields."""
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(size=(n, n)), 1) / np.sqrt(n)
    return IsingModel(0.5 * rng.normal(size=n), J + J.T)


@pytest.fixture(scope="module")
def eight():
    return glass(8)


def deviations(measured, exact):
    """All averages minus the exact ones, in standard errors: (n + 2,)."""
    return np.array(
        [
            (measured.energy - exact.energy) / measured.energy_error,
            (measured.classical_energy - exact.classical_energy)
            / measured.classical_energy_error,
            *((measured.sigma_x - exact.sigma_x) / measured.sigma_x_error),
        ]
    )


def test_eight_spins_at_32_slices_are_within_two_percent_of_diagonalisation(eight):
    """The 2 % are >= 4 standard errors beyond the exact bias of 32 slices: 6e-4."""
    exact = transverse_field_averages(eight, BETA, GAMMA)
    trotter = trotter_averages(eight, BETA, GAMMA, 32)
    measured = path_integral_averages(
        eight,
        beta=BETA,
        transverse_field=GAMMA,
        num_slices=32,
        num_sweeps=5000,
        num_reads=64,
        rng=11,
    )
    bias = abs(trotter.energy / exact.energy - 1)
    assert bias + 4 * measured.energy_error / abs(exact.energy) < 0.02
    bias = abs(trotter.sigma_x / exact.sigma_x - 1)
    assert np.all(bias + 4 * measured.sigma_x_error / exact.sigma_x < 0.02)
    assert measured.energy == pytest.approx(exact.energy, rel=0.02)
    np.testing.assert_allclose(measured.sigma_x, exact.sigma_x, rtol=0.02)


@pytest.mark.parametrize("slices", [2, 4, 8, 16])
def test_averages_are_those_of_the_same_number_of_slices(eight, slices):
    """Ten averages within 4 standard errors of 128 chains: false alarm 1e-3 each."""
    measured = path_integral_averages(
        eight,
        beta=BETA,
        transverse_field=GAMMA,
        num_slices=slices,
        num_sweeps=300,
        num_reads=128,
        rng=slices,
    )
    exact = trotter_averages(eight, BETA, GAMMA, slices)
    assert np.abs(deviations(measured, exact)).max() < 4


def test_error_falls_fourfold_with_every_doubling_of_slices(eight):
    exact = transverse_field_averages(eight, BETA, GAMMA)
    errors = []
    for slices in (8, 16, 32, 64):
        trotter = trotter_averages(eight, BETA, GAMMA, slices)
        errors.append(
            [trotter.energy - exact.energy, *(trotter.sigma_x - exact.sigma_x)]
        )
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios, 4, rtol=0.1)


def test_sampled_error_falls_fourfold_from_4_to_8_slices(eight):
    """At β = 2 the errors stand 5 % above their sampling error; 3 to 5 is > 4 σ."""
    beta = 2.0
    exact = transverse_field_averages(eight, beta, GAMMA)
    errors, spread = [], []
    for slices in (4, 8):
        measured = path_integral_averages(
            eight,
            beta=beta,
            transverse_field=GAMMA,
            num_slices=slices,
            num_sweeps=2000,
            num_reads=128,
            rng=3,
        )
        errors.append(measured.energy - exact.energy)
        spread.append(measured.energy_error)
    ratio = errors[0] / errors[1]
    sigma = ratio * np.hypot(spread[0] / errors[0], spread[1] / errors[1])
    assert 3 < ratio < 5
    assert abs(sigma) < 0.25


def test_no_transverse_field_leaves_the_classical_boltzmann_average():
    """Within 4 standard errors of 256 chains: false alarm 1e-4."""
    model = glass(4)
    measured = path_integral_averages(
        model,
        beta=1.0,
        transverse_field=1e-9,
        num_slices=8,
        num_sweeps=300,
        num_reads=256,
        rng=0,
    )
    exact = boltzmann_weights(model, 1.0) @ energies_of_all(model)
    off = abs(measured.classical_energy - exact)
    assert off < 4 * measured.classical_energy_error
    assert measured.classical_energy_error < 0.02


@pytest.mark.parametrize("h", [0.0, 0.7])
def test_one_spin_in_a_field_is_a_two_by_two_matrix(h):
    """2 cosh(Pλ) = Z_P, cosh λ = cosh(ah) cosh(aΓ); within 4 errors: 1e-4 each."""
    slices = 6
    a = BETA / slices
    rate = np.arccosh(np.cosh(a * h) * np.cosh(a * GAMMA))
    common = np.tanh(slices * rate) / np.sinh(rate)
    sigma_x = common * np.cosh(a * h) * np.sinh(a * GAMMA)
    classical = -h * common * np.sinh(a * h) * np.cosh(a * GAMMA)
    measured = path_integral_averages(
        IsingModel([h], np.zeros((1, 1))),
        beta=BETA,
        transverse_field=GAMMA,
        num_slices=slices,
        num_sweeps=500,
        num_reads=256,
        rng=5,
    )
    assert abs(measured.sigma_x[0] - sigma_x) < 4 * measured.sigma_x_error[0]
    off = abs(measured.classical_energy - classical)
    assert off <= 4 * measured.classical_energy_error
    assert measured.sigma_x_error[0] < 0.01


def chain_states(move, chains=20_000, steps=60):
    """Final worldlines of two spins in four slices as numbers, and their weights."""
    model = IsingModel([0.4, -0.2], [[0.0, -0.9], [-0.9, 0.0]])
    rng = np.random.default_rng(8)
    beta, gamma, slices = 1.5, 0.8, 4
    start = 1 - 2 * rng.integers(0, 2, size=(chains, 2))
    lines = start_worldlines(model, start, slices, rng)
    if move is None:
        worldline_sweeps(lines, np.full(steps, beta), np.full(steps, gamma))
    else:
        scale, kink = 2 * beta / slices, np.tanh(beta * gamma / slices)
        work = np.empty((6, lines.lanes.shape[1]), np.float32)
        for step in range(2 * steps):
            i = step % 2
            field = np.float32(model.h[i] - 0.9 * lines.lanes[1 - i])
            move(
                lines.lanes[i],
                field,
                lines.streams,
                np.float32(scale),
                np.float32(kink),
                work,
                chains,
            )
    bits = lines.per_slice(lines.lanes) > 0  # (2, P, chains)
    found = np.einsum("b,br->r", 1 << np.arange(8), bits.reshape(8, chains))
    weights = np.empty(256)
    for number in range(256):
        s = 2.0 * (number >> np.arange(8) & 1).reshape(2, slices) - 1
        links = -0.5 * np.log(np.tanh(beta * gamma / slices))
        links *= np.sum(s * np.roll(s, -1, axis=1))
        weights[number] = np.exp(links - beta / slices * model.energy(s.T).sum())
    return found, weights / weights.sum()


@pytest.mark.parametrize(
    "move", [slice_moves, segment_moves, None], ids=["slices", "segments", "both"]
)
def test_each_move_samples_the_weights_of_all_256_worldlines(move):
    """χ² over states expected >= 10 times, the rest pooled; false alarm 1e-4."""
    found, weights = chain_states(move)
    counts, expected = np.bincount(found, minlength=256), weights * found.size
    rare = expected < 10
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    assert counts.size > 100
    assert chisquare(counts, expected).pvalue > FALSE_ALARM


def test_segments_flip_straight_worldlines_as_classical_spins():
    """Tied slices: a worldline against field f flips, 1/(1 + exp(2βf))."""
    reads, slices, beta, f = 40_000, 6, 0.8, 0.5
    rng = np.random.default_rng(2)
    model = IsingModel([f], np.zeros((1, 1)))
    lines = start_worldlines(model, -np.ones((reads, 1)), slices, rng)
    work = np.empty((6, reads * slices), np.float32)
    field = np.full(reads * slices, f, dtype=np.float32)
    tied = np.float32(1e-12), work, reads
    segment_moves(lines.lanes[0], field, lines.streams, 2 * beta / slices, *tied)
    flipped = lines.per_slice(lines.lanes)[0] > 0  # (P, reads)
    assert np.array_equal(flipped.all(axis=0), flipped.any(axis=0))
    expected = 1 / (1 + np.exp(2 * beta * f))
    sigma = np.sqrt(expected * (1 - expected) / reads)
    assert abs(flipped[0].mean() - expected) < 4 * sigma  # false alarm 6e-5


@pytest.mark.parametrize(("reads", "slices"), [(1, 2), (3, 4), (5, 10)])
def test_next_slice_is_a_turn_of_the_ring(reads, slices):
    rng = np.random.default_rng(0)
    lines = start_worldlines(glass(2), np.ones((reads, 2)), slices, rng)
    lines.lanes[:] = rng.normal(size=lines.lanes.shape)
    after = np.empty_like(lines.lanes)
    for i in range(2):
        next_slice(lines.lanes[i], after[i], reads)
    turned = np.roll(lines.per_slice(lines.lanes), -1, axis=1)
    np.testing.assert_array_equal(lines.per_slice(after), turned)


def test_followed_energies_are_those_of_the_slices():
    model, rng = glass(12), np.random.default_rng(4)
    start = 1 - 2 * rng.integers(0, 2, size=(5, 12))
    lines = start_worldlines(model, start, 6, rng)
    worldline_sweeps(lines, np.linspace(0.5, 2, 200), np.linspace(2, 0.01, 200))
    exact = model.energy(lines.lanes.T.astype(int))
    np.testing.assert_allclose(lines.energies * lines.unit, exact, atol=1e-4)
    best = model.energy(lines.best)
    np.testing.assert_allclose(lines.best_energies * lines.unit, best, atol=1e-4)
    assert np.all(best <= lines.per_slice(exact).min(axis=0) + 1e-4)


def test_logarithm_of_every_kind_of_uniform():
    x = np.float32(
        [2.0**-25, 1e-6, 0.3, 0.5, 0.70710677, 0.70710684, 0.9, 1 - 2.0**-24]
    )
    ours = np.array([log(value) for value in x])
    np.testing.assert_allclose(ours, np.log(x.astype(np.float64)), atol=5e-7, rtol=3e-7)


@pytest.mark.parametrize("slices", [2, 8])
def test_finds_the_ground_state_of_twelve_spins(slices):
    model = glass(12, seed=6)
    answer = PathIntegralSampler().sample(
        model, num_reads=20, num_sweeps=200, num_slices=slices, seed=0
    )
    lowest, _ = ground_states(model)
    assert answer.first.energy == pytest.approx(lowest, abs=1e-12)


def test_reads_under_one_seed_differ_and_repeat():
    model = random_pm_j(16, rng=np.random.default_rng(0))
    kwargs = {"num_reads": 64, "num_sweeps": 30, "num_slices": 4, "seed": 9}
    sampler = PathIntegralSampler()
    first, again = sampler.sample(model, **kwargs), sampler.sample(model, **kwargs)
    assert len(np.unique(first.record.sample, axis=0)) >= 60
    np.testing.assert_array_equal(first.record.sample, again.record.sample)
    other = sampler.sample(model, **(kwargs | {"seed": 10}))
    assert not np.array_equal(first.record.sample, other.record.sample)


def test_interrupt_at_once_returns_the_initial_states():
    states = np.array([[1, -1, 1], [-1, -1, 1]])
    answer = PathIntegralSampler().sample(
        glass(3), initial_states=states, interrupt_function=lambda: True, seed=0
    )
    np.testing.assert_array_equal(answer.record.sample, states)


def test_default_transverse_field_scales_with_the_model():
    model = glass(5)
    twice = IsingModel(2 * model.h, 2 * model.J)
    ours = np.array(default_transverse_field(model))
    np.testing.assert_allclose(default_transverse_field(twice), 2 * ours)
    assert default_transverse_field(IsingModel(None, np.zeros((2, 2)))) == (1.0, 0.01)
    # all couplings of one size: σ² = z J²
    torus = random_pm_j(4, rng=np.random.default_rng(0))
    assert default_transverse_field(torus)[0] == pytest.approx(1.5 * 2)
    answer = PathIntegralSampler().sample(torus, num_slices=8, num_sweeps=2, seed=0)
    assert answer.info["beta_range"] == pytest.approx((8, 8))
    assert answer.info["transverse_field"] == pytest.approx((3, 0.02))


def test_is_a_dimod_sampler_in_both_vartypes():
    sampler = PathIntegralSampler()
    dimod.testing.assert_sampler_api(sampler)
    bqm = dimod.BinaryQuadraticModel({"a": 1.0, "b": -2.0}, {"ab": 1.5}, 0.5, "BINARY")
    answer = sampler.sample(bqm, num_sweeps=20, num_slices=4, seed=0)
    dimod.testing.assert_response_energies(answer, bqm)
    assert answer.first.sample == {"a": 0, "b": 1}
    alone = IsingModel([0.0], np.zeros((1, 1)))
    assert len(sampler.sample(alone, num_sweeps=1, num_reads=3, seed=0)) == 3


BAD = [
    ("num_slices", 3),
    ("num_slices", 0),
    ("num_slices", 2.5),
    ("transverse_field", (0.1, 1.0)),
    ("transverse_field", (-1.0, -2.0)),
    ("transverse_field", (np.nan, 0.0)),
    ("transverse_field", 3.0),
    ("transverse_field_schedule_type", "quartic"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_sampler_refuses_bad_settings_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name}.*: got .*; allowed: "):
        PathIntegralSampler().sample(glass(2), **{name: value})


def test_geometric_field_may_not_reach_zero():
    with pytest.raises(ValueError, match=r"transverse_field\[1\]: got 0"):
        PathIntegralSampler().sample(
            glass(2),
            transverse_field=(1, 0),
            transverse_field_schedule_type="geometric",
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(["beta", "transverse_field"], [0.0, -1.0, np.nan, np.inf, "hot"]),
        ("num_slices", 5),
        ("num_sweeps", 0),
        ("num_sweeps", 2**24 + 1),
        ("num_reads", 1),
        ("burn_in", -1),
        ("model", IsingModel(None, np.zeros((0, 0)))),
    ],
)
def test_averages_refuse_bad_settings_by_name(name, value):
    given = {"model": glass(2), "beta": 1.0, "transverse_field": 1.0, name: value}
    with pytest.raises(ValueError, match=rf"^{name}: got .*; allowed: "):
        path_integral_averages(given.pop("model"), **given)
