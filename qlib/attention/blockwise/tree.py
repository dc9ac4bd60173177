"""Tight clusters of equal size, by halving at the median of the widest axis."""

import torch

POWERS = 2  # squarings of the covariance before its widest column is taken
SAMPLE = 64  # points of a cluster that its axis is found from


def cluster_orders(points, segments):
    """Orders of the points of segments that cut into tight clusters of equal size.

    Every cluster is cut across its leading principal axis into two of equal size,
    until it is small enough: a principal direction tree. All segments go down
    together, each from when the clusters of longer ones have come to its length.

    Parameters
    ----------
    points : (point, axis) tensor
    segments : list of (members, size)
        From the longest to the shortest. `members` is a (segment, length) tensor of
        rows of `points`, `size` the points wanted in a cluster; the lengths are
        `size` times powers of two, the sizes fall or stay, and every length halved
        some times is the next.

    Returns
    -------
    list of (segment, length) integer tensors
        `members` in an order of which every `size` are a cluster. Cost
        O(length * axis**2) for each halving.
    """
    waiting, within, done = list(segments), [], []
    order = waiting[0][0][:0].flatten()
    size = waiting[0][0].shape[1]
    while waiting or within:
        if waiting and waiting[0][0].shape[1] == size:
            members, target = waiting.pop(0)
            within.append((members.shape, target))
            order = torch.cat((order, members.flatten()))
        while within and within[0][1] == size:
            shape, _ = within.pop(0)
            count = shape[0] * shape[1]
            done.append(order[:count].view(shape))
            order = order[count:]
        if len(order):
            order = halved(points.index_select(0, order), order, size)
        size //= 2
    return done


def halved(rows, order, size):
    """`order` with every run of `size` points cut across its leading axis.

    Parameters
    ----------
    rows : (point, axis) tensor
        The points in `order`.
    order : (point,) integer tensor
    size : int
        Even.
    """
    clusters = rows.view(-1, size, rows.shape[1])  # (cluster, point, axis)
    along = torch.bmm(clusters, widest_axis(clusters))[..., 0]  # (cluster, point)
    upper = along.topk(size // 2, sorted=False).indices
    rest = along.scatter(1, upper, torch.inf)
    lower = rest.topk(size // 2, largest=False, sorted=False).indices
    return order.view(-1, size).gather(1, torch.cat((lower, upper), 1)).flatten()


def widest_axis(clusters):
    """About the leading principal axis of each cluster, (cluster, axis, 1)."""
    some = clusters[:, :: -(-clusters.shape[1] // SAMPLE)]
    centred = some - some.mean(1, keepdim=True)
    moment = torch.bmm(centred.mT, centred)  # (cluster, axis, axis)
    moment /= moment.amax((1, 2), keepdim=True).clamp_min(1e-30)
    for _ in range(POWERS):
        moment = torch.bmm(moment, moment)
    widest = moment.diagonal(dim1=1, dim2=2).argmax(1)
    return moment.gather(2, widest[:, None, None].expand(-1, clusters.shape[-1], 1))
