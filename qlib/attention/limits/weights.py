"""Exact weights and output in float64, checked, which every limit starts from."""

from qlib.arguments import number_between
from qlib.attention.arguments import check_scale, check_tensors
from qlib.attention.exact.math import softmax_rows
from qlib.attention.mask import Mask

LEAST_ERROR = 1e-6  # far above rounding in float64, also of squares


def checked(q, k, v, error, scale):
    """The tensors in float64 with `error` and `scale` as numbers.

    Raises
    ------
    TypeError, ValueError
        Tensors that do not fit, are not 4-D or not finite, and an error outside
        [1e-6, 1].
    """
    error = number_between("error", error, LEAST_ERROR, 1.0)
    check_tensors(q, k, v)
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if tensor.dim() != 4:
            raise ValueError(
                f"{name}: got shape {tuple(tensor.shape)}; "
                "allowed: (batch, head, length, dim)"
            )
        if not tensor.isfinite().all():
            raise ValueError(f"{name}: got NaN or infinity; allowed: finite numbers")
    scale = check_scale(scale, q.shape[-1])
    return *(each.detach().double() for each in (q, k, v)), error, scale


def exact_weights(q, k, *, scale, is_causal):
    """Softmax weights of all queries.

    Returns
    -------
    (batch, head, query, key) tensor
    """
    return softmax_rows(q, k, Mask(is_causal), 0, q.shape[2], scale)


def squared_norm(output):
    """‖O‖² of every head.

    Returns
    -------
    (batch, head) tensor

    Raises
    ------
    ValueError
        If it is 0: a relative error has no meaning then.
    """
    total = output.square().sum((-2, -1))
    if not total.all():
        raise ValueError(
            "v: got values that attend to 0; allowed: an output that is not 0"
        )
    return total


def terms_needed(rising, limit):
    """How many terms must be kept so that the sum of the rest is within a limit.

    Parameters
    ----------
    rising : (batch, head, count) tensor
        Terms >= 0, those that are given up first in front.
    limit : (batch, head) tensor

    Returns
    -------
    (batch, head) int64 tensor
    """
    return (rising.cumsum(-1) > limit[..., None]).sum(-1)
