"""Keys drawn in proportion to weight times length of the value."""

import torch

from qlib.arguments import positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import independent_places
from qlib.attention.sampling.estimator import Design, sampled_attention


def attend(q, k, v, mask, *, samples=32, **call):
    """Importance sampling with probabilities p_j ∝ a_j ‖v_j‖.

    Of all independent draws these have the least squared error,
    ((Σ_j a_j ‖v_j‖)² - ‖o‖²) / samples (Kahn and Marshall 1953). Values of equal
    length gain nothing over multinomial draws.

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them.
    samples : int
        Draws of each query; 32 by default.

    Returns
    -------
    AttentionResult
        Rows of weights sum to 1 in the mean only. A value of length 0 is never drawn,
        so its gradient is 0.
    """
    samples = positive_integer("samples", samples)

    def design(chunk):
        lengths = chunk.v.detach().norm(dim=-1)[:, :, None]  # (batch, head, 1, key)
        scores = torch.where(chunk.weights > 0, chunk.weights * lengths, chunk.weights)
        tiny = torch.finfo(scores.dtype).tiny
        counts = samples * scores / scores.sum(-1, keepdim=True).clamp(min=tiny)
        places = independent_places(
            chunk.rows, samples, like=counts, generator=chunk.generator
        )
        return Design(counts, places, independent=True)

    return sampled_attention(design, q, k, v, mask, name="importance", **call)


IMPORTANCE = Backend(
    name="importance",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=False,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² d + 2 n samples d; every logit is formed",
    says="keys drawn in proportion to weight times length of the value",
)
