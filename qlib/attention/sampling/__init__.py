"""Unbiased estimators of softmax attention, each with its standard error."""

from qlib.attention.sampling.adaptive import ADAPTIVE
from qlib.attention.sampling.control_variate import CONTROL_VARIATE
from qlib.attention.sampling.importance import IMPORTANCE
from qlib.attention.sampling.multinomial import MULTINOMIAL
from qlib.attention.sampling.stratified import STRATIFIED
from qlib.attention.sampling.topk_rest import TOPK_REST

BACKENDS = (
    MULTINOMIAL,
    IMPORTANCE,
    STRATIFIED,
    TOPK_REST,
    ADAPTIVE,
    CONTROL_VARIATE,
)
