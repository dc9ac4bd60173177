from functools import partial

import numpy as np
import pytest
import torch

from qlib.nas.adam import Adam
from qlib.nas.blocks import MPS, RBM, FeedForward, Product
from qlib.nas.screen import screen
from qlib.nas.spins import all_configurations
from qlib.nas.targets import Target, seven
from qlib.nas.tasks import Energy, FullSum
from qlib.nas.training import Training, schedule, train

BUILDS = {
    "RBM": partial(RBM, 4),
    "MPS": partial(MPS, 4, bond_dim=2),
    "feed-forward": partial(FeedForward, 4, width=4),
}


@pytest.fixture(scope="module")
def targets():
    return seven(4, 0)


@pytest.fixture(params=BUILDS.values(), ids=BUILDS)
def build(request):
    return request.param


def test_matrix_products_meet_the_bound_of_the_rainbow_chain():
    """Eight sites, 16 equal Schmidt weights at the half cut: 1 − χ/16 at best."""
    target = seven(8, 0)["rainbow"]
    for bond_dim in (1, 2, 3, 4):
        build = partial(MPS, 8, bond_dim=bond_dim)
        score = train(
            build, FullSum(target), seeds=2, steps=50, learning_rate=0.04
        ).score
        bound = screen(target.spectra(), build(generator=torch.Generator()))
        assert bound == pytest.approx(1 - bond_dim / 16, abs=1e-12)
        assert bound - 1e-12 <= score.min() <= bound + 1e-2


def test_scores_are_infidelities_of_the_blocks_that_come_back(build, targets):
    chosen = [targets["critical Ising"], targets["GHZ"]]
    found = train(build, FullSum(chosen), seeds=[5, 6], steps=40)
    assert found.score.shape == (2, 2)
    for s in range(2):
        for t, target in enumerate(chosen):
            psi = found.block(s, t).vector().detach().numpy()
            infidelity = 1 - abs(np.vdot(target.vector, psi)) ** 2
            assert found.score[s, t] == pytest.approx(infidelity, abs=1e-12)
            np.testing.assert_allclose(found.vectors()[s, t].numpy(), psi, atol=1e-12)


def test_training_helps_and_the_score_is_the_least_of_the_checkpoints(build, targets):
    task = FullSum(list(targets.values()))
    first = train(build, task, seeds=1, steps=1, learning_rate=1e-12)
    found = train(build, task, seeds=1, steps=100)
    assert (found.score < first.score).all()
    np.testing.assert_array_equal(found.score, found.scores.min(axis=0))
    assert found.checkpoints.tolist() == [20, 40, 60, 80, 100]
    assert found.scores.shape == (5, 1, 7)


def test_a_replica_does_not_see_the_others(build, targets):
    chosen = [targets["cluster"], targets["random"]]
    together = train(build, FullSum(chosen), seeds=[5, 6], steps=20)
    alone = train(build, FullSum(chosen[1]), seeds=6, steps=20)
    assert together.score[1, 1] == pytest.approx(alone.score[0, 0], rel=1e-6)


def test_one_seed_gives_one_result(build, targets):
    task = FullSum(targets["random"])
    first, again, other = (
        train(build, task, seeds=s, steps=10).vectors() for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_rate_rises_for_a_fifth_of_the_steps_and_falls_to_nought():
    shares = [schedule(step / 100) for step in range(101)]
    assert shares[0] == pytest.approx(0.05)
    assert np.all(np.diff(shares[:19]) > 0)
    assert np.all(np.diff(shares[20:]) < 0)
    assert shares[50] == pytest.approx(0.5)
    assert shares[100] == pytest.approx(0, abs=1e-15)


def test_steps_are_those_of_adam_on_the_logarithm_of_the_infidelity(targets):
    target, spins = targets["random"], all_configurations(4)
    build = BUILDS["feed-forward"]
    training = Training(build, FullSum(target), seeds=[3], steps=10)
    training.advance(7)
    block = build(generator=torch.Generator().manual_seed(3))
    weights = dict(block.named_parameters())
    adam, phi = Adam(weights), torch.tensor(target.vector)
    for step in range(7):
        psi = torch.exp(block(spins))
        fidelity = (phi.conj() @ psi).abs() ** 2 / psi.abs().square().sum()
        gradients = torch.autograd.grad(torch.log(1 - fidelity), [*weights.values()])
        adam.step(weights, gradients, 0.02 * schedule(step / 10))
    for name, weight in training.replicas.weights.items():
        torch.testing.assert_close(weight[0], weights[name], rtol=1e-7, atol=1e-9)


def test_evaluations_are_blocks_times_configurations_times_steps(targets):
    found = train(BUILDS["MPS"], FullSum(list(targets.values())), seeds=0, steps=7)
    assert found.evaluations == 7 * 16


def test_an_energy_approaches_the_ground_state_from_above(targets):
    target = targets["critical Ising"]
    task = Energy(target.hamiltonian)
    build = partial(RBM, 4, real=True)
    found = train(build, task, seeds=0, steps=200, learning_rate=0.08)
    assert -1e-12 < found.score[0, 0] < 1e-3


def test_the_penalty_draws_the_entropies_to_those_of_the_target(targets):
    """With a weight so large that the infidelity does not count."""
    target = targets["critical Ising"]
    errors = {}
    for penalty in (0.0, 1e6):
        given = {"steps": 60, "learning_rate": 0.02, "penalty": penalty}
        training = Training(BUILDS["MPS"], FullSum(target), seeds=[0], **given)
        training.advance(2 if penalty == 0 else 60)
        reached = Target("reached", training.replicas.vectors()[0].numpy())
        errors[penalty] = abs(reached.renyi2() - target.renyi2()).max()
    assert errors[0.0] > 0.1
    assert errors[1e6] < 1e-2


def test_a_training_goes_on_from_the_weights_it_is_given(targets):
    task = FullSum(targets["random"])
    first = train(BUILDS["MPS"], task, seeds=[0, 1], steps=30)
    second = train(BUILDS["MPS"], task, seeds=[0, 1], steps=30, start=first)
    assert (second.score < first.score).all()
    still = train(
        BUILDS["MPS"], task, seeds=[0, 1], steps=1, start=first, learning_rate=1e-12
    )
    np.testing.assert_allclose(still.score, first.score, rtol=1e-8)


def test_tensors_of_a_given_state_are_not_trained(targets):
    tensors = [np.full(shape, 0.5) for shape in [(1, 2, 2), (2, 2, 2), (2, 2, 1)]]
    tensors.insert(1, tensors[1])

    def build(*, generator):
        free = MPS(4, bond_dim=2, generator=generator)
        return Product([MPS.from_tensors(tensors), free])

    found = train(build, FullSum(targets["random"]), seeds=[0, 1], steps=60)
    assert found.scores[-1].max() < found.scores[0].min()
    given, free = found.block(1).blocks
    for kept, tensor in zip(given.tensors, tensors, strict=True):
        np.testing.assert_array_equal(kept, tensor)
    assert found.block(1).num_parameters == free.num_parameters == 48
    with pytest.raises(ValueError, match=r"^build: got a block without weights"):
        train(lambda generator: given, FullSum(targets["random"]), seeds=0)


def test_a_training_that_stops_on_the_way_ends_where_it_would_have(targets):
    task = FullSum([targets["random"], targets["GHZ"]])
    through, stopping = (
        Training(BUILDS["RBM"], task, seeds=[1, 2], steps=30) for _ in range(2)
    )
    through.advance(30)
    stopping.advance(13)
    stopping.advance(30)
    assert torch.equal(through.score, stopping.score)
    for name, weight in through.replicas.weights.items():
        assert torch.equal(weight, stopping.replicas.weights[name])


class Diverging(RBM):
    """An RBM that is no number when its first weight exceeds one."""

    def log_amplitude(self, spins):
        first = self.weight[0, 0].real
        return super().log_amplitude(spins) + torch.where(first > 1, torch.nan, 0.0)


def test_a_replica_that_diverges_keeps_its_best_and_spoils_no_other(targets):
    def build(*, generator):
        block = Diverging(4, generator=generator)
        seed = generator.initial_seed()
        block.weight.data[0, 0] = 0.99 if seed == 0 else 0.0
        return block

    task = FullSum(targets["random"])
    found = train(build, task, seeds=[0, 1], steps=60, learning_rate=0.02)
    assert found.scores[-1, 0] == 1 > found.score[0, 0]
    assert np.isfinite(found.score).all()
    assert np.isfinite(found.scores[:, 1]).all()
    assert found.block(0).vector().isfinite().all()


def test_bad_arguments_are_refused_by_name(targets):
    build, task = BUILDS["MPS"], FullSum(targets["random"])
    for name, value in {
        "steps": 0,
        "learning_rate": 0.0,
        "penalty": -1.0,
        "seeds": [],
    }.items():
        with pytest.raises(ValueError, match=f"^{name}: got"):
            train(build, task, **{"seeds": 0, name: value})
    with pytest.raises(ValueError, match=r"^seeds: got -1"):
        train(build, task, seeds=[0, -1])
    with pytest.raises(ValueError, match=r"^build: got a block of 6 sites; allowed: 4"):
        train(partial(MPS, 6), task, seeds=0)
    energy = Energy(targets["critical Ising"].hamiltonian)
    with pytest.raises(ValueError, match=r"^penalty: got 1\.0; allowed: 0"):
        train(build, energy, seeds=0, penalty=1.0)
    two = FullSum([targets["random"], targets["GHZ"]])
    start = train(build, two, seeds=0, steps=1)
    with pytest.raises(ValueError, match=r"^start: got seeds and targets \(1, 2\)"):
        train(build, task, seeds=0, start=start)
    wider = partial(FeedForward, 4, width=9)
    start = train(BUILDS["feed-forward"], task, seeds=0, steps=1)
    with pytest.raises(ValueError, match=r"^state: got {.*\[2, 4\].*; .*\[2, 9\]"):
        train(wider, task, seeds=0, start=start)
    with pytest.raises(ValueError, match=r"^task: got 2 targets"):
        Training(build, two, seeds=[0, 1, 2], steps=3)
