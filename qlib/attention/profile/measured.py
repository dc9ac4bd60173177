"""Seconds and peak memory of attention, or of any call."""

from dataclasses import dataclass

import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.profile.memory import peak_bytes
from qlib.attention.profile.seconds import counts_cpu_time, in_turns


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
    calls, repeats, device
        See `in_turns`.

    Returns
    -------
    dict
        Name: Profile.
    """
    device = torch.device(device)
    every = in_turns(calls, repeats, device=device)
    peaks = {name: peak_bytes(call, device) for name, call in calls.items()}
    clock = "cpu" if counts_cpu_time(device) else "wall"
    return {
        name: Profile(min(every[name]), every[name], peaks[name], clock)
        for name in calls
    }
