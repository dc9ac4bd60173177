"""Attention of each query to an interval of keys in an order of their own.

Queries whose intervals lie in the same span of keys are gathered into tiles, so that
everything is products of small matrices; a loop runs over chunks of tiles only.
"""

from dataclasses import dataclass

import torch

from qlib.attention.baselines.rows import divided, unnormalised

ROWS = 32  # queries in a tile
LOGITS = 2**18  # in a chunk of tiles: 1 MiB in float32, about a core's cache


@dataclass(frozen=True, eq=False)
class Intervals:
    """Which keys each query sees in one order of the keys.

    Attributes
    ----------
    order : (group, key) integer tensor
        Keys in their order; a group is one head of one batch element.
    slot : (group, key) integer tensor
        Place of each key in the order.
    first, last : (group, query) integer tensor
        The query sees slots first <= slot < last.
    base : (group, query) integer tensor
        A span of `span` slots from here holds the interval; it may begin before 0.
        Queries of one base share tiles.
    span : int
    """

    order: torch.Tensor
    slot: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    base: torch.Tensor
    span: int


@dataclass(frozen=True, eq=False)
class Tiles:
    """Queries and keys of one round gathered for products of matrices.

    Attributes
    ----------
    queries : (tile, row) integer tensor
        Query of each row, counted through all groups.
    filled : (tile, row) bool tensor
        Whether the row is used.
    keys, slots : (tile, column) integer tensor
        Key of each column, counted through all groups, and its slot.
    place : (group x query,) integer tensor
        Row of each query, counted through all tiles.
    """

    queries: torch.Tensor
    filled: torch.Tensor
    keys: torch.Tensor
    slots: torch.Tensor
    place: torch.Tensor


@dataclass(frozen=True, eq=False)
class Round:
    """Attention of one round before its division.

    Attributes
    ----------
    sums : (group x query, value dim) tensor
        Of the values, weighted.
    total : (group x query, 1) tensor
        Of the weights.
    top : (group x query, 1) tensor
        Sums and total are to be multiplied by 2 to this; -inf where nothing is seen.
    weights : list of (queries, keys, weights)
        (tile, row), (tile, column) and (tile, row, column) tensors; empty unless asked
        for.
    touched : int
        Pairs seen.
    """

    sums: torch.Tensor
    total: torch.Tensor
    top: torch.Tensor
    weights: list
    touched: int


def make_tiles(sets):
    """Tiles of `Intervals`; O(group (query log query + key)) operations.

    A query's row and the columns of its tile depend on earlier queries and keys of its
    own span only, wherever the tile itself comes to lie.
    """
    groups, queries = sets.base.shape
    keys = sets.order.shape[1]
    device = sets.base.device
    group = torch.arange(groups, device=device)[:, None]
    span_of = (sets.base + group * (keys + 2 * sets.span)).flatten()
    ordered, order = torch.sort(span_of, stable=True)
    place = torch.arange(groups * queries, device=device)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    within = place - torch.where(new, place, 0).cummax(0).values
    heads = within % ROWS == 0  # first rows of tiles
    rows = (heads.cumsum(0) - 1) * ROWS + within % ROWS
    lead = order[heads]  # a query of each tile
    tiled = lead[:, None].expand(-1, ROWS).flatten().scatter(0, rows, order)
    filled = torch.zeros_like(tiled, dtype=torch.bool).index_fill_(0, rows, True)
    slots = sets.base.flatten()[lead][:, None]
    slots = slots + torch.arange(sets.span, device=device)  # (tile, column)
    owner = (lead // queries)[:, None]
    columns = sets.order[owner, slots.clamp(0, keys - 1)] + owner * keys
    place = torch.empty_like(rows).scatter_(0, order, rows)
    return Tiles(
        tiled.unflatten(0, (-1, ROWS)),
        filled.unflatten(0, (-1, ROWS)),
        columns,
        slots,
        place,
    )


def hidden_pairs(tiles, part, sets, earlier):
    """Pairs that the round does not see, or that an earlier one has seen.

    Parameters
    ----------
    tiles : Tiles
    part : slice
        Of the tiles.
    sets : Intervals
    earlier : list of Intervals

    Returns
    -------
    (tile, row, column) bool tensor
    """
    queries, keys = tiles.queries[part].flatten(), tiles.keys[part].flatten()
    slots = tiles.slots[part].to(sets.slot.dtype)[:, None]

    def edges(other):
        both = (other.first, other.last)
        return (x.flatten()[queries].view(-1, ROWS, 1) for x in both)

    first, last = edges(sets)
    hidden = (slots < first) | (slots >= last) | ~tiles.filled[part][:, :, None]
    for other in earlier:
        slots = other.slot.flatten()[keys].view(-1, 1, sets.span)
        first, last = edges(other)
        hidden |= (slots >= first) & (slots < last)
    return hidden


def attend_round(q, k, v, sets, earlier, *, need_weights):
    """Attention of one round, unnormalised.

    Parameters
    ----------
    q, k, v : (group x query, dim), (group x key, dim), (group x key, value dim)
        Their products are logits in bits.
    sets : Intervals
    earlier : list of Intervals
        Of the rounds before, whose pairs are left out.
    need_weights : bool

    Returns
    -------
    Round
    """
    tiles = make_tiles(sets)
    count = max(1, LOGITS // (ROWS * sets.span))
    sums, totals, tops, kept, touched = [], [], [], [], 0
    for start in range(0, len(tiles.queries), count):
        part = slice(start, start + count)
        queries, keys = tiles.queries[part], tiles.keys[part]
        hidden = hidden_pairs(tiles, part, sets, earlier)
        logits = rows_of(q, queries) @ rows_of(k, keys).mT  # (tile, row, column)
        weights, top = unnormalised(logits.masked_fill(hidden, -torch.inf))
        total = weights.sum(-1, keepdim=True)
        sums.append(weights @ rows_of(v, keys))  # (tile, row, value dim)
        totals.append(total)
        tops.append(top.masked_fill(total == 0.0, -torch.inf))
        touched += hidden.numel() - int(hidden.count_nonzero())
        if need_weights:
            kept.append((queries, keys, weights))
    by_query = (
        torch.cat(each).flatten(0, 1).index_select(0, tiles.place)
        for each in (sums, totals, tops)
    )
    return Round(*by_query, kept, touched)


def rows_of(x, where):
    """Rows of `x`, a matrix, at a matrix of places."""
    return x.index_select(0, where.flatten()).unflatten(0, where.shape)


def merge(rounds):
    """Output of rounds whose pairs are disjoint, by the log-sum-exp of their totals.

    Parameters
    ----------
    rounds : list of Round

    Returns
    -------
    output : (group x query, value dim) tensor
    factors : (round, group x query, 1) tensor
        Of each round's unnormalised weights.
    """
    tops = torch.stack([each.top for each in rounds])  # (round, query, 1)
    largest = tops.amax(0)
    shares = torch.exp2(tops - torch.where(largest == -torch.inf, 0.0, largest))
    totals = torch.stack([each.total for each in rounds])
    factors = divided(shares, (totals * shares).sum(0))
    pairs = zip(rounds, factors, strict=True)
    return sum(each.sums * factor for each, factor in pairs), factors
