import numpy as np
import pytest
import torch
from scipy.stats import binom

from qlib.entanglement import PauliSum, hamiltonians
from qlib.nas.vmc.estimates import (
    blocked,
    v_score,
)


def autoregressive(phi, chains, length, rng):
    """Gaussian chains of mean 0, variance 1 and correlation phi^t, from equilibrium."""
    x = np.empty((length, chains))
    noise = rng.standard_normal((length, chains)) * np.sqrt(1 - phi**2)
    x[0] = rng.standard_normal(chains)
    for step in range(1, length):
        x[step] = phi * x[step - 1] + noise[step]
    return x.T


@pytest.mark.parametrize(
    ("phi", "chains", "length"),
    [(0.0, 1, 500), (0.8, 1, 2048), (0.8, 8, 256), (0.9, 64, 5), (-0.5, 2, 500)],
)
def test_intervals_cover_the_true_mean_as_often_as_they_say(phi, chains, length):
    """95 % intervals of 200 runs, at least 90 %: false alarm 0.2 % if they are right.

    The error without blocks covers 49 % at phi = 0.8, 66 % at (0.9, 64, 5).
    """
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        found = blocked(autoregressive(phi, chains, length, rng))
        low, high = found.interval()[1:]
        inside += low <= 0 <= high
        assert found.resolved
    assert inside >= 180
    assert binom.cdf(179, 200, 0.95) < 0.002


def test_the_error_of_independent_samples_is_the_textbook_one():
    x = np.random.default_rng(1).standard_normal((4, 4000))
    found = blocked(x)
    assert found.mean == pytest.approx(x.mean())
    assert found.variance == pytest.approx(x.var(ddof=1))
    assert found.error == pytest.approx(x.std(ddof=1) / np.sqrt(x.size), rel=0.15)
    assert found.effective_samples == pytest.approx(x.size, rel=0.3)


def test_repeating_every_sample_leaves_the_error_and_the_effective_number():
    x = np.random.default_rng(2).standard_normal(2**12)
    once, eight = blocked(x), blocked(np.repeat(x, 8))
    assert eight.mean == pytest.approx(once.mean)
    assert eight.error == pytest.approx(once.error, rel=0.15)
    assert eight.effective_samples == pytest.approx(2**12, rel=0.3)


def test_a_drift_is_not_called_resolved():
    assert not blocked(np.arange(1000.0)).resolved
    assert blocked(np.tile(np.arange(50.0), (16, 1)) + np.eye(16, 50)).resolved


def test_one_sample_and_equal_samples():
    one = blocked([3.0])
    assert (one.mean, one.blocks, one.resolved) == (3, 1, False)
    assert one.interval() == (3, -np.inf, np.inf)
    equal = blocked(torch.full((4, 10), 2.0))
    assert (equal.mean, equal.error, equal.effective_samples) == (2, 0, 40)
    assert equal.interval() == (2, 2, 2)


def test_the_v_score_vanishes_for_eigenstates_and_is_known_for_a_product_state():
    """All up in the Ising chain: E = −(N−1) J, variance N h²."""
    N, h = 5, 0.7
    H = hamiltonians.tfim(N, field=h).matrix()
    up = np.eye(2**N)[0]
    energy, square = up @ H @ up, up @ H @ H @ up
    score = v_score(energy, square - energy**2, N)
    assert score == pytest.approx(N * N * h**2 / (N - 1) ** 2)
    values, vectors = np.linalg.eigh(H)
    variance = np.linalg.norm(H @ vectors[:, 0] - values[0] * vectors[:, 0]) ** 2
    assert v_score(values[0], variance, N) < 1e-24


def test_the_v_score_does_not_see_a_constant_in_the_hamiltonian():
    shifted = PauliSum(2, (("Z", (0,), 1.0), ("", (), 3.0))).matrix()
    constant = np.trace(shifted) / 4
    assert v_score(shifted[0, 0], 0.5, 2, infinite_temperature=constant) == 1.0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: blocked([]), "samples"),
        (lambda: blocked([1.0, np.nan]), "samples"),
        (lambda: blocked([1j, 2.0]), "samples"),
        (lambda: blocked(np.ones((2, 2, 2))), "samples"),
        (lambda: blocked(3.0), "samples"),
        (lambda: v_score(-1.0, -0.1, 4), "variance"),
        (lambda: v_score(0.0, 0.1, 4), "energy"),
        (lambda: v_score(-1.0, 0.1, 0), "num_sites"),
        (lambda: blocked([1.0, 2.0]).interval(1.5), "confidence"),
    ],
)
def test_what_is_no_sample_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        call()
