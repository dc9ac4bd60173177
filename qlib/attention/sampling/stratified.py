"""One draw from each stratum of equal mass of the softmax."""

from qlib.arguments import positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import systematic_places
from qlib.attention.sampling.estimator import Design, sampled_attention
from qlib.attention.sampling.order import order_of, sorting


def attend(q, k, v, mask, *, samples=32, sort_values=True, **call):
    """Mean of the values at places spread evenly over the cumulated weights.

    The inverse of the cumulated softmax maps [s, s + 1) / samples to stratum s; all
    places share one offset, so that key j is drawn either ⌊samples a_j⌋ or
    ⌈samples a_j⌉ times (systematic sampling).

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them.
    samples : int
        Strata, and draws, of each query; 32 by default.
    sort_values : bool
        Cumulate keys in an order in which neighbours have similar values
        (`qlib.attention.sampling.order.value_order`), which lowers the error, most
        where values lie near few axes; True by default.

    Returns
    -------
    AttentionResult
        The standard error leaves out what sorting gained, so it is too large then.
    """
    samples, sort_values = positive_integer("samples", samples), sorting(sort_values)

    def design(chunk):
        places = systematic_places(
            chunk.rows, samples, like=chunk.weights, generator=chunk.generator
        )
        order = order_of(chunk) if sort_values else None
        return Design(chunk.weights * samples, places, order=order)

    return sampled_attention(design, q, k, v, mask, name="stratified", **call)


STRATIFIED = Backend(
    name="stratified",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² d + 2 n samples d; every logit is formed",
    says="one draw from each stratum of equal mass",
)
