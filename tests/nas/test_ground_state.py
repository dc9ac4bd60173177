"""Ground states by variational Monte Carlo."""

import numpy as np
import pytest
import torch

from qlib.entanglement import exact, hamiltonians
from qlib.entanglement.pauli import PauliSum
from qlib.nas.blocks import MPS, RBM, Autoregressive, FeedForward
from qlib.nas.spins import all_configurations
from qlib.nas.vmc import ground_state


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def energy_of(block, H, sector):
    """<H>, of the part with as many spins up as down if `sector`."""
    psi = block.vector().detach().numpy()
    if sector:
        psi = psi * (all_configurations(H.num_sites).sum(1) == 0).numpy()
    return np.vdot(psi, H.sparse() @ psi).real / np.vdot(psi, psi).real


ALONG_Y = [("Y", (site,), -1.0) for site in range(3)]
CASES = {
    "Ising, real RBM": (
        hamiltonians.tfim(8),
        RBM(8, real=True, scale=0.05, generator=seeded(0)),
        {"steps": 60, "samples": 200, "learning_rate": 0.1},
    ),
    "Ising, MPS": (
        hamiltonians.tfim(4, field=1.3),
        MPS(4, bond_dim=2, generator=seeded(1)),
        {"steps": 20, "learning_rate": 0.2, "samples": 100, "warm_up": 3},
    ),
    "Heisenberg, Marshall, exchange": (
        hamiltonians.heisenberg(6),
        RBM(6, marshall=True, scale=0.05, generator=seeded(2)),
        {"steps": 50, "learning_rate": 0.1, "samples": 200, "move": "exchange"},
    ),
    "Ising in a field along Y, feed-forward": (
        PauliSum(3, (*(("ZZ", (i, i + 1), -1.0) for i in (0, 1)), *ALONG_Y)),
        FeedForward(3, width=8, generator=seeded(3)),
        {"steps": 40, "learning_rate": 0.2, "samples": 64, "warm_up": 3},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_energy_comes_down_to_the_exact_one_and_not_below(name):
    """The interval is of 1e-4 false alarms; the state's own energy is variational."""
    H, block, settings = CASES[name]
    sector = settings.get("move") == "exchange"
    before = energy_of(block, H, sector)
    found = ground_state(H, block, generator=seeded(4), **settings)
    lowest = exact.ground_state(H).energies[0]
    reached = energy_of(found.block, H, sector)
    assert lowest - 1e-12 <= reached < lowest + 1e-2 * abs(lowest)
    interval = found.energy.interval(1 - 1e-4)
    assert interval.low <= reached <= interval.high
    assert energy_of(block, H, sector) == before
    assert found.trace[0] > found.trace[-1]
    assert len(found.trace) == settings["steps"]
    assert 0 < found.v_score < 0.01


def test_exact_samples_in_place_of_chains():
    """Of an autoregressive block, and by the weights of all configurations."""
    H = hamiltonians.tfim(4, field=1.5)
    lowest = exact.ground_state(H).energies[0]
    for block, one in (
        (Autoregressive(4, dim=4, heads=2, depth=1, generator=seeded(15)), 64),
        (RBM(4, scale=0.1, generator=seeded(16)), 2**4),
    ):
        settings = {"steps": 30, "samples": 64, "learning_rate": 0.2}
        found = ground_state(
            H, block, move="exact", generator=seeded(17), **settings, final_samples=64
        )
        assert lowest - 1e-12 <= energy_of(found.block, H, False) < 0.99 * lowest
        assert found.acceptance == 1
        assert found.evaluations == 31 * (one + 64 * 5) + 30 * 64


def test_sr_and_min_sr_take_the_same_steps():
    H, block = hamiltonians.tfim(5), RBM(5, scale=0.05, generator=seeded(5))
    one, other = (
        ground_state(
            H, block, steps=5, samples=40, method=method, generator=seeded(6)
        ).trace
        for method in ("sr", "minsr")
    )
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_one_seed_one_result_and_what_is_told():
    H, block = hamiltonians.tfim(5), RBM(5, generator=seeded(7))
    told, times = [], iter([1.0, 3.5])
    results = [
        ground_state(
            H,
            block,
            steps=3,
            samples=10,
            chains=4,
            sweeps=2,
            warm_up=1,
            final_samples=8,
            generator=seeded(8),
            callback=callback,
            clock=clock,
        )
        for callback, clock in [
            (lambda *state: told.append(state), lambda: next(times)),
            (None, None),
        ]
    ]
    first, second = results
    assert np.array_equal(first.trace, second.trace)
    assert first.energy == second.energy
    assert [state[:2] for state in told] == list(enumerate(first.trace))
    assert told[-1][2] is first.block
    assert (first.seconds, second.seconds) == (2.5, None)
    assert first.spins.shape == (4, 2, 5)
    rounds = 3 * 3 + 2  # of three samples a chain and step, and two at the end
    sweeps = 4 * (rounds * (2 * 5 + 1) + 2 * (5 + 1))
    assert first.evaluations == sweeps + 4 * rounds * 6 + 3 * 12


def test_an_eigenstate_is_left_where_it_is():
    """All spins along the field: energy −N h at every configuration, no force."""
    H = hamiltonians.tfim(6, coupling=0.0, field=2.0)
    block = RBM(6, real=True, scale=0.0)
    found = ground_state(H, block, steps=3, samples=16, generator=seeded(9))
    assert found.energy.mean == pytest.approx(-12, abs=1e-12)
    assert found.variance < 1e-20
    assert found.v_score < 1e-20
    assert all((one == 0).all() for one in found.block.parameters())


def test_sixty_four_sites_of_a_block_without_a_path_of_its_own():
    H, block = hamiltonians.tfim(64), MPS(64, bond_dim=2, generator=seeded(10))
    sizes = {"steps": 1, "samples": 2, "warm_up": 0, "final_samples": 2}
    found = ground_state(H, block, generator=seeded(11), **sizes)
    assert np.isfinite(found.trace).all()
    assert np.isfinite(found.energy.mean)


FIXED = MPS.from_tensors([np.ones((1, 2, 1))] * 4)  # the uniform state


def test_no_steps_give_energy_and_v_score_of_a_state_that_is_fixed():
    """Uniform: <H> = −4 h, and Var H = 3, of the independent signs of the bonds."""
    H = hamiltonians.tfim(4, field=1.0)
    found = ground_state(H, FIXED, steps=0, generator=seeded(18))
    interval = found.energy.interval(1 - 1e-4)
    assert interval.low <= -4 <= interval.high
    assert found.variance == pytest.approx(3, rel=0.1)
    assert found.v_score == pytest.approx(4 * 3 / 4**2, rel=0.1)
    assert found.trace.shape == (0,)


def test_no_v_score_at_the_energy_of_infinite_temperature():
    """<Y> = 0 in a real state, at every configuration."""
    H = PauliSum(2, [("Y", (0,), 1.0), ("", (), 2.0)])
    block = RBM(2, real=True, scale=0.0)
    found = ground_state(H, block, steps=0, generator=seeded(19))
    assert found.energy.mean == 2
    assert np.isnan(found.v_score)


@pytest.mark.parametrize(
    "H",
    [
        hamiltonians.heisenberg(4),
        hamiltonians.xxz(4, 0.3),
        hamiltonians.xy(4, 0.4, 0.3),
        hamiltonians.cluster(4),
        hamiltonians.tfim(4),
        hamiltonians.tfim(4, field=0.0),
        PauliSum(4, [("XY", (0, 2), 1.0), ("YX", (0, 2), -1.0), ("Z", (1,), 0.3)]),
        PauliSum(4, [("XY", (0, 2), 1.0), ("YX", (0, 2), 1.0)]),
        PauliSum(4, [("XZX", (0, 1, 2), 1.0), ("YZY", (0, 1, 2), 1.0)]),
        PauliSum(4, [("XZX", (0, 1, 2), 1.0), ("YY", (0, 2), 1.0)]),
        PauliSum(4, [("X", (0,), 0.3)]),
        PauliSum(4, [("X", (0,), 0.3), ("", (), 1e13)]),
        PauliSum(4, [("", (), 0.3)]),
    ],
)
def test_spins_are_exchanged_where_h_commutes_with_their_sum_alone(H):
    total = np.diag(all_configurations(4).sum(1).numpy())
    matrix = H.matrix()
    matrix = matrix - np.diag(np.diag(matrix))  # which commutes
    conserved = np.allclose(matrix @ total, total @ matrix)
    settings = {"steps": 1, "samples": 8, "move": "exchange", "generator": seeded(20)}
    if conserved:
        ground_state(H, RBM(4), **settings)
    else:
        with pytest.raises(ValueError, match=r"^move: got 'exchange'; allowed: flip"):
            ground_state(H, RBM(4), **settings)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block": 3}, r"block: got <class 'int'>; allowed: a Block of 4 sites"),
        ({"block": RBM(5)}, r"block: got 5 sites; allowed: a Block of 4 sites"),
        ({"block": FIXED}, r"block: got no parameters and 300 steps; allowed: "),
        ({"hamiltonian": 3}, r"hamiltonian: got 3; allowed: a PauliSum"),
        ({"samples": 1}, r"samples: got 1; allowed: an integer in \[2, "),
        ({"chains": 0}, r"chains: got 0; allowed: an integer >= 1"),
        ({"final_samples": 1}, r"final_samples: got 1; allowed: an integer in \[2, "),
        ({"callback": 3}, r"callback: got 3; allowed: a callable, None"),
        ({"clock": 3}, r"clock: got 3; allowed: a callable, None"),
        ({"generator": 3}, r"generator: got 3; allowed: a torch.Generator"),
        ({"move": "exchange"}, r"move: got 'exchange'; allowed: flip, exact"),
        ({"steps": -1}, r"steps: got -1"),
        ({"diag_shift": 0.0}, r"diag_shift: got 0.0; allowed: \(0, inf\)"),
        ({"learning_rate": np.nan}, r"learning_rate: got nan"),
        ({"method": "adam"}, r"method: got 'adam'; allowed: auto, sr, minsr"),
        ({"move": "swap"}, r"move: got 'swap'; allowed: flip, exchange, exact"),
    ],
)
def test_bad_input_is_refused_by_name(changed, message):
    arguments = {"hamiltonian": hamiltonians.tfim(4), "block": RBM(4)} | changed
    H, block = arguments.pop("hamiltonian"), arguments.pop("block")
    with pytest.raises(ValueError, match=message):
        ground_state(H, block, **{"generator": seeded(0)} | arguments)


def test_a_step_too_long_is_an_error_not_a_nan():
    with pytest.raises(FloatingPointError, match=r"energy: got a NaN or infinity"):
        ground_state(
            hamiltonians.tfim(4),
            RBM(4, generator=seeded(13)),
            learning_rate=1e200,
            samples=8,
            generator=seeded(14),
        )
