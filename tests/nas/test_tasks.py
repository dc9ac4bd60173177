import numpy as np
import pytest
import torch

from qlib.entanglement import PauliSum
from qlib.entanglement.exact import ground_state
from qlib.entanglement.hamiltonians import heisenberg, tfim
from qlib.nas.spins import basis_index
from qlib.nas.targets import Target, seven
from qlib.nas.tasks import Energy, FullSum
from qlib.nas.tasks.renyi import entanglement_penalty, renyi2

N = 6
SEVEN = seven(N, 0)
TARGETS = list(SEVEN.values())
CHIRAL = PauliSum(
    4, [("XY", (i, i + 1), 0.7) for i in range(3)] + [("Z", (i,), 0.3) for i in (0, 2)]
)
PARTS = ("weights", "architecture")


def random_log_psi(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def vectors(log_psi):
    psi = torch.exp(log_psi).detach().numpy()
    return psi / np.linalg.norm(psi, axis=-1, keepdims=True)


def in_one_state(count=2, seed=5):
    return [torch.Generator().manual_seed(seed) for _ in range(count)]


def test_the_loss_is_one_minus_the_squared_overlap():
    task = FullSum(TARGETS)
    batch = task.batch("all")
    log_psi = random_log_psi(3, 7, 2**N)
    phi = np.array([target.vector for target in TARGETS])
    overlaps = np.einsum("tc,stc->st", phi.conj(), vectors(log_psi))
    expected = 1 - abs(overlaps) ** 2
    np.testing.assert_allclose(task.loss(batch, log_psi), expected, rtol=1e-12)
    shifted = task.loss(batch, log_psi + (800 - 3j))
    np.testing.assert_allclose(shifted, expected, rtol=1e-12)
    alone = FullSum(TARGETS[2])
    one = alone.loss(alone.batch("all"), log_psi[:, 2])
    np.testing.assert_allclose(one, expected[:, 2], rtol=1e-12)
    assert alone.loss(alone.batch("all"), log_psi[0, 2]).shape == (1,)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-6, 1e-12])
def test_small_infidelities_keep_their_digits(epsilon):
    """psi = phi + ε χ with χ orthogonal to phi: 1 − F = ε² / (1 + ε²)."""
    phi = SEVEN["random"].vector
    other = SEVEN["critical Ising"].vector
    other = other - np.vdot(phi, other) * phi
    other /= np.linalg.norm(other)
    log_psi = torch.log(torch.tensor(phi + epsilon * other))
    task = FullSum(SEVEN["random"])
    score = task.score(task.batch("all"), log_psi).item()
    assert score == pytest.approx(epsilon**2 / (1 + epsilon**2), rel=1e-3)


def test_zeros_of_psi_neither_count_nor_spoil_the_gradient():
    task = FullSum(SEVEN["GHZ"])
    free = torch.tensor([0.3 + 0.1j, -0.2 + 0.7j], dtype=torch.complex128)
    free.requires_grad_()
    rest = torch.full((2**N - 2,), -torch.inf, dtype=torch.complex128)
    log_psi = torch.cat([free[:1], rest, free[1:]])
    loss = task.loss(task.batch("all"), log_psi[None])
    up, down = np.exp(free.detach().numpy())
    exact = 1 - abs(up + down) ** 2 / 2 / (abs(up) ** 2 + abs(down) ** 2)
    assert loss.item() == pytest.approx(exact, rel=1e-12)
    loss.sum().backward()
    assert torch.isfinite(torch.view_as_real(free.grad)).all()
    assert free.grad.abs().min() > 0
    nothing = torch.full((1, 2**N), -torch.inf, dtype=torch.complex128)
    assert task.score(task.batch("all"), nothing).item() == 1


@pytest.mark.parametrize("generators", [(None, None), in_one_state()])
@pytest.mark.parametrize(
    "targets",
    [TARGETS, TARGETS[:1], [TARGETS[5]] * 3, [TARGETS[6], TARGETS[0], TARGETS[6]]],
)
def test_halves_have_no_configuration_in_common_and_nearly_the_same_weight(
    targets, generators
):
    task = FullSum(targets)
    for generator in generators:
        if generator is not None:
            generator.manual_seed(11)
    halves = [
        task.batch(part, generator)
        for part, generator in zip(PARTS, generators, strict=True)
    ]
    indices = [basis_index(half.spins) for half in halves]
    both = torch.cat(indices, -1).sort(-1).values
    assert (both == torch.arange(2**N)).all()
    for place, target in enumerate(targets):
        p = abs(target.vector) ** 2
        rows = [i if i.ndim == 1 else i[place] for i in indices]
        weights = [p[row].sum() for row in rows]
        assert abs(weights[0] - weights[1]) <= p.max() + 1e-12
        for half, row in zip(halves, rows, strict=True):
            phi = half.phi.expand(len(targets), -1)[place].numpy()
            np.testing.assert_allclose(
                phi, target.vector[row] / np.sqrt(p[row].sum()), atol=1e-15
            )
    assert task.cost("weights") == halves[0].spins.shape[-2] == 2 ** (N - 1)
    assert task.cost("all") == 2**N


@pytest.mark.parametrize("task", [FullSum(TARGETS[0]), Energy(tfim(N))])
def test_halves_are_drawn_anew_from_a_generator_and_fixed_without(task):
    def drawn(generator):
        batch = task.batch("weights", generator)
        return getattr(batch, "mask", batch.spins)

    one, other = in_one_state()
    first, second = drawn(one), drawn(one)
    assert not torch.equal(first, second)
    assert torch.equal(first, drawn(other))
    assert torch.equal(drawn(None), drawn(None))


def test_the_loss_of_a_half_is_that_of_the_states_cut_to_it():
    task = FullSum(TARGETS)
    batch = task.batch("architecture", torch.Generator().manual_seed(2))
    log_psi = random_log_psi(7, 2**N)
    index = basis_index(batch.spins)
    psi = vectors(torch.gather(log_psi, 1, index))
    phi = np.array([t.vector[i] for t, i in zip(TARGETS, index, strict=True)])
    phi /= np.linalg.norm(phi, axis=1, keepdims=True)
    expected = 1 - abs((phi.conj() * psi).sum(1)) ** 2
    loss = task.loss(batch, torch.gather(log_psi, 1, index))
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_selected_replicas_have_the_losses_of_their_targets():
    task = FullSum(TARGETS, seed=3)
    chosen = [5, 0, 0, 6]
    selected = task.select(chosen)
    assert selected.replicas == 4
    assert [t.name for t in selected.targets] == [TARGETS[i].name for i in chosen]
    for part in (*PARTS, "all"):
        log_psi = random_log_psi(7, task.cost(part))
        loss = task.loss(task.batch(part), log_psi)[chosen]
        again = selected.loss(selected.batch(part), log_psi[chosen])
        torch.testing.assert_close(again, loss, rtol=1e-13, atol=0)
    torch.testing.assert_close(selected.renyi2, task.renyi2[chosen])
    energy = Energy(tfim(4))
    assert energy.select([0, 0]) is energy


@pytest.mark.parametrize("part", [*PARTS, "all"])
def test_gradients_of_fidelity_and_renyi_entropies_by_finite_differences(part):
    target = seven(4, 0)["Heisenberg"]
    task = FullSum([target] * 2)
    batch = task.batch(part)
    log_psi = random_log_psi(2, task.cost(part)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: task.loss(batch, x), log_psi)
    if part == "all":
        assert torch.autograd.gradcheck(
            lambda x: entanglement_penalty(x, task.renyi2), log_psi
        )


@pytest.mark.parametrize("H", [tfim(4), heisenberg(4), CHIRAL])
def test_energies_and_their_gradients(H):
    task = Energy(H)
    log_psi = random_log_psi(3, 2, 16).requires_grad_()
    batch = task.batch("all")
    loss = task.loss(batch, log_psi)
    psi = vectors(log_psi)
    expected = np.einsum("abs,st,abt->ab", psi.conj(), H.matrix(), psi).real
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda x: task.loss(batch, x), log_psi)
    lowest = np.linalg.eigvalsh(H.matrix())[0]
    assert task.energy == pytest.approx(lowest, rel=1e-12)
    score = (expected - lowest) / abs(lowest)
    np.testing.assert_allclose(task.score(batch, log_psi), score, rtol=1e-10)
    assert task.score(batch, log_psi).min() >= 0


def test_the_score_of_a_ground_state_is_zero():
    H = heisenberg(N)
    task = Energy(H)
    log_psi = torch.log(torch.tensor(ground_state(H).vector + 0j))  # −inf off sz = 0
    assert abs(task.score(task.batch("all"), log_psi).item()) < 1e-13


@pytest.mark.parametrize("H", [tfim(4), CHIRAL])
def test_half_energies_average_to_the_whole_and_have_the_gradient_of_sampling(H):
    """∂E / ∂log psi(s) = 2 p(s) (E_loc(s) − E)* on the half, p normalised there."""
    task = Energy(H)
    log_psi = random_log_psi(16).requires_grad_()
    psi = np.exp(log_psi.detach().numpy())
    local = (H.matrix() @ psi) / psi
    total = 0.0
    for part, generator in zip(PARTS, in_one_state(), strict=True):
        batch = task.batch(part, generator)
        assert batch.spins.shape == (16, 4)
        p = abs(psi) ** 2 * batch.mask.numpy()
        energy = (p @ local).real / p.sum()
        loss = task.loss(batch, log_psi)
        assert loss.item() == pytest.approx(energy, rel=1e-12)
        total += p.sum() * energy
        (gradient,) = torch.autograd.grad(loss, log_psi)
        expected = 2 * p / p.sum() * (local - energy)  # torch: ∂/∂Re + i ∂/∂Im
        np.testing.assert_allclose(gradient, expected, atol=1e-12)
    whole = task.loss(task.batch("all"), log_psi).item()
    assert total / (abs(psi) ** 2).sum() == pytest.approx(whole, rel=1e-12)
    nothing = torch.full((16,), -torch.inf, dtype=torch.complex128)
    assert task.loss(task.batch("weights"), nothing).item() == 0
    for energy in (-3.0, 3.0):
        task = Energy(CHIRAL, energy=energy)
        assert task.score(task.batch("all"), nothing).item() == 1


def test_renyi_entropies_are_those_of_the_schmidt_values():
    log_psi = torch.log(torch.tensor(np.array([t.vector for t in TARGETS])))
    exact = np.array([target.renyi2() for target in TARGETS])
    np.testing.assert_allclose(renyi2(log_psi + 400), exact, atol=1e-13)
    np.testing.assert_allclose(FullSum(TARGETS).renyi2, exact, atol=0)
    batched = renyi2(log_psi.reshape(1, 7, 1, -1))
    np.testing.assert_allclose(batched[0, :, 0], exact, atol=1e-13)
    assert entanglement_penalty(log_psi, torch.tensor(exact)).max() < 1e-25


def test_a_product_state_pays_the_squares_of_the_entropies_it_lacks():
    product = torch.zeros(2**N, dtype=torch.complex128)  # all spins along X
    assert renyi2(product).abs().max() < 1e-14
    penalty = entanglement_penalty(product, torch.tensor(SEVEN["GHZ"].renyi2()))
    assert penalty.item() == pytest.approx(5 * np.log(2) ** 2)


def test_bad_input_is_refused_by_name():
    basis_state = Target("up", np.eye(16)[0])
    long = Target("long", np.full(2**15, 2**-7.5))
    with pytest.raises(ValueError, match="targets: got \\[\\]"):
        FullSum([])
    with pytest.raises(ValueError, match="targets: got \\[4, 6\\] sites"):
        FullSum([basis_state, TARGETS[0]])
    with pytest.raises(ValueError, match="targets: got \\[15\\] sites"):
        FullSum(long)
    with pytest.raises(ValueError, match="target: got one configuration alone"):
        FullSum(basis_state).batch("weights")
    for task in (FullSum(TARGETS), Energy(tfim(4))):
        for call in (task.batch, task.cost):
            with pytest.raises(ValueError, match="part: got 'train'"):
                call("train")
        with pytest.raises(ValueError, match="indices: got 7"):
            task.select([7])
    task = FullSum(TARGETS)
    with pytest.raises(ValueError, match="log_psi: got 3 replicas; allowed: 7"):
        task.loss(task.batch("all"), random_log_psi(3, 2**N))
    with pytest.raises(ValueError, match="hamiltonian: got str"):
        Energy("tfim")
    with pytest.raises(ValueError, match="num_sites: got 15"):
        Energy(tfim(15))
    with pytest.raises(ValueError, match=r"num_sites: got 16.* DMRG and ChainTarget"):
        Energy(tfim(16))
    with pytest.raises(ValueError, match="energy: got 0"):
        Energy(tfim(4), energy=0.0)
    for energy in (-np.inf, np.nan, "low"):
        with pytest.raises(ValueError, match=r"energy: got .*; allowed: a finite num"):
            Energy(tfim(4), energy=energy)
    with pytest.raises(ValueError, match="log_psi: got 12 entries"):
        renyi2(random_log_psi(12))
    with pytest.raises(ValueError, match="cuts of target: got 4"):
        entanglement_penalty(random_log_psi(2**N), torch.zeros(4))
