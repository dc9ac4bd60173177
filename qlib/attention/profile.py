"""Seconds and true peak memory of attention, or of any call.

With `machine` and the timed trials, the only code here that reads a clock.
"""

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.autograd import (
    ProfilerConfig,
    ProfilerState,
    _disable_profiler_legacy,
    _enable_profiler_legacy,
)

from qlib.arguments import positive_integer
from qlib.attention.attention import quantum_attention

LEAST_TURN = 2e-3  # seconds; shorter calls are made several times a turn
SLOW = 0.1  # seconds of a first call, above which the next is long enough too


@dataclass(frozen=True, eq=False)
class Profile:
    """What a call costs.

    Attributes
    ----------
    seconds : float
        The least of the repeats: other work on the machine only adds.
    every : tuple of float
        All repeats, in order.
    peak_bytes : int
        Most memory that PyTorch held at any time of one call beyond what it held
        before, the result included.
    clock : {"cpu", "wall"}
        CPU time of the process with one thread on a processor; else wall-clock time,
        on a GPU until it is done.
    """

    seconds: float
    every: tuple
    peak_bytes: int
    clock: str


def profile(backend, q, k, v, *, repeats=5, **options):
    """Time and peak memory of one backend on given inputs.

    Parameters
    ----------
    backend : str
        See `quantum_attention`.
    q, k, v : tensors
        With `requires_grad`, what is kept for the backward pass counts.
    repeats : int
        Turns, after one unrecorded call; the least of five is steady to a few per
        cent on a quiet machine.
    **options
        Of `quantum_attention` and of the backend.

    Returns
    -------
    Profile
    """

    def call():
        return quantum_attention(q, k, v, backend=backend, **options)

    return profiles({backend: call}, repeats, device=q.device)[backend]


def profiles(calls, repeats, *, device="cpu"):
    """Profiles of several calls that take turns, so that all see the same machine.

    Parameters
    ----------
    calls : dict
        Name: function without arguments.
    repeats : int
        Turns of each.
    device : str or torch.device
        Where they compute.

    Returns
    -------
    dict
        Name: Profile.
    """
    repeats = positive_integer("repeats", repeats)
    device = torch.device(device)
    every = in_turns(calls, repeats, device=device)
    peaks = {name: peak_bytes(call, device) for name, call in calls.items()}
    clock = "cpu" if counts_cpu_time(device) else "wall"
    return {
        name: Profile(min(every[name]), every[name], peaks[name], clock)
        for name in calls
    }


def in_turns(calls, repeats, *, device="cpu"):
    """Seconds a call takes in each of its turns, one call of each unrecorded before.

    A turn of a short call is several calls in a row, 2 ms at least, and its mean
    counts.

    Parameters
    ----------
    calls, repeats, device
        See `profiles`.

    Returns
    -------
    dict
        Name: tuple of `repeats` floats.
    """
    device = torch.device(device)
    counts = {name: calls_a_turn(call, device) for name, call in calls.items()}
    every = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            every[name].append(seconds(call, counts[name], device))
    return {name: tuple(each) for name, each in every.items()}


def calls_a_turn(call, device):
    """Power of two with which a turn lasts `LEAST_TURN`, found after a first call."""
    count = 1
    if seconds(call, count, device) > SLOW:
        return count
    while count * seconds(call, count, device) < LEAST_TURN:
        count *= 2
    return count


def seconds(call, count, device):
    """Mean seconds of `count` calls in a row, garbage collection switched off."""
    clock = time.process_time if counts_cpu_time(device) else time.perf_counter
    with without_collection():
        finish(device)
        start = clock()
        for _ in range(count):
            call()
        finish(device)
        return (clock() - start) / count


@contextmanager
def without_collection():
    """A context in which the garbage collector does not start by itself."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def counts_cpu_time(device):
    """Whether CPU time says how long it takes: one thread, and not on a GPU."""
    return device.type == "cpu" and torch.get_num_threads() == 1


def finish(device):
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(call, device="cpu"):
    """Most bytes that PyTorch allocates at a time during a call, beyond those before.

    On a processor, from the events of its profiler, which sees every allocation of
    PyTorch to the byte; not what a library of linear algebra keeps for itself. On a
    GPU, its own counter.

    Parameters
    ----------
    call : callable
        Without arguments. What it makes once and keeps counts the first time.
    device : str or torch.device

    Returns
    -------
    int

    Notes
    -----
    PyTorch's older profiler, whose events are raw sizes in order: the newer one takes
    a second to start and writes to the terminal.
    """
    device = torch.device(device)
    with without_collection():
        if device.type == "cuda":
            return cuda_peak(call, device)
        return max(accumulate(allocations(call), initial=0))


def allocations(call):
    """Bytes of each allocation of a call on a processor, negative where let go."""
    experimental = torch._C._profiler._ExperimentalConfig()
    memory_only = (False, True, False, False, False)
    config = ProfilerConfig(ProfilerState.CPU, *memory_only, experimental)
    _enable_profiler_legacy(config)
    try:
        result = call()
    finally:
        records = _disable_profiler_legacy()
    del result
    events = [each for thread in records for each in thread]
    return [e.cpu_memory_usage() for e in events if e.kind() == "memory_alloc"]


def cuda_peak(call, device):
    """`peak_bytes` on a GPU."""
    finish(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = call()
    finish(device)
    del result
    return torch.cuda.max_memory_allocated(device) - before
