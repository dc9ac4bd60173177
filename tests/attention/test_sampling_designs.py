"""Places, expected counts and orders of the samplers, against their definitions."""

import pytest
import torch

from qlib.attention.mask import make_mask
from qlib.attention.sampling.draws import (
    independent_places,
    inverse_cdf,
    systematic_places,
)
from qlib.attention.sampling.estimator import Design, standard_error
from qlib.attention.sampling.order import seen_by_all, split_order, value_order
from qlib.attention.sampling.thresholds import (
    chosen_counts,
    fitted_counts,
    least_samples,
)


def weights_of(*shape, sharpness=2.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, generator=generator, dtype=dtype)
    return (sharpness * logits).softmax(-1)


def tallies(keys, void, length):
    counts = torch.zeros(*keys.shape[:-1], length, dtype=torch.long)
    return counts.scatter_add_(-1, keys, (~void).long())


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 5.0, 20.0])
def test_systematic_draws_take_each_key_floor_or_ceil_of_its_count(sharpness):
    counts = 16 * weights_of(2, 3, 40, 25, sharpness=sharpness)
    places = systematic_places(counts.shape[:-1], 16, like=counts, generator=None)
    drawn = tallies(*inverse_cdf(counts, places), 25)
    assert (drawn.sum(-1) == 16).all()
    assert (drawn >= (counts - 1e-9).floor()).all()
    assert (drawn <= (counts + 1e-9).ceil()).all()


@pytest.mark.parametrize("places_of", [independent_places, systematic_places])
def test_keys_are_drawn_as_often_as_expected(places_of):
    rows, generator = 20_000, torch.Generator().manual_seed(1)
    counts = (4 * weights_of(1, 1, 1, 6, seed=2)).expand(1, 1, rows, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2]).view(1, 1, 1, 6)
    places = places_of((1, 1, rows), 4, like=counts, generator=generator)
    mean = tallies(*inverse_cdf(counts, places, order), 6).double().mean(2).flatten()
    # a count of mean m has at most the variance m: 4.5 standard errors, six keys,
    # two cases, a false alarm in 12 000
    allowed = 4.5 * (counts[0, 0, 0] / rows).sqrt()
    assert ((mean - counts[0, 0, 0]).abs() < allowed).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_key_of_count_zero_is_never_drawn(dtype):
    counts = torch.zeros(1, 1, 1, 7, dtype=dtype)
    counts[..., 2], counts[..., 5] = 1.3, 2.7
    last = torch.nextafter(torch.tensor(4.0, dtype=dtype), torch.zeros((), dtype=dtype))
    places = torch.tensor([0.0, 1.3, 2.0, last], dtype=dtype).view(1, 1, 1, 4)
    keys, void = inverse_cdf(counts, places)
    assert not void.any()
    assert set(keys.flatten().tolist()) == {2, 5}


def test_places_beyond_the_sum_of_a_row_draw_nothing():
    counts = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).view(1, 1, 2, 3)
    places = systematic_places((1, 1, 2), 5, like=counts, generator=None)
    _, void = inverse_cdf(counts, places)
    assert void.sum(-1).flatten().tolist() == [3, 5]


@pytest.mark.parametrize("samples", [1, 2, 7, 24, 25, 60])
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0, 10.0])
def test_fitted_counts_are_the_scores_cut_at_one_and_sum_to_the_samples(
    samples, sharpness
):
    scores = 5 * weights_of(2, 2, 30, 25, sharpness=sharpness)
    counts = fitted_counts(scores, samples)
    expected = min(samples, 25)
    torch.testing.assert_close(
        counts.sum(-1), torch.full((2, 2, 30), float(expected)).double()
    )
    ratio = counts / scores
    threshold = ratio.amax(-1, keepdim=True)  # reached by every key that is not sure
    torch.testing.assert_close(counts, (scores * threshold).clamp(max=1))


def test_fitted_counts_err_least_among_designs_that_read_no_key_twice():
    weights = weights_of(1, 1, 1, 12, sharpness=1.5)
    fitted = fitted_counts(weights, 5)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(500, 12, generator=generator, dtype=weights.dtype)
    noise = noise - noise.mean(-1, keepdim=True)
    others = (fitted[0, 0] + 0.02 * noise).clamp(1e-3, 1)
    others = others[(others.sum(-1) <= 5.0)]
    assert len(others) > 20
    error = lambda counts: (weights**2 * (1 - counts) / counts).sum(-1)  # noqa: E731
    assert (error(others) > error(fitted)).all()


@pytest.mark.parametrize("rows", [3, 17])
def test_counts_of_equal_keys_are_equal(rows):
    for samples in (1, rows - 1, rows, 2 * rows):
        counts = fitted_counts(torch.full((1, 1, 1, rows), 1 / rows), samples)
        expected = torch.full_like(counts, min(1, samples / rows))
        torch.testing.assert_close(counts, expected)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("allowed", [1e-4, 1e-2, 0.3])
def test_least_samples_err_by_what_is_allowed(sharpness, allowed):
    weights = weights_of(2, 2, 20, 30, sharpness=sharpness)
    needed = least_samples(weights, torch.full((2, 2, 20, 1), allowed).double())
    counts = fitted_counts(weights, needed)
    error = (weights**2 * (1 - counts) / counts).sum(-1)
    inside = needed[..., 0] > 1  # fewer are not asked of `fitted_counts`
    torch.testing.assert_close(error[inside], torch.full_like(error, allowed)[inside])


def test_least_samples_of_equal_weights_follow_from_the_participation():
    weights = torch.full((1, 1, 1, 40), 1 / 40, dtype=torch.float64)
    needed = least_samples(weights, torch.full((1, 1, 1, 1), 0.1).double())
    assert needed.item() == pytest.approx(1 / (0.1 + 1 / 40))


@pytest.mark.parametrize("k", [0, 1, 4, 9])
def test_chosen_counts_take_the_largest_and_share_what_is_left(k):
    weights = weights_of(1, 2, 10, 15)
    counts = chosen_counts(weights, 10, k)
    ranks = weights.argsort(-1, descending=True).argsort(-1)
    assert (counts[ranks < k] == 1).all()
    torch.testing.assert_close(counts.sum(-1), torch.full((1, 2, 10), 10.0).double())
    rest = weights.masked_fill(ranks < k, 0)
    share = (10 - k) * rest / rest.sum(-1, keepdim=True)
    torch.testing.assert_close(counts[ranks >= k], share[ranks >= k])


@pytest.mark.parametrize("design", [fitted_counts, lambda w, s: chosen_counts(w, s, 1)])
def test_a_row_of_nan_or_of_nothing_leaves_the_others_as_they_were(design):
    weights = weights_of(1, 1, 3, 8)
    spoilt = weights.clone()
    spoilt[0, 0, 1] = torch.nan
    spoilt[0, 0, 2] = 0
    assert torch.equal(design(spoilt, 4)[0, 0, 0], design(weights, 4)[0, 0, 0])
    assert (design(spoilt, 4)[0, 0, 2] == 0).all()


def test_the_order_of_values_on_a_circle_walks_around_it():
    turns = torch.randperm(64, generator=torch.Generator().manual_seed(4))
    angles = (turns + 0.5) * (2 * torch.pi / 64)
    v = torch.stack((3 * angles.cos(), angles.sin()), -1)[None, None]
    order = value_order(v, torch.ones(1, 1, 64, dtype=torch.bool)).flatten()
    quadrant = ((angles / (torch.pi / 2)).long() % 4)[order]
    changes = (quadrant[1:] != quadrant[:-1]).nonzero().flatten()
    assert len(changes) == 3  # each quadrant is one run ...
    steps = (quadrant[1:] - quadrant[:-1])[changes] % 4
    assert set(steps.tolist()) <= {1, 3}  # ... beside the one before


def test_only_values_that_all_queries_see_are_ordered_and_set_the_order():
    generator = torch.Generator().manual_seed(5)
    v = torch.randn(2, 3, 20, 5, generator=generator)
    common = torch.rand(2, 1, 20, generator=generator) < 0.6
    order = value_order(v, common)
    assert torch.equal(order.sort(-1).values, torch.arange(20).expand(2, 3, 1, 20))
    changed = v.masked_fill(~common[..., None], torch.nan)
    assert torch.equal(value_order(changed, common), order)
    hidden = order[1, 2, 0, common[1].sum() :]
    assert torch.equal(hidden, (~common[1, 0]).nonzero().flatten())


def test_a_split_order_is_a_stable_partition():
    generator = torch.Generator().manual_seed(7)
    order = torch.rand(2, 3, 1, 11, generator=generator).argsort(-1)
    first = torch.rand(2, 3, 4, 11, generator=generator) < 0.4
    wide = order.expand(2, 3, 4, 11)
    last = (~first.gather(-1, wide)).long()
    expected = wide.gather(-1, last.argsort(dim=-1, stable=True))
    assert torch.equal(split_order(order, first), expected)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("general", [True, False])
def test_keys_seen_by_all_are_the_open_columns_of_the_mask(causal, padded, general):
    generator = torch.Generator().manual_seed(6)
    bias = torch.rand(2, 2, 6, 9, generator=generator) < 0.9 if general else None
    padding = torch.rand(2, 9, generator=generator) < 0.3 if padded else None
    mask = make_mask(bias, padding, causal, torch.float32)
    v = torch.zeros(2, 2, 9, 4)
    tile = mask.rows(3, 6, 9, like=v)
    tile = torch.zeros(1, 1, 1, 9) if tile is None else tile
    expected = (tile > -torch.inf).all(2).expand(2, 2, 9)
    assert torch.equal(seen_by_all(mask, 3, 6, v).expand(2, 2, 9), expected)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("independent", [False, True])
def test_variance_is_that_of_the_terms_one_by_one(independent, centred):
    g = torch.Generator().manual_seed(0)
    v = torch.randn(1, 1, 9, 3, generator=g, dtype=torch.float64)
    centre = v.mean(2, keepdim=True) if centred else None
    keys = torch.randint(9, (1, 1, 4, 6), generator=g)
    drawn, count = torch.rand(2, 1, 1, 4, 6, generator=g, dtype=torch.float64)
    count = 3 * count
    void = torch.rand(1, 1, 4, 6, generator=g) < 0.2
    drawn = drawn.masked_fill(void, 0)
    plan = Design(count, drawn, independent=independent, centre=centre)
    found = standard_error(keys, drawn, count, void, v, plan)[0, 0]
    for row in range(4):
        kept = ~void[0, 0, row]
        terms = v[0, 0, keys[0, 0, row]] - (0 if centre is None else centre[0, 0])
        terms = (terms * drawn[0, 0, row, :, None])[kept]
        expected = count[0, 0, row][kept]
        part = expected - expected.floor()
        noise = torch.ones_like(part) if independent else part * (1 - part) / expected
        squares = noise[:, None] * (terms - terms.mean(0)).square()
        variance = len(terms) / (len(terms) - 1) * squares.sum(0)
        torch.testing.assert_close(found[row].square(), variance)


def test_a_place_past_a_sum_that_rounding_shortened_falls_on_the_last_key_of_it():
    counts = torch.tensor([[[[1.0, 1.0, 1.0 - 1e-6, 0.0]]]])
    places = torch.tensor([[[[0.5, 1.5, 3.0 - 2.5e-7]]]])
    keys, void = inverse_cdf(counts, places)
    assert keys.tolist() == [[[[0, 1, 2]]]]
    assert not void.any()
