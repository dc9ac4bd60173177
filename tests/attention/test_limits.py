"""Limits against closed forms, simulation and brute force."""

from math import comb

import numpy as np
import pytest
import torch

from qlib.attention.limits import (
    least_samples,
    oracle_keys,
    oracle_rank,
    polynomial_features,
)

LIMITS = (least_samples, oracle_keys, oracle_rank, polynomial_features)


def gaussian(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    batch, heads, queries, keys, d, value = shape
    sizes = ((queries, d), (keys, d), (keys, value))
    return tuple(
        torch.randn(batch, heads, *size, generator=generator, dtype=dtype)
        for size in sizes
    )


def weights_of(q, k, *, is_causal=False):
    logits = q @ k.mT / q.shape[-1] ** 0.5
    if is_causal:
        logits = logits + torch.full(logits.shape[-2:], -torch.inf).triu(1)
    return logits.softmax(-1)


def relative(found, exact):
    return (
        (found - exact).square().sum((-2, -1)) / exact.square().sum((-2, -1))
    ).sqrt()


def one_hot(n):
    """Queries and keys whose weights are the identity, and orthonormal values."""
    eye = torch.eye(n, dtype=torch.float64)[None, None]
    return 1000 * eye, eye, eye


def uniform(n, values):
    """Queries that see all keys alike."""
    q, k = torch.zeros(2, 1, 1, n, 4, dtype=torch.float64)
    return q, k, values.double()[None, None]


# --- closed forms ---------------------------------------------------------------------


def test_identity_needs_every_key_full_rank_and_no_sample():
    n = 20
    inputs = one_hot(n)
    # all but the fraction error² of n equal singular values or of n queries
    least = n - int(0.3**2 * n)
    assert oracle_rank(*inputs, 0.3).weights.item() == least
    assert oracle_rank(*inputs, 0.3).output.item() == least
    assert oracle_keys(*inputs, 0.3).kept.item() == 1
    assert oracle_keys(*inputs, 0.3).renormalised.item() == 1
    found = least_samples(*inputs, 0.3)
    torch.testing.assert_close(found.importance, torch.zeros(1, 1).double())
    torch.testing.assert_close(found.multinomial, torch.zeros(1, 1).double())


def test_uniform_weights_are_of_rank_one_and_degree_zero():
    inputs = uniform(12, torch.randn(12, 5, generator=torch.Generator().manual_seed(1)))
    assert oracle_rank(*inputs).weights.item() == 1
    assert oracle_rank(*inputs).output.item() == 1
    found = polynomial_features(*inputs)
    assert (found.degree.item(), found.features.item()) == (0, 1)


def test_uniform_weights_on_orthonormal_values_in_numbers():
    """‖o‖² = 1/n, a draw has norm 1, and m keys miss the share 1 - m/n of ‖o‖²."""
    n, error = 16, 0.5
    inputs = uniform(n, torch.eye(n))
    found = least_samples(*inputs, error)
    for each in (found.multinomial, found.importance, found.allocated):
        assert each.item() == pytest.approx((1 - 1 / n) / (error**2 / n))
    assert oracle_keys(*inputs, error).kept.item() == n - error**2 * n
    # renormalised, m keys of weight 1/m: error² = n / m - 1
    assert oracle_keys(*inputs, error).renormalised.item() == np.ceil(n / 1.25)


def test_values_of_one_direction_and_length_need_no_importance_sample():
    q, k, _ = gaussian(1, 2, 9, 11, 4, 3)
    v = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64).expand(1, 2, 11, 3)
    found = least_samples(q, k, v)
    torch.testing.assert_close(
        found.importance, torch.zeros(1, 2).double(), atol=1e-9, rtol=0
    )
    assert oracle_rank(q, k, v).output.unique().tolist() == [1]


def test_importance_needs_fewer_than_multinomial_and_allocation_fewer_still():
    q, k, v = gaussian(2, 3, 30, 40, 8, 5)
    v = v * torch.linspace(0.1, 3, 40, dtype=torch.float64)[:, None]
    found = least_samples(2 * q, k, v)
    assert (found.importance < 0.98 * found.multinomial).all()
    assert (found.allocated < 0.99 * found.importance).all()


def test_logits_that_are_a_line_in_two_values_need_degree_one():
    """With two different logits a line through both points is exact."""
    n = 10
    q = torch.ones(1, 1, n, 1, dtype=torch.float64)
    k = torch.tensor([0.0, 3.0], dtype=torch.float64).repeat(n // 2)[
        None, None, :, None
    ]
    v = torch.randn(1, 1, n, 3, generator=torch.Generator().manual_seed(2)).double()
    v = v - v[:, :, ::2].mean(2, keepdim=True)
    found = polynomial_features(q, k, v, 1e-6)
    assert found.degree.item() in (0, 1)  # 0 where the two means are parallel
    assert found.errors[..., 1].item() < 1e-7


# --- two routes -----------------------------------------------------------------------


@pytest.mark.parametrize("is_causal", [False, True])
def test_rank_is_the_first_truncation_within_the_error(is_causal):
    q, k, v = gaussian(2, 2, 24, 24, 6, 5, seed=3)
    weights = weights_of(q, k, is_causal=is_causal)
    u, s, w = torch.linalg.svd(weights)
    found = oracle_rank(q, k, v, 0.2, is_causal=is_causal)
    for here in np.ndindex(2, 2):
        rank = int(found.weights[here])
        kept = u[here][:, :rank] * s[here][:rank] @ w[here][:rank]
        less = u[here][:, : rank - 1] * s[here][: rank - 1] @ w[here][: rank - 1]
        exact = weights[here] @ v[here]
        assert relative(kept @ v[here], exact) <= 0.2 < relative(less @ v[here], exact)
        squares = torch.linalg.svdvals(exact).square()
        rank = int(found.output[here])
        limit = 0.2**2 * squares.sum()
        assert squares[rank:].sum() <= limit < squares[rank - 1 :].sum()


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("renormalise", [False, True])
def test_keys_are_the_fewest_of_all_counts_tried(is_causal, renormalise):
    q, k, v = gaussian(1, 3, 18, 18, 6, 5, seed=4)
    weights = weights_of(q, k, is_causal=is_causal)
    worth = weights * v.norm(dim=-1)[..., None, :]
    enough = []
    for count in range(1, 19):
        least = worth.topk(count).values[..., -1:]
        kept = torch.where(worth >= least, weights, 0.0)
        if renormalise:
            kept = kept / kept.sum(-1, keepdim=True)
        enough.append(relative(kept @ v, weights @ v) <= 0.25)
    expected = torch.stack(enough).int().argmax(0) + 1
    found = oracle_keys(q, k, v, 0.25, is_causal=is_causal)
    found = found.renormalised if renormalise else found.kept
    assert torch.equal(found, expected)


@pytest.mark.parametrize("way", ["multinomial", "importance"])
def test_that_many_samples_have_the_error_on_average(way):
    """Mean of error²/aim² over 400 runs; its spread here is near 0.01, 5 allowed.

    False alarm: below 1e-5 (mean of 400 independent terms, near normal).
    """
    q, k, v = gaussian(1, 1, 32, 32, 8, 8, seed=5)
    v = v * torch.linspace(0.2, 2, 32, dtype=torch.float64)[:, None]
    weights = weights_of(q, k)[0, 0]
    exact = weights @ v[0, 0]
    chance = weights * (1 if way == "multinomial" else v[0, 0].norm(dim=-1))
    chance = chance / chance.sum(-1, keepdim=True)
    samples, runs = 50, 400
    generator = torch.Generator().manual_seed(6)
    drawn = chance.multinomial(runs * samples, replacement=True, generator=generator)
    terms = (weights / chance).gather(1, drawn)[..., None] * v[0, 0][drawn]
    means = terms.reshape(32, runs, samples, 8).mean(2).transpose(0, 1)
    squares = relative(means, exact).square()
    found = getattr(least_samples(q, k, v, 1.0), way).item()  # at error 1: its square
    assert squares.mean().item() == pytest.approx(found / samples, rel=0.05)
    assert squares.std().item() / runs**0.5 < 0.01 * squares.mean().item()


def test_allocation_by_standard_deviation_reaches_the_same_error():
    q, k, v = gaussian(1, 1, 20, 30, 8, 4, seed=7)
    weights = weights_of(2 * q, k)[0, 0]
    exact = weights @ v[0, 0]
    variance = (weights @ v[0, 0].norm(dim=-1)) ** 2 - exact.square().sum(-1)
    found = least_samples(2 * q, k, v, 0.1).allocated.item()
    shares = variance.sqrt() / variance.sqrt().sum() * found * 20
    error = ((variance / shares).sum() / exact.square().sum()).sqrt()
    assert error.item() == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize("is_causal", [False, True])
def test_polynomial_error_is_that_of_dense_least_squares(is_causal):
    q, k, v = gaussian(1, 2, 14, 14, 5, 3, seed=8)
    found = polynomial_features(q, k, v, is_causal=is_causal, highest=5).errors
    for head in range(2):
        logits = (q @ k.mT / 5**0.5)[0, head]
        seen = torch.ones(14, 14).double().tril(0 if is_causal else 14)
        total = (logits.exp() * seen).sum(-1, keepdim=True)
        exact = (logits.exp() * seen / total @ v[0, head]).flatten()
        powers = [(logits**m * seen / total @ v[0, head]).flatten() for m in range(6)]
        for degree in range(6):
            table = torch.stack(powers[: degree + 1], 1)
            fitted = table @ torch.linalg.lstsq(table, exact[:, None]).solution[:, 0]
            expected = (fitted - exact).norm() / exact.norm()
            assert found[0, head, degree].item() == pytest.approx(
                expected.item(), rel=1e-6
            )


def test_features_count_the_monomials_of_the_degree():
    q, k, v = gaussian(1, 1, 40, 40, 6, 6, seed=9)
    found = polynomial_features(q, k, v, 0.05)
    degree = int(found.degree.item())
    assert found.errors[0, 0, degree] <= 0.05 < found.errors[0, 0, degree - 1]
    assert found.features.item() == comb(6 + degree, degree)


def test_a_degree_that_is_not_enough_is_infinite():
    q, k, v = gaussian(1, 2, 20, 20, 4, 4)
    found = polynomial_features(3 * q, k, v, 1e-4, highest=2)
    assert found.degree.isinf().all()
    assert found.features.isinf().all()


def test_gaussian_512_needs_degree_4_and_some_19_000_samples():
    """C(68, 4) = 814 385; Σ_j a_ij² = e / n, so S_min is n / (e error²) nearly."""
    q, k, v = gaussian(1, 1, 512, 512, 64, 64, seed=1)
    assert polynomial_features(q, k, v, highest=5).features.item() == 814385
    assert least_samples(q, k, v).importance.item() == pytest.approx(
        100 * 512 / np.e, rel=0.15
    )


# --- awkward inputs -------------------------------------------------------------------


@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_is_per_head_and_blind_to_dtype_and_strides(limit):
    q, k, v = gaussian(2, 2, 12, 15, 4, 3, seed=10, dtype=torch.float32)
    whole = limit(q, k, v, 0.2)
    strided = limit(*(t.mT.contiguous().mT.double() for t in (q, k, v)), 0.2)
    alone = limit(*(t[1:, 1:] for t in (q, k, v)), 0.2)
    for name, found in vars(whole).items():
        torch.testing.assert_close(found, getattr(strided, name))
        torch.testing.assert_close(found[1:, 1:], getattr(alone, name))


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_one_key_costs_the_least_there_is(limit, is_causal):
    for found in vars(limit(*gaussian(1, 1, 1, 1, 3, 2), is_causal=is_causal)).values():
        assert found.max() <= 1


@pytest.mark.parametrize("limit", LIMITS)
def test_future_keys_change_nothing_when_causal(limit):
    q, k, v = gaussian(1, 1, 10, 12, 4, 3, seed=11)
    before = limit(q, k, v, 0.2, is_causal=True)
    k[:, :, 10:] = 7.0
    v[:, :, 10:] = -50.0
    after = limit(q, k, v, 0.2, is_causal=True)
    for name, found in vars(before).items():
        torch.testing.assert_close(found, getattr(after, name))


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("error", [0, -0.1, 1.1, float("nan"), "0.1%"])
def test_an_error_that_is_none_is_refused(limit, error):
    with pytest.raises(ValueError, match="error"):
        limit(*gaussian(1, 1, 4, 4, 2, 2), error)


@pytest.mark.parametrize("limit", LIMITS)
def test_bad_tensors_are_refused_by_name(limit):
    q, k, v = gaussian(1, 1, 4, 4, 2, 2)
    with pytest.raises(ValueError, match="q: got shape"):
        limit(q[0], k[0], v[0])
    with pytest.raises(ValueError, match="k: got NaN"):
        limit(q, k * torch.nan, v)
    two = (torch.cat((each, each), 1) for each in (q, k))
    with pytest.raises(ValueError, match="v: got values that attend to 0"):
        limit(*two, torch.cat((v, 0 * v), 1))


def test_logits_beyond_every_polynomial_are_refused():
    q, k, v = one_hot(4)
    with pytest.raises(ValueError, match="q: got logits that span"):
        polynomial_features(2 * q, k, v)
