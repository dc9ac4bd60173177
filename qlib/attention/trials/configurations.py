"""The ways to attend that are set side by side at a length."""

import torch

from qlib.attention.backends import BACKENDS
from qlib.attention.exact.probe import half_dtype
from qlib.attention.trials.pareto import Configuration
from qlib.attention.trials.samplers import SAMPLERS

CHOSEN = ("stratified", "top-k and rest", "control variate")  # err least of samplers
SHARES = (16, 4)  # of the keys: one in so many is read
BLOCKWISE = {
    "blockwise": {},
    "blockwise, heavy 128": {"heavy": 128},
    "blockwise, pool 8": {"pool": 8},
}
LONGEST = 2048  # for samplers


def standard(length, *, is_causal):
    """Configurations for `pareto`, those that honour causality where it is asked for.

    Samplers read a sixteenth and a quarter of the values, up to a length of 2048: they
    form every logit and then draw, which takes 5 to 25 times as long as SDPA there.
    Blockwise attention has its defaults, twice the single keys, and half the keys in
    a cluster, its products in float32 and in bfloat16; under causality it is exact
    where its tile of 256 leaves nothing to pool.
    The rivals have their defaults, a window of a quarter of the keys, and no more
    landmarks or projected rows than a quarter of the keys. Mixed precision is among
    them where the processor has it.

    Parameters
    ----------
    length : int
    is_causal : bool

    Returns
    -------
    list of Configuration
    """
    fast = half_dtype(torch.device("cpu")) is not None
    found = [Configuration("mixed precision", "mixed")] if fast else []
    if length <= LONGEST:
        found += sampled(length)
    for name, options in BLOCKWISE.items():
        found.append(Configuration(name, "blockwise", options))
        half = options | {"dtype": torch.bfloat16}
        found.append(Configuration(f"{name}, bf16", "blockwise", half))
    quarter = max(1, length // 4)
    found += [
        Configuration("Performer", "performer"),
        Configuration("Linformer", "linformer", {"rank": min(256, quarter)}),
        Configuration("Nyström", "nystrom", {"landmarks": min(64, quarter)}),
        Configuration("local window", "local_window", {"window": quarter}),
        Configuration("LSH", "lsh"),
    ]
    needed = {"causal"} if is_causal else set()
    return [each for each in found if BACKENDS[each.backend].masks >= needed]


def sampled(length):
    """The samplers that err least, at every share of the keys."""
    return [
        Configuration(f"{name}, {budget}", *SAMPLERS[name](budget))
        for budget in dict.fromkeys(max(2, length // share) for share in SHARES)
        for name in CHOSEN
    ]
