from functools import partial

import pytest
import torch

from qlib.nas.blocks import MPS, RBM, Attention, FeedForward, Jastrow, Product
from qlib.nas.replicas import Replicas
from qlib.nas.spins import all_configurations


def product(*, generator):
    return Product([RBM(4, generator=generator), MPS(4, generator=generator)])


BUILDS = {
    "RBM": partial(RBM, 4, range=1, marshall=True),
    "Jastrow": partial(Jastrow, 4),
    "MPS": partial(MPS, 4, bond_dim=2),
    "attention": partial(Attention, 4, dim=4, heads=2),
    "feed-forward": partial(FeedForward, 4, width=3),
    "product": product,
}
SEEDS = (3, 1, 4)


def generators(seeds=SEEDS):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(params=BUILDS.values(), ids=BUILDS)
def build(request):
    return request.param


def test_replicas_are_the_blocks_of_their_generators(build):
    spins = all_configurations(4)
    alone = torch.stack([build(generator=g)(spins) for g in generators()])
    together = Replicas(build, generators()).log_psi(spins)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_each_replica_may_have_configurations_of_its_own(build):
    replicas = Replicas(build, generators())
    everywhere = replicas.log_psi(all_configurations(4))  # (3, 16)
    index = torch.tensor([[0, 15], [7, 3], [12, 12]])
    own = replicas.log_psi(all_configurations(4)[index])  # (3, 2)
    torch.testing.assert_close(own, everywhere.gather(1, index), rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_blocks_alone(build):
    """Σ over replicas of a loss each: no gradient goes from one to another."""
    replicas = Replicas(build, generators())
    spins = all_configurations(4)
    replicas.log_psi(spins).abs().square().sum().backward()
    for row, generator in enumerate(generators()):
        block = build(generator=generator)
        block(spins).abs().square().sum().backward()
        for name, parameter in block.named_parameters():
            stacked = replicas.weights[name].grad[row]
            torch.testing.assert_close(stacked, parameter.grad, rtol=1e-9, atol=1e-9)


def test_vectors_are_normalised_states_of_the_blocks(build):
    vectors = Replicas(build, generators()).vectors()
    alone = torch.stack([build(generator=g).vector() for g in generators()]).detach()
    torch.testing.assert_close(vectors, alone, rtol=0, atol=1e-12)


def test_a_weight_of_a_product_learns_at_the_rate_of_its_block():
    rates = Replicas(BUILDS["product"], generators()).rates
    assert rates["blocks.0.weight"] == RBM.rate
    assert rates["blocks.1.weight"] == MPS.rate
    assert rates.keys() == Replicas(BUILDS["product"], generators()).weights.keys()
    assert set(Replicas(BUILDS["attention"], generators()).rates.values()) == {1.0}


def test_a_replica_leaves_as_a_block_of_its_own(build):
    replicas = Replicas(build, generators())
    block = replicas.block(1)
    torch.testing.assert_close(
        block.vector().detach(), replicas.vectors()[1], rtol=0, atol=1e-12
    )
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    fresh = Replicas(build, generators()).vectors()
    torch.testing.assert_close(replicas.vectors(), fresh, rtol=0, atol=0)


def test_stored_weights_come_back_bitwise(build, tmp_path):
    replicas = Replicas(build, generators())
    torch.save(replicas.state_dict(), tmp_path / "weights.pt")
    other = Replicas(build, generators((9,)))
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other.vectors(), replicas.vectors())


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="generators: got none"):
        Replicas(BUILDS["MPS"], [])
    replicas = Replicas(BUILDS["MPS"], generators())
    with pytest.raises(ValueError, match="spins: got 2 sets"):
        replicas.log_psi(torch.ones(2, 5, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="spins: got 3 sites"):
        replicas.log_psi(torch.ones(5, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"state: got .*other.*; allowed: .*weight"):
        replicas.load_state_dict({"other": torch.ones(3)})
