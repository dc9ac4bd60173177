"""The two cases whose answer is known, and what would betray a wrong one."""

import numpy as np
import pytest

from qlib.optim.trials import known


@pytest.mark.parametrize("inner", known.PEERS)
def test_one_agent_is_its_inner_optimiser_bit_for_bit(inner):
    assert known.single_agent_difference(inner, steps=60, seed=4) == 0


def test_another_rule_would_be_seen(monkeypatch):
    make, arguments = known.PEERS["rmsprop"]
    monkeypatch.setitem(known.PEERS, "rmsprop", (make, {**arguments, "alpha": 0.98}))
    assert known.single_agent_difference("rmsprop", steps=5, seed=4) == 0

    def other(parameters, alpha, **rest):
        return make(parameters, alpha=0.5, **rest)

    monkeypatch.setitem(known.PEERS, "rmsprop", (other, {**arguments, "alpha": 0.98}))
    assert known.single_agent_difference("rmsprop", steps=5, seed=4) > 0


@pytest.mark.parametrize(
    ("topology", "rate"),
    [
        ("complete", 1 - 0.1 * 12 / 11),
        ("ring", 1 - 0.1 * (1 - np.cos(2 * np.pi / 12))),
        ("grid", 1 - 0.1 * (1 - (1 + np.cos(2 * np.pi / 4)) / 2)),
    ],
)
def test_talk_alone_multiplies_by_the_mixing_matrix(topology, rate):
    """Rates from the graphs' known spectra; the grid of twelve is 3 × 4."""
    found = known.mixing(
        topology, agents=12, gamma=0.1, steps=60, rng=np.random.default_rng(0)
    )
    assert found.rate == pytest.approx(rate, rel=1e-12)
    np.testing.assert_allclose(found.diversity, found.exact, rtol=1e-9)
    assert found.drift < 1e-12
    last = found.diversity[-1] / found.diversity[-2]
    assert last <= found.rate * (1 + 1e-9)
