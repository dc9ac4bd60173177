"""Measures of attention weights: closed forms, bounds and second routes."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from qlib.attention.analysis import specialisation
from qlib.attention.analysis.entropy import distance, entropy, participation
from qlib.attention.analysis.specialisation import (
    first_token_score,
    head_distances,
    induction_score,
    previous_token_score,
)
from qlib.attention.analysis.spectra import (
    effective_rank,
    singular_values,
    stable_rank,
)


@pytest.fixture(autouse=True)
def seeded():
    """The start of layers that draw from torch's own generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def random_weights(batch=2, heads=3, queries=5, keys=5, *, seed=0, sharp=2.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, queries, keys)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (sharp * logits).softmax(-1)


def causal(weights):
    kept = weights.tril()
    return kept / kept.sum(-1, keepdim=True)


def test_uniform_weights_have_entropy_ln_n_and_n_participants():
    weights = torch.full((1, 2, 3, 8), 1 / 8)
    torch.testing.assert_close(entropy(weights), torch.full((1, 2, 3), math.log(8)))
    torch.testing.assert_close(participation(weights), torch.full((1, 2, 3), 8.0))


def test_one_key_has_entropy_zero_and_one_participant():
    weights = torch.eye(4)[None, None]
    assert not entropy(weights).any()
    assert torch.equal(participation(weights), torch.ones(1, 1, 4))
    assert not distance(weights).any()


def test_two_keys_of_three_quarters_and_a_quarter():
    weights = torch.tensor([[[[0.75, 0.0, 0.25]]]])
    exact = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert entropy(weights).item() == pytest.approx(exact)
    assert participation(weights).item() == pytest.approx(1 / (0.5625 + 0.0625))
    assert distance(weights).item() == pytest.approx(0.5)


@pytest.mark.parametrize("measure", [entropy, participation, distance])
def test_a_query_without_keys_measures_zero_and_scale_does_not_matter(measure):
    weights = random_weights()
    weights[0, 1, 2] = 0
    values = measure(weights)
    assert values[0, 1, 2] == 0
    assert values.shape == (2, 3, 5)
    torch.testing.assert_close(measure(7 * weights), values)


def test_exp_of_the_entropy_is_at_least_the_participation():
    weights = random_weights(keys=11)
    assert (entropy(weights).exp() >= participation(weights)).all()
    assert (participation(weights) >= 1).all()


def test_distance_of_uniform_weights_is_the_mean_distance():
    weights = torch.full((1, 1, 4, 4), 0.25)
    expected = [sum(abs(i - j) for j in range(4)) / 4 for i in range(4)]
    torch.testing.assert_close(distance(weights)[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("measure", [entropy, participation, distance, head_distances])
def test_negative_weights_are_refused(measure):
    weights = random_weights()
    weights[0, 0, 0, 0] = -0.25
    with pytest.raises(ValueError, match=r"weights: got -0\.25 .* allowed: >= 0"):
        measure(weights)


@pytest.mark.parametrize("measure", [entropy, participation, distance])
def test_nan_stays_in_its_query(measure):
    weights = random_weights()
    clean = measure(weights)
    weights[1, 2, 3, 0] = torch.nan
    spoilt = measure(weights)
    assert spoilt[1, 2, 3].isnan()
    kept = ~spoilt.isnan()
    assert kept.sum() == kept.numel() - 1
    assert torch.equal(spoilt[kept], clean[kept])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ranks_of_the_identity_and_of_uniform_weights(dtype):
    identity = torch.eye(6, dtype=dtype).expand(2, 3, 6, 6)
    uniform = torch.full((2, 3, 6, 6), 1 / 6, dtype=dtype)
    for rank in (effective_rank, stable_rank):
        torch.testing.assert_close(
            rank(identity), torch.full((2, 3), 6.0), check_dtype=False
        )
        torch.testing.assert_close(
            rank(uniform), torch.ones(2, 3), check_dtype=False, atol=1e-4, rtol=0
        )
        assert not rank(0 * uniform).any()


def test_ranks_of_two_singular_values():
    matrix = torch.diag(torch.tensor([3.0, 1.0, 0.0]))
    shannon = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert effective_rank(matrix).item() == pytest.approx(math.exp(shannon))
    assert stable_rank(matrix).item() == pytest.approx(10 / 9)
    assert singular_values(matrix).tolist() == pytest.approx([3, 1, 0])


def test_singular_values_are_roots_of_eigenvalues_of_the_gram_matrix():
    weights = random_weights(queries=4, keys=7)
    values = singular_values(weights)
    gram = torch.linalg.eigvalsh(weights @ weights.mT).flip(-1)
    torch.testing.assert_close(values.square(), gram)


def test_head_distances_are_jensen_shannon_divergences(monkeypatch):
    weights = random_weights()
    rows = weights.numpy()
    expected = torch.tensor(
        [
            [
                (jensenshannon(rows[:, i], rows[:, j], axis=-1) ** 2).mean()
                for j in range(3)
            ]
            for i in range(3)
        ]
    )
    torch.testing.assert_close(head_distances(weights), expected)
    monkeypatch.setattr(specialisation, "TILE", 1)
    torch.testing.assert_close(head_distances(weights), expected)


def test_heads_that_share_no_key_are_ln_2_apart_and_equal_heads_are_together():
    first, second = torch.eye(4)[0], torch.eye(4)[2]
    weights = torch.stack((first, second, first)).expand(2, 5, 3, 4).transpose(1, 2)
    ln2 = math.log(2)
    expected = torch.tensor([[0, ln2, 0], [ln2, 0, ln2], [0, ln2, 0]])
    torch.testing.assert_close(head_distances(weights), expected)


def test_a_head_that_reads_the_token_before_scores_one():
    before = torch.eye(6).roll(-1, 1).expand(2, 1, 6, 6)
    itself = torch.eye(6).expand(2, 1, 6, 6)
    weights = torch.cat((before, itself), 1)
    assert previous_token_score(weights).tolist() == [1, 0]


def test_a_head_that_reads_the_first_token_scores_one():
    sink = torch.zeros(2, 1, 4, 6)
    sink[..., 0] = 1
    uniform = torch.full((2, 1, 4, 6), 1 / 6)
    scores = first_token_score(torch.cat((sink, uniform), 1))
    torch.testing.assert_close(scores, torch.tensor([1, 1 / 6]))


@pytest.mark.parametrize("score", [previous_token_score, first_token_score])
def test_one_token_has_no_score(score):
    assert score(torch.ones(2, 3, 1, 1)).isnan().all()


def test_induction_on_a_repeated_sequence_is_the_diagonal_of_its_period():
    period = 5
    half = torch.stack((torch.randperm(9)[:period], torch.arange(period)))
    tokens = half.repeat(1, 2)
    weights = causal(random_weights(queries=10, keys=10))
    diagonal = weights.diagonal(1 - period, 2, 3)[
        :, :, 1:
    ]  # queries from the period on
    torch.testing.assert_close(
        induction_score(weights, tokens), diagonal.mean((0, 2)), check_dtype=False
    )


def test_induction_counts_every_earlier_successor_query_by_query():
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(3, (2, 12), generator=generator)
    weights = causal(random_weights(queries=12, keys=12))
    total, count = torch.zeros(3, dtype=torch.float64), 0
    for batch in range(2):
        row = tokens[batch].tolist()
        for i in range(12):
            after = [j for j in range(1, i + 1) if row[j - 1] == row[i]]
            if after:
                total += weights[batch, :, i, after].sum(-1)
                count += 1
    torch.testing.assert_close(induction_score(weights, tokens), total / count)


@pytest.mark.parametrize("length", [1, 4])
def test_without_a_repeated_token_there_is_no_induction_score(length):
    weights = torch.eye(length).expand(1, 2, length, length)
    assert induction_score(weights, torch.arange(length)[None]).isnan().all()


@pytest.mark.parametrize("tokens", [(1, 4), (2, 5), (4,)])
def test_tokens_of_another_shape_are_refused(tokens):
    weights = random_weights(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"tokens: got shape \(.*\(2, 3, 4, 4\)"):
        induction_score(weights, torch.zeros(tokens, dtype=torch.long))
