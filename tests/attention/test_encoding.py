"""Encodings: what makes their kernels kernels, their logits, and their twins."""

import pytest
import torch

from qlib.attention.encoding import (
    ENCODINGS,
    IQP,
    TWINS,
    Encoding,
    Fourier,
    MultiScale,
    Projection,
    make_encoding,
)


def gaussian(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def every_encoding(heads, dim, **settings):
    """The quantum encodings and both twins of each, by name."""
    found = {}
    for name in ENCODINGS:
        encoding = make_encoding(name, heads, dim, **settings)
        found[name] = encoding
        for kind in TWINS:
            generator = torch.Generator().manual_seed(1)
            found[f"{name} {kind}"] = encoding.twin(kind, generator=generator)
    return found


@pytest.fixture(autouse=True)
def seeded():
    """The start of layers that draw from torch's own generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


ALL = sorted(every_encoding(2, 8))


@pytest.fixture(params=ALL)
def encoding(request):
    found = every_encoding(2, 8)[request.param]
    return disturbed(found)


def disturbed(module, seed=5):
    """The module away from its special start."""
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            parameter += 0.3 * gaussian(*parameter.shape, seed=seed + place).float()
    return module


def test_amplitude_logits_are_those_of_attention_for_vectors_of_root_dim_norm():
    q, k = gaussian(2, 3, 5, 8), gaussian(2, 3, 7, 8, seed=1)
    q, k = (8**0.5 * x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    plain = q @ k.mT / 8**0.5
    encoding = make_encoding("amplitude", 3, 8)
    torch.testing.assert_close(encoding.logits(q, k), plain)
    torch.testing.assert_close(encoding.logits(q, k, scale=1.0), plain * 8**0.5)


def test_removing_the_map_leaves_plain_attention():
    q, k = gaussian(2, 3, 5, 8), gaussian(2, 3, 7, 8, seed=1)
    plain = q @ k.mT / 8**0.5
    twin = make_encoding("amplitude", 3, 8).twin("linear")
    torch.testing.assert_close(twin.logits(q, k), plain)
    narrow = make_encoding("iqp", 3, 8, width=2).twin("linear")
    weight = narrow.projection.weight.double()
    expected = (q @ weight) @ (k @ weight).mT / 8**0.5
    torch.testing.assert_close(narrow.logits(q, k), expected)


def test_equal_levels_change_no_overlap_and_a_closed_level_leaves_it_out():
    q, k = gaussian(1, 2, 5, 8), gaussian(1, 2, 6, 8, seed=1)
    plain, scales = make_encoding("amplitude", 2, 8), make_encoding("multiscale", 2, 8)
    torch.testing.assert_close(scales.logits(q, k), plain.logits(q, k))
    with torch.no_grad():
        scales.projection.log_weights[:, :, 3] = -torch.inf
    pooled = [x.unflatten(-1, (4, 2)).mean(-1) for x in (q, k)]
    expected = make_encoding("amplitude", 2, 4).logits(*pooled, scale=8**-0.5 * 2)
    torch.testing.assert_close(scales.logits(q, k), expected)


def test_kernels_are_positive_semi_definite_and_symmetric(encoding):
    x = gaussian(2, 2, 40, 8)
    states = encoding.states(x)
    gram = encoding.kernel(states, states)
    assert gram.shape == (2, 2, 40, 40)
    torch.testing.assert_close(gram, gram.mT)
    assert (
        torch.linalg.eigvalsh(gram).min()
        > -1e-12 * gram.diagonal(0, 2, 3).sum(-1).max()
    )


def test_states_have_norm_one_and_kernels_lie_within_it(request, encoding):
    linear = request.node.callspec.params["encoding"].endswith("linear")
    states = encoding.states(gaussian(2, 2, 9, 8))
    norms = states.abs().square().sum(-1)
    assert torch.allclose(norms, torch.ones_like(norms)) != linear
    if not linear:
        assert encoding.kernel(states, states).abs().max() < 1 + 1e-12


def test_kernel_is_taken_from_states_by_the_overlap(encoding):
    states = encoding.states(gaussian(1, 2, 3, 8))
    overlap = torch.einsum("bhqs,bhks->bhqk", states.conj(), states)
    fidelity = encoding.states(gaussian(1, 2, 1, 8)).is_complex()
    expected = overlap.abs().square() if fidelity else overlap
    torch.testing.assert_close(encoding.kernel(states, states), expected)


def test_hadamard_tests_of_amplitudes_give_the_logits():
    """|0>|q> + |1>|k> and a Hadamard gate: the ancilla is 0 with (1 + <q|k>) / 2."""
    encoding = disturbed(make_encoding("amplitude", 2, 8))
    q, k = gaussian(1, 2, 3, 8), gaussian(1, 2, 4, 8, seed=1)
    bra, ket = encoding.states(q)[..., :, None, :], encoding.states(k)[..., None, :, :]
    both = (
        torch.stack(torch.broadcast_tensors(bra, ket), -2) / 2**0.5
    )  # ..., ancilla, s
    gate = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    zero = (gate @ both).square().sum(-1)[..., 0]
    torch.testing.assert_close(encoding.scaled(2 * zero - 1), encoding.logits(q, k))


def test_swap_tests_of_iqp_states_give_the_logits():
    """A controlled swap between Hadamard gates: 0 with (1 + |<q|k>|^2) / 2."""
    encoding = disturbed(make_encoding("iqp", 2, 8))
    q, k = gaussian(1, 2, 3, 8), gaussian(1, 2, 4, 8, seed=1)
    bra, ket = encoding.states(q), encoding.states(k)
    pair = torch.einsum("bhqs,bhkt->bhqkst", bra, ket)
    zero = ((pair + pair.mT) / 2).abs().square().sum((-2, -1))
    torch.testing.assert_close(encoding.scaled(2 * zero - 1), encoding.logits(q, k))


def test_logits_are_kernel_times_dim_scale_and_sharpness(encoding):
    q, k = gaussian(2, 2, 3, 8), gaussian(2, 2, 4, 8, seed=1)
    kernel = encoding.kernel(encoding.states(q), encoding.states(k))
    expected = kernel * 8 * 0.25 * encoding.log_sharpness.exp()
    torch.testing.assert_close(
        encoding.logits(q, k, scale=0.25), expected, check_dtype=False
    )


def test_gradients_reach_inputs_and_every_parameter(encoding):
    q = gaussian(1, 2, 5, 8).requires_grad_()
    logits = encoding.logits(q, gaussian(1, 2, 6, 8, seed=1))
    (logits * gaussian(5, 6, seed=2)).sum().backward()
    for tensor in (q, *encoding.parameters()):
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.flatten(1).any(1).all()


def test_gradients_of_states_are_their_differences(encoding):
    k = gaussian(1, 2, 2, 8, seed=1)
    q = gaussian(1, 2, 2, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: encoding.logits(q, k), q)


def test_heads_have_maps_of_their_own_or_share_one():
    q, k = gaussian(2, 3, 4, 8), gaussian(2, 3, 5, 8, seed=1)
    own = disturbed(make_encoding("iqp", 3, 8))
    together = own.logits(q, k)
    for head in range(3):
        alone = make_encoding("iqp", 1, 8)
        state = {name: part[[head]] for name, part in own.state_dict().items()}
        alone.load_state_dict(state)
        torch.testing.assert_close(
            alone.logits(q[:, [head]], k[:, [head]]), together[:, [head]]
        )
    shared = disturbed(make_encoding("iqp", 1, 8)).logits(q, k)
    assert shared.shape == together.shape


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize(("dim", "width"), [(8, None), (64, 6), (64, 5)])
def test_twins_have_the_same_parameters(name, dim, width):
    ours = disturbed(make_encoding(name, 4, dim, width=width))
    for kind in TWINS:
        twin = ours.twin(kind)
        mine = dict(ours.named_parameters())
        theirs = dict(twin.named_parameters())
        assert mine.keys() == theirs.keys()
        for key, parameter in mine.items():
            assert torch.equal(parameter, theirs[key])
            assert parameter is not theirs[key]


@pytest.mark.parametrize("name", ENCODINGS)
def test_fourier_twin_has_as_many_numbers_in_a_state(name):
    ours = make_encoding(name, 1, 8)
    x = gaussian(1, 1, 2, 8)
    state = torch.view_as_real(ours.states(x) + 0j)
    real = state if ours.states(x).is_complex() else state[..., 0]
    assert ours.twin("fourier").states(x).numel() == real.numel()


def test_encodings_of_one_seed_are_equal_and_draw_nothing_from_torch():
    before = torch.random.get_rng_state()
    ours = [make_encoding("iqp", 2, 8) for _ in range(2)]
    twins = [each.twin("fourier", generator=torch.Generator()) for each in ours]
    assert torch.equal(*(each.projection.weight for each in ours))
    assert torch.equal(*(each.feature_map.frequencies for each in twins))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_state_dict_brings_the_frequencies_along():
    twin, other = (make_encoding("iqp", 2, 8).twin("fourier") for _ in range(2))
    x = gaussian(1, 2, 3, 8)
    assert not torch.equal(twin.states(x), other.states(x))
    other.load_state_dict(disturbed(twin).state_dict())
    assert torch.equal(twin.logits(x, x), other.logits(x, x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_encoding("zz", 1, 8), "name: got 'zz'; allowed: amplitude"),
        (lambda: make_encoding("iqp", 0, 8), "heads: got 0"),
        (lambda: make_encoding("iqp", 1, 8, width=9), r"width: got 9; .*\[1, 8\]"),
        (lambda: make_encoding("iqp", 1, 64, width=13), r"width: got 13; .*\[1, 12\]"),
        (lambda: IQP(3, bandwidth=0), "bandwidth: got 0"),
        (lambda: Fourier(3, 0), "frequencies: got 0"),
        (lambda: Fourier(3, 2, spread=-1.0), r"spread: got -1.0"),
        (lambda: make_encoding("iqp", 1, 8).twin("rff"), "kind: got 'rff'"),
        (lambda: Encoding(Projection(1, 8), IQP(3)), "feature_map: got width 3"),
    ],
)
def test_bad_settings_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_multi_scale_encodings_pad_to_a_register():
    assert MultiScale(Projection(2, 6)).width == 8
    assert make_encoding("multiscale", 2, 6).logits(
        gaussian(1, 2, 3, 6), gaussian(1, 2, 4, 6)
    ).shape == (1, 2, 3, 4)
