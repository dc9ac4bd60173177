"""The claims that notebook 06 tests, and the rule that decides each.

The roadmap's are given with its numbers; its public prototype returns exact softmax from
every strategy, so that none of them had been measured. The workbook's own make them
measurable, or ask what a user would. An interval that holds the boundary decides nothing.
"""

ROADMAP = "the quantum-attention roadmap"
WORKBOOK = "this workbook"
NO_NUMBER = "—"  # of the workbook's own claims, which state none
UNTESTED = "not testable here"
ERROR = 0.1  # relative Frobenius error that the roadmap allows
FASTER = {(64, 64): 1.7, (128, 64): 2.4}  # (length, dim): times as fast as exact
TWICE = 2.0  # the least of the "2-5 times" that the roadmap states
SPARED = 0.3  # the least share of memory that it states to be spared
COMPETITIVE = 1.0  # ratio of errors up to which a method competes
LOSS = 0.01  # share of bits per character that counts as no loss
ROUNDING = 1e-5  # by which equal outputs in float32 may differ

_ERROR = "relative Frobenius error of the output"
_TIMED = "CPU seconds of one thread, methods taking turns, least of the repeats"
_REAL = "queries, keys and values of every layer of a language model trained here"
_EQUAL = (
    "log ratio of errors at equal samples, mean over Gaussian and real inputs and "
    "budgets, paired by seed, interval below 0"
)
CLAIMS = {
    "64 by 64": {
        "text": "Sampled attention is faster than exact attention at 64×64",
        "source": ROADMAP,
        "stated": "1.7× faster",
        "reason": "time of the fastest exact kernel over that of the fastest sampler, "
        f"length 64, 64 dimensions; {_TIMED}; interval above 1.7",
    },
    "128 by 64": {
        "text": "Sampled attention is faster than exact attention at 128×64",
        "source": ROADMAP,
        "stated": "2.4× faster",
        "reason": "time of the fastest exact kernel over that of the fastest sampler, "
        f"length 128, 64 dimensions; {_TIMED}; interval above 2.4",
    },
    "Gaussian error": {
        "text": "Sampled attention errs by less than 10 % on Gaussian inputs",
        "source": ROADMAP,
        "stated": "< 10 %",
        "reason": f"{_ERROR}, the sampler of least mean error in hindsight, a quarter "
        "of the values read, mean over seeds, interval below 0.1",
    },
    "real error": {
        "text": "Sampled attention errs by less than 10 % on a language model's inputs",
        "source": ROADMAP,
        "stated": "< 10 %",
        "reason": f"{_ERROR}, {_REAL}, the sampler of least mean error in hindsight, "
        "a quarter of the values read, mean over heads, interval below 0.1",
    },
}
SAYS = {}
