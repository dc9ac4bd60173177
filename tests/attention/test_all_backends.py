"""What holds for every attention, exact or not, under each mask that it declares."""

import pytest
import torch

from qlib.attention import baselines, blockwise, encoding, exact, sampling
from qlib.attention.attention import quantum_attention
from qlib.attention.backends import BACKENDS, COMMON, options_of
from qlib.attention.exact.probe import half_dtype

HALF = half_dtype(torch.device("cpu"))
SMALL = {  # options that make each a true approximation at 40 keys
    "multinomial": {"samples": 8},
    "importance": {"samples": 8},
    "stratified": {"samples": 8},
    "topk_rest": {"samples": 8},
    "control_variate": {"samples": 8},
    "adaptive": {"target_error": 0.3, "max_samples": 16},
    "blockwise": {"pool": 2, "pools": 4, "heavy": 2, "tile": 8},
    "performer": {"features": 16},
    "linformer": {"rank": 7},
    "nystrom": {"landmarks": 7},
    "local_window": {"window": 5},
    "lsh": {"buckets": 4, "rounds": 2, "block": 4},
}


def param(name):
    refused = name == "mixed" and HALF is None
    reason = "no fast half precision here"
    return pytest.param(name, marks=pytest.mark.skipif(refused, reason=reason))


def able(kind):
    """Backends that honour a kind of mask."""
    return [param(name) for name, each in BACKENDS.items() if kind in each.masks]


ALL = [param(name) for name in BACKENDS]
NORMALISED = [param(name) for name, each in BACKENDS.items() if each.normalised]
DROPOUT = [param(name) for name, each in BACKENDS.items() if each.dropout]
STOCHASTIC = [param(name) for name, each in BACKENDS.items() if each.stochastic]


def tensors(batch=2, heads=2, queries=40, keys=40, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(batch, heads, length, dim, generator=g, dtype=torch.float64)
        for length, dim in ((queries, 8), (keys, 8), (keys, 6))
    )
    return q.to(dtype), k.to(dtype), v.to(dtype)


def run(name, q, k, v, *, seed=1, **settings):
    generator = torch.Generator().manual_seed(seed)
    settings = {**SMALL.get(name, {}), **settings}
    return quantum_attention(q, k, v, backend=name, generator=generator, **settings)


def close(found, expected, name, dtype=torch.float32):
    """Equal to the rounding of the products."""
    coarse = name == "mixed" or dtype in (torch.float16, torch.bfloat16)
    bound = 0.03 if coarse else 1e-4
    torch.testing.assert_close(found, expected, rtol=bound, atol=bound)


def masked(is_causal, padding, name):
    """Settings with the masks that a backend takes, of those wanted."""
    kinds = BACKENDS[name].masks
    settings = {"is_causal": is_causal and "causal" in kinds}
    if padding is not None and "padding" in kinds:
        settings["key_padding_mask"] = padding
    return settings


def test_names_are_unique_and_every_backend_says_what_it_is():
    families = (exact, sampling, blockwise, baselines, encoding)
    assert len(BACKENDS) == sum(len(each.BACKENDS) for each in families)
    for backend in BACKENDS.values():
        assert backend.cost
        assert backend.says
        assert backend.masks <= {"causal", "padding", "general"}
        assert not set(options_of(backend)) & set(COMMON)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_exact_errs_and_what_is_does_not(name):
    q, k, v = tensors()
    for is_causal in (False, True):
        settings = masked(is_causal, None, name)
        exact = run("math", q, k, v, **settings).output
        error = (run(name, q, k, v, **settings).output - exact).norm() / exact.norm()
        assert BACKENDS[name].exact == bool(error < 0.01)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16]
)
@pytest.mark.parametrize("name", ALL)
def test_result_has_the_shapes_and_dtype_it_declares(name, dtype):
    q, k, v = tensors(queries=24, dtype=dtype)
    result = run(name, q, k, v, need_weights=True)
    info = result.info
    assert result.output.shape == (2, 2, 24, 6)
    assert result.weights.shape == (2, 2, 24, 40)
    assert result.output.dtype == result.weights.dtype == dtype
    assert result.output.isfinite().all()
    assert info.backend == name
    for touched in (info.values_touched, info.keys_touched):
        assert 0 <= touched <= 40
    assert info.kernel
    assert (info.standard_error is not None) == BACKENDS[name].stochastic
    assert (info.samples is not None) == BACKENDS[name].stochastic
    if info.samples is not None:
        assert info.samples.shape == (2, 2, 24)
        assert not info.samples.is_floating_point()
        assert info.standard_error.shape == result.output.shape
        assert (info.standard_error >= 0).all()


@pytest.mark.parametrize("name", ALL)
def test_weights_are_those_that_made_the_output(name):
    q, k, v = tensors(queries=24)
    for padding in (None, torch.arange(40).expand(2, 40) >= 33):
        for is_causal in (False, True):
            settings = masked(is_causal, padding, name)
            result = run(name, q, k, v, need_weights=True, **settings)
            close(result.weights @ v, result.output, name)
            lean = run(name, q, k, v, **settings)
            close(lean.output, result.output, name)
            assert lean.weights is None


@pytest.mark.parametrize("name", NORMALISED)
def test_weights_of_a_normalised_backend_sum_to_one(name):
    q, k, v = tensors()
    for is_causal in (False, True):
        settings = masked(is_causal, torch.arange(40).expand(2, 40) % 4 == 3, name)
        weights = run(name, q, k, v, need_weights=True, **settings).weights
        close(weights.sum(-1), torch.ones(2, 2, 40), name)


@pytest.mark.parametrize("name", NORMALISED)
def test_the_mean_of_equal_values_is_that_value(name):
    q, k, v = tensors()
    v = v[:, :, :1].expand(v.shape)
    for is_causal in (False, True):
        found = run(name, q, k, v, **masked(is_causal, None, name))
        close(found.output, v, name)


@pytest.mark.parametrize("name", NORMALISED)
def test_one_key_is_returned_whatever_the_query(name):
    for queries in (1, 5):
        q, k, v = tensors(queries=queries, keys=1)
        settings = masked(True, None, name)
        result = run(name, q, k, v, need_weights=True, **settings)
        close(result.output, v.expand(-1, -1, queries, -1), name)


@pytest.mark.parametrize("name", ALL)
def test_one_query_and_few_keys_are_no_special_case(name):
    for keys in (1, 2, 3):
        q, k, v = tensors(queries=1, keys=keys)
        result = run(name, q, k, v, need_weights=True)
        assert result.output.isfinite().all()
        close(result.weights @ v, result.output, name)


@pytest.mark.parametrize("name", ALL)
def test_queries_may_outnumber_keys(name):
    q, k, v = tensors(queries=50, keys=7)
    for is_causal in (False, True):
        settings = masked(is_causal, None, name)
        result = run(name, q, k, v, need_weights=True, **settings)
        assert result.output.isfinite().all()
        close(result.weights @ v, result.output, name)


@pytest.mark.parametrize("name", ALL)
def test_equal_keys_and_queries_give_finite_results(name):
    q, k, v = (torch.ones_like(each) for each in tensors())
    assert run(name, q, k, v).output.isfinite().all()
    assert run(name, 0 * q, 0 * k, 0 * v).output.isfinite().all()


@pytest.mark.parametrize("name", able("padding"))
def test_altered_padding_changes_nothing(name):
    q, k, v = tensors()
    padding = torch.rand(2, 40, generator=torch.Generator().manual_seed(3)) < 0.3
    g = torch.Generator().manual_seed(4)
    for is_causal in (False, True):
        settings = masked(is_causal, padding, name)
        before = run(name, q, k, v, **settings).output
        for size in (1, 30, torch.inf, torch.nan):
            changes = (size * torch.randn(each.shape, generator=g) for each in (k, v))
            hit = padding[:, None, :, None]
            other = (
                torch.where(hit, change, each)
                for change, each in zip(changes, (k, v), strict=True)
            )
            assert torch.equal(run(name, q, *other, **settings).output, before)


@pytest.mark.parametrize("name", able("general"))
def test_keys_that_a_general_mask_hides_change_nothing(name):
    q, k, v = tensors()
    g = torch.Generator().manual_seed(5)
    seen = torch.rand(40, 40, generator=g) < 0.7
    seen[:, 7] = False
    before = run(name, q, k, v, attn_mask=seen).output
    k, v = k.clone(), v.clone()
    k[:, :, 7], v[:, :, 7] = 20.0, -5.0
    assert torch.equal(run(name, q, k, v, attn_mask=seen).output, before)


@pytest.mark.parametrize("name", able("causal"))
def test_an_altered_future_changes_nothing_earlier(name):
    q, k, v = tensors()
    g = torch.Generator().manual_seed(6)
    before = run(name, q, k, v, is_causal=True).output
    for start in (1, 13, 32, 39):
        for size in (1, 30):
            other = [each.clone() for each in (q, k, v)]
            for each in other:
                each[:, :, start:] = size * torch.randn(
                    each[:, :, start:].shape, generator=g
                )
            after = run(name, *other, is_causal=True).output
            assert torch.equal(after[:, :, :start], before[:, :, :start])
            assert not torch.equal(after[:, :, start:], before[:, :, start:])


@pytest.mark.parametrize(
    "name", [each for each in able("causal") if each in NORMALISED]
)
def test_the_first_query_of_a_causal_attention_is_its_own_value(name):
    q, k, v = tensors(queries=17)
    close(run(name, q, k, v, is_causal=True).output[:, :, 0], v[:, :, 0], name)


@pytest.mark.parametrize("name", able("padding"))
def test_without_keys_output_and_weights_are_zero_and_gradients_finite(name):
    padding = torch.zeros(2, 40, dtype=torch.bool)
    padding[0] = True
    padding[1, :5] = True
    for is_causal in (False, True):
        sides = [each.requires_grad_() for each in tensors()]
        settings = masked(is_causal, padding, name)
        result = run(name, *sides, need_weights=True, **settings)
        assert (result.output[0] == 0).all()
        assert (result.weights[0] == 0).all()
        if settings["is_causal"]:
            assert (result.output[1, :, :5] == 0).all()
        assert (result.weights[1, ..., :5] == 0).all()
        assert (result.output[1, :, 5:] != 0).any()
        for grad in torch.autograd.grad(result.output.sum(), sides):
            assert grad.isfinite().all()
            assert (grad[0] == 0).all()


@pytest.mark.parametrize("name", able("general"))
def test_a_row_without_keys_under_a_general_mask_is_zero(name):
    seen = torch.ones(40, 40, dtype=torch.bool)
    seen[3] = False
    sides = [each.requires_grad_() for each in tensors()]
    result = run(name, *sides, attn_mask=seen, need_weights=True)
    assert (result.output[:, :, 3] == 0).all()
    assert (result.weights[:, :, 3] == 0).all()
    for grad in torch.autograd.grad(result.output.sum(), sides):
        assert grad.isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_nan_stays_in_its_batch_element(name):
    q, k, v = tensors()
    for is_causal in (False, True):
        settings = masked(is_causal, None, name)
        before = run(name, q, k, v, **settings).output
        for hit in range(3):
            sides = [each.clone() for each in (q, k, v)]
            sides[hit][0, 0, 2] = torch.nan
            after = run(name, *sides, **settings).output
            assert torch.equal(after[1], before[1])
            assert after[0].isnan().any()


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_one_result_and_the_global_generator_is_left_alone(name):
    q, k, v = tensors()
    state = torch.get_rng_state()
    first = run(name, q, k, v, seed=7).output
    assert torch.equal(run(name, q, k, v, seed=7).output, first)
    assert torch.equal(torch.get_rng_state(), state)
    drawn = not torch.equal(run(name, q, k, v, seed=8).output, first)
    assert drawn or not BACKENDS[name].stochastic


@pytest.mark.parametrize("name", STOCHASTIC)
def test_without_a_generator_the_draws_are_those_of_torch(name):
    q, k, v = tensors()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        found = quantum_attention(q, k, v, backend=name, **SMALL[name]).output
    assert torch.equal(found, run(name, q, k, v, seed=7).output)


@pytest.mark.parametrize("name", ALL)
def test_layout_in_memory_does_not_matter(name):
    q, k, v = tensors()
    scattered = [
        each.transpose(1, 2).contiguous().transpose(1, 2) for each in (q, k, v)
    ]
    for is_causal in (False, True):
        settings = masked(is_causal, None, name)
        found = run(name, *scattered, **settings).output
        close(found, run(name, q, k, v, **settings).output, name)


@pytest.mark.parametrize("name", ALL)
def test_three_dimensions_are_one_head(name):
    q, k, v = tensors(heads=1, queries=24)
    padding = torch.arange(40).expand(2, 40) >= 33
    settings = masked(True, padding, name)
    whole = run(name, q, k, v, need_weights=True, **settings)
    flat = run(name, q[:, 0], k[:, 0], v[:, 0], need_weights=True, **settings)
    assert torch.equal(flat.output, whole.output[:, 0])
    assert torch.equal(flat.weights, whole.weights[:, 0])
    if flat.info.samples is not None:
        assert flat.info.samples.shape == (2, 24)
        assert flat.info.standard_error.shape == flat.output.shape


@pytest.mark.parametrize("name", able("general"))
def test_a_mask_of_three_dimensions_belongs_to_the_batch_of_one_head(name):
    q, k, v = tensors(heads=1, queries=24)
    seen = torch.rand(2, 24, 40, generator=torch.Generator().manual_seed(8)) < 0.8
    whole = run(name, q, k, v, attn_mask=seen[:, None]).output
    flat = run(name, q[:, 0], k[:, 0], v[:, 0], attn_mask=seen).output
    assert torch.equal(flat, whole[:, 0])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (3,), (0, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("name", able("general"))
def test_a_mask_of_length_one_along_axes_is_that_mask_repeated(name, axes):
    q, k, v = tensors()
    bias = torch.randn(2, 2, 40, 40, generator=torch.Generator().manual_seed(10))
    bias = torch.where(bias > 0.6, -torch.inf, bias)
    for axis in axes:
        bias = bias[(slice(None),) * axis + (slice(1),)]
    whole = run(name, q, k, v, attn_mask=bias.expand(2, 2, 40, 40)).output
    for mask in (bias, bias[0]) if axes[0] == 0 else (bias,):
        close(run(name, q, k, v, attn_mask=mask).output, whole, name)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_of_the_values_is_the_weights_transposed(name):
    q, k, v = tensors(dtype=torch.float64)
    v.requires_grad_()
    result = run(name, q, k, v, need_weights=True)
    cotangent = torch.randn(
        result.output.shape, generator=torch.Generator().manual_seed(9)
    ).double()
    (found,) = torch.autograd.grad(result.output, v, cotangent)
    error = found - result.weights.detach().mT @ cotangent
    assert error.norm() <= (0.01 if name == "mixed" else 1e-5) * found.norm()


@pytest.mark.parametrize("name", ALL)
def test_no_graph_is_kept_where_no_input_asks_for_gradients(name):
    assert not run(name, *tensors()).output.requires_grad


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_queries_and_keys(name):
    q, k, v = (each.requires_grad_() for each in tensors())
    for is_causal in (False, True):
        result = run(name, q, k, v, **masked(is_causal, None, name))
        output, error = result.output, result.info.standard_error
        assert error is None or not error.requires_grad
        for grad in torch.autograd.grad(output.pow(2).sum(), (q, k, v)):
            assert grad.isfinite().all()
            assert (grad != 0).any()


@pytest.mark.parametrize("name", DROPOUT)
def test_dropout_zeroes_weights_that_made_the_output(name):
    q, k, v = tensors()
    whole = run(name, q, k, v, need_weights=True)
    result = run(name, q, k, v, dropout_p=0.5, need_weights=True)
    close(result.weights @ v, result.output, name)
    zeros = [(each.weights == 0).double().mean() for each in (whole, result)]
    assert zeros[1] > zeros[0]
    again = run(name, q, k, v, dropout_p=0.5)
    assert again.output.isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_autocast_does_not_reach_what_a_backend_computes(name):
    q, k, v = tensors()
    with torch.autocast("cpu", torch.bfloat16):
        found = run(name, q, k, v).output
    assert torch.equal(found, run(name, q, k, v).output)
