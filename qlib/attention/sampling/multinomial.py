"""Keys drawn with their softmax probabilities, the baseline of every sampler."""

from qlib.arguments import positive_integer
from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.sampling.draws import independent_places
from qlib.attention.sampling.estimator import Design, sampled_attention


def attend(q, k, v, mask, *, samples=32, **call):
    """Mean of the values of keys drawn with the weights as probabilities.

    Measuring an amplitude-encoded state gives key j with probability |ψ_j|²; with
    ψ_j = √a_j that is, classically, a draw from the softmax. The squared error is
    (Σ_j a_j ‖v_j‖² - ‖o‖²) / samples in the mean.

    Parameters
    ----------
    q, k, v, mask, **call
        As every backend takes them.
    samples : int
        Draws of each query; 32, the default of all samplers, reads a sixteenth of
        512 values.

    Returns
    -------
    AttentionResult
    """
    samples = positive_integer("samples", samples)

    def design(chunk):
        places = independent_places(
            chunk.rows, samples, like=chunk.weights, generator=chunk.generator
        )
        return Design(chunk.weights * samples, places, independent=True)

    return sampled_attention(design, q, k, v, mask, name="multinomial", **call)


MULTINOMIAL = Backend(
    name="multinomial",
    attend=attend,
    exact=False,
    stochastic=True,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="2 n² d + 2 n samples d; every logit is formed",
    says="keys drawn with their softmax probabilities",
)
