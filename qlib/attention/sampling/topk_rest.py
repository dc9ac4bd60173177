"""The heaviest keys surely, draws from the rest with the right mass."""

from qlib.arguments import integer_between, positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import systematic_places
from qlib.attention.sampling.estimator import Design, sampled_attention
from qlib.attention.sampling.order import order_of, sorting
from qlib.attention.sampling.thresholds import chosen_counts, fitted_counts


def attend(q, k, v, mask, *, samples=32, top=None, sort_values=True, **call):
    """Exact sum over the heaviest keys plus systematic draws from the others.

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them.
    samples : int
        Values read for each query, sure and drawn; 32 by default.
    top : int or None
        Keys that are sure, fewer than `samples`. None, the default, takes for each
        query the number that the split of least variance has: those that would
        otherwise be drawn more than once
        (`qlib.attention.sampling.thresholds.fitted_counts`).
    sort_values : bool
        As in `stratified`.

    Returns
    -------
    AttentionResult
        Equal to exact attention, up to rounding, for queries that see no more than
        `samples` keys.
    """
    samples, sort_values = positive_integer("samples", samples), sorting(sort_values)
    if top is not None:
        top = integer_between("top", top, 0, samples - 1)

    def design(chunk):
        weights = chunk.weights
        if top is None:
            counts = fitted_counts(weights, samples)
        else:
            counts = chosen_counts(weights, samples, top)
        places = systematic_places(
            chunk.rows, samples, like=weights, generator=chunk.generator
        )
        return Design(counts, places, order=order_of(chunk) if sort_values else None)

    return sampled_attention(design, q, k, v, mask, name="topk_rest", **call)


TOPK_REST = Backend(
    name="topk_rest",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² d + 2 n samples d; every logit is formed",
    says="the heaviest keys surely, systematic draws from the rest",
)
