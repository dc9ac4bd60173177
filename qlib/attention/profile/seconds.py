"""Seconds of calls that take turns."""

import gc
import time
from contextlib import contextmanager

import torch

from qlib.arguments import positive_integer

LEAST_TURN = 2e-3  # seconds; shorter calls are made several times a turn
SLOW = 0.1  # seconds of a first call, above which the next is long enough too


def in_turns(calls, repeats, *, device="cpu"):
    """Seconds a call takes in each of its turns.

    A turn of a short call is several calls in a row, 2 ms at least, and its mean
    counts. A call that is not counted goes before each turn: it pays for the memory
    that another gave back.

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
        Name: tuple of `repeats` floats.
    """
    repeats = positive_integer("repeats", repeats)
    device = torch.device(device)
    counts = {name: calls_a_turn(call, device) for name, call in calls.items()}
    every = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            call()
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
