"""As many samples a query as a target error asks for."""

import torch

from qlib.arguments import number_between, positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import (
    independent_places,
    inverse_cdf,
    systematic_places,
)
from qlib.attention.sampling.estimator import Design, sampled_attention, weighted_sum
from qlib.attention.sampling.order import order_of, sorting
from qlib.attention.sampling.thresholds import fitted_counts, least_samples

PILOT = 16  # draws of each query
RECENT = 64  # queries pooled: mean squares of outputs of 512 Gaussian keys to 30 %


def attend(
    q, k, v, mask, *, target_error=0.1, max_samples=256, sort_values=True, **call
):
    """`topk_rest` with samples that differ from query to query.

    A pilot of independent draws estimates the mean square of the outputs and the
    spread of the values, pooled over the `RECENT` queries up to the present one; with
    the weights they give the fewest samples whose expected squared error is
    `target_error`² times the mean square. Concentrated weights need few. Pilot draws
    are not used again, so the estimate stays unbiased; later queries are not asked,
    so causality holds.

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them.
    target_error : float
        Relative Frobenius error of each head's output, > 0; 0.1 by default, the
        target of the claims under test.
    max_samples : int
        At which a query stops, the target reached or not; 256 by default.
    sort_values : bool
        As in `stratified`. The target does not count on what it gains.

    Returns
    -------
    AttentionResult
        `info.samples` are the draws without the pilot's, which `values_touched`
        includes.
    """
    target = number_between("target_error", target_error, 0, torch.inf, open_low=True)
    max_samples = positive_integer("max_samples", max_samples)
    sorting(sort_values)
    before = 0.0

    def design(chunk):
        nonlocal before
        found = pilot(chunk)  # (3, batch, head, query)
        found = torch.cat((found.new_zeros(*found.shape[:-1], RECENT - 1), found), -1)
        found[..., : RECENT - 1] += before
        before = found[..., 1 - RECENT :]
        recent = found.unfold(-1, RECENT, 1).sum(-1)
        samples = samples_for(chunk, recent, target, max_samples)
        counts = fitted_counts(chunk.weights, samples)
        places = systematic_places(
            chunk.rows,
            int(samples.max()),
            like=counts,
            generator=chunk.generator,
        )
        order = order_of(chunk) if sort_values else None
        return Design(counts, places, order=order, further=PILOT)

    return sampled_attention(design, q, k, v, mask, name="adaptive", **call)


def pilot(chunk):
    """What a few independent draws of each query say, all without bias.

    Parameters
    ----------
    chunk : Chunk

    Returns
    -------
    (3, batch, head, query) tensor
        ‖o‖²; Σ_j a_j ‖v_j - o‖²; and what the latter would be if all values were at
        distance 1 from one another over √2, 1 - Σ_j a_j².
    """
    weights, v = chunk.weights, chunk.v.detach()
    places = independent_places(
        chunk.rows, PILOT, like=weights, generator=chunk.generator
    )
    keys, void = inverse_cdf(PILOT * weights, places)
    share = torch.full_like(places, 1 / PILOT).masked_fill_(void, 0)
    mean = weighted_sum(keys, share, v)  # (batch, head, query, value)
    square = weighted_sum(keys, share, v.square().sum(-1, keepdim=True))[..., 0]
    spread = (square - mean.square().sum(-1)) * (PILOT / (PILOT - 1))
    flat = weights.sum(-1) - weights.square().sum(-1)
    return torch.stack((square - spread, spread, flat))


def samples_for(chunk, recent, target, max_samples):
    """Samples of each query of a chunk, (batch, head, query, 1) of whole numbers.

    Parameters
    ----------
    chunk : Chunk
    recent : (3, batch, head, query) tensor
        Sums of what `pilot` found, over the `RECENT` queries up to each.
    target : float
    max_samples : int
    """
    norm, spread, flat = recent
    queries = torch.arange(chunk.start, chunk.stop, device=recent.device) + 1
    norm = norm / queries.clamp(max=RECENT)
    tiny = torch.finfo(recent.dtype).tiny
    distance = spread / flat.clamp(min=tiny)
    allowed = target**2 * norm / distance.clamp(min=tiny)
    needed = least_samples(chunk.weights, allowed.clamp(min=0)[..., None])
    enough = needed.ceil().clamp(min=1)  # (batch, head, query, 1)
    return torch.where(enough < max_samples, enough, max_samples)


ADAPTIVE = Backend(
    name="adaptive",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² d + 2 n samples d; every logit is formed",
    says="as many samples a query as a target error asks for",
)
