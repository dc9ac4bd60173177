"""The ways to attend that are set side by side at a length."""

import torch

from qlib.attention.backends import BACKENDS
from qlib.attention.exact.probe import half_dtype
from qlib.attention.trials.pareto import Configuration
from qlib.attention.trials.samplers import SAMPLERS

CHOSEN = ("stratified", "top-k and rest", "control variate")  # err least of samplers
SHARES = (16, 4)  # of the keys: one in so many is read
LONGEST = 2048  # for samplers and LSH, slower than SDPA from 512 on


def standard(length, *, is_causal):
    """Configurations for `pareto`, those that honour causality where it is asked for.

    Samplers read a sixteenth and a quarter of the values, up to a length of 2048: they
    form every logit and then draw, which takes 5 to 25 times as long as SDPA there;
    LSH, which takes 2 to 4 times as long, ends there, too. Blockwise attention is that
    of `clustered`, its products in float32 and in bfloat16. Other rivals have their
    defaults, windows of 32, 256 and a quarter of the keys, no more landmarks or
    projected rows than a quarter of the keys. Mixed precision is among them where the
    processor has it.

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
    for name, options in clustered(length).items():
        found.append(Configuration(name, "blockwise", options))
        half = options | {"dtype": torch.bfloat16}
        found.append(Configuration(f"{name}, bf16", "blockwise", half))
    quarter = max(1, length // 4)
    found += [
        Configuration("Performer", "performer"),
        Configuration("Linformer", "linformer", {"rank": min(256, quarter)}),
        Configuration("Nyström", "nystrom", {"landmarks": min(64, quarter)}),
        Configuration("local window", "local_window", {"window": quarter}),
        Configuration("local window, 32", "local_window", {"window": 32}),
        Configuration("local window, 256", "local_window", {"window": 256}),
    ]
    if length <= LONGEST:
        found.append(Configuration("LSH", "lsh"))
    needed = {"causal"} if is_causal else set()
    return [each for each in found if BACKENDS[each.backend].masks >= needed]


def clustered(length):
    """Options of blockwise attention: coarse, with more single keys, and finer.

    At 8192 keys and more the coarse ones are the defaults; below, a segment has fewer
    clusters and a tile fewer queries, since with the defaults a causal query of 512
    keys would see all of them one by one.

    Returns
    -------
    dict
        Name: options.
    """
    if length >= 8192:
        coarse = {"pools": 256, "tile": 256, "heavy": 64}
    elif length >= 2048:
        coarse = {"pools": 128, "tile": 256, "heavy": 64}
    else:
        coarse = {"pools": 32, "tile": 64, "heavy": 16}
    return {
        "blockwise": coarse,
        "blockwise, more single keys": coarse | {"heavy": 2 * coarse["heavy"]},
        "blockwise, finer": coarse | {"pools": 2 * coarse["pools"], "pool": 8},
    }


def sampled(length):
    """The samplers that err least; beyond 512 keys at the greatest share only."""
    shares = SHARES if length <= 512 else SHARES[-1:]
    return [
        Configuration(f"{name}, {budget}", *SAMPLERS[name](budget))
        for budget in dict.fromkeys(max(2, length // share) for share in shares)
        for name in CHOSEN
    ]
