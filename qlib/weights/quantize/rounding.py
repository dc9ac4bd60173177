"""Round-to-nearest: every weight to its nearest code, without regard to the data."""

from qlib.weights.quantize.calibration import real_head
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, nearest


def round_to_nearest(weights, bias, bits):
    """The head whose codes and scales leave the least squared error in the weights.

    The baseline of every study of quantisation. It minimises the squared error of the
    logits too where features are uncorrelated and of equal variance.

    Parameters
    ----------
    weights : (d, C) array
        Finite.
    bias : (C,) array
        Kept as it is; `qlib.weights.quantize.refit` adapts it to the codes.
    bits : {1, 1.58, 2, 3, 4}

    Returns
    -------
    QuantizedHead

    Notes
    -----
    O(d C 2^bits log d) for the exactly best scales, see `fit_scale`.
    """
    weights, bias = real_head(weights, bias)
    scale = fit_scale(weights, bits)
    return QuantizedHead(nearest(weights, bits, scale), scale, bias, bits)
