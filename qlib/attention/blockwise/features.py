"""Coordinates in which keys are near when softmax attention treats them alike."""

import torch

DIRECTIONS = 8  # 6 leave 5-10 % more error on a language model, 16 no less than 5 %
SHARE = 0.1  # of a value's unit against one nat of a logit; the best of 0.05 to 0.4
SAMPLE = 256  # tokens the metric is estimated on; 512 are no better, 128 5 % worse


def coordinates(q, k, v, valid, scale, *, prefix):
    """Principal coordinates of keys and values in the metric of the logits.

    Two keys may share one weight when the logits q.k of all queries agree, or when
    their values do: replacing weights a_j by their mean errs by
    sum_j (a_j - mean a)(v_j - mean v). So a key is measured by k R, where R R^T is the
    second moment of the scaled queries (its distances are root mean square
    differences of logits, in nats), next to `SHARE` times its value in units of their
    spread, and both together are projected on their `DIRECTIONS` leading axes.

    Parameters
    ----------
    q : (head, query, d) tensor
    k : (head, key, d) tensor
        0 where a key is shut.
    v : (head, key, value) tensor
        Likewise.
    valid : (head, key) bool tensor
    scale : float
    prefix : int
        The metric is taken from the first so many tokens, at most `SAMPLE` of them,
        evenly spaced. Later ones do not change the coordinates of earlier ones.

    Returns
    -------
    (head, key, axis) tensor
        At most `DIRECTIONS` axes. Cost O(key * (d + value) * DIRECTIONS).
    """
    step = -(-prefix // SAMPLE)
    q, k_part, v_part = (x[:, :prefix:step] for x in (q, k, v))
    valid_part = valid[:, :prefix:step, None]
    root = metric_root(q, scale)  # (head, d, d)
    count = valid_part.sum(1, keepdim=True).clamp_min(1)
    spread = centred(v_part, valid_part, count).square().sum(1, keepdim=True) / count
    unit = SHARE / spread.mean(-1, keepdim=True).sqrt().clamp_min(1e-30)
    joint = torch.cat((k_part @ root, v_part * unit), -1)  # (head, sample, d + value)
    axes = leading_axes(centred(joint, valid_part, count))  # (head, d + value, axis)
    dim = k.shape[-1]
    return k @ (root @ axes[:, :dim]) + v @ (unit * axes[:, dim:])  # (head, key, axis)


def centred(x, valid, count):
    """Rows less the mean of the valid ones; 0 where not valid."""
    return (x - x.sum(1, keepdim=True) / count) * valid


def metric_root(q, scale):
    """R with R R^T the second moment of the scaled queries, (head, d, d)."""
    moment = q.mT @ q * (scale**2 / q.shape[1])  # (head, d, d)
    ridge = 1e-4 * moment.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-30
    eye = torch.eye(q.shape[-1], dtype=q.dtype, device=q.device)
    return torch.linalg.cholesky_ex(moment + ridge[:, None, None] * eye).L


def leading_axes(x):
    """Orthonormal leading principal axes of centred rows, by three power steps.

    Parameters
    ----------
    x : (head, row, dim) tensor

    Returns
    -------
    (head, dim, min(DIRECTIONS, dim)) tensor
    """
    moment = x.mT @ x  # (head, dim, dim)
    diagonal = moment.diagonal(dim1=-2, dim2=-1)
    moment = moment / diagonal.sum(-1).clamp_min(1e-30)[:, None, None]
    widest = diagonal.topk(min(DIRECTIONS, x.shape[-1])).indices
    start = moment.gather(2, widest[:, None].expand(-1, x.shape[-1], -1))
    return torch.linalg.qr(moment @ (moment @ start)).Q
