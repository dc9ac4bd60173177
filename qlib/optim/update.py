"""One cache-blocked pass over the columns of a tensor: exchange and inner rule.

The weights of N agents are the rows of a (N, n) matrix. Blocks of columns are small
enough that all rows of a block, its gradients and its buffers stay in the cache while
every operation of the step runs over them, so that the memory is read and written
about once.
"""

import torch

BLOCK_BYTES = 2**20
"""Bytes of all that one block touches, a thread: a second-level cache."""

TOUCHED = 7
"""Matrices of a block: weights, gradient, two buffers, three of scratch."""

DEVICE_ELEMENTS = 2**24
"""Elements of a block on a GPU, where blocks only bound the memory of the scratch."""


class Scratch:
    """Matrices that live for one step, cut from one allocation per name and dtype."""

    def __init__(self):
        self._flat = {}

    def take(self, name, rows, width, like, dtype=None):
        """A contiguous (rows, width) tensor of unset values on the device of `like`."""
        dtype = dtype or like.dtype
        key = (name, dtype, like.device)
        flat = self._flat.get(key)
        if flat is None or flat.numel() < rows * width:
            flat = torch.empty(rows * width, dtype=dtype, device=like.device)
            self._flat[key] = flat
        return flat[: rows * width].view(rows, width)


class Exchange:
    """What the agents of one tensor give each other: L (theta - theta_r), by blocks.

    Differences to one reference row r make agents that agree exchange exactly nothing
    (the rows of L sum to zero). Half precision is exchanged in float32.

    Parameters
    ----------
    matrix : (K, N) or (K, N + 1) tensor, or None
        Rows of L of the K agents that move; the further column is `target`. None: no
        exchange, only the Gram matrix.
    reference : int
        The agent r.
    gram : (N, N) tensor
        The products of the differences are added to it.
    target : (n,) tensor or None
        A point that is no agent.
    scratch : Scratch
    """

    def __init__(self, matrix, reference, gram, target, scratch):
        self.matrix, self.reference, self.gram = matrix, reference, gram
        self.target, self.scratch = target, scratch

    def of(self, block, columns):
        """The (K, width) exchange of one block of columns, a slice; None without L."""
        agents, width = block.shape
        rows = agents + (self.target is not None)
        wide = self.gram.dtype
        apart = self.scratch.take("apart", rows, width, block, wide)
        if wide == block.dtype:
            torch.sub(block, block[self.reference], out=apart[:agents])
        else:
            apart[:agents].copy_(block)
            apart[:agents].sub_(block[self.reference].to(wide))
        if self.target is not None:
            torch.sub(
                self.target[columns].to(wide),
                block[self.reference].to(wide),
                out=apart[agents],
            )
        self.gram.addmm_(apart[:agents], apart[:agents].T)
        if self.matrix is None:
            return None
        moved = self.scratch.take("moved", len(self.matrix), width, block, wide)
        return torch.mm(self.matrix, apart, out=moved)


def wide_dtype(tensor):
    """The dtype in which agents are exchanged: float32 for half precision."""
    return torch.float32 if tensor.element_size() < 4 else tensor.dtype


def block_width(agents):
    """Columns of a block of the (N, n) matrix `agents`, a multiple of 128."""
    if agents.device.type != "cpu":
        return max(DEVICE_ELEMENTS // len(agents), 128)
    bytes_a_column = TOUCHED * len(agents) * agents.element_size()
    columns = BLOCK_BYTES * torch.get_num_threads() // bytes_a_column
    return max(columns // 128, 1) * 128


def runs_of(rows, counts):
    """Rows as maximal runs of neighbouring agents with equal counts.

    Parameters
    ----------
    rows : list of int
        Agents, in the order of their gradients.
    counts : list of int
        Steps each agent has done, indexed by agent.

    Returns
    -------
    list of (slice of agents, slice of positions in `rows`, count)
    """
    runs = []
    for position, row in enumerate(rows):
        if runs and row == runs[-1][0].stop and counts[row] == runs[-1][2]:
            agents, positions, count = runs.pop()
            first, start = agents.start, positions.start
        else:
            first, start, count = row, position, counts[row]
        runs.append((slice(first, row + 1), slice(start, position + 1), count))
    return runs


def advance(agents, gradients, buffers, *, runs, rule, group, scratch, exchange=None):
    """Move the rows of one tensor by exchange and inner rule, from one snapshot.

    Every row i that has a gradient becomes
    ``theta_i + inner(theta_i, g_i) + sum_j L_ij (theta_j - theta_r)``. O(N K n) for K
    rows with gradients.

    Parameters
    ----------
    agents : (N, n) tensor
        Moved in place.
    gradients : list of K (n,) tensors
        Only read.
    buffers : dict of (N, n) tensors
        Of the inner rule; moved in place.
    runs : list
        Of `runs_of`.
    rule, group
        Inner rule and its hyperparameters, `qlib.optim.inner`.
    scratch : Scratch
    exchange : Exchange or None
        None for a lone agent: nothing but the inner rule.

    Returns
    -------
    (N,) tensor or None
        Sums of the new rows, not finite where a weight is not; None without exchange.
    """
    width = block_width(agents)
    names = list(buffers)
    split = [agents, *(buffers[name] for name in names)]
    blocks = zip(*(matrix.split(width, 1) for matrix in split), strict=True)
    slopes = zip(*(gradient.split(width) for gradient in gradients), strict=True)
    sums = []
    for index, ((block, *memory), slope) in enumerate(zip(blocks, slopes, strict=True)):
        size = block.shape[1]
        gradient = scratch.take("gradient", len(gradients), size, block)
        spare = scratch.take("spare", len(gradients), size, block)
        torch.stack(slope, out=gradient)
        if group["maximize"]:
            gradient.neg_()
        start = index * width
        moved = exchange and exchange.of(block, slice(start, start + size))
        for rows, positions, count in runs:
            own = {name: m[rows] for name, m in zip(names, memory, strict=True)}
            there = block[rows]
            rule(there, gradient[positions], own, spare[positions], group, count)
            if moved is not None:
                there.add_(moved[positions])
        if exchange:
            sums.append(block.sum(1, dtype=exchange.gram.dtype))
    return torch.stack(sums).sum(0) if sums else None
