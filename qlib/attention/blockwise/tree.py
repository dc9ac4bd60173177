"""Tight clusters of equal size, by halving at the median of the widest axis."""

import torch

POWERS = 2  # squarings of the covariance before its widest column is taken
SAMPLE = 64  # points of a cluster that its axis is found from


def cluster_order(points, leaves):
    """An order of points that cuts into `leaves` tight clusters of equal size.

    Every cluster is sorted along its leading principal axis and cut in the middle,
    until there are `leaves` of them: a principal direction tree.

    Parameters
    ----------
    points : (group, point, axis) tensor
        Groups are ordered each by itself.
    leaves : int
        A power of two that divides the number of points.

    Returns
    -------
    (group, point) integer tensor
        Cluster c is points `order[:, c * size : (c + 1) * size]`. Cost
        O(log2(leaves) * point * (log2(point) + axis**2)) a group.
    """
    groups, length, axes = points.shape
    rows = points.reshape(-1, axes)
    first = torch.arange(0, groups * length, length, device=points.device)[:, None]
    order = torch.arange(groups * length, device=points.device)
    parts = 1
    while parts < leaves:
        size = length // parts
        clusters = rows.view(-1, size, axes)  # (group * part, size, axis)
        along = clusters @ widest_axis(clusters)  # (group * part, size, 1)
        inside = along[..., 0].argsort(-1)
        inside += torch.arange(0, len(rows), size, device=rows.device)[:, None]
        inside = inside.flatten()
        rows, order = rows.index_select(0, inside), order.index_select(0, inside)
        parts *= 2
    return order.view(groups, length) - first


def widest_axis(clusters):
    """About the leading principal axis of each cluster, (cluster, axis, 1)."""
    some = clusters[:, :: -(-clusters.shape[1] // SAMPLE)]
    centred = some - some.mean(1, keepdim=True)
    moment = centred.mT @ centred  # (cluster, axis, axis)
    for _ in range(POWERS):
        peak = moment.diagonal(dim1=-2, dim2=-1).amax(-1)[:, None, None]
        moment = moment / peak.clamp_min(1e-30)
        moment = moment @ moment
    widest = moment.diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = widest[:, None, None].expand(-1, clusters.shape[-1], 1)
    return moment.gather(2, index)
