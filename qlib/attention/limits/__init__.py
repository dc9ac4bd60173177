"""What any method of a kind must spend on given queries, keys and values.

Each limit is granted what no method has: the exact weights, or the exact normaliser.
All are for the relative error ‖Ô - O‖ / ‖O‖ in the Frobenius norm over the queries of a
head, O = softmax(scale Q Kᵀ) V, and one number for each (batch, head).
"""

from qlib.attention.limits.break_even import BreakEven, break_even, crossing
from qlib.attention.limits.features import PolynomialFeatures, polynomial_features
from qlib.attention.limits.keys import OracleKeys, oracle_keys
from qlib.attention.limits.rank import OracleRank, oracle_rank
from qlib.attention.limits.samples import LeastSamples, least_samples

__all__ = [
    "BreakEven",
    "LeastSamples",
    "OracleKeys",
    "OracleRank",
    "PolynomialFeatures",
    "break_even",
    "crossing",
    "least_samples",
    "oracle_keys",
    "oracle_rank",
    "polynomial_features",
]
