from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from qlib.entanglement.closed_forms import haar_vector
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.hamiltonians import tfim
from qlib.nas.blocks import RBM, Jastrow, Product
from qlib.nas.candidates import candidates
from qlib.nas.spins import all_configurations
from qlib.nas.supernet import (
    SCHEMES,
    Settings,
    Supernet,
    steps_within,
    supernet_evaluations,
    train_supernet,
)
from qlib.nas.supernet.mixture import combinations, mix, one_hot, products
from qlib.nas.supernet.relaxations import (
    expected_loss,
    gumbel,
    probabilities,
    straight_through,
)
from qlib.nas.targets import ChainTarget, Target, seven
from qlib.nas.tasks import Energy, FullSum, Sampled

N = 4
TWO = {"no pairs": partial(RBM, N, range=0), "Jastrow": partial(Jastrow, N)}
BLOCKS = candidates(N)
FEW = {name: BLOCKS[name] for name in ("RBM, range 1", "MPS", "feed-forward")}


def paired(pairs):
    """exp Σ 0.8 s_i s_j over pairs, in the family of Jastrow factors."""
    spins = all_configurations(N).numpy()
    psi = np.exp(0.8 * sum(spins[:, i] * spins[:, j] for i, j in pairs))
    return Target("paired", psi / np.linalg.norm(psi) + 0j, None, None)


def random_targets(count):
    vectors = [haar_vector(N, seed) for seed in range(count)]
    return [Target(f"random {k}", v + 0j, None, None) for k, v in enumerate(vectors)]


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def infidelity(task, part="all"):
    batch = task.batch(part)
    return lambda values: task.loss(batch, values)


@pytest.mark.parametrize("spins_of_their_own", [False, True])
def test_one_hot_gates_are_the_product_of_the_picked_blocks(spins_of_their_own):
    net = Supernet(BLOCKS, seeds=[3, 1, 3], slots=2)
    picks = torch.tensor([[0, 4], [2, 2], [5, 3]])
    spins = all_configurations(N)
    if spins_of_their_own:
        spins = torch.stack([spins, spins.flip(0), -spins])
    values = mix(net.outputs(spins), one_hot(picks, len(BLOCKS)))
    torch.testing.assert_close(values, net.picked(spins, picks))
    for replica, (first, second) in enumerate(picks.tolist()):
        blocks = [net.block(slot, k, replica) for slot, k in enumerate((first, second))]
        here = spins[replica] if spins_of_their_own else spins
        torch.testing.assert_close(values[replica], Product(blocks)(here))


def test_equal_seeds_start_equal_and_slots_and_seeds_differ():
    outputs = Supernet(TWO, seeds=[5, 6, 5]).outputs(all_configurations(N))
    torch.testing.assert_close(outputs[:, :, 0], outputs[:, :, 2], rtol=0, atol=0)
    for other in (outputs[0, :, 1], outputs[1, :, 0]):
        assert (abs(other - outputs[0, :, 0]).amax(-1) > 1e-3).all()


def test_a_closed_gate_hides_zeros_and_an_open_one_shows_them():
    outputs = drawn(2, 3, 1, 16)
    outputs[0, 1, 0, :5] = -torch.inf
    outputs.requires_grad_()
    gates = one_hot(torch.tensor([[0, 2]]), 3).requires_grad_()
    values = mix(outputs, gates)
    torch.testing.assert_close(values, outputs[0, 0] + outputs[1, 2])
    gradients = torch.autograd.grad(values.abs().sum(), (outputs, gates))
    assert all(torch.isfinite(torch.view_as_real(g + 0j)).all() for g in gradients)
    shown = mix(outputs, one_hot(torch.tensor([[1, 2]]), 3))
    assert torch.equal(torch.isneginf(shown.real), torch.arange(16)[None] < 5)
    task = FullSum(random_targets(1))
    loss = infidelity(task)(mix(outputs, torch.full((1, 2, 3), 1 / 3)))
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)
    assert torch.isfinite(torch.view_as_real(gradient)).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("slots", "count"), [(1, 4), (2, 3), (3, 2)])
def test_the_expected_loss_is_the_sum_over_architectures(slots, count):
    outputs, task = drawn(slots, count, 2, 16), FullSum(random_targets(2))
    shares = torch.softmax(drawn(2, slots, count, seed=1).real, -1)
    expected = torch.zeros(2)
    for number, one in enumerate(product(range(count), repeat=slots)):
        values = sum(outputs[slot, k] for slot, k in enumerate(one))
        torch.testing.assert_close(products(outputs)[number], values)
        assert combinations(slots, count)[number].tolist() == list(one)
        chance = torch.stack([shares[:, slot, k] for slot, k in enumerate(one)])
        expected = expected + chance.prod(0) * infidelity(task)(values)
    found = expected_loss(outputs, shares, infidelity(task))
    torch.testing.assert_close(found, expected)


def test_the_gradient_of_an_expected_loss_is_the_excess_over_the_mean():
    """dE/dα_k = π_k (L_k − E) for a softmax: no gradient through another sample."""
    outputs, task = drawn(1, 5, 1, 16), FullSum(random_targets(1))
    logits = drawn(1, 1, 5, seed=2).real.requires_grad_()
    shares = probabilities(logits, torch.ones(1, 1, 5, dtype=torch.bool))
    mean = expected_loss(outputs, shares, infidelity(task))
    (gradient,) = torch.autograd.grad(mean.sum(), logits)
    losses = infidelity(task)(outputs[0])[:, 0]
    excess = shares.detach()[0, 0] * (losses - mean.item())
    torch.testing.assert_close(gradient[0, 0], excess)


def test_gumbel_samples_follow_the_softmax():
    """Pearson's statistic of 20 000 draws, 3 degrees of freedom: false alarm 1e-5."""
    logits = torch.tensor([[0.5, -1.0, 0.0, 1.5]], dtype=torch.float64)
    generators = [torch.Generator().manual_seed(7)]
    noise = gumbel((1, 20_000, 4), generators)
    allowed = torch.ones(1, 20_000, 4, dtype=torch.bool)
    for temperature in (0.1, 3.0):
        gates = straight_through(logits, allowed, noise, temperature)
        assert (gates.amax(-1) > 1 - 1e-12).all()
        counts, expected = gates[0].sum(0), 20_000 * torch.softmax(logits[0], -1)
        assert ((counts - expected) ** 2 / expected).sum() < 25.9
    assert abs(noise.mean() - np.euler_gamma) < 5 * noise.std() / noise.numel() ** 0.5


def test_straight_through_has_the_gradient_of_the_relaxed_sample():
    logits = torch.zeros(2, 1, 3, dtype=torch.float64, requires_grad=True)
    noise = drawn(2, 1, 3).real
    allowed = torch.tensor([True, True, False]).expand(2, 1, 3)
    values = drawn(2, 1, 3, seed=3).real
    hard = straight_through(logits, allowed, noise, 0.7)
    assert (hard[..., 2] == 0).all()
    (found,) = torch.autograd.grad((hard * values).sum(), logits)
    soft = torch.softmax(((logits + noise) / 0.7)[..., :2], -1)
    (expected,) = torch.autograd.grad((soft * values[..., :2]).sum(), logits)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_of_two_candidates_the_one_that_holds_the_target_is_picked(scheme):
    """Correlated pairs are a Jastrow factor; without range a product has no pairs."""
    task = FullSum([paired([(0, 3), (1, 2)]), paired([(0, 1)])])
    settings = Settings(learning_rate=0.2)
    found = train_supernet(
        TWO, task, scheme=scheme, seeds=[0], slots=1, steps=50, settings=settings
    )
    assert found.architectures == [("Jastrow",)] * 2
    assert found.score.max() < 0.1
    assert (found.trace.shares[-1, :, 0, 1] > 0.5).all()


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_evaluations_are_counted_as_foretold(scheme, penalty):
    task, given = FullSum(random_targets(2)), {"scheme": scheme, "penalty": penalty}
    found = train_supernet(TWO, task, seeds=[0], steps=7, slots=2, **given)
    cost = supernet_evaluations(TWO, task, steps=7, **given)
    assert found.evaluations == cost
    assert steps_within(cost, TWO, task, **given) == 7
    assert steps_within(cost - 1, TWO, task, **given) == 6
    assert steps_within(1, TWO, task, **given) == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_long_chain_is_learnt_from_samples(scheme):
    """Proposals count as evaluations, as the task says."""
    H = tfim(N)
    found = dmrg(H)
    task = Sampled(ChainTarget(found.mps, "Ising", H, found.energy), samples=32)
    given = {"scheme": scheme, "slots": 1, "steps": 20}
    one = train_supernet(TWO, task, seeds=[0, 1], **given)
    assert one.evaluations == supernet_evaluations(TWO, task, **given)
    assert one.evaluations > 20 * 32
    assert one.score.max() < 0.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_replica_is_what_it_would_be_alone(scheme):
    """The first seed draws the halves of the configurations for all."""
    targets = random_targets(2)
    both, alone = (
        train_supernet(FEW, FullSum(some), scheme=scheme, seeds=seeds, steps=5)
        for some, seeds in ((targets, [4, 9]), (targets[1:], [4]))
    )
    np.testing.assert_allclose(both.trace.shares[:, 1:2], alone.trace.shares)
    torch.testing.assert_close(both.score[1:2], alone.score)
    assert both.architectures[1:2] == alone.architectures


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_trace_starts_undecided_and_tells_probabilities(scheme):
    settings = Settings(hot=4.0, cold=0.25, warm_up=0.5)
    task = FullSum(random_targets(1))
    found = train_supernet(
        TWO, task, scheme=scheme, seeds=[0], steps=20, settings=settings
    )
    trace = found.trace
    np.testing.assert_array_equal(trace.steps, np.arange(1, 21))
    np.testing.assert_allclose(trace.shares.sum(-1), 1)
    np.testing.assert_allclose(trace.entropy[:10], 2 * np.log(2))
    assert (trace.entropy[10:] < 2 * np.log(2)).all()
    warm = 4.0 * (1 / 16) ** (np.arange(20) / 20) if scheme == "gumbel" else 1.0
    np.testing.assert_allclose(trace.temperature, warm * np.ones(20))


class Recorded(FullSum):
    """Which parts were asked for, in turn."""

    def batch(self, part, generator=None, log_psi=None):
        self.parts = [*getattr(self, "parts", []), part]
        return super().batch(part, generator, log_psi)


def test_weights_and_architecture_train_on_different_configurations():
    task = Recorded(random_targets(1))
    train_supernet(
        TWO, task, scheme="darts", seeds=[0], steps=2, settings=Settings(warm_up=0.5)
    )
    learning = [part for part in task.parts if part != "all"]
    assert [*dict.fromkeys(learning)] == ["weights", "architecture"]
    halves = [task.batch(part).spins for part in ("weights", "architecture")]
    rows = torch.cat(halves)
    assert len(torch.unique(rows, dim=0)) == 2**N


def test_the_penalty_adds_squared_errors_of_the_rényi_entropies():
    """At the first step, of the mixture and of each architecture in turn, by SVD."""
    target = seven(N, 0)["cluster"]
    outputs = Supernet(TWO, seeds=[0], slots=1).outputs(all_configurations(N))
    half = torch.full((1, 1, 2), 0.5, dtype=torch.float64)
    states = {"darts": mix(outputs, half), "expected": products(outputs)[:, 0]}
    for scheme, log_psi in states.items():
        errors = []
        for psi in torch.exp(log_psi.detach()).numpy():
            state = Target("drawn", psi / np.linalg.norm(psi), None, None)
            errors.append(((state.renyi2() - target.renyi2()) ** 2).sum())
        losses = [
            train_supernet(
                TWO,
                FullSum(target),
                scheme=scheme,
                seeds=[0],
                slots=1,
                steps=1,
                penalty=penalty,
                settings=Settings(logarithmic=scheme == "darts"),
            ).trace.loss[0, 0]
            for penalty in (0.0, 0.7)
        ]
        assert losses[1] - losses[0] == pytest.approx(0.7 * np.mean(errors), rel=1e-9)


def test_an_energy_is_a_task_too():
    target = seven(N, 0)["critical Ising"]
    task = Energy(target.hamiltonian, energy=target.energy)
    found = train_supernet(TWO, task, scheme="darts", seeds=[0], steps=40)
    assert found.relaxed_score.min() > -1e-12
    assert found.relaxed_score.max() < 0.05


def refused(**changed):
    given = {"blocks": TWO, "task": FullSum(random_targets(1)), "scheme": "darts"}
    given |= {"seeds": [0], "steps": 1} | changed
    blocks, task = given.pop("blocks"), given.pop("task")
    train_supernet(blocks, task, **given)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"scheme": "enas"}, "scheme"),
        ({"scheme": None}, "scheme"),
        ({"blocks": {}}, "blocks"),
        ({"blocks": [partial(RBM, N)]}, "blocks"),
        ({"blocks": {"RBM": partial(RBM, N + 1)}}, "blocks"),
        ({"slots": 0}, "slots"),
        ({"slots": 5}, "slots"),
        ({"steps": 0}, "steps"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"settings": {"hot": 2.0}}, "settings"),
        ({"penalty": -1.0}, "penalty"),
        ({"penalty": np.nan}, "penalty"),
        (
            {"penalty": 1.0, "task": Energy(seven(N, 0)["cluster"].hamiltonian)},
            "penalty",
        ),
    ],
)
def test_what_is_no_argument_is_refused_by_name(changed, name):
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        refused(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 0},
        {"architecture_rate": -1},
        {"cold": 0},
        {"warm_up": 1.0},
        {"logarithmic": "yes"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(changed):
    (name,) = changed
    with pytest.raises(ValueError, match=f"^{name}: got .*; allowed: "):
        Settings(**changed)
