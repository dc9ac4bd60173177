"""The most memory that a call holds at a time."""

from itertools import accumulate

import torch
from torch.autograd import (
    ProfilerConfig,
    ProfilerState,
    _disable_profiler_legacy,
    _enable_profiler_legacy,
)

from qlib.attention.profile.seconds import finish, without_collection


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
