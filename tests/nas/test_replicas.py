from functools import partial

import numpy as np
import pytest
import torch

from qlib.nas.blocks import MPS, RBM, Attention, FeedForward, Jastrow, Product
from qlib.nas.replicas import Replicas
from qlib.nas.search import search
from qlib.nas.spins import all_configurations
from qlib.nas.supernet import train_supernet
from qlib.nas.targets import seven
from qlib.nas.tasks import FullSum
from qlib.nas.training import train


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
TARGET = seven(4, 0)["cluster"]


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


class Misshapen(RBM):
    """A machine whose log psi is changed before it is returned."""

    def __init__(self, num_sites, change, *, generator=None):
        super().__init__(num_sites, generator=generator)
        self.change = change

    def log_amplitude(self, spins):
        return self.change(super().log_amplitude(spins))


def misshapen(change):
    return partial(Misshapen, 4, change)


NO_CONSTRUCTORS = {
    "column": (misshapen(lambda z: z[..., None]), r"shape \(2, 1\)"),
    "scalar": (misshapen(torch.sum), r"shape \(\)"),
    "number": (misshapen(lambda z: 0.5), r"shape \(\)"),
    "real": (misshapen(torch.real), "torch.float64"),
    "single": (misshapen(lambda z: z.to(torch.complex64)), "torch.complex64"),
    "nan": (misshapen(lambda z: z * torch.nan), "log psi nan"),
    "instance": (RBM(4, generator=torch.Generator()), "RBM, not its constructor"),
    "nothing taken": (lambda: RBM(4), "unexpected keyword argument 'generator'"),
    "sites missing": (RBM, "missing a required argument: 'num_sites'"),
    "builtin": (max, "max, no signature found"),
    "other module": (lambda generator: torch.nn.Linear(4, 1), "Linear; allowed: a Bl"),
}


@pytest.mark.parametrize(
    ("build", "message"), NO_CONSTRUCTORS.values(), ids=NO_CONSTRUCTORS
)
def test_what_builds_no_block_is_refused_by_every_training(build, message):
    target = TARGET
    with pytest.raises(ValueError, match=f"^build: got .*{message}"):
        train(build, FullSum(target), seeds=0, steps=1)
    blocks = {"RBM": partial(RBM, 4), "own": build}
    for call in (
        lambda: search(target, blocks, steps=1),
        lambda: train_supernet(
            blocks, FullSum(target), scheme="darts", seeds=0, steps=1
        ),
    ):
        with pytest.raises(ValueError, match=f"^blocks: got 'own': .*{message}"):
            call()


@pytest.mark.parametrize("task", [TARGET, [TARGET], TARGET.hamiltonian, None])
def test_what_is_no_task_is_refused_by_name(task):
    build, name = partial(RBM, 4), type(task).__name__
    with pytest.raises(ValueError, match=f"^task: got {name}; allowed: FullSum"):
        train(build, task, seeds=0, steps=1)
    with pytest.raises(ValueError, match=f"^task: got {name}; allowed: FullSum"):
        train_supernet({"RBM": build}, task, scheme="darts", seeds=0, steps=1)


def test_what_cannot_be_called_is_refused_before_any_step():
    build, task, given = partial(RBM, 4), FullSum(TARGET), {"steps": 1, "seeds": 0}
    with pytest.raises(ValueError, match=r"^callback: got 3; allowed: a callable"):
        train(build, task, callback=3, **given)
    blocks = {"RBM": build}
    with pytest.raises(ValueError, match=r"^callback: got 3; allowed: a callable"):
        train_supernet(blocks, task, scheme="darts", callback=3, **given)
    for name in ("callback", "clock"):
        with pytest.raises(ValueError, match=f"^{name}: got 3; allowed: a callable"):
            search(task, blocks, **{name: 3}, **given)


def test_trained_blocks_are_counted_from_nought():
    found = train(partial(RBM, 4), FullSum([TARGET] * 2), seeds=[0, 1, 2], steps=1)
    found.block(np.int64(2), 1)
    for name, index in [
        ("seed_index", 3),
        ("seed_index", -1),
        ("target_index", 2),
        ("target_index", -1),
        ("target_index", 0.5),
    ]:
        with pytest.raises(ValueError, match=f"^{name}: got {index}; allowed: an int"):
            found.block(**{name: index})
