"""How fast this machine multiplies matrices and moves bytes, measured now."""

from dataclasses import dataclass

import torch

from qlib.arguments import positive_integer
from qlib.attention.profile.seconds import in_turns


@dataclass(frozen=True)
class Machine:
    """Rates that bound every method from below.

    Attributes
    ----------
    multiplied : dict
        torch.dtype: floating-point operations a second in a product of square
        matrices, two for each multiplication and addition.
    moved : float
        Bytes a second, read and written, when arrays beyond the cache are copied.
    threads : int
        With which it was measured.
    """

    multiplied: dict
    moved: float
    threads: int


def measure_machine(
    dtypes=(torch.float32, torch.bfloat16),
    *,
    size=1024,
    num_bytes=2**27,
    repeats=5,
    device="cpu",
):
    """Measure the rates, the best of several turns.

    Parameters
    ----------
    dtypes : sequence of torch.dtype
    size : int
        Of the matrices; from about 500 the rate changes little on a processor.
    num_bytes : int
        Of the array copied; the default, 128 MiB, is more than a cache holds.
    repeats : int
    device : str or torch.device

    Returns
    -------
    Machine

    Notes
    -----
    About half a second on one processor core with the defaults.
    """
    size = positive_integer("size", size)
    num_bytes = positive_integer("num_bytes", num_bytes)
    repeats = positive_integer("repeats", repeats)
    matrices = {each: torch.ones(size, size, device=device).to(each) for each in dtypes}
    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    calls = {each: (lambda m=matrix: m @ m) for each, matrix in matrices.items()}
    calls["copy"] = lambda: target.copy_(source)
    least = {
        name: min(t) for name, t in in_turns(calls, repeats, device=device).items()
    }
    moved = 2 * num_bytes / least.pop("copy")
    multiplied = {each: 2 * size**3 / spent for each, spent in least.items()}
    return Machine(multiplied, moved, torch.get_num_threads())
