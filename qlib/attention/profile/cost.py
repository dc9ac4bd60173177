"""Floating-point operations and bytes of an attention, and the time they must take."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from qlib.attention.attention import quantum_attention


@dataclass(frozen=True)
class Cost:
    """What must be computed and moved.

    Attributes
    ----------
    flops : int
        Of products of matrices, two for each multiplication and addition.
    num_bytes : int
        Queries, keys and values read once, the output written once: what no method
        of one pass goes without, however little it computes.
    """

    flops: int
    num_bytes: int


def exact_cost(q, k, v, *, is_causal=False):
    """Cost of softmax attention: two products over the pairs that see each other.

    Parameters
    ----------
    q, k, v : (batch, head, length, dim) tensors
    is_causal : bool

    Returns
    -------
    Cost
    """
    flops = fused_flops(q.shape, k.shape, v.shape, is_causal=is_causal)
    return Cost(flops, least_bytes(q, k, v))


def cost_of(backend, q, k, v, **options):
    """Cost of a backend, its products counted while it runs once.

    Parameters
    ----------
    backend : str
        See `quantum_attention`.
    q, k, v : (batch, head, length, dim) tensors
    **options
        Of `quantum_attention` and of the backend.

    Returns
    -------
    Cost
        Work outside products of matrices, such as exponentials, sorting and gathers,
        is not in it, so a floor made of it is one.
    """
    counter = FlopCounterMode(display=False, custom_mapping=FUSED)
    with counter:
        quantum_attention(q, k, v, backend=backend, **options)
    return Cost(counter.get_total_flops(), least_bytes(q, k, v))


def floor_seconds(cost, machine, dtype):
    """Time below which no implementation of that cost can stay on that machine.

    Parameters
    ----------
    cost : Cost
    machine : Machine
        With `dtype` among its rates.
    dtype : torch.dtype
        Of the products.

    Returns
    -------
    float
        The longer of computing and moving, which may overlap.
    """
    return max(cost.flops / machine.multiplied[dtype], cost.num_bytes / machine.moved)


def least_bytes(q, k, v):
    """Bytes of the inputs and of the output."""
    output = q.numel() // q.shape[-1] * v.shape[-1]
    return sum(each.numel() for each in (q, k, v)) * q.itemsize + output * q.itemsize


def seen_pairs(queries, keys, is_causal):
    """Pairs of a query and a key that it sees."""
    if not is_causal:
        return queries * keys
    rising = min(queries, keys)
    return rising * (rising + 1) // 2 + (queries - rising) * keys


def fused_flops(q, k, v, dropout_p=0.0, is_causal=False, **others):
    """Operations of PyTorch's fused kernel on a processor, which it does not count.

    Parameters
    ----------
    q, k, v : sequences of int
        Their shapes; the others as the kernel has them.

    Returns
    -------
    int
    """
    pairs = q[0] * q[1] * seen_pairs(q[2], k[2], is_causal)
    return 2 * pairs * (q[3] + v[3])


FUSED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: fused_flops}
