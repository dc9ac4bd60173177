"""The length from which a method is faster than exact attention on this machine."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.attention.arguments import check_tensors
from qlib.attention.attention import quantum_attention
from qlib.attention.profile import in_turns

OTHER_WORK = ("attn_mask", "key_padding_mask", "scale", "dropout_p", "need_weights")


@dataclass(frozen=True, eq=False)
class BreakEven:
    """Where a method overtakes its fastest rival for good.

    Attributes
    ----------
    length : float
        From which it is faster at every longer length that was timed, between two of
        them by a power law; the shortest one where it is faster throughout; infinite
        where it is not faster at the longest, so never within what was timed.
    lengths : (L,) int array
        Those timed.
    ratios : (L,) array
        Its seconds over those of the fastest rival; below 1 it is faster.
    rivals : tuple of str
        The fastest rival at each length.
    """

    length: float
    lengths: np.ndarray
    ratios: np.ndarray
    rivals: tuple


def break_even(backend, inputs, *, repeats=5, is_causal=False, **options):
    """Time a backend against min(naive, SDPA) of the same precision.

    Parameters
    ----------
    backend : str
        See `quantum_attention`.
    inputs : sequence of (q, k, v)
        3-D or 4-D as in `quantum_attention`, of rising length of q. The rivals get
        them in the dtype in which the backend says that it multiplies.
    repeats : int
        Turns of each, of which the least counts.
    is_causal : bool
    **options
        Of the backend, and `generator`.

    Returns
    -------
    BreakEven

    Raises
    ------
    TypeError, ValueError
        Before anything is timed: for inputs that are no such sequence, and for masks,
        scale, dropout and weights, with which the rivals would do other work.

    Notes
    -----
    The naive rival holds the whole matrix of logits, twice.
    """
    check_inputs(inputs)
    check_same_work(options)
    settings = {"is_causal": is_causal}
    spent = {"ours": [], "naive": [], "sdpa": []}
    for tensors in inputs:
        calls = rivals_of(backend, tensors, settings, options)
        times = in_turns(calls, repeats, device=tensors[0].device)
        for name, every in times.items():
            spent[name].append(min(every))
    lengths = [q.shape[-2] for q, _, _ in inputs]
    return crossing(lengths, spent.pop("ours"), spent)


def check_inputs(inputs):
    """Refuse what is no sequence of (q, k, v) with rising lengths of q."""
    if not isinstance(inputs, list | tuple) or not all(
        isinstance(each, list | tuple) and len(each) == 3 for each in inputs
    ):
        raise TypeError(
            f"inputs: got {type(inputs).__name__}; allowed: a sequence of (q, k, v)"
        )
    for tensors in inputs:
        check_tensors(*tensors)
    check_rising("inputs", np.array([q.shape[-2] for q, _, _ in inputs]))


def check_same_work(options):
    """Refuse arguments of `quantum_attention` that the rivals do not get."""
    for name in OTHER_WORK:
        if name in options:
            raise TypeError(
                f"{name}: got one; allowed: none, for the rivals would do other work"
            )


def check_rising(name, lengths):
    """Refuse lengths that are none or do not rise."""
    if lengths.size < 1 or (np.diff(lengths) <= 0).any() or lengths[0] < 1:
        raise ValueError(f"{name}: got lengths {lengths}; allowed: positive and rising")


def rivals_of(backend, tensors, settings, options):
    """Calls of a backend on its inputs, and of its rivals in its own precision.

    Returns
    -------
    dict
        "ours", "naive", "sdpa": function without arguments.
    """

    def ours():
        return quantum_attention(*tensors, backend=backend, **settings, **options)

    precision = ours().info.dtype
    same = [each.to(precision) for each in tensors]
    return {
        "ours": ours,
        "naive": lambda: naive(*same, **settings),
        "sdpa": lambda: quantum_attention(*same, backend="sdpa", **settings),
    }


def crossing(lengths, seconds, rivals):
    """`BreakEven` out of times that were taken.

    Parameters
    ----------
    lengths : sequence of int
        Rising.
    seconds : sequence of float
        Of the method.
    rivals : dict
        Name: seconds of a rival at the same lengths.

    Returns
    -------
    BreakEven

    Raises
    ------
    ValueError
        If the lengths do not rise, or times are missing or not positive.
    """
    lengths, seconds = np.asarray(lengths), np.asarray(seconds, dtype=float)
    check_rising("lengths", lengths)
    for name, times in {"seconds": seconds, **rivals}.items():
        times = np.asarray(times, dtype=float)
        if times.shape != lengths.shape or not (times > 0).all():
            raise ValueError(f"{name}: got {times}; allowed: {lengths.size}, all > 0")
    names = list(rivals)
    table = np.array([rivals[name] for name in names], dtype=float)  # (rival, length)
    ratios = seconds / table.min(0)
    fastest = tuple(names[i] for i in table.argmin(0))
    return BreakEven(last_crossing(lengths, ratios), lengths, ratios, fastest)


def last_crossing(lengths, ratios):
    """Length after which the ratios stay below 1, on straight lines of logarithms."""
    slower = np.flatnonzero(ratios >= 1)
    if not slower.size:
        return float(lengths[0])
    last = slower[-1]
    if last == lengths.size - 1:
        return np.inf
    here, there = np.log(ratios[last : last + 2])
    share = here / (here - there)
    low, high = np.log(lengths[last : last + 2])
    return float(np.exp(low + share * (high - low)))


def naive(q, k, v, *, is_causal=False, scale=None):
    """Softmax attention as it is written down, every pair formed and kept.

    Parameters
    ----------
    q, k, v : (batch, head, length, dim) tensors
    is_causal : bool
    scale : float, optional
        By default d**-0.5.

    Returns
    -------
    (batch, head, query, value) tensor
    """
    logits = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device).tril()
        logits = logits.masked_fill(~seen, -torch.inf)  # (batch, head, query, key)
    return logits.softmax(-1) @ v
