"""Agents divided over the ranks of a process group, with one all-gather a step.

Every rank keeps the whole swarm and evaluates its share of the agents that are due.
One all-gather gives every rank all losses and gradients, bit for bit, and all ranks
then make the same update: a run on many ranks equals one on a single process.

What is a rank's own stays so: closures are to see the same batch on every rank (agents
are divided, not samples), dropout draws from each process's own generator, and buffers
of the model, as those of batch normalisation, follow the agents evaluated there.
"""

import secrets
from contextlib import contextmanager

import torch
import torch.distributed as dist

ALIGNMENT = 64  # bytes; any dtype's item size divides it
FAILED = 1  # status of a rank whose closure raised


def check_group(group):
    """`group`, refused by name unless None or a process group that has this process."""
    allowed = "allowed: None or a torch.distributed process group of this process"
    member = dist.is_available() and isinstance(group, dist.ProcessGroup)
    if group is not None and not (member and dist.get_rank(group) >= 0):
        raise ValueError(f"process_group: got {group!r}; {allowed}")
    return group


def common_seed(seed, group):
    """The seed of all ranks: the one given, or one drawn on rank 0 if it is None.

    Parameters
    ----------
    seed : int or None
        In [0, 2**63); the same on every rank.
    group : ProcessGroup or None

    Raises
    ------
    ValueError
        If the ranks were given different seeds.
    """
    drawn = secrets.randbits(63)
    if group is None:
        return drawn if seed is None else seed
    mine = torch.tensor([seed is None, drawn if seed is None else seed])  # int64
    mine = mine.view(torch.uint8).to(_device(group))
    seeds = _all_gather(mine, group).view(torch.int64)  # (ranks, 2)
    given = [None if free else number for free, number in seeds.tolist()]
    if len(set(given)) > 1:
        raise ValueError(f"seed: got {given} on the ranks; allowed: the same on all")
    return int(seeds[0, 1])


@torch.no_grad()
def synchronise(tensors, group):
    """Give every rank the values that rank 0 has, as DistributedDataParallel does."""
    if group is None:
        return
    for tensor in tensors:
        values = tensor.detach().to(_device(group, [tensor])).contiguous()
        dist.broadcast(values, group=group, group_src=0)
        tensor.copy_(values)


def share(num, group):
    """Positions among `num` evaluations that this rank makes: rank, rank + ranks, ...

    Shares differ by one at most; a rank beyond `num` has none.
    """
    if group is None:
        return list(range(num))
    return list(range(dist.get_rank(group), num, dist.get_world_size(group)))


def gather(losses, gradients, *, num, like, group):
    """Losses and gradients of all positions, on every rank.

    Parameters
    ----------
    losses : sequence of float or scalar tensor
        Of this rank's positions, in the order of `share`.
    gradients : sequence of lists
        One list for each of these positions, of a tensor or None for each of `like`.
    num : int
        Positions over all ranks.
    like : sequence of tensor
        Shape and dtype of each gradient; the same on every rank, which may have no
        position of its own to tell them from.
    group : ProcessGroup or None

    Returns
    -------
    losses : (num,) tensor
        float64, on the CPU.
    gradients : list of lists
        One list a position. With a group: views of the one buffer received.

    Raises
    ------
    RuntimeError
        If a rank could not evaluate its agents and was `abstaining`.

    Notes
    -----
    The bytes of a rank: a status, then for each of its positions the loss (float64), a
    byte per tensor that says whether it is there, and the tensors, each from a
    multiple of 64 bytes on. Ranks with fewer positions send zeros in the missing ones'
    place: ceil(num / ranks) P items a rank.
    """
    if group is None:
        return _float64(losses), [list(row) for row in gradients]
    rows, size, offsets = _layout(num, like, group)
    sent = _zeros(rows * size, like, group)
    for k, (loss, row) in enumerate(zip(_float64(losses), gradients, strict=True)):
        out = sent[ALIGNMENT + k * size :][:size]
        out[:8].view(torch.float64)[0] = loss
        out[8 : 8 + len(like)] = torch.tensor(
            [tensor is not None for tensor in row], dtype=torch.uint8
        )
        for place, tensor in zip(_places(out, like, offsets), row, strict=True):
            if tensor is not None:
                place.copy_(tensor)
    received = _all_gather(sent, group)  # (ranks, bytes)
    failed = torch.nonzero(received[:, 0] == FAILED).flatten().tolist()
    if failed:
        raise RuntimeError(f"the closure failed on rank {', '.join(map(str, failed))}")
    return _unpack(received, num, like, size, offsets)


@contextmanager
def abstaining(*, num, like, group):
    """If what is inside raises, take part in the others' `gather` without losses.

    The others raise RuntimeError instead of waiting for this rank.
    """
    try:
        yield
    except BaseException:
        if group is not None:
            rows, size, _ = _layout(num, like, group)
            sent = _zeros(rows * size, like, group)
            sent[0] = FAILED
            _all_gather(sent, group)
        raise


def _unpack(received, num, like, size, offsets):
    world = len(received)
    losses, gradients = [], []
    for position in range(num):
        row = received[position % world][ALIGNMENT + position // world * size :][:size]
        losses.append(row[:8].view(torch.float64))
        there = row[8 : 8 + len(like)].tolist()
        places = _places(row, like, offsets)
        gradients.append(
            [
                place.to(tensor.device) if present else None
                for place, tensor, present in zip(places, like, there, strict=True)
            ]
        )
    return torch.cat(losses).cpu(), gradients


def _layout(num, like, group):
    """Rows of a rank, bytes of a row, and the offset of each tensor in its row."""
    offsets, end = [], _aligned(8 + len(like))
    for tensor in like:
        offsets.append(end)
        end = _aligned(end + tensor.numel() * tensor.element_size())
    return -(-num // dist.get_world_size(group)), end, offsets


def _zeros(size, like, group):
    device = _device(group, like)
    return torch.zeros(ALIGNMENT + size, dtype=torch.uint8, device=device)


def _places(row, like, offsets):
    """Views of a row of bytes as one agent's tensors."""
    for tensor, start in zip(like, offsets, strict=True):
        part = row[start : start + tensor.numel() * tensor.element_size()]
        yield part.view(tensor.dtype).view(tensor.shape)


def _aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def _float64(losses):
    numbers = [float(loss) for loss in losses]
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def _device(group, tensors=()):
    """Where the group's backend wants its buffers: on the GPU for nccl."""
    if "nccl" not in dist.get_backend_config(group):
        return torch.device("cpu")
    on_gpu = [tensor.device for tensor in tensors if tensor.is_cuda]
    return on_gpu[0] if on_gpu else torch.device("cuda", torch.cuda.current_device())


def _all_gather(sent, group):
    """The bytes of all ranks, (ranks, bytes)."""
    received = sent.new_empty(dist.get_world_size(group), sent.numel())
    dist.all_gather(list(received), sent, group=group)
    return received
