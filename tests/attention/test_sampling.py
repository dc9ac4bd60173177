"""Samplers of attention: unbiased, with the variance and interval that they state."""

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.sampling import BACKENDS

NAMES = [backend.name for backend in BACKENDS]
FIXED = [name for name in NAMES if name != "adaptive"]
SYSTEMATIC = ["stratified", "topk_rest", "control_variate"]
OPTIONS = {"adaptive": {"target_error": 0.5, "max_samples": 24}}


def inputs(*, batch=1, heads=2, queries=6, keys=20, dim=8, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((queries, dim), (keys, dim), (keys, dim))
    return [
        torch.randn(batch, heads, *shape, generator=generator, dtype=dtype)
        for shape in shapes
    ]


def repeated(name, q, k, v, times, *, seed=0, **settings):
    """Results of one sampler for `times` copies, as one call of that batch."""
    copies = [each.expand(times, -1, -1, -1) for each in (q, k, v)]
    generator = torch.Generator().manual_seed(seed)
    settings = OPTIONS.get(name, {}) | settings
    return quantum_attention(*copies, backend=name, generator=generator, **settings)


def exact(q, k, v, **settings):
    result = quantum_attention(q, k, v, backend="math", need_weights=True, **settings)
    return result.output, result.weights


def squared_error(result, reference):
    return (result.output - reference).square().sum((-3, -2, -1)).mean()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_many_runs_is_attention(name, causal):
    q, k, v = inputs()
    output = exact(q, k, v, is_causal=causal)[0]
    settings = {} if name == "adaptive" else {"samples": 5}
    found = repeated(name, q, k, v, 600, is_causal=causal, **settings).output
    mean, spread = found.mean(0), found.std(0) / 600**0.5
    # under 1200 comparisons in all at 5.5 standard errors, each 4e-8: a false alarm in
    # 20 000; the allowance is for what is read surely
    assert ((mean - output[0]).abs() <= 5.5 * spread + 1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_many_gradients_is_that_of_attention(name):
    q, k, v = inputs(heads=1, queries=3, keys=9, dim=4)
    target = torch.randn(3, 4, generator=torch.Generator().manual_seed(9)).double()
    leaves = [each.clone().requires_grad_() for each in (q, k, v)]
    (exact(*leaves)[0] * target).sum().backward()
    wanted = [leaf.grad.clone() for leaf in leaves]
    many = [each.expand(600, -1, -1, -1).clone().requires_grad_() for each in (q, k, v)]
    options = OPTIONS["adaptive"] if name == "adaptive" else {"samples": 4}
    generator = torch.Generator().manual_seed(1)
    drawn = quantum_attention(*many, backend=name, generator=generator, **options)
    (drawn.output * target).sum().backward()
    for leaf, gradient in zip(many, wanted, strict=True):
        spread = leaf.grad.std(0) / 600**0.5
        # 504 comparisons at 5.5 standard errors, 4e-8 each: one in 50 000
        assert ((leaf.grad.mean(0) - gradient[0]).abs() <= 5.5 * spread + 1e-9).all()


def test_the_error_of_multinomial_draws_is_that_of_the_formula():
    q, k, v = inputs()
    output, weights = exact(q, k, v)
    result = repeated("multinomial", q, k, v, 600, samples=7)
    spread = (weights @ v.square().sum(-1, keepdim=True)).sum() - output.square().sum()
    # the mean of 600 sums over 96 components is fixed to about 0.8 %
    ratio = squared_error(result, output) / (spread / 7)
    assert abs(ratio - 1) < 0.05


def test_the_error_of_importance_draws_is_that_of_the_formula():
    q, k, v = inputs()
    v = v * torch.linspace(0.05, 3, 20, dtype=v.dtype)[:, None]
    output, weights = exact(q, k, v)
    result = repeated("importance", q, k, v, 600, samples=7)
    lengths = weights @ v.norm(dim=-1, keepdim=True)
    spread = lengths.square().sum() - output.square().sum()
    ratio = squared_error(result, output) / (spread / 7)
    assert abs(ratio - 1) < 0.1
    plain = squared_error(repeated("multinomial", q, k, v, 200, samples=7), output)
    assert spread / 7 < 0.8 * plain


@pytest.mark.parametrize(
    ("name", "bound"),
    [("stratified", 0.75), ("topk_rest", 0.70), ("control_variate", 0.50)],
)
def test_gaussian_64_at_16_samples_errs_less_than_multinomial_by_the_bound(name, bound):
    q, k, v = inputs(queries=64, keys=64, dim=64, dtype=torch.float32)
    output = exact(q, k, v)[0]
    error = squared_error(repeated(name, q, k, v, 8, samples=16), output)
    plain = squared_error(repeated("multinomial", q, k, v, 8, samples=16), output)
    # 8 runs of 128 queries: the ratio is fixed to 2 %, its expected values are 0.71,
    # 0.66 and 0.43
    assert (error / plain).sqrt() < bound
    assert (error / output.square().sum()).sqrt() > 0.3  # no exact softmax in disguise


@pytest.mark.parametrize("name", SYSTEMATIC)
def test_sorting_lowers_the_error_where_values_lie_near_few_axes(name):
    q, k, v = inputs(heads=1, queries=32, keys=128, dim=16)
    v = v * torch.tensor([4.0, 2.0] + 14 * [0.2])
    output = exact(q, k, v)[0]
    errors = [
        squared_error(repeated(name, q, k, v, 30, samples=24, sort_values=sort), output)
        for sort in (True, False)
    ]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [8, 24])
def test_intervals_cover_and_standard_errors_are_of_the_size_of_errors(name, samples):
    q, k, v = inputs(heads=1, queries=8, keys=40)
    output = exact(q, k, v)[0]
    options = {"sort_values": False} if name in (*SYSTEMATIC, "adaptive") else {}
    options |= (
        {"target_error": 1.6 / samples**0.5, "max_samples": 40}
        if name == "adaptive"
        else {"samples": samples}
    )
    result = repeated(name, q, k, v, 300, **options)
    error = result.info.standard_error
    covered = ((result.output - output).abs() <= 1.96 * error + 1e-9).double().mean()
    assert 0.85 < covered < 0.98
    size = error.square().sum() / (result.output - output).square().sum()
    assert abs(size - 1) < 0.15


@pytest.mark.parametrize("name", SYSTEMATIC)
def test_as_many_samples_as_keys_give_attention_where_no_key_is_read_twice(name):
    q, k, v = inputs(keys=20)
    result = repeated(name, q, k, v, 2, samples=21, is_causal=True)
    output = exact(q, k, v, is_causal=True)[0]
    if name == "stratified":
        assert squared_error(result, output) > 0.01
    else:
        torch.testing.assert_close(result.output, output.expand(2, -1, -1, -1))
        assert result.info.standard_error.max() == 0


@pytest.mark.parametrize("name", NAMES)
def test_weights_make_the_output_and_draws_are_counted(name):
    q, k, v = inputs(batch=2, queries=7, keys=11)
    options = OPTIONS.get(name, {"samples": 6})
    p = 0.0 if name == "control_variate" else 0.3
    generator = torch.Generator().manual_seed(3)
    result = quantum_attention(
        q, k, v, backend=name, dropout_p=p, generator=generator, need_weights=True,
        is_causal=True, **options,
    )  # fmt: skip
    torch.testing.assert_close(result.weights @ v, result.output)
    assert (result.weights.triu(1) == 0).all()
    read = result.info.samples.double().mean().item()
    further = {"control_variate": 1, "adaptive": 16}.get(name, 0)
    assert result.info.values_touched == pytest.approx(read + further)
    assert result.info.keys_touched == 7  # those before the end of the only chunk


@pytest.mark.parametrize("name", NAMES)
def test_equal_values_are_their_own_mean(name):
    q, k, _ = inputs(dtype=torch.float32)
    v = torch.full((1, 2, 20, 8), 3.0)
    output = repeated(name, q, k, v, 1).output
    torch.testing.assert_close(output, torch.full((1, 2, 6, 8), 3.0))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("target", [0.1, 0.3])
def test_adaptive_samples_meet_their_target(target, causal):
    q, k, v = inputs(queries=96, keys=96, dim=16, seed=3)
    output = exact(q, k, v, is_causal=causal)[0]
    result = repeated(
        "adaptive",
        q,
        k,
        v,
        8,
        target_error=target,
        max_samples=96,
        sort_values=False,
        is_causal=causal,
    )
    error = (squared_error(result, output) / output.square().sum()).sqrt()
    assert 0.8 * target < error < 1.25 * target


def test_adaptive_samples_pool_queries_across_chunks():
    q, k, v = inputs(queries=128, keys=128, dim=16)  # causal: two chunks of 64
    result = repeated(
        "adaptive", q, k, v, 8, target_error=0.3, max_samples=128, is_causal=True
    )
    samples = result.info.samples.double()
    before, after = samples[..., 60:64].mean(), samples[..., 64:68].mean()
    assert 0.8 < after / before < 1.6  # forgetting the first chunk gives 2.5


@pytest.mark.parametrize("name", ["multinomial", "importance"])
def test_two_independent_draws_give_an_unbiased_variance(name):
    q, k, v = inputs()
    output = exact(q, k, v)[0]
    result = repeated(name, q, k, v, 500, samples=2)
    stated = result.info.standard_error.square().sum((-3, -2, -1)).mean()
    assert abs(stated / squared_error(result, output) - 1) < 0.1


def test_adaptive_reads_more_where_weights_are_spread_and_no_more_than_allowed():
    q, k, v = inputs(queries=64, keys=200, dim=8)
    q[:, 0] *= 4
    samples = repeated("adaptive", q, k, v, 1, max_samples=90).info.samples[0]
    assert samples[0].double().mean() < 0.5 * samples[1].double().mean()
    assert samples.max() == 90


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        *(
            (name, {"samples": value}, "samples")
            for name in FIXED
            for value in (0, 2.5)
        ),
        ("control_variate", {"samples": 1}, "samples"),
        ("topk_rest", {"samples": 8, "top": 8}, "top"),
        *((name, {"sort_values": 1}, "sort_values") for name in SYSTEMATIC),
        ("adaptive", {"target_error": 0}, "target_error"),
        ("adaptive", {"max_samples": 0}, "max_samples"),
    ],
)
def test_bad_options_are_refused_by_name(name, options, named):
    with pytest.raises(ValueError, match=f"^{named}: got .*; allowed: "):
        quantum_attention(*inputs(), backend=name, **options)


@pytest.mark.parametrize("top", [0, 3, 15])
def test_a_fixed_number_of_sure_keys_is_unbiased_too(top):
    q, k, v = inputs(heads=1)
    output = exact(q, k, v)[0]
    result = repeated("topk_rest", q, k, v, 600, samples=16, top=top)
    mean, spread = result.output.mean(0), result.output.std(0) / 600**0.5
    # 48 components three times at 5 standard errors: a false alarm in 10 000
    assert ((mean - output[0]).abs() <= 5 * spread + 1e-9).all()
