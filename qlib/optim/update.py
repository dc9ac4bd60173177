"""One cache-blocked pass over the columns of a tensor: exchange and inner rule.

The weights of N agents are the rows of a (N, n) matrix. Blocks of columns are small
enough that all rows of a block, its gradients and its buffers stay in the cache while
every operation of the step runs over them, so that the memory is read and written
about once.
"""

import torch

BLOCK_BYTES = 2**23
"""Bytes of all that one block touches at most, a thread.

A share of a third-level cache: blocks that fit the second level spend more on calling
torch than they save.
"""

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

    def ones(self, width, like):
        """A (width,) tensor of ones."""
        key = ("ones", like.dtype, like.device)
        if key not in self._flat or len(self._flat[key]) < width:
            self._flat[key] = like.new_ones(width)
        return self._flat[key][:width]


class Exchange:
    """What agents give each other, L (theta - theta_r), tensor by tensor, by blocks.

    Differences to one reference row r make agents that agree exchange exactly nothing
    (the rows of L sum to zero). Half precision is exchanged in float32.

    Parameters
    ----------
    matrix : (K, N) or (K, N + 1) tensor, or None
        Rows of L of the K agents that move; the further column is `target`. None: no
        exchange, only the sums.
    reference : int
        The agent r.
    like : (N, n) tensor
        The agents of one of the tensors; all are of its dtype and device.
    scratch : Scratch

    Attributes
    ----------
    target : (n,) tensor or None
        A point that is no agent; another one for each tensor.
    """

    def __init__(self, matrix, reference, like, scratch):
        self.matrix, self.reference = matrix, reference
        self.target, self.scratch = None, scratch
        self.dtype, self._reached = wide_dtype(like), None
        self.sums = torch.zeros(len(like), dtype=self.dtype, device=like.device)
        self.share = torch.full_like(self.sums, 1 / len(like))
        self.squares, self.means = [], []  # of blocks

    def reach(self, block):
        """Take scratch for blocks of the width of this one."""
        agents, width = block.shape
        rows = agents + (self.target is not None)
        if self._reached == (rows, width):
            return
        self._reached = rows, width
        self.apart = self.scratch.take("apart", rows, width, block, self.dtype)
        self.own = self.apart[:agents]
        self.all, self.turned = self.own.view(-1), self.own.T
        self.mean = self.scratch.take("mean", 1, width, block, self.dtype)[0]
        self.ones = self.scratch.ones(width, block)

    def differences(self, block, start):
        """Differences of the block at column `start` to the reference; the target last.

        Their squares are noted: of all agents, and of their mean.
        """
        here = block[self.reference].to(self.dtype)
        if self.dtype == block.dtype:
            torch.sub(block, here, out=self.own)
        else:
            self.own.copy_(block).sub_(here)
        if self.target is not None:
            there = self.target[start : start + len(here)]
            torch.sub(there.to(self.dtype), here, out=self.apart[-1])
        torch.mv(self.turned, self.share, out=self.mean)
        self.squares.append(torch.dot(self.all, self.all))
        self.means.append(torch.dot(self.mean, self.mean))

    def add(self, rows, matrix):
        """Add L (theta - theta_r) to some rows of a block, by these rows of L."""
        if rows.dtype == self.dtype:
            rows.addmm_(matrix, self.apart)
        else:
            rows.add_(matrix @ self.apart)

    def note(self, block):
        """Add the new rows of a block to the sums: not finite where a weight is not."""
        if self.dtype == block.dtype:
            self.sums.addmv_(block, self.ones)
        else:
            self.sums += block.sum(1, dtype=self.dtype)

    def spread(self):
        """Sum of the squared distances of the agents to their mean, before the step."""
        of_agents = torch.stack(self.squares).double().sum()
        return of_agents - len(self.sums) * torch.stack(self.means).double().sum()


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

    """
    width = block_width(agents)
    names = list(buffers)
    split = [agents, *(buffers[name] for name in names)]
    if width >= agents.shape[1]:
        blocks, slopes = [split], [gradients]
    else:
        blocks = zip(*(matrix.split(width, 1) for matrix in split), strict=True)
        slopes = zip(*(gradient.split(width) for gradient in gradients), strict=True)
    every = runs[0][0] == slice(0, len(agents))
    start, size = 0, None
    for (block, *memory), slope in zip(blocks, slopes, strict=True):
        if block.shape[1] != size:
            size = block.shape[1]
            gradient = scratch.take("gradient", len(gradients), size, block)
            spare = scratch.take("spare", len(gradients), size, block)
            if exchange:
                exchange.reach(block)
            parts = [
                (rows, count, gradient[place], spare[place], _rows(exchange, place))
                for rows, place, count in runs
            ]
        torch.stack(slope, out=gradient)
        if group["maximize"]:
            gradient.neg_()
        if exchange:
            exchange.differences(block, start)
        for rows, count, own_gradient, own_spare, matrix in parts:
            there = block if every else block[rows]
            kept = memory if every else [part[rows] for part in memory]
            own = dict(zip(names, kept, strict=True))
            rule(there, own_gradient, own, own_spare, group, count)
            if matrix is not None:
                exchange.add(there, matrix)
        if exchange:
            exchange.note(block)
        start += size


def _rows(exchange, positions):
    """The rows of L of some agents that move, or None."""
    if exchange is None or exchange.matrix is None:
        return None
    return exchange.matrix[positions]
